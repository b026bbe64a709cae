"""ResNet (He et al., arXiv 1512.03385), ResNeXt (1611.05431), Wide ResNet (1605.07146)."""

from functools import partial

from flambeau import nn

from ._api import model
from ._utils import he_normal, init_layers


def conv3x3(in_planes, out_planes, stride=1, groups=1, dilation=1):
    return nn.Conv2d(
        in_planes, out_planes, 3, stride, dilation, dilation=dilation, groups=groups, bias=False
    )


def conv1x1(in_planes, out_planes, stride=1):
    return nn.Conv2d(in_planes, out_planes, 1, stride, bias=False)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside the identity."""

    expansion = 1

    def __init__(
        self,
        inplanes,
        planes,
        stride=1,
        downsample=None,
        groups=1,
        base_width=64,
        dilation=1,
        norm_layer=None,
    ):
        super().__init__()
        norm_layer = norm_layer or nn.BatchNorm2d
        if groups != 1 or base_width != 64:
            raise ValueError("BasicBlock only supports groups=1 and base_width=64")
        if dilation > 1:
            raise NotImplementedError("Dilation > 1 not supported in BasicBlock")
        self.conv1 = conv3x3(inplanes, planes, stride)
        self.bn1 = norm_layer(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = conv3x3(planes, planes)
        self.bn2 = norm_layer(planes)
        self.downsample = downsample
        self.stride = stride

    def forward(self, x):
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return self.relu(out + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """1x1, 3x3 (which has the stride), 1x1 beside the identity."""

    expansion = 4

    def __init__(
        self,
        inplanes,
        planes,
        stride=1,
        downsample=None,
        groups=1,
        base_width=64,
        dilation=1,
        norm_layer=None,
    ):
        super().__init__()
        norm_layer = norm_layer or nn.BatchNorm2d
        width = int(planes * (base_width / 64.0)) * groups
        self.conv1 = conv1x1(inplanes, width)
        self.bn1 = norm_layer(width)
        self.conv2 = conv3x3(width, width, stride, groups, dilation)
        self.bn2 = norm_layer(width)
        self.conv3 = conv1x1(width, planes * self.expansion)
        self.bn3 = norm_layer(planes * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample
        self.stride = stride

    def forward(self, x):
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return self.relu(out + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """A stem, four stages of residual blocks and a linear layer.

    >>> import flambeau as torch
    >>> from flambeau.vision.models.resnet import BasicBlock, ResNet
    >>> ResNet(BasicBlock, [1, 1, 1, 1], num_classes=10)(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 10])
    """

    def __init__(
        self,
        block,
        layers,
        num_classes=1000,
        zero_init_residual=False,
        groups=1,
        width_per_group=64,
        replace_stride_with_dilation=None,
        norm_layer=None,
    ):
        super().__init__()
        self._norm_layer = norm_layer or nn.BatchNorm2d
        self.inplanes = 64
        self.dilation = 1
        dilated = replace_stride_with_dilation or [False] * 3
        if len(dilated) != 3:
            raise ValueError(
                "replace_stride_with_dilation should be None or a 3-element tuple, "
                f"got {replace_stride_with_dilation}"
            )
        self.groups = groups
        self.base_width = width_per_group
        self.conv1 = nn.Conv2d(3, self.inplanes, 7, 2, 3, bias=False)
        self.bn1 = self._norm_layer(self.inplanes)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = self._make_layer(block, 64, layers[0])
        self.layer2 = self._make_layer(block, 128, layers[1], 2, dilated[0])
        self.layer3 = self._make_layer(block, 256, layers[2], 2, dilated[1])
        self.layer4 = self._make_layer(block, 512, layers[3], 2, dilated[2])
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(512 * block.expansion, num_classes)
        init_layers(self, he_normal)
        if zero_init_residual:  # each block starts as the identity
            for layer in self.modules():
                last = {BasicBlock: "bn2", Bottleneck: "bn3"}.get(type(layer))
                if last and getattr(layer, last).weight is not None:
                    nn.init.zeros_(getattr(layer, last).weight)

    def _make_layer(self, block, planes, blocks, stride=1, dilate=False):
        first_dilation = self.dilation
        if dilate:
            self.dilation *= stride
            stride = 1
        outplanes, downsample = planes * block.expansion, None
        if stride != 1 or self.inplanes != outplanes:
            downsample = nn.Sequential(
                conv1x1(self.inplanes, outplanes, stride), self._norm_layer(outplanes)
            )
        rest = (self.groups, self.base_width)
        layers = [
            block(
                self.inplanes, planes, stride, downsample, *rest, first_dilation, self._norm_layer
            )
        ]
        self.inplanes = outplanes
        for _ in range(1, blocks):
            layers.append(block(outplanes, planes, 1, None, *rest, self.dilation, self._norm_layer))
        return nn.Sequential(*layers)

    def _forward_impl(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.avgpool(x).flatten(1))

    def forward(self, x):
        return self._forward_impl(x)


def _model(name, enum, block, layers, **fixed):
    return model(name, f"{enum}_Weights", partial(_resnet, fixed, block, layers))


def _resnet(fixed, block, layers, **options):
    for name, value in fixed.items():
        if options.setdefault(name, value) != value:
            raise ValueError(
                f"The parameter '{name}' expected value {value} but got {options[name]} instead."
            )
    return ResNet(block, layers, **options)


ResNet18_Weights, resnet18 = _model("resnet18", "ResNet18", BasicBlock, [2, 2, 2, 2])
ResNet34_Weights, resnet34 = _model("resnet34", "ResNet34", BasicBlock, [3, 4, 6, 3])
ResNet50_Weights, resnet50 = _model("resnet50", "ResNet50", Bottleneck, [3, 4, 6, 3])
ResNet101_Weights, resnet101 = _model("resnet101", "ResNet101", Bottleneck, [3, 4, 23, 3])
ResNet152_Weights, resnet152 = _model("resnet152", "ResNet152", Bottleneck, [3, 8, 36, 3])
ResNeXt50_32X4D_Weights, resnext50_32x4d = _model(
    "resnext50_32x4d", "ResNeXt50_32X4D", Bottleneck, [3, 4, 6, 3], groups=32, width_per_group=4
)
ResNeXt101_32X8D_Weights, resnext101_32x8d = _model(
    "resnext101_32x8d", "ResNeXt101_32X8D", Bottleneck, [3, 4, 23, 3], groups=32, width_per_group=8
)
ResNeXt101_64X4D_Weights, resnext101_64x4d = _model(
    "resnext101_64x4d", "ResNeXt101_64X4D", Bottleneck, [3, 4, 23, 3], groups=64, width_per_group=4
)
Wide_ResNet50_2_Weights, wide_resnet50_2 = _model(
    "wide_resnet50_2", "Wide_ResNet50_2", Bottleneck, [3, 4, 6, 3], width_per_group=128
)
Wide_ResNet101_2_Weights, wide_resnet101_2 = _model(
    "wide_resnet101_2", "Wide_ResNet101_2", Bottleneck, [3, 4, 23, 3], width_per_group=128
)

__all__ = ["ResNet"] + [n for n in globals() if n.lower().startswith(("resne", "wide_"))][1:]
