"""autocast of CUDA where PyTorch keeps it."""

from . import autocast, custom_bwd, custom_fwd  # noqa: F401
