"""CUDA: this build has none, and says so.

Questions are answered as PyTorch answers them without a GPU, counters are 0, and what needs a
device raises AssertionError.
"""

from flambeau import OutOfMemoryError

from .._absent import *
from .._absent import (
    device_class,
    empty_cache,
    memory_allocated,
    memory_stats,
    refuse,
    reset_peak_memory_stats,
)

__all__ = """CUDAGraph Event Stream StreamContext amp can_device_access_peer current_device
current_stream default_generators default_stream device device_count empty_cache
get_arch_list get_device_capability get_device_name get_device_properties get_rng_state
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


def is_current_stream_capturing():
    """Whether a CUDA graph is being recorded: never."""
    return False


ipc_collect = empty_cache
memory_cached = max_memory_cached = memory_allocated
reset_max_memory_allocated = reset_max_memory_cached = reset_peak_memory_stats
_absent = refuse("Torch not compiled with CUDA enabled")
device = device_class(_absent)

init = synchronize = current_device = set_device = current_stream = default_stream = _absent
get_device_name = get_device_capability = get_device_properties = mem_get_info = _absent
get_rng_state = set_rng_state = initial_seed = set_stream = memory_summary = utilization = _absent
can_device_access_peer = set_per_process_memory_fraction = _absent
cudart = current_blas_handle = get_sync_debug_mode = set_sync_debug_mode = _absent
caching_allocator_alloc = caching_allocator_delete = _lazy_init = _sleep = _absent
has_half, has_magma, _initialized = True, False, False


def _lazy_call(callable, **kwargs):
    """What is to be called once CUDA starts, which it never does."""


def is_tf32_supported():
    """Whether the device multiplies in TF32: there is none."""
    return False


def host_memory_stats():
    """Counters of pinned memory: empty."""
    return memory_stats()


def get_gencode_flags():
    """Flags that a compiler of CUDA would need: none."""
    return ""


class Stream:
    """An order of work on a device: an error, as there is none."""

    def __init__(self, device=None, priority=0, **kwargs):
        _absent()


class Event:
    """A moment in a stream: an error, as there is none."""

    def __init__(self, enable_timing=False, blocking=False, interprocess=False, external=False):
        _absent()


class device_of(device):
    """Work within goes to a tensor's device; a tensor elsewhere changes nothing."""

    def __init__(self, obj):
        super().__init__(obj.get_device() if obj.is_cuda else -1)


class ExternalStream(Stream):
    """A stream that other code made: an error, as there is no device."""


class CudaError(RuntimeError):
    """An error that CUDA's own library gave by its number."""


class DeferredCudaCallError(Exception):
    """An error of what waited for CUDA to start."""


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
    if name in ("amp", "comm", "memory", "nccl", "nvtx", "profiler", "random"):
        from importlib import import_module

        return import_module(f"{__name__}.amp")
    if name.endswith("Tensor"):
        from .. import _constructors

        if isinstance(getattr(_constructors, name, None), type):
            globals()[name] = _constructors.on_cuda(name)
            return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
