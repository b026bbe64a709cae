"""Tensors that have shapes and no data, apart from those of the meta device: there are none."""

import contextlib

import flambeau


class FakeTensor(flambeau.Tensor):
    """What a compiler's trace computes with; no tensor is one."""


def is_fake(x):
    """Whether a value is a FakeTensor."""
    return isinstance(x, FakeTensor)


@contextlib.contextmanager
def unset_fake_temporarily():
    """A context without the mode that makes such tensors: gives it, None as there is none."""
    yield None
