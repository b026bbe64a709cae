"""MobileNetV2 and MobileNetV3 of integers."""

from flambeau import nn
from flambeau.ao import quantization as q
from flambeau.ao.nn.quantized import FloatFunctional

from ...ops.misc import Conv2dNormActivation, SqueezeExcitation
from .. import mobilenetv2, mobilenetv3
from .._api import fit_classes
from ._build import Quantizable, fuse, quantized


def _fuse_units(net, is_qat):
    for unit in net.modules():
        if type(unit) is Conv2dNormActivation:
            fused = len(unit) == 3 and type(unit[2]) is nn.ReLU
            fuse(unit, ["0", "1", "2"] if fused else ["0", "1"], is_qat)


class QuantizableInvertedResidual(mobilenetv2.InvertedResidual):
    """InvertedResidual whose sum is a module."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.skip_add = FloatFunctional()

    def forward(self, x):
        return self.skip_add.add(x, self.conv(x)) if self.use_res_connect else self.conv(x)

    def fuse_model(self, is_qat=None):
        """Fuses the last convolution with its batch norm; the others are units."""
        for i, layer in enumerate(self.conv):
            if type(layer) is nn.Conv2d:
                fuse(self.conv, [str(i), str(i + 1)], is_qat)


class QuantizableMobileNetV2(Quantizable, mobilenetv2.MobileNetV2):
    """MobileNetV2 that can be made of integers."""

    def fuse_model(self, is_qat=None):
        """Fuses the convolutions with what follows them, in place."""
        _fuse_units(self, is_qat)
        super().fuse_model(is_qat)


class QuantizableSqueezeExcitation(SqueezeExcitation):
    """SqueezeExcitation whose product is a module."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, scale_activation=nn.Hardsigmoid, **kwargs)
        self.skip_mul = FloatFunctional()

    def forward(self, input):
        return self.skip_mul.mul(self._scale(input), input)

    def fuse_model(self, is_qat=None):
        """Fuses the first convolution with its relu."""
        fuse(self, ["fc1", "activation"], is_qat)


class QuantizableInvertedResidualV3(mobilenetv3.InvertedResidual):
    """MobileNetV3's InvertedResidual whose sum is a module."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, se_layer=QuantizableSqueezeExcitation, **kwargs)
        self.skip_add = FloatFunctional()

    def forward(self, x):
        return self.skip_add.add(x, self.block(x)) if self.use_res_connect else self.block(x)


class QuantizableMobileNetV3(Quantizable, mobilenetv3.MobileNetV3):
    """MobileNetV3 that can be made of integers."""

    def fuse_model(self, is_qat=None):
        """Fuses the convolutions with what follows them, in place."""
        _fuse_units(self, is_qat)
        super().fuse_model(is_qat)


def _v2(**options):
    return QuantizableMobileNetV2(block=QuantizableInvertedResidual, **options)


def _v3(**options):
    kinds = {"kind": QuantizableMobileNetV3, "block": QuantizableInvertedResidualV3}
    return mobilenetv3.large(**kinds, **options)


def _trained(net, backend):
    net.fuse_model(is_qat=True)
    net.qconfig = q.get_default_qat_qconfig(backend)
    q.prepare_qat(net, inplace=True)


MobileNet_V2_QuantizedWeights, mobilenet_v2 = quantized(
    "mobilenet_v2",
    "MobileNet_V2_QuantizedWeights",
    mobilenetv2.MobileNet_V2_Weights,
    _v2,
    fit_classes,
    backend="qnnpack",
)
MobileNet_V3_Large_QuantizedWeights, mobilenet_v3_large = quantized(
    "mobilenet_v3_large",
    "MobileNet_V3_Large_QuantizedWeights",
    mobilenetv3.MobileNet_V3_Large_Weights,
    _v3,
    fit_classes,
    backend="qnnpack",
    prepare=_trained,
)

__all__ = ["QuantizableMobileNetV2", "QuantizableMobileNetV3"]
__all__ += [name for name in globals() if name.startswith(("mobilenet_", "MobileNet_"))]
