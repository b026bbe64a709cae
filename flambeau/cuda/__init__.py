"""CUDA: this build has none, and says so.

Questions are answered as PyTorch answers them without a GPU, counters are 0, and what needs a
device raises AssertionError.
"""

from collections import OrderedDict

__all__ = """CUDAGraph Event Stream StreamContext amp can_device_access_peer current_device
current_stream default_stream device device_count empty_cache get_arch_list
get_device_capability get_device_name get_device_properties get_rng_state
get_rng_state_all graph graph_pool_handle init initial_seed ipc_collect is_available
is_bf16_supported is_current_stream_capturing is_initialized make_graphed_callables
manual_seed manual_seed_all max_memory_allocated max_memory_cached max_memory_reserved
mem_get_info memory_allocated memory_cached memory_reserved memory_stats memory_summary
reset_accumulated_memory_stats reset_max_memory_allocated reset_max_memory_cached
reset_peak_memory_stats seed seed_all set_device set_per_process_memory_fraction
set_rng_state set_rng_state_all set_stream stream synchronize utilization""".split()


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


def is_bf16_supported(including_emulation=True):
    """Whether the device computes in bfloat16: there is none."""
    return False


def is_current_stream_capturing():
    """Whether a CUDA graph is being recorded: never."""
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


ipc_collect = empty_cache


def memory_allocated(device=None):
    """Bytes of device memory: 0."""
    return 0


memory_reserved = memory_cached = max_memory_allocated = memory_allocated
max_memory_reserved = max_memory_cached = memory_allocated


def memory_stats(device=None):
    """Counters of device memory: empty."""
    return OrderedDict()


def reset_peak_memory_stats(device=None):
    """Starts the peaks afresh; there are none."""


reset_accumulated_memory_stats = reset_max_memory_allocated = reset_peak_memory_stats
reset_max_memory_cached = reset_peak_memory_stats


def _absent(*args, **kwargs):
    """An error: there is no device."""
    raise AssertionError("flambeau is not compiled with CUDA enabled")


init = synchronize = current_device = set_device = current_stream = default_stream = _absent
get_device_name = get_device_capability = get_device_properties = mem_get_info = _absent
get_rng_state = set_rng_state = initial_seed = set_stream = memory_summary = utilization = _absent
can_device_access_peer = set_per_process_memory_fraction = _absent


class device:
    """Work within goes to that device; None and negative ones change nothing."""

    def __init__(self, device):
        self.device = device

    def __enter__(self):
        if self.device is not None and self.device != -1:
            _absent()

    def __exit__(self, *exc):
        return False


class Stream:
    """An order of work on a device: an error, as there is none."""

    def __init__(self, device=None, priority=0, **kwargs):
        _absent()


class Event:
    """A moment in a stream: an error, as there is none."""

    def __init__(self, enable_timing=False, blocking=False, interprocess=False, external=False):
        _absent()


class StreamContext:
    """Work within goes to the stream; None changes nothing."""

    def __init__(self, stream):
        self.stream = stream

    def __enter__(self):
        if self.stream is not None:
            _absent()

    def __exit__(self, *exc):
        return False


stream = StreamContext


class CUDAGraph:
    """Work on a device recorded to run again: an error, as there is no device."""

    def __init__(self, keep_graph=False):
        _absent()


class graph:
    """Records what runs within into a CUDAGraph, which cannot be made."""

    def __init__(self, cuda_graph, pool=None, stream=None, capture_error_mode="global"):
        _absent()


graph_pool_handle = make_graphed_callables = _absent


def __getattr__(name):
    if name == "amp":
        from importlib import import_module

        return import_module(f"{__name__}.amp")
    if name.endswith("Tensor"):
        from .. import _constructors

        if isinstance(getattr(_constructors, name, None), type):
            globals()[name] = _constructors.on_cuda(name)
            return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
