"""How the processes along a dimension of a mesh hold a tensor: cut, whole, or as summands."""

import dataclasses


class Placement:
    """Shard, Replicate or Partial."""

    def is_shard(self, dim=None):
        return isinstance(self, Shard) and dim in (None, self.dim)

    def is_replicate(self):
        return isinstance(self, Replicate)

    def is_partial(self, reduce_op=None):
        return isinstance(self, Partial) and reduce_op in (None, self.reduce_op)


@dataclasses.dataclass(frozen=True)
class Shard(Placement):
    """Cut along a dimension as chunk() cuts."""

    dim: int

    def __str__(self):
        return f"S({self.dim})"


@dataclasses.dataclass(frozen=True, kw_only=True)
class _StridedShard(Shard):
    """A dimension of several blocks one after the other, each of them cut."""

    dim: int
    split_factor: int

    def __str__(self):
        return f"_S({self.dim}, {self.split_factor})"


@dataclasses.dataclass(frozen=True)
class Replicate(Placement):
    """Whole in every process."""

    def __str__(self):
        return "R"


@dataclasses.dataclass(frozen=True)
class Partial(Placement):
    """A summand (or factor, ...) in every process."""

    reduce_op: str = "sum"

    def __str__(self):
        return f"P({self.reduce_op})"
