"""What computes: flags that programs for other back ends set, and what is available."""

from . import cpu, cuda, cudnn, mkl, mkldnn, mps, openmp, opt_einsum

__all__ = "cpu cuda cudnn mkl mkldnn mps openmp opt_einsum".split()
