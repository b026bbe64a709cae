"""Neural networks: layers, their parameters, losses, initial values."""

from . import (
    functional,
    init,
    utils,
)
from .modules import *
from .modules.module import Module
from .parallel import DataParallel
from .parameter import (
    Buffer,
    Parameter,
    UninitializedBuffer,
    UninitializedParameter,
)


def factory_kwargs(kwargs):
    """Those of a layer's keywords that say how its tensors are made: device, dtype, format.

    They may also come as a dictionary under `factory_kwargs`; twice is an error.

    >>> from flambeau import nn
    >>> nn.factory_kwargs({"dtype": None, "device": "cpu"})
    {'device': 'cpu', 'dtype': None}
    """
    simple = ("device", "dtype", "memory_format")
    if kwargs is None:
        return {}
    unknown = kwargs.keys() - {*simple, "factory_kwargs"}
    if unknown:
        raise TypeError(f"unexpected kwargs {unknown}")
    result = dict(kwargs.get("factory_kwargs", {}))
    for key in simple:
        if key in kwargs:
            if key in result:
                raise TypeError(f"{key} specified twice, in **kwargs and in factory_kwargs")
            result[key] = kwargs[key]
    return result


_SELDOM = ("attention", "grad", "intrinsic", "qat", "quantizable", "quantized")


def __getattr__(name):
    if name in _SELDOM:
        from importlib import import_module

        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
