"""Training in several processes: groups, collectives, stores.

Backend "gloo" is TCP between all pairs of processes. Start them with
`python -m flambeau.distributed.run --nproc_per_node=2 program.py`, or
`flambeau.multiprocessing.spawn`.

>>> import flambeau as torch
>>> torch.distributed.is_available(), torch.distributed.is_initialized()
(True, False)
"""

from importlib import import_module as _import_module

from . import distributed_c10d
from ._errors import (
    DistBackendError,
    DistError,
    DistNetworkError,
    DistStoreError,
    QueueEmptyError,
)
from .distributed_c10d import *

# Names that live in modules which most programs do without.
_ELSEWHERE = {
    "DeviceMesh": "device_mesh",
    "init_device_mesh": "device_mesh",
    "GradBucket": "_reducer",
    "DebugLevel": "_debug",
    "get_debug_level": "_debug",
    "set_debug_level": "_debug",
    "set_debug_level_from_env": "_debug",
    "breakpoint": "_debug",
}


def is_available():
    """Whether this build has the package: yes."""
    return True


def __getattr__(name):
    if name in _ELSEWHERE:
        return getattr(_import_module(f".{_ELSEWHERE[name]}", __name__), name)
    if not name.startswith("__"):
        full = f"{__name__}.{name}"
        try:
            return _import_module(full)
        except ModuleNotFoundError as error:
            if error.name != full:
                raise
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
