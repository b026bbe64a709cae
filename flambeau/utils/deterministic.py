"""Settings of programs that must give the same results on every run; here all do."""

import sys
import types


class _Module(types.ModuleType):
    @property
    def fill_uninitialized_memory(self):
        """Whether empty() may be asked to give the same on every run; what is set is kept."""
        return self._fill

    @fill_uninitialized_memory.setter
    def fill_uninitialized_memory(self, mode):
        if not isinstance(mode, bool):
            raise RuntimeError(f"expected mode to be a bool, but got {type(mode)}")
        self._fill = mode


sys.modules[__name__].__class__ = _Module
sys.modules[__name__]._fill = True
