"""ShuffleNetV2 of integers."""

from flambeau.ao.nn.quantized import FloatFunctional

from .. import shufflenetv2
from .._api import fit_classes
from ._build import Quantizable, fuse, quantized


class QuantizableInvertedResidual(shufflenetv2.InvertedResidual):
    """InvertedResidual that joins its halves by a module."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.cat = FloatFunctional()

    def _join(self, halves):
        return self.cat.cat(halves, 1)

    def fuse_model(self, is_qat=None):
        """Fuses the convolutions with what follows them."""
        if len(self.branch1):
            fuse(self.branch1, [["0", "1"], ["2", "3", "4"]], is_qat)
        fuse(self.branch2, [["0", "1", "2"], ["3", "4"], ["5", "6", "7"]], is_qat)


class QuantizableShuffleNetV2(Quantizable, shufflenetv2.ShuffleNetV2):
    """ShuffleNetV2 that can be made of integers."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, inverted_residual=QuantizableInvertedResidual, **kwargs)

    def fuse_model(self, is_qat=None):
        """Fuses the convolutions with what follows them, in place."""
        for layers in (self.conv1, self.conv5):
            fuse(layers, ["0", "1", "2"], is_qat)
        super().fuse_model(is_qat)


def _model(width):
    key = width.replace(".", "_")
    sizes = {"stages_repeats": [4, 8, 4], "stages_out_channels": shufflenetv2.CHANNELS[width]}

    def make(**options):
        return QuantizableShuffleNetV2(**sizes, **options)

    floats = getattr(shufflenetv2, f"ShuffleNet_V2_X{key}_Weights")
    names = f"shufflenet_v2_x{key}", f"ShuffleNet_V2_X{key}_QuantizedWeights"
    return quantized(*names, floats, make, fit_classes)


ShuffleNet_V2_X0_5_QuantizedWeights, shufflenet_v2_x0_5 = _model("0.5")
ShuffleNet_V2_X1_0_QuantizedWeights, shufflenet_v2_x1_0 = _model("1.0")
ShuffleNet_V2_X1_5_QuantizedWeights, shufflenet_v2_x1_5 = _model("1.5")
ShuffleNet_V2_X2_0_QuantizedWeights, shufflenet_v2_x2_0 = _model("2.0")

__all__ = ["QuantizableShuffleNetV2"]
__all__ += [name for name in globals() if name.startswith(("shufflenet_", "ShuffleNet_"))]
