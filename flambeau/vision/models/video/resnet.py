"""ResNets over time: R3D, MC3 and R(2+1)D (Tran et al., arXiv 1711.11248)."""

from functools import partial

from flambeau import nn

from .._api import model
from .._utils import he_normal, init_layers, small_normal

__all__ = [
    "MC3_18_Weights",
    "R2Plus1D_18_Weights",
    "R3D_18_Weights",
    "VideoResNet",
    "mc3_18",
    "r2plus1d_18",
    "r3d_18",
]


class Conv3DSimple(nn.Conv3d):
    """3x3x3"""

    def __init__(self, in_planes, out_planes, midplanes=None, stride=1, padding=1):
        super().__init__(in_planes, out_planes, (3, 3, 3), stride, padding, bias=False)

    @staticmethod
    def get_downsample_stride(stride):
        return stride, stride, stride


class Conv2Plus1D(nn.Sequential):
    """1x3x3, then 3x1x1."""

    def __init__(self, in_planes, out_planes, midplanes, stride=1, padding=1):
        s, p = stride, padding
        super().__init__(
            nn.Conv3d(in_planes, midplanes, (1, 3, 3), (1, s, s), (0, p, p), bias=False),
            nn.BatchNorm3d(midplanes),
            nn.ReLU(inplace=True),
            nn.Conv3d(midplanes, out_planes, (3, 1, 1), (s, 1, 1), (p, 0, 0), bias=False),
        )

    get_downsample_stride = Conv3DSimple.get_downsample_stride


class Conv3DNoTemporal(nn.Conv3d):
    """1x3x3"""

    def __init__(self, in_planes, out_planes, midplanes=None, stride=1, padding=1):
        s, p = stride, padding
        super().__init__(in_planes, out_planes, (1, 3, 3), (1, s, s), (0, p, p), bias=False)

    @staticmethod
    def get_downsample_stride(stride):
        return 1, stride, stride


class BasicBlock(nn.Module):
    """Two convolutions beside the identity."""

    expansion = 1

    def __init__(self, inplanes, planes, conv_builder, stride=1, downsample=None):
        # as many parameters in two plus one dimensions as in three
        midplanes = (inplanes * planes * 27) // (inplanes * 9 + 3 * planes)
        super().__init__()
        self.conv1 = nn.Sequential(
            conv_builder(inplanes, planes, midplanes, stride),
            nn.BatchNorm3d(planes),
            nn.ReLU(inplace=True),
        )
        self.conv2 = nn.Sequential(conv_builder(planes, planes, midplanes), nn.BatchNorm3d(planes))
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample
        self.stride = stride

    def forward(self, x):
        residual = x if self.downsample is None else self.downsample(x)
        return self.relu(self.conv2(self.conv1(x)) + residual)


class Bottleneck(nn.Module):
    """1x1x1, a convolution, 1x1x1 beside the identity."""

    expansion = 4

    def __init__(self, inplanes, planes, conv_builder, stride=1, downsample=None):
        super().__init__()
        midplanes = (inplanes * planes * 27) // (inplanes * 9 + 3 * planes)
        outer = planes * self.expansion

        def unit(conv, width, active=True):
            layers = [conv, nn.BatchNorm3d(width)]
            return nn.Sequential(*layers, *([nn.ReLU(inplace=True)] if active else []))

        self.conv1 = unit(nn.Conv3d(inplanes, planes, 1, bias=False), planes)
        self.conv2 = unit(conv_builder(planes, planes, midplanes, stride), planes)
        self.conv3 = unit(nn.Conv3d(planes, outer, 1, bias=False), outer, active=False)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample
        self.stride = stride

    def forward(self, x):
        residual = x if self.downsample is None else self.downsample(x)
        return self.relu(self.conv3(self.conv2(self.conv1(x))) + residual)


def _unit(in_planes, out_planes, kernel, stride, padding):
    return [
        nn.Conv3d(in_planes, out_planes, kernel, stride, padding, bias=False),
        nn.BatchNorm3d(out_planes),
        nn.ReLU(inplace=True),
    ]


class BasicStem(nn.Sequential):
    """3x7x7"""

    def __init__(self):
        super().__init__(*_unit(3, 64, (3, 7, 7), (1, 2, 2), (1, 3, 3)))


class R2Plus1dStem(nn.Sequential):
    """1x7x7, then 3x1x1."""

    def __init__(self):
        super().__init__(
            *_unit(3, 45, (1, 7, 7), (1, 2, 2), (0, 3, 3)),
            *_unit(45, 64, (3, 1, 1), (1, 1, 1), (1, 0, 0)),
        )


class VideoResNet(nn.Module):
    """A stem, four stages, each with its kind of convolution, and a linear layer."""

    def __init__(self, block, conv_makers, layers, stem, num_classes=400, zero_init_residual=False):
        super().__init__()
        self.inplanes = 64
        self.stem = stem()
        for i, (maker, count) in enumerate(zip(conv_makers, layers, strict=True)):
            stage = self._make_layer(block, maker, 64 * 2**i, count, 1 if i == 0 else 2)
            setattr(self, f"layer{i + 1}", stage)
        self.avgpool = nn.AdaptiveAvgPool3d((1, 1, 1))
        self.fc = nn.Linear(512 * block.expansion, num_classes)
        init_layers(self, he_normal, small_normal)
        if zero_init_residual:
            for layer in self.modules():
                if isinstance(layer, Bottleneck):
                    nn.init.zeros_(layer.conv3[1].weight)

    def _make_layer(self, block, conv_builder, planes, blocks, stride=1):
        downsample, outer = None, planes * block.expansion
        if stride != 1 or self.inplanes != outer:
            strides = conv_builder.get_downsample_stride(stride)
            downsample = nn.Sequential(
                nn.Conv3d(self.inplanes, outer, 1, strides, bias=False), nn.BatchNorm3d(outer)
            )
        layers = [block(self.inplanes, planes, conv_builder, stride, downsample)]
        self.inplanes = outer
        layers += [block(outer, planes, conv_builder) for _ in range(1, blocks)]
        return nn.Sequential(*layers)

    def forward(self, x):
        x = self.layer4(self.layer3(self.layer2(self.layer1(self.stem(x)))))
        return self.fc(self.avgpool(x).flatten(1))


def _model(name, enum, conv_makers, stem):
    return model(name, enum, partial(VideoResNet, BasicBlock, conv_makers, [2, 2, 2, 2], stem))


R3D_18_Weights, r3d_18 = _model("r3d_18", "R3D_18_Weights", [Conv3DSimple] * 4, BasicStem)
MC3_18_Weights, mc3_18 = _model(
    "mc3_18", "MC3_18_Weights", [Conv3DSimple] + [Conv3DNoTemporal] * 3, BasicStem
)
R2Plus1D_18_Weights, r2plus1d_18 = _model(
    "r2plus1d_18", "R2Plus1D_18_Weights", [Conv2Plus1D] * 4, R2Plus1dStem
)
