"""The old name of ao.nn.quantized."""

import sys

from flambeau.ao.nn.quantized import *
from flambeau.ao.nn.quantized import dynamic, functional, modules

for _name, _module in (("dynamic", dynamic), ("functional", functional), ("modules", modules)):
    sys.modules[f"{__name__}.{_name}"] = _module
