"""Operators of vision models."""

from .misc import *  # noqa: F403
from .stochastic_depth import StochasticDepth, stochastic_depth
