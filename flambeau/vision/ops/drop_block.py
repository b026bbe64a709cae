"""Squares left out at random (Ghiasi et al., arXiv 1810.12890)."""

import flambeau
from flambeau import nn
from flambeau.nn import functional as F

from ._utils import one_step

__all__ = ["DropBlock2d", "DropBlock3d", "drop_block2d", "drop_block3d"]


def _drop(input, p, block_size, inplace, eps, training, dims):
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"drop probability has to be between 0 and 1, but got {p}.")
    if input.ndim != dims + 2:
        raise ValueError(f"input should be {dims + 2} dimensional. Got {input.ndim} dimensions.")
    if not training or p == 0.0:
        return input
    n, c, *sizes = input.shape
    block_size = min(block_size, *sizes)
    centres, rate = [size - block_size + 1 for size in sizes], p
    for size, count in zip(sizes, centres, strict=True):
        rate *= size / (count * block_size)
    noise = flambeau.empty((n, c, *centres), dtype=input.dtype, device=input.device)
    noise.bernoulli_(rate)
    noise = F.pad(noise, [block_size // 2] * (2 * dims), value=0)
    pool = F.max_pool2d if dims == 2 else F.max_pool3d
    noise = pool(noise, block_size, 1, block_size // 2)
    if block_size % 2 == 0:
        for axis, size in enumerate(sizes, 2):
            noise = noise.narrow(axis, 0, size)
    noise = 1 - noise
    scale = noise.numel() / (eps + noise.sum())
    return input.mul_(noise).mul_(scale) if inplace else input * noise * scale


@one_step
def drop_block2d(input, p, block_size, inplace=False, eps=1e-06, training=True):
    """[N, C, H, W] with squares of zeros, a share p in all; the rest is scaled up."""
    return _drop(input, p, block_size, inplace, eps, training, 2)


@one_step
def drop_block3d(input, p, block_size, inplace=False, eps=1e-06, training=True):
    """[N, C, D, H, W] with cubes of zeros, a share p in all; the rest is scaled up."""
    return _drop(input, p, block_size, inplace, eps, training, 3)


class DropBlock2d(nn.Module):
    """`drop_block2d` while training."""

    dims = 2

    def __init__(self, p, block_size, inplace=False, eps=1e-06):
        super().__init__()
        self.p = p
        self.block_size = block_size
        self.inplace = inplace
        self.eps = eps

    def forward(self, input):
        return _drop(
            input, self.p, self.block_size, self.inplace, self.eps, self.training, self.dims
        )

    def __repr__(self):
        return (
            f"{type(self).__name__}(p={self.p}, block_size={self.block_size}, "
            f"inplace={self.inplace})"
        )


class DropBlock3d(DropBlock2d):
    """`drop_block3d` while training."""

    dims = 3
