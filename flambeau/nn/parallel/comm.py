"""Tensors sent between GPUs: AssertionError, as this build has no CUDA."""

from flambeau._absent import refuse

__all__ = """broadcast broadcast_coalesced gather reduce_add reduce_add_coalesced scatter""".split()

broadcast = broadcast_coalesced = gather = reduce_add = reduce_add_coalesced = scatter = refuse(
    "Torch not compiled with CUDA enabled"
)
