"""Whether mixed precision on CUDA is out of the question, as older programs ask."""

__all__ = ["amp_definitely_not_available"]


def amp_definitely_not_available():
    """True where there is no CUDA."""
    from .. import is_available

    return not is_available()
