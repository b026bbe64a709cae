"""torch.set_autocast_cpu_enabled and the like: the device stands in the name."""

from functools import partial

from flambeau import _C

_KINDS = {"cpu": "cpu", "gpu": "cuda", "ipu": "ipu", "xla": "xla"}
for _name, _device in _KINDS.items():
    globals()[f"get_autocast_{_name}_dtype"] = partial(_C.get_autocast_dtype, _device)
    globals()[f"set_autocast_{_name}_dtype"] = partial(_C.set_autocast_dtype, _device)
    globals()[f"is_autocast_{_name}_enabled"] = partial(_C.is_autocast_enabled, _device)
    globals()[f"set_autocast_{_name}_enabled"] = partial(_C.set_autocast_enabled, _device)
