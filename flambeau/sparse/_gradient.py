"""Sparse gradients, for the engine: of tables of which some rows were taken."""

import flambeau

from . import _math, _products  # noqa: F401 (their handlers)
from ._create import coalesce, to_coo, to_dense  # noqa: F401 (to_dense is called from the core)
from ._tensor import SparseTensor, coo


def from_rows(values, indices, rows, padding):
    """The gradient of a table from those of the rows taken; those of `padding` are left out."""
    if padding >= 0:
        kept = (indices != padding).nonzero().squeeze(1)
        values, indices = values[kept], indices[kept]
    indices = indices.to(flambeau.int64).reshape(1, -1)
    return coo(indices, values, (rows, *values.shape[1:]), False)


def add(total, grad, in_place):
    """The sum of two gradients, one of them sparse; of one alone, a tensor of its own."""
    if total is None:
        if isinstance(grad, SparseTensor) and not flambeau.is_grad_enabled():
            return grad.detach()
        return grad
    if isinstance(total, SparseTensor) and isinstance(grad, SparseTensor):
        return _math.joined(to_coo(total), to_coo(grad), "add")
    if isinstance(total, SparseTensor):
        return grad + total
    return total.add_(grad) if in_place else total + grad
