"""Collectives between CUDA devices, of which there are none."""

from .._absent import refuse

__all__ = ["all_gather", "all_reduce", "broadcast", "reduce", "reduce_scatter"]

all_reduce = reduce = broadcast = all_gather = reduce_scatter = refuse(
    "Torch not compiled with CUDA enabled"
)


def is_available(tensors):
    """Whether these tensors can be combined by NCCL: no."""
    return False
