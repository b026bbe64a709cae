"""Functions for networks: operators named nn.functional..., and more made of them.

>>> import flambeau as torch
>>> torch.nn.functional.relu(torch.tensor([-1.0, 1.0]))
tensor([0., 1.])
"""

from flambeau import _C, _ops

from ._activation import *
from ._attention import *
from ._basic import *
from ._ctc import *
from ._dispatch import *
from ._distance import *
from ._dropout import *
from ._image import *
from ._linear_cross_entropy import *
from ._loss import *
from ._matrix import *
from ._norm import *
from ._pad import *
from ._pool import *
from ._resize import *
from ._softmax import *
from ._window import *

# A native operator takes the place of the function of its name made of other operators; what is
# made of operators and on one of autocast's lists follows it.
for _name in _C._autocast_rules.keys() & globals().keys():
    globals()[_name] = _ops.under_autocast(_name, globals()[_name])
for _name, _value in list(globals().items()):
    if type(_value) is type(_ops.find) and not _name.startswith("_"):
        globals()[_name] = _C._overridable(_value)
globals().update(_ops.namespace("nn.functional"))

from .. import _reduction as _Reduction  # noqa: E402 (libraries number reductions by it)
from .. import grad  # noqa: E402 (gradients of convolutions)
from . import _checked  # noqa: E402 (in front of native operators)

for _name in _checked.__all__:
    globals()[_name] = _C._overridable(getattr(_checked, _name))

from ._attention import (  # noqa: E402 (libraries with attention of their own)
    _canonical_mask,
    _in_projection,
    _in_projection_packed,
    _mha_shape_check,
)
