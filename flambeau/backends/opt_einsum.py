"""The order of einsum's products: chosen by flambeau itself."""

from contextlib import contextmanager

enabled = False
strategy = None


def is_available():
    """Whether the opt_einsum package is used: not in this build."""
    return False


def set_flags(_enabled=None, _strategy=None):
    """Sets `enabled` and `strategy`; returns what they were. They change nothing here."""
    global enabled, strategy
    if _enabled and not is_available():
        raise ValueError("opt_einsum is not used by this build: it cannot be enabled")
    before = enabled, strategy
    enabled = enabled if _enabled is None else _enabled
    strategy = strategy if _strategy is None else _strategy
    return before


@contextmanager
def flags(enabled=None, strategy=None):
    """A block with other values of both."""
    before = set_flags(enabled, strategy)
    try:
        yield
    finally:
        globals().update(enabled=before[0], strategy=before[1])
