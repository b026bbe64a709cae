"""torch.ops: operators by namespace, `torch.ops.aten.relu` and those of `flambeau.library`."""

import sys
import types


class _Namespace:
    """The operators of one namespace."""

    def __init__(self, name):
        self.__name__ = name

    def __getattr__(self, name):
        from .library import _operators

        found = _operators.get(f"{self.__name__}::{name}")
        if found is None:
            found = self._builtin(name)
        if found is None:
            raise AttributeError(
                f"'_OpNamespace' '{self.__name__}' object has no attribute '{name}'"
            )
        return found

    def _builtin(self, name):
        import flambeau

        if self.__name__ == "torchvision":
            return getattr(flambeau.vision.ops, name, None)
        if self.__name__ == "quantized":
            from .ao.nn.quantized import _operators

            return getattr(_operators, name, None)
        if self.__name__ not in ("aten", "prim", "prims"):
            return None
        from ._dispatch import OpOverloadPacket, is_known

        return OpOverloadPacket(self.__name__, name) if is_known(name) else None


class _Operators(types.ModuleType):
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        made = _Namespace(name)
        setattr(self, name, made)
        return made

    @property
    def loaded_libraries(self):
        """The paths of the libraries that were loaded: none."""
        return set()

    def load_library(self, path):
        """Raises RuntimeError: operators compiled for PyTorch cannot be loaded."""
        raise RuntimeError(f"load_library(): {path} is compiled for PyTorch, not for flambeau")


sys.modules[__name__].__class__ = _Operators
