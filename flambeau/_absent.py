"""What the modules of devices that this build lacks have in common: cuda, xpu, mtia.

Questions are answered as PyTorch answers them without such a device, counters are 0, and what needs
one raises AssertionError.
"""

from collections import OrderedDict

__all__ = """_is_in_bad_fork default_generators device_class device_count empty_cache get_arch_list
get_rng_state_all is_bf16_supported is_initialized manual_seed manual_seed_all max_memory_allocated
max_memory_reserved memory_allocated memory_reserved memory_snapshot memory_stats refuse
reset_accumulated_memory_stats reset_peak_memory_stats seed seed_all set_rng_state_all""".split()

default_generators = ()


def device_count():
    """How many such devices there are: none."""
    return 0


def is_initialized():
    """Whether the device was started: never."""
    return False


def _is_in_bad_fork():
    """Whether this is the child of a process that used such a device: never."""
    return False


def is_bf16_supported(including_emulation=True):
    """Whether the device computes in bfloat16: there is none."""
    return False


def get_arch_list():
    """The architectures that this build has kernels for: none."""
    return []


def manual_seed(seed):
    """Seeds the generator of the current device; there is none to seed."""


manual_seed_all = manual_seed


def seed():
    """Seeds the generator of the current device at random; there is none to seed."""


seed_all = seed


def get_rng_state_all():
    """The generators' states: an empty list."""
    return []


def set_rng_state_all(new_states):
    """Sets the generators' states, of which there are none."""


def empty_cache():
    """Gives cached device memory back; there is none."""


def memory_allocated(device=None):
    """Bytes of device memory: 0."""
    return 0


memory_reserved = max_memory_allocated = max_memory_reserved = memory_allocated


def memory_stats(device=None):
    """Counters of device memory: empty."""
    return OrderedDict()


def memory_snapshot():
    """What device memory is held for: an empty list."""
    return []


def reset_peak_memory_stats(device=None):
    """Starts the peaks afresh; there are none."""


reset_accumulated_memory_stats = reset_peak_memory_stats


def refuse(message):
    """A function that raises AssertionError, whatever it is given."""

    def absent(*args, **kwargs):
        """An error: there is no such device."""
        raise AssertionError(message)

    return absent


def device_class(absent):
    """The class of a context in which work goes to a device."""

    class device:
        """Work within goes to that device; None and negative ones change nothing."""

        def __init__(self, device):
            self.device = device

        def __enter__(self):
            if self.device is not None and self.device != -1:
                absent()

        def __exit__(self, *exc):
            return False

    return device
