"""oneDNN: not part of this build."""


def is_available():
    """Whether oneDNN is used: not in this build."""
    return False


VERBOSE_OFF, VERBOSE_ON, VERBOSE_ON_CREATION = 0, 1, 2
enabled = deterministic = False
allow_tf32 = None


def is_acl_available():
    """Whether Arm's compute library is used: not in this build."""
    return False


class verbose:
    """A block in which oneDNN would tell of its calls; there is none."""

    def __init__(self, level):
        self.level = level

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        return False


def set_flags(_enabled=None, _deterministic=None, _allow_tf32=None, _fp32_precision="none"):
    """Sets those that are given; returns what they were. There is no oneDNN to obey them."""
    names = ("enabled", "deterministic", "allow_tf32")
    before = tuple(globals()[name] for name in names)
    for name, value in zip(names, (_enabled, _deterministic, _allow_tf32)):
        if value is not None:
            globals()[name] = value
    return (*before, "none")


class flags:
    """A context with oneDNN on or off; there is none to turn."""

    def __init__(self, enabled=False, deterministic=False, allow_tf32=True, fp32_precision="none"):
        self.enabled = enabled

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        return False
