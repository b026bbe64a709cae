"""cuDNN: not part of this build. The flags are there because programs set them without asking."""

enabled = False
benchmark = False
deterministic = True
allow_tf32 = False


def is_available():
    """Whether cuDNN can be used: not in this build."""
    return False


def version():
    """Its version: None, as there is none."""
    return None
