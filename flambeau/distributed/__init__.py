"""Training in several processes: not in this build, which says so as PyTorch does.

>>> import flambeau as torch
>>> torch.distributed.is_available()
False
"""

__all__ = [
    "get_rank",
    "get_world_size",
    "is_available",
    "is_initialized",
    "is_torchelastic_launched",
]


def is_available():
    """Whether this build has the package: no."""
    return False


def is_initialized():
    """Whether a process group was made: never."""
    return False


def is_torchelastic_launched():
    """Whether PyTorch's elastic launcher started this process."""
    import os

    return "TORCHELASTIC_RUN_ID" in os.environ


def _no_group(name):
    raise ValueError(f"{name}(): the default process group has not been initialized")


def get_rank(group=None):
    """This process's place in the group: ValueError, as there is none."""
    _no_group("get_rank")


def get_world_size(group=None):
    """How many processes are in the group: ValueError, as there is none."""
    _no_group("get_world_size")
