"""Tuples of sizes, one for each spatial dimension."""

from collections.abc import Iterable


def _ntuple(n):
    def expand(value):
        if isinstance(value, Iterable):
            return tuple(value)
        return (value,) * n

    return expand


_single = _ntuple(1)
_pair = _ntuple(2)
_triple = _ntuple(3)
_quadruple = _ntuple(4)
