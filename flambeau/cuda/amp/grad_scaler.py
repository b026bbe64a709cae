"""GradScaler of CUDA where PyTorch keeps it."""

from . import GradScaler  # noqa: F401
