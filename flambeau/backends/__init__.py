"""What computes: flags that programs for other back ends set, and what is available."""

import contextlib

from . import cpu, cuda, cudnn, mkl, mkldnn, mps, openmp, opt_einsum, quantized

__all__ = "cpu cuda cudnn mkl mkldnn mps openmp opt_einsum quantized".split()


@contextlib.contextmanager
def __allow_nonbracketed_mutation():
    """Within it the settings of backends may be changed, as they may anywhere here."""
    yield
