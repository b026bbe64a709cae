"""Linear algebra: the operators whose names begin with linalg."""

from flambeau import _ops

globals().update(_ops.namespace("linalg"))
__all__ = sorted([*_ops.namespace("linalg"), "LinAlgError"])
