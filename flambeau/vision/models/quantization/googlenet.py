"""GoogLeNet of integers."""

from flambeau import nn
from flambeau.ao.nn.quantized import FloatFunctional

from ..googlenet import (
    BasicConv2d,
    GoogLeNet,
    GoogLeNet_Weights,
    Inception,
    InceptionAux,
    _fit,
    _load,
)
from ._build import Quantizable, fuse, quantized


class QuantizableBasicConv2d(BasicConv2d):
    """BasicConv2d whose relu is a module."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.relu = nn.ReLU()

    def forward(self, x):
        return self.relu(self.bn(self.conv(x)))

    def fuse_model(self, is_qat=None):
        """Fuses the convolution with what follows it."""
        fuse(self, ["conv", "bn", "relu"], is_qat)


class QuantizableInception(Inception):
    """Inception that joins its branches by a module."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, conv_block=QuantizableBasicConv2d, **kwargs)
        self.cat = FloatFunctional()

    def _join(self, results):
        return self.cat.cat(results, 1)


class QuantizableInceptionAux(InceptionAux):
    """InceptionAux whose relu is a module."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, conv_block=QuantizableBasicConv2d, **kwargs)
        self.relu = nn.ReLU()

    def _relu(self, x):
        return self.relu(x)


class QuantizableGoogLeNet(Quantizable, GoogLeNet):
    """GoogLeNet that can be made of integers."""

    def __init__(self, *args, **kwargs):
        blocks = [QuantizableBasicConv2d, QuantizableInception, QuantizableInceptionAux]
        super().__init__(*args, blocks=blocks, **kwargs)


def _make(**options):
    return QuantizableGoogLeNet(**options)


GoogLeNet_QuantizedWeights, googlenet = quantized(
    "googlenet", "GoogLeNet_QuantizedWeights", GoogLeNet_Weights, _make, _fit, _load
)

__all__ = ["GoogLeNet_QuantizedWeights", "QuantizableGoogLeNet", "googlenet"]
