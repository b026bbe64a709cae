"""MPS: this build has none, and says so."""


def is_available():
    """Whether an MPS device can be used: not in this build."""
    return False


def device_count():
    """How many MPS devices there are: none."""
    return 0
