"""Discrete Fourier transforms: the operators whose names begin with fft."""

from flambeau import Tensor as Tensor
from flambeau import _ops

globals().update(_ops.namespace("fft"))
__all__ = sorted([*_ops.namespace("fft"), "Tensor"])
