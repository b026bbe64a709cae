"""DTensor: one tensor that several processes hold together, whole or in parts."""

from ._placements import Partial, Placement, Replicate, Shard
from ._tensor import (
    DTensor,
    distribute_tensor,
    empty,
    full,
    ones,
    rand,
    randn,
    zeros,
)

__all__ = [
    "DTensor",
    "Partial",
    "Placement",
    "Replicate",
    "Shard",
    "distribute_tensor",
    "empty",
    "full",
    "ones",
    "rand",
    "randn",
    "zeros",
]
