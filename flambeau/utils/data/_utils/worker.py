"""What a worker process knows of itself."""

from .._info import WorkerInfo, get_worker_info  # noqa: F401
from .._worker import generate_state as _generate_state  # noqa: F401


def __getattr__(name):
    if name == "_worker_info":
        return get_worker_info()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
