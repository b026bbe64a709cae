"""oneDNN: not part of this build."""


def is_available():
    """Whether oneDNN is used: not in this build."""
    return False


class flags:
    """A context with oneDNN on or off; there is none to turn."""

    def __init__(self, enabled=False, deterministic=False, allow_tf32=True, fp32_precision="none"):
        self.enabled = enabled

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        return False
