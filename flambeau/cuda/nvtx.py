"""Marks for NVIDIA's profilers: an error, as this build has no CUDA."""

import contextlib

__all__ = ["mark", "range", "range_end", "range_pop", "range_push", "range_start"]


def range_push(msg):
    """Opens a range: RuntimeError here."""
    raise RuntimeError("NVTX functions not installed. Are you sure you have a CUDA build?")


def range_pop():
    """Closes the innermost range: RuntimeError here."""
    range_push(None)


range_start = range_end = mark = range_push


@contextlib.contextmanager
def range(msg, *args, **kwargs):
    """A range as a block: RuntimeError here."""
    range_push(msg.format(*args, **kwargs))
    yield
