"""Images: datasets, transforms and utilities. Submodules are imported on first use."""

import importlib

_SUBMODULES = ("datasets", "transforms", "utils")


def __getattr__(name):
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *_SUBMODULES])
