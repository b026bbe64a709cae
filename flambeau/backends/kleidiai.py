"""KleidiAI: not part of this build."""


def is_available():
    """Whether it can be used: not in this build."""
    return False
