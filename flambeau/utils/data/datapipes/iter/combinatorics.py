"""Samples in another order, under the names of their classes."""

from . import Sampler as SamplerIterDataPipe
from . import Shuffler as ShufflerIterDataPipe

__all__ = ["SamplerIterDataPipe", "ShufflerIterDataPipe"]
