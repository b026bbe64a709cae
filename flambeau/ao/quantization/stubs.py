"""Where a network's numbers become integers, and numbers again."""

from flambeau import nn


class _Stub(nn.Module):
    def __init__(self, qconfig=None):
        super().__init__()
        if qconfig:
            self.qconfig = qconfig

    def forward(self, x):
        """x."""
        return x


class QuantStub(_Stub):
    """Passes numbers on until convert() makes a Quantize of it."""


class DeQuantStub(_Stub):
    """Passes numbers on until convert() makes a DeQuantize of it."""


class QuantWrapper(nn.Module):
    """A module between the two stubs."""

    def __init__(self, module):
        super().__init__()
        qconfig = getattr(module, "qconfig", None)
        self.add_module("quant", QuantStub(qconfig))
        self.add_module("dequant", DeQuantStub(qconfig))
        self.add_module("module", module)
        self.train(module.training)

    def forward(self, X):
        """The module of X, both in numbers."""
        return self.dequant(self.module(self.quant(X)))


def add_quant_dequant(module):
    """Wraps the modules that have a qconfig of their own and nothing within."""
    if not list(module.children()) and getattr(module, "qconfig", None):
        return QuantWrapper(module)
    for name, child in module.named_children():
        module._modules[name] = add_quant_dequant(child)
    return module
