"""XPU: this build has none, and says so."""

from ._absent import *  # noqa: F403
from ._absent import device_class, is_bf16_supported, refuse
from .cuda import Event, Stream, StreamContext, stream  # noqa: F401


def is_available():
    """Whether an XPU can be used: not in this build.

    >>> import flambeau as torch
    >>> torch.xpu.is_available()
    False
    """
    return False


is_tf32_supported = is_bf16_supported
_absent = refuse("Torch not compiled with XPU enabled")
device = device_class(_absent)


def device_of(obj):
    """The context of a tensor's device: nothing changes, as none is on an XPU."""
    return device(None)


current_device = current_stream = get_device_capability = get_device_name = _absent
get_device_properties = get_rng_state = init = initial_seed = mem_get_info = _absent
set_device = set_rng_state = set_stream = synchronize = _absent
