"""MPS: not part of this build."""


def is_available():
    """Whether an MPS device can be used: not in this build."""
    return False


def is_built():
    """Whether this build knows MPS devices: no."""
    return False
