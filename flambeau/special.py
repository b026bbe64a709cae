"""Special functions: the operators whose names begin with special; none of them works in place."""

from flambeau import _ops

globals().update({n: f for n, f in _ops.namespace("special").items() if n[-1] != "_"})
__all__ = sorted(n for n in _ops.namespace("special") if n[-1] != "_")
