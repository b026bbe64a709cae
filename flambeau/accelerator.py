"""The accelerator of this machine, whatever its kind: none in this build."""

from collections import OrderedDict

__all__ = """current_accelerator current_device_idx current_device_index current_stream
device_count device_index empty_cache empty_host_cache get_device_capability get_memory_info
is_available max_memory_allocated max_memory_reserved memory_allocated memory_reserved memory_stats
reset_accumulated_memory_stats reset_peak_memory_stats set_device_idx set_device_index set_stream
synchronize""".split()


def is_available():
    """Whether there is one: no.

    >>> import flambeau as torch
    >>> torch.accelerator.is_available()
    False
    """
    return False


def device_count():
    """How many there are: none."""
    return 0


def current_accelerator(check_available=False):
    """Its device: None, as there is none."""
    return None


def _absent(*args, **kwargs):
    """An error: there is no accelerator."""
    raise RuntimeError("Cannot access accelerator device when none is available.")


current_device_index = current_device_idx = set_device_index = set_device_idx = _absent
current_stream = set_stream = synchronize = get_device_capability = get_memory_info = _absent


class device_index:
    """Work within goes to that device; None changes nothing."""

    def __init__(self, device, /):
        self.device = device

    def __enter__(self):
        if self.device is not None:
            _absent()

    def __exit__(self, *exc):
        return False


def empty_cache():
    """Gives cached device memory back; there is none."""


empty_host_cache = empty_cache


def memory_stats(device_index=None, /):
    """Counters of device memory: empty."""
    return OrderedDict()


def memory_allocated(device_index=None, /):
    """Bytes of device memory in use: 0."""
    return 0


memory_reserved = max_memory_allocated = max_memory_reserved = memory_allocated


def reset_peak_memory_stats(device_index=None, /):
    """Starts the peaks afresh; there are none."""


reset_accumulated_memory_stats = reset_peak_memory_stats
