"""torch.classes: classes that libraries compiled for PyTorch register, of which there are none."""

import sys
import types


class _Namespace:
    """The classes of one namespace."""

    def __init__(self, name):
        self.__name__ = name

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        raise RuntimeError(
            f"Tried to instantiate class '{self.__name__}.{name}', but it does not exist! Ensure "
            "that it is registered via torch::class_"
        )


class _Classes(types.ModuleType):
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return _Namespace(name)

    @property
    def loaded_libraries(self):
        """The paths of the libraries that were loaded: none."""
        return set()

    def load_library(self, path):
        """Raises RuntimeError: classes compiled for PyTorch cannot be loaded."""
        from . import ops

        ops.load_library(path)


sys.modules[__name__].__class__ = _Classes
