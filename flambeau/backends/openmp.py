"""OpenMP: not part of this build."""


def is_available():
    """Whether OpenMP is used: not in this build."""
    return False
