"""Tensors of a compiler's trace: there are none here."""

from .fake_tensor import FakeTensor, is_fake

__all__ = ["FakeTensor", "is_fake"]
