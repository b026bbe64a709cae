"""How quantized networks are computed: one way, whatever the engine is called."""

import sys
import types

_ENGINES = ["qnnpack", "onednn", "x86", "fbgemm"]


class _Module(types.ModuleType):
    """The engine as an attribute that can be set; it says for whom a network is quantized."""

    @property
    def engine(self):
        return self._engine

    @engine.setter
    def engine(self, name):
        if name not in _ENGINES and name != "none":
            raise RuntimeError(f"{name!r} is not a valid value for quantized engine")
        self._engine = name

    @property
    def supported_engines(self):
        return list(_ENGINES)


sys.modules[__name__].__class__ = _Module
sys.modules[__name__]._engine = "x86"
