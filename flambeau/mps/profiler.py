"""The profiler of MPS, which is not in this build."""


def _absent(*args, **kwargs):
    """An error: there is no device."""
    raise RuntimeError("flambeau was not built with MPS")


start = stop = profile = _absent


def is_metal_capture_enabled():
    """Whether the device's commands can be captured: no."""
    return False


def is_capturing_metal():
    """Whether they are being captured: no."""
    return False
