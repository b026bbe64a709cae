"""ResNet and ResNeXt of integers."""

from functools import partial

from flambeau import nn
from flambeau.ao.nn.quantized import FloatFunctional

from .. import resnet
from .._api import fit_classes
from ._build import Quantizable, fuse, quantized


class QuantizableBasicBlock(resnet.BasicBlock):
    """BasicBlock whose sum is a module."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.add_relu = FloatFunctional()

    def forward(self, x):
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return self.add_relu.add_relu(out, x if self.downsample is None else self.downsample(x))

    def fuse_model(self, is_qat=None):
        """Fuses the convolutions with what follows them."""
        fuse(self, [["conv1", "bn1", "relu"], ["conv2", "bn2"]], is_qat)
        if self.downsample:
            fuse(self.downsample, ["0", "1"], is_qat)


class QuantizableBottleneck(resnet.Bottleneck):
    """Bottleneck whose sum and relus are modules of their own."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.skip_add_relu = FloatFunctional()
        self.relu1, self.relu2 = nn.ReLU(), nn.ReLU()

    def forward(self, x):
        out = self.relu1(self.bn1(self.conv1(x)))
        out = self.relu2(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        x = x if self.downsample is None else self.downsample(x)
        return self.skip_add_relu.add_relu(out, x)

    def fuse_model(self, is_qat=None):
        """Fuses the convolutions with what follows them."""
        names = [["conv1", "bn1", "relu1"], ["conv2", "bn2", "relu2"], ["conv3", "bn3"]]
        fuse(self, names, is_qat)
        if self.downsample:
            fuse(self.downsample, ["0", "1"], is_qat)


class QuantizableResNet(Quantizable, resnet.ResNet):
    """ResNet that can be made of integers."""

    def fuse_model(self, is_qat=None):
        """Fuses the convolutions with what follows them, in place."""
        fuse(self, ["conv1", "bn1", "relu"], is_qat)
        super().fuse_model(is_qat)


def _model(name, title, block, layers, **fixed):
    def make(**options):
        for key, value in fixed.items():
            if options.setdefault(key, value) != value:
                raise ValueError(
                    f"The parameter '{key}' expected value {value} but got {options[key]} instead."
                )
        return QuantizableResNet(block, layers, **options)

    floats = getattr(resnet, f"{title}_Weights")
    return quantized(name, f"{title}_QuantizedWeights", floats, make, fit_classes)


ResNet18_QuantizedWeights, resnet18 = _model(
    "resnet18", "ResNet18", QuantizableBasicBlock, [2, 2, 2, 2]
)
ResNet50_QuantizedWeights, resnet50 = _model(
    "resnet50", "ResNet50", QuantizableBottleneck, [3, 4, 6, 3]
)
_resnext101 = partial(_model, block=QuantizableBottleneck, layers=[3, 4, 23, 3])
ResNeXt101_32X8D_QuantizedWeights, resnext101_32x8d = _resnext101(
    "resnext101_32x8d", "ResNeXt101_32X8D", groups=32, width_per_group=8
)
ResNeXt101_64X4D_QuantizedWeights, resnext101_64x4d = _resnext101(
    "resnext101_64x4d", "ResNeXt101_64X4D", groups=64, width_per_group=4
)

__all__ = ["QuantizableResNet"]
__all__ += [name for name in globals() if name.startswith(("resn", "ResN")) and name != "resnet"]
