"""CUDA: this build has none, and says so."""


def is_available():
    """Whether a CUDA device can be used: not in this build.

    >>> import flambeau as torch
    >>> torch.cuda.is_available()
    False
    """
    return False


def device_count():
    """How many CUDA devices there are: none."""
    return 0


def is_initialized():
    """Whether CUDA was started: never."""
    return False


def manual_seed(seed):
    """Seeds the generator of the current device; there is none to seed."""


def manual_seed_all(seed):
    """Seeds the generators of all devices; there are none to seed."""


def empty_cache():
    """Gives cached device memory back; there is none."""


def synchronize(device=None):
    """Waits for the device: an error, as there is none."""
    raise AssertionError("flambeau is not compiled with CUDA enabled")


def is_bf16_supported(including_emulation=True):
    """Whether the device computes in bfloat16: there is none."""
    return False
