"""NNPACK: not part of this build."""

import contextlib


def is_available():
    """Whether it can be used: not in this build."""
    return False


def set_flags(_enabled):
    """Turns it on or off, where it is; returns that it was off, in a tuple."""
    return (False,)


@contextlib.contextmanager
def flags(enabled=False):
    """A block with it on or off, where it is."""
    yield
