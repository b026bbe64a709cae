"""What computes: flags that programs for other back ends set, and what is available."""

from . import cuda, cudnn, mps

__all__ = ["cuda", "cudnn", "mps"]
