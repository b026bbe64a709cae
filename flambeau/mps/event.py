"""Events of MPS, of which there are none."""


class Event:
    """A moment in the device's work: an error, as there is none."""

    def __init__(self, enable_timing=False):
        raise RuntimeError("flambeau was not built with MPS")
