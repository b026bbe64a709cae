"""Activations made of other operators."""

import warnings

import flambeau as torch
from flambeau._ops import internal, shown_as

__all__ = ["glu", "gumbel_softmax", "softmin"]


def softmin(input, dim=None, _stacklevel=3, dtype=None):
    """The softmax of ``-input``.

    >>> import flambeau as torch
    >>> torch.nn.functional.softmin(torch.zeros(4), 0)
    tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """
    return torch.nn.functional.softmax(-input, dim, _stacklevel + 1, dtype)


def gumbel_softmax(logits, tau=1, hard=False, eps=1e-10, dim=-1):
    """Draws from a distribution over classes so that gradients pass (Jang et al., 2017).

    With `hard` the result is one-hot, while its gradient is the soft sample's.

    >>> import flambeau as torch
    >>> torch.nn.functional.gumbel_softmax(torch.zeros(3, 4), hard=True).sum()
    tensor(3.)
    """
    if eps != 1e-10:
        warnings.warn("`eps` parameter is deprecated and has no effect.", stacklevel=2)
    noise = torch.empty_like(logits, memory_format=torch.contiguous_format)
    noise = -noise.exponential_().log()
    soft = torch.nn.functional.softmax((logits + noise) / tau, dim)
    if not hard:
        return soft
    index = soft.argmax(dim, keepdim=True)
    sharp = torch.zeros_like(logits).scatter(dim, index, 1.0)
    return sharp - soft.detach() + soft


@shown_as("GluBackward0")
def glu(input, dim=-1):
    """Splits a dimension in two halves and returns ``first * sigmoid(second)``."""
    if input.dim() == 0:
        raise RuntimeError("glu does not support scalars because halving size must be even")
    if input.shape[dim] % 2:
        raise RuntimeError(
            f"Halving dimension must be even, but dimension {dim % input.dim()} is size "
            f"{input.shape[dim]}"
        )
    return internal["_glu"](*input.chunk(2, dim))
