"""Tensors to and from other libraries without copies, by DLPack.

>>> import flambeau as torch
>>> from flambeau.utils.dlpack import from_dlpack, to_dlpack
>>> from_dlpack(to_dlpack(torch.arange(3)))
tensor([0, 1, 2])
"""

from .._creation import from_dlpack
from .._rare_names import to_dlpack

__all__ = ["from_dlpack", "to_dlpack"]
