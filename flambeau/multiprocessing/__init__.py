"""`multiprocessing` with tensors: queues, pipes and arguments carry them in shared memory.

>>> import flambeau.multiprocessing as mp
>>> mp.get_all_sharing_strategies()
{'file_descriptor'}
"""

import multiprocessing
from multiprocessing import *
from multiprocessing import pool

from . import reductions
from .spawn import (
    ProcessContext,
    ProcessExitedException,
    ProcessRaisedException,
    SpawnContext,
    spawn,
    start_processes,
)

__all__ = [
    *multiprocessing.__all__,
    "ProcessContext",
    "ProcessExitedException",
    "ProcessRaisedException",
    "SpawnContext",
    "get_all_sharing_strategies",
    "get_sharing_strategy",
    "set_sharing_strategy",
    "spawn",
    "start_processes",
]

reductions.register()


def get_all_sharing_strategies():
    """The ways in which memory is shared: one, by file descriptors."""
    return {"file_descriptor"}


def get_sharing_strategy():
    """The way in which memory is shared."""
    return "file_descriptor"


def set_sharing_strategy(new_strategy):
    """Takes PyTorch's two names. Both share by descriptors: shared memory never has a name here,
    which is what programs choose "file_system" for giving up."""
    if new_strategy not in ("file_descriptor", "file_system"):
        raise AssertionError(f"unknown sharing strategy {new_strategy!r}")
