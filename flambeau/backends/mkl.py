"""MKL: not part of this build."""


def is_available():
    """Whether MKL is used: not in this build."""
    return False
