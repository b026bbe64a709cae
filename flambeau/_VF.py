"""torch._VF: recurrent layers and other functions by aten's own arguments."""

from . import _operators


def __getattr__(name):
    found = None if name.startswith("__") else _operators.find(name)
    if found is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return found
