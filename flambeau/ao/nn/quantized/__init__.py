"""Modules of quantized tensors; `dynamic` those that take and give floats.

>>> import flambeau as torch
>>> torch.ao.nn.quantized.dynamic.Linear(3, 2)(torch.ones(1, 3))
tensor([[0., 0.]])
"""

from .modules import *


def __getattr__(name):
    from importlib import import_module

    if name in ("dynamic", "functional"):
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
