"""CUDA's own profiler: AssertionError, as this build has no CUDA."""

import contextlib

from .._absent import refuse

__all__ = ["profile", "start", "stop"]

start = stop = refuse("Torch not compiled with CUDA enabled")


@contextlib.contextmanager
def profile():
    """A block that is profiled."""
    start()
    yield
