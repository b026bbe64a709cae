"""XPU: this build has none, and says so."""

from flambeau.cuda import Event, Stream, StreamContext, stream  # noqa: F401


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


def empty_cache():
    """Gives cached memory back; there is none."""


def memory_allocated(device=None):
    """The bytes in use on the device: none."""
    return 0


memory_reserved = max_memory_allocated = max_memory_reserved = memory_allocated


def reset_peak_memory_stats(device=None):
    """Begins to look for the most memory anew; there is none."""


def _none(name):
    def function(*args, **kwargs):
        raise RuntimeError(f"xpu.{name}(): flambeau was not built with XPU")

    function.__name__ = function.__qualname__ = name
    function.__doc__ = "An error: there is no XPU."
    return function


for _name in (
    "current_device current_stream get_device_capability get_device_name get_device_properties "
    "get_rng_state init mem_get_info memory_stats set_device set_rng_state synchronize"
).split():
    globals()[_name] = _none(_name)
