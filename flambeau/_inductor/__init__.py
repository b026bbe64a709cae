"""The compiler to machine code that PyTorch has and this build has not."""

from . import config

__all__ = ["config"]
