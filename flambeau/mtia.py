"""MTIA: this build has none, and says so."""

from ._absent import (  # noqa: F401
    _is_in_bad_fork,
    default_generators,
    device_count,
    get_rng_state_all,
    is_initialized,
    manual_seed,
    manual_seed_all,
    max_memory_allocated,
    memory_allocated,
    refuse,
    seed,
    seed_all,
    set_rng_state_all,
)
from .cpu import Stream  # noqa: F401


def is_available():
    """Whether an MTIA can be used: not in this build."""
    return False


def is_bf16_supported():
    """Whether such devices compute in bfloat16: yes."""
    return True


def memory_stats(device=None):
    """Counters of device memory: empty."""
    return {}


_absent = refuse("Torch not compiled with MTIA enabled")
init = synchronize = current_device = set_device = current_stream = default_stream = _absent
get_device_capability = get_device_properties = get_rng_state = set_rng_state = _absent
stream = set_stream = empty_cache = reset_peak_memory_stats = initial_seed = _absent
