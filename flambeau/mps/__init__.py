"""MPS: this build has none, and says so."""

from .._absent import _is_in_bad_fork
from . import event, profiler
from .event import Event
from .profiler import _absent

__all__ = """Event compile_shader current_allocated_memory device_count driver_allocated_memory
empty_cache get_rng_state is_available manual_seed profiler recommended_max_memory seed
set_per_process_memory_fraction set_rng_state synchronize""".split()


def is_available():
    """Whether an MPS device can be used: not in this build."""
    return False


def device_count():
    """How many MPS devices there are: none."""
    return 0


def manual_seed(seed):
    """Seeds the device's generator; there is none to seed."""


compile_shader = current_allocated_memory = driver_allocated_memory = empty_cache = _absent
get_rng_state = set_rng_state = seed = recommended_max_memory = synchronize = _absent
set_per_process_memory_fraction = _absent
