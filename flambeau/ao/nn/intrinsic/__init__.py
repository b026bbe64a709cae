"""Modules that follow each other, held together until they are quantized as one."""

from flambeau import nn


class _Fused(nn.Sequential):
    """A few modules as one."""


def _fused(name, *kinds):
    def __init__(self, *modules):
        found = tuple(type(m) for m in modules)
        if len(modules) != len(kinds) or not all(map(isinstance, modules, kinds)):
            raise AssertionError(f"Incorrect types for input modules {found}")
        super(made, self).__init__(*modules)

    doc = f"{', '.join(kind.__name__ for kind in kinds)}, one after the other."
    made = type(name, (_Fused,), {"__init__": __init__, "__doc__": doc, "__module__": __name__})
    globals()[name] = made
    return made


for _n in (1, 2, 3):
    _conv, _bn = getattr(nn, f"Conv{_n}d"), getattr(nn, f"BatchNorm{_n}d")
    _fused(f"ConvReLU{_n}d", _conv, nn.ReLU)
    _fused(f"ConvBn{_n}d", _conv, _bn)
    _fused(f"ConvBnReLU{_n}d", _conv, _bn, nn.ReLU)
    if _n > 1:
        _fused(f"BNReLU{_n}d", _bn, nn.ReLU)
_fused("LinearReLU", nn.Linear, nn.ReLU)
_fused("LinearBn1d", nn.Linear, nn.BatchNorm1d)
_fused("LinearLeakyReLU", nn.Linear, nn.LeakyReLU)
_fused("LinearTanh", nn.Linear, nn.Tanh)
__all__ = [name for name in dir() if name.startswith(("Conv", "Linear", "BN"))]


def __getattr__(name):
    from importlib import import_module

    if name in ("qat", "quantized"):
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
