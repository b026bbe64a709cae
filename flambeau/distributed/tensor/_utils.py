"""Where a process's part of a tensor lies."""

from ._placements import Shard
from ._tensor import _pieces


def compute_local_shape_and_global_offset(global_shape, mesh, placements):
    """(shape of the part here, where it begins in the whole)."""
    shape, offset = list(global_shape), [0] * len(global_shape)
    for at, placement in enumerate(placements):
        if isinstance(placement, Shard):
            sizes = _pieces(shape[placement.dim], mesh.size(at))
            here = mesh.get_local_rank(at)
            offset[placement.dim] += sum(sizes[:here])
            shape[placement.dim] = sizes[here]
    return tuple(shape), tuple(offset)
