"""Sparse tensors: functions for them. Most functions of flambeau itself take them too.

>>> import flambeau as torch
>>> x = torch.tensor([[0.0, 2.0], [1.0, 0.0]]).to_sparse()
>>> x @ torch.ones(2, 1)
tensor([[2.],
        [1.]])
"""

from ._compressed import (
    sparse_bsc_tensor,
    sparse_bsr_tensor,
    sparse_compressed_tensor,
    sparse_csc_tensor,
    sparse_csr_tensor,
)
from ._constructors import (
    BFloat16Tensor,
    ByteTensor,
    CharTensor,
    DoubleTensor,
    FloatTensor,
    HalfTensor,
    IntTensor,
    LongTensor,
    ShortTensor,
)
from ._create import sparse_coo_tensor
from ._invariants import as_sparse_gradcheck, check_sparse_tensor_invariants
from ._math import log_softmax, softmax
from ._products import addmm, mm, sampled_addmm, spdiags
from ._sum import sum

__all__ = [
    "BFloat16Tensor",
    "ByteTensor",
    "CharTensor",
    "DoubleTensor",
    "FloatTensor",
    "HalfTensor",
    "IntTensor",
    "LongTensor",
    "ShortTensor",
    "addmm",
    "as_sparse_gradcheck",
    "check_sparse_tensor_invariants",
    "log_softmax",
    "mm",
    "sampled_addmm",
    "softmax",
    "sparse_bsc_tensor",
    "sparse_bsr_tensor",
    "sparse_compressed_tensor",
    "sparse_coo_tensor",
    "sparse_csc_tensor",
    "sparse_csr_tensor",
    "spdiags",
    "sum",
]
