"""Neural networks: layers, their parameters, losses, initial values."""

from . import functional, init
from .modules import *
from .modules.module import Module
from .parameter import (
    Buffer,
    Parameter,
    UninitializedBuffer,
    UninitializedParameter,
)

from . import utils  # noqa: I001 (it needs the names above)
