"""What a worker process knows of itself."""

current = None  # WorkerInfo, in a worker


class WorkerInfo:
    """What a worker knows of itself: `id`, `num_workers`, `seed`, `dataset`."""

    def __init__(self, id, num_workers, seed, dataset):
        vars(self).update(id=id, num_workers=num_workers, seed=seed, dataset=dataset)

    def __setattr__(self, name, value):
        raise RuntimeError("Cannot assign attributes to WorkerInfo objects")

    def __repr__(self):
        fields = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"WorkerInfo({fields})"


def get_worker_info():
    """The `WorkerInfo` of the worker process this is called in; None in the main process.

    >>> from flambeau.utils.data import get_worker_info
    >>> get_worker_info() is None
    True
    """
    return current
