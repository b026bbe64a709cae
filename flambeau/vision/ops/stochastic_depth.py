"""Residual branches left out at random (Huang et al., arXiv 1603.09382)."""

import flambeau
from flambeau import nn

from ._utils import one_step


@one_step
def stochastic_depth(input, p, mode, training=True):
    """Zeroes the whole input ("batch") or whole samples of it ("row") with probability p.

    What stays is divided by 1 - p.

    >>> import flambeau as torch
    >>> from flambeau.vision import ops
    >>> ops.stochastic_depth(torch.ones(2), p=0.5, mode="row", training=False)
    tensor([1., 1.])
    """
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"drop probability has to be between 0 and 1, but got {p}")
    if mode not in ("batch", "row"):
        raise ValueError(f"mode has to be either 'batch' or 'row', but got {mode}")
    if not training or p == 0.0:
        return input
    keep = 1.0 - p
    rows = input.shape[0] if mode == "row" else 1
    noise = flambeau.empty(
        [rows] + [1] * (input.ndim - 1), dtype=input.dtype, device=input.device
    ).bernoulli_(keep)
    if keep > 0.0:
        noise.div_(keep)
    return input * noise


class StochasticDepth(nn.Module):
    """`stochastic_depth` while training."""

    def __init__(self, p, mode):
        super().__init__()
        self.p = p
        self.mode = mode

    def forward(self, input):
        return stochastic_depth(input, self.p, self.mode, self.training)

    def __repr__(self):
        return f"{type(self).__name__}(p={self.p}, mode={self.mode})"
