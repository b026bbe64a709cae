"""The old name of ao.quantization, and of its modules."""

import sys
from importlib import import_module

from flambeau.ao.quantization import *  # noqa: F403
from flambeau.ao.quantization import default_eval_fn  # noqa: F401

__path__ = []
for _name in (
    "fake_quantize fuse_modules observer qconfig quantization_mappings quantize quantize_fx stubs"
).split():
    _module = import_module(f"flambeau.ao.quantization.{_name}")
    globals().setdefault(_name, _module)
    sys.modules[f"{__name__}.{_name}"] = _module
