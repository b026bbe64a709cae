"""Images: datasets, transforms and utilities. Submodules are imported on first use."""

import importlib

from flambeau.version import torchvision as __version__


def set_image_backend(backend):
    """Chooses what ImageFolder and its kind read pictures with: "PIL" or "accimage".

    >>> from flambeau import vision
    >>> vision.set_image_backend("PIL")
    """
    if backend not in ("PIL", "accimage"):
        raise ValueError(f"Invalid backend '{backend}'. Options are 'PIL' and 'accimage'")
    if backend != "PIL":
        raise RuntimeError("set_image_backend(): pictures are read with PIL only")


def get_image_backend():
    """What pictures are read with: "PIL"."""
    return "PIL"


def _is_tracing():
    from flambeau import jit

    return jit.is_tracing()


def __getattr__(name):
    if not name.startswith("_"):
        path = f"{__name__}.{name}"
        try:
            return importlib.import_module(path)
        except ModuleNotFoundError as error:
            if error.name != path:
                raise
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
