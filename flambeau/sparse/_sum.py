"""torch.sparse.sum, whose name is a built-in's."""

from ._math import sum_


def sum(input, dim=None, dtype=None):
    """The sum of a sparse tensor over dimensions: sparse, or dense when none are left sparse.

    >>> import flambeau as torch
    >>> torch.sparse.sum(torch.eye(3).to_sparse())
    tensor(3.)
    """
    return sum_(input, dim, dtype=dtype)
