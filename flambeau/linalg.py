"""Linear algebra: the operators whose names begin with linalg."""

from flambeau import _C, _ops

LinAlgError = _C._LinAlgError

globals().update(_ops.namespace("linalg"))
__all__ = sorted([*_ops.namespace("linalg"), "LinAlgError"])
