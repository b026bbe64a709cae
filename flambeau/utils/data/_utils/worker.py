"""What a worker process knows of itself."""

from .._info import WorkerInfo, get_worker_info  # noqa: F401
