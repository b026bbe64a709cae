"""vmap and grad where libraries look for them, and vmap in a number of pieces."""

import functools

from ..func import grad, grad_and_value
from .vmap import _process_batched_inputs, vmap

__all__ = ["chunk_vmap", "grad", "grad_and_value", "vmap"]


def chunk_vmap(func, in_dims=0, out_dims=0, randomness="error", chunks=2):
    """vmap that computes its examples in `chunks` pieces, one after another.

    >>> import flambeau as torch
    >>> from flambeau._functorch.apis import chunk_vmap
    >>> chunk_vmap(torch.sin, chunks=3)(torch.zeros(5))
    tensor([0., 0., 0., 0., 0.])
    """

    @functools.wraps(func)
    def wrapped(*args, **kwargs):
        size = _process_batched_inputs(in_dims, args, func)[0]
        piece = max(1, -(-size // chunks))
        return vmap(func, in_dims, out_dims, randomness, chunk_size=piece)(*args, **kwargs)

    return wrapped
