"""How much the package tells of itself, and a debugger for one of several processes."""

import enum
import os

DebugLevel = enum.Enum("DebugLevel", {"OFF": 0, "INFO": 1, "DETAIL": 2})
_state = {}


def get_debug_level():
    """The level that was set, at first that of TORCH_DISTRIBUTED_DEBUG."""
    if "level" not in _state:
        set_debug_level_from_env()
    return _state["level"]


def set_debug_level(level):
    _state["level"] = level


def set_debug_level_from_env():
    name = os.environ.get("TORCH_DISTRIBUTED_DEBUG", "OFF").upper()
    if name not in DebugLevel.__members__:
        raise RuntimeError(
            f"The value of TORCH_DISTRIBUTED_DEBUG must be OFF, INFO or DETAIL, not {name}"
        )
    _state["level"] = DebugLevel[name]


def breakpoint(rank=0, skip=0, timeout_s=3600):
    """A debugger in the process of a rank; the others wait for it."""
    import pdb
    import sys

    from .distributed_c10d import barrier, get_rank

    _state["skipped"] = _state.get("skipped", -1) + 1
    if _state["skipped"] < skip:
        return
    if get_rank() == rank:
        debugger = pdb.Pdb()
        debugger.prompt = f"(rank {rank}) "
        debugger.set_trace(sys._getframe(1))
    barrier()
