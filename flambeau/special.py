"""Special functions: the operators whose names begin with special."""

from flambeau import _ops

globals().update(_ops.namespace("special"))
