"""The old name of ao.nn.intrinsic."""

import sys

from flambeau.ao.nn.intrinsic import *
from flambeau.ao.nn.intrinsic import qat, quantized

for _name, _module in (("qat", qat), ("quantized", quantized)):
    sys.modules[f"{__name__}.{_name}"] = _module
