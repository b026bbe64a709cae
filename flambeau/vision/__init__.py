"""Images: datasets, transforms and utilities. Submodules are imported on first use."""

import importlib

from flambeau.version import torchvision as __version__


def __getattr__(name):
    if not name.startswith("_"):
        path = f"{__name__}.{name}"
        try:
            return importlib.import_module(path)
        except ModuleNotFoundError as error:
            if error.name != path:
                raise
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
