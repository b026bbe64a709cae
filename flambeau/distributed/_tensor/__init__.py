"""The old name of flambeau.distributed.tensor."""

from ..tensor import *
from ..tensor import __all__
