"""What the networks have in common: stubs, fusing, calibration, builders."""

import flambeau
from flambeau import Tensor, nn
from flambeau.ao import quantization as q

from .._api import builder_of, legacy, set_or_check, weights_enum


class Quantizable:
    """A network between stubs: numbers become integers before it and numbers again after it."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.quant, self.dequant = q.QuantStub(), q.DeQuantStub()

    def _forward_impl(self, x):
        x = super()._forward_impl(self.quant(x))
        return self.dequant(x) if isinstance(x, Tensor) else x  # in training several numbers

    def fuse_model(self, is_qat=None):
        """Makes one module of each layer with its batch norm and relu, in place.

        is_qat: whether the network is to be trained on; as its mode is, unless given.
        """
        for module in self.modules():
            if module is not self and hasattr(module, "fuse_model"):
                module.fuse_model(is_qat)


def fuse(module, names, is_qat):
    """Fuses lists of names of what is in a module, in place."""
    is_qat = module.training if is_qat is None else is_qat
    (q.fuse_modules_qat if is_qat else q.fuse_modules)(module, names, inplace=True)


def plain_relu(net):
    """relu, not in place, where relu6 or relu in place was: these are what can be fused."""
    for module in list(net.modules()):
        for name, child in module.named_children():
            if type(child) in (nn.ReLU, nn.ReLU6):
                setattr(module, name, nn.ReLU())


def calibrated(net, backend):
    """The network as one of integers, whose scales are those of a random image."""
    weight = q.default_per_channel_weight_observer
    if backend == "qnnpack":
        weight = q.default_weight_observer
    net.eval().qconfig = q.QConfig(activation=q.default_observer, weight=weight)
    net.fuse_model()
    q.prepare(net, inplace=True)
    net(flambeau.rand(1, 3, 299, 299))
    q.convert(net, inplace=True)


def _load(net, state):
    net.load_state_dict(state)


def quantized(name, enum, floats, make, fit, load=_load, backend="fbgemm", prepare=None):
    """(the enum of quantized weights, the builder) of the network that `make(**options)` makes.

    floats: the enum of its weights of numbers; prepare(net, backend): makes a network that loads
    the quantized weights and is converted after that, of those that were trained to be.
    """
    enum = weights_enum(enum, make.__module__)
    for weights in enum:
        weights.meta["unquantized"] = floats[weights.meta["unquantized"]]

    def build(*, weights=None, progress=True, quantize=False, **kwargs):
        kind = enum if quantize else floats
        weights = kind.verify(legacy(kwargs, kind) or weights)
        if weights is not None:
            fit(weights, kwargs)
            if "backend" in weights.meta:
                set_or_check(kwargs, "backend", weights.meta["backend"])
        chosen = kwargs.pop("backend", None) or backend
        if chosen not in flambeau.backends.quantized.supported_engines:
            raise RuntimeError(f"Quantized backend not supported: {chosen}")
        net = make(**kwargs)
        plain_relu(net)
        if quantize:
            (prepare or calibrated)(net, chosen)
        if weights is not None:
            load(net, weights.get_state_dict(progress=progress, check_hash=True))
        if quantize and prepare:
            q.convert(net.eval(), inplace=True)
        return net

    doc = f"{name}, of integers with `quantize=True`; weights: `{enum.__name__}` if so."
    builder_of(f"quantized_{name}", enum, build, doc)
    build.__name__ = build.__qualname__ = name
    return enum, build
