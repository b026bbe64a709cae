"""XPU: this build has none, and says so."""

from collections import OrderedDict

from flambeau.cuda import Event, Stream, StreamContext, stream  # noqa: F401

default_generators = ()


def is_available():
    """Whether an XPU can be used: not in this build.

    >>> import flambeau as torch
    >>> torch.xpu.is_available()
    False
    """
    return False


def device_count():
    """How many XPUs there are: none."""
    return 0


def is_initialized():
    """Whether the XPU was started: never."""
    return False


def is_bf16_supported(including_emulation=True):
    """Whether the device computes in bfloat16: there is none."""
    return False


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


def get_arch_list():
    """The architectures that this build has kernels for: none."""
    return []


def memory_snapshot():
    """What memory is held for: an empty list."""
    return []


def memory_stats(device=None):
    """Counters of device memory: empty."""
    return OrderedDict()


def empty_cache():
    """Gives cached memory back; there is none."""


def memory_allocated(device=None):
    """The bytes in use on the device: none."""
    return 0


memory_reserved = max_memory_allocated = max_memory_reserved = memory_allocated


def reset_peak_memory_stats(device=None):
    """Begins to look for the most memory anew; there is none."""


reset_accumulated_memory_stats = reset_peak_memory_stats
is_tf32_supported = is_bf16_supported


class device:
    """Work within goes to that device; None and negative ones change nothing."""

    def __init__(self, device):
        self.device = device

    def __enter__(self):
        if self.device is not None and self.device != -1:
            synchronize()  # noqa: F821

    def __exit__(self, *exc):
        return False


def device_of(obj):
    """The context of a tensor's device: nothing changes, as none is on an XPU."""
    return device(None)


def _none(name):
    def function(*args, **kwargs):
        raise AssertionError("Torch not compiled with XPU enabled")

    function.__name__ = function.__qualname__ = name
    function.__doc__ = "An error: there is no XPU."
    return function


for _name in (
    "current_device current_stream get_device_capability get_device_name get_device_properties "
    "get_rng_state init initial_seed mem_get_info set_device set_rng_state set_stream synchronize"
).split():
    globals()[_name] = _none(_name)
