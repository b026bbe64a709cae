"""Distances and similarities between vectors."""

import flambeau as torch
from flambeau._ops import internal

__all__ = ["cosine_similarity", "normalize", "pairwise_distance", "pdist"]


def cosine_similarity(x1, x2, dim=1, eps=1e-8):
    """The cosine of the angle between two tensors along a dimension.

    >>> import flambeau as torch
    >>> torch.nn.functional.cosine_similarity(torch.ones(1, 2), torch.ones(1, 2))
    tensor([1.0000])
    """
    x1, x2 = torch.broadcast_tensors(x1, x2)
    dtype = torch.promote_types(x1.dtype, x2.dtype)
    if not (dtype.is_floating_point or dtype.is_complex):
        raise RuntimeError(
            f"cosine_similarity(): expected floating point dtype, got {x1.dtype} and {x2.dtype}"
        )
    x1, x2 = x1.to(dtype), x2.to(dtype)

    def unit(x):
        norm = torch.linalg.vector_norm(x, dim=dim, keepdim=True)
        # Below eps the divisor is a constant to the gradient.
        return x / torch.where(norm > eps, norm, norm.detach().clamp(min=eps))

    return (unit(x1) * unit(x2)).sum(dim)


def pairwise_distance(x1, x2, p=2.0, eps=1e-6, keepdim=False):
    """The p-norm of ``x1 - x2 + eps`` over the last dimension.

    >>> import flambeau as torch
    >>> torch.nn.functional.pairwise_distance(torch.ones(1, 4), torch.zeros(1, 4), eps=0.0)
    tensor([2.])
    """
    return torch.linalg.vector_norm(x1 - x2 + eps, p, dim=-1, keepdim=keepdim)


def normalize(input, p=2.0, dim=1, eps=1e-12, out=None):
    """Divides vectors along a dimension by their p-norm.

    >>> import flambeau as torch
    >>> torch.nn.functional.normalize(torch.tensor([[3.0, 4.0]]))
    tensor([[0.6000, 0.8000]])
    """
    norm = input.norm(p, dim, keepdim=True).clamp_min(eps)
    if out is None:
        return input / norm
    return torch.div(input, norm, out=out)


def _count_different(input):
    rows, columns = torch.triu_indices(input.shape[0], input.shape[0], 1, device=input.device)
    return (input[rows] != input[columns]).sum(-1).to(input.dtype)


def pdist(input, p=2.0):
    """The p-norm of the difference of every pair of rows.

    >>> import flambeau as torch
    >>> torch.nn.functional.pdist(torch.tensor([[0.0], [1.0], [3.0]]))
    tensor([1., 3., 2.])
    """
    if input.dim() != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {input.dim()}D")
    if p < 0:
        raise RuntimeError("pdist only supports non-negative p values")
    if p == 0:  # how many differ: a step, whose gradient is zero everywhere
        return pdist(input, 1.0) * 0 + _count_different(input)
    if p in (1, 2, float("inf")) and input.dtype in (torch.float32, torch.float64):
        return internal["_pair_distances"](input, p)
    rows, columns = torch.triu_indices(input.shape[0], input.shape[0], 1, device=input.device)
    return torch.linalg.vector_norm(input[rows] - input[columns], p, dim=-1)
