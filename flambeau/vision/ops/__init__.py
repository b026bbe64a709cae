"""Operators of vision models."""

from .misc import *
from .stochastic_depth import StochasticDepth, stochastic_depth
