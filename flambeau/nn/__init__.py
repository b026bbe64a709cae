"""Neural networks: layers, their parameters, losses, initial values."""

from . import (
    functional,
    init,
    utils,
)
from .modules import *
from .modules.module import Module
from .parameter import (
    Buffer,
    Parameter,
    UninitializedBuffer,
    UninitializedParameter,
)
