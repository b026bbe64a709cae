"""The fast path of attention layers at inference: a flag, as there is one way for all."""

_enabled = True


def get_fastpath_enabled():
    """What set_fastpath_enabled() was told."""
    return _enabled


def set_fastpath_enabled(value):
    """Keeps the flag: results and speed do not depend on it."""
    global _enabled
    _enabled = value
