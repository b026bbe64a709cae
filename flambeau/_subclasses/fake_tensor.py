"""Tensors that have shapes and no data, apart from those of the meta device: there are none."""

import flambeau


class FakeTensor(flambeau.Tensor):
    """What a compiler's trace computes with; no tensor is one."""


def is_fake(x):
    """Whether a value is a FakeTensor."""
    return isinstance(x, FakeTensor)
