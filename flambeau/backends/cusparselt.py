"""cuSPARSELt: not part of this build."""


def is_available():
    """Whether it can be used: not in this build."""
    return False


def version():
    """Its version: None, as there is none."""
    return None


def get_max_alg_id():
    """The last of its algorithms: None, as there is none."""
    return None
