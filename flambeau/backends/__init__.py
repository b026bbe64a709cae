"""What computes: flags that programs for other back ends set, and what is available."""

import contextlib

from . import (
    cpu,
    cuda,
    cudnn,
    cusparselt,
    kleidiai,
    mha,
    miopen,
    mkl,
    mkldnn,
    mps,
    nnpack,
    openmp,
    opt_einsum,
    quantized,
)

__all__ = """cpu cuda cudnn cusparselt kleidiai mha miopen mkl mkldnn mps nnpack openmp
opt_einsum quantized""".split()


@contextlib.contextmanager
def __allow_nonbracketed_mutation():
    """Within it the settings of backends may be changed, as they may anywhere here."""
    yield


# Numbers of 32 bits are computed in 32 bits, whatever this is set to.
fp32_precision = "none"


def flags_frozen():
    """Whether flags can be set under their names in `set_flags` alone: no."""
    return False


def disable_global_flags():
    """For PyTorch's own tests; flags stay as they are."""
