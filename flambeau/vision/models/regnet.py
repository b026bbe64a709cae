"""RegNet (Radosavovic et al., arXiv 2003.13678)."""

import math
from collections import OrderedDict
from functools import partial

from flambeau import nn

from ..ops.misc import Conv2dNormActivation, SqueezeExcitation
from ._api import model
from ._utils import init_layers, make_divisible, small_normal


class SimpleStemIN(Conv2dNormActivation):
    """A 3x3 convolution of stride 2."""

    def __init__(self, width_in, width_out, norm_layer, activation_layer):
        super().__init__(
            width_in,
            width_out,
            stride=2,
            norm_layer=norm_layer,
            activation_layer=activation_layer,
        )


class BottleneckTransform(nn.Sequential):
    """1x1, grouped 3x3, perhaps squeeze and excitation, 1x1."""

    def __init__(
        self,
        width_in,
        width_out,
        stride,
        norm_layer,
        activation_layer,
        group_width,
        bottleneck_multiplier,
        se_ratio,
    ):
        width = int(round(width_out * bottleneck_multiplier))
        unit = partial(Conv2dNormActivation, norm_layer=norm_layer)
        active = partial(unit, activation_layer=activation_layer)
        layers = OrderedDict(
            a=active(width_in, width, kernel_size=1),
            b=active(width, width, stride=stride, groups=width // group_width),
        )
        if se_ratio:
            squeezed = int(round(se_ratio * width_in))
            layers["se"] = SqueezeExcitation(width, squeezed, activation=activation_layer)
        layers["c"] = unit(width, width_out, kernel_size=1, activation_layer=None)
        super().__init__(layers)


class ResBottleneckBlock(nn.Module):
    """A bottleneck beside the identity, or a projection where the shape changes."""

    def __init__(
        self,
        width_in,
        width_out,
        stride,
        norm_layer,
        activation_layer,
        group_width=1,
        bottleneck_multiplier=1.0,
        se_ratio=None,
    ):
        super().__init__()
        self.proj = None
        if width_in != width_out or stride != 1:
            self.proj = Conv2dNormActivation(
                width_in,
                width_out,
                kernel_size=1,
                stride=stride,
                norm_layer=norm_layer,
                activation_layer=None,
            )
        self.f = BottleneckTransform(
            width_in,
            width_out,
            stride,
            norm_layer,
            activation_layer,
            group_width,
            bottleneck_multiplier,
            se_ratio,
        )
        self.activation = activation_layer(inplace=True)

    def forward(self, x):
        return self.activation((x if self.proj is None else self.proj(x)) + self.f(x))


class BlockParams:
    """Depth, width, group width and so on of each stage."""

    def __init__(
        self, depths, widths, group_widths, bottleneck_multipliers, strides, se_ratio=None
    ):
        self.depths = depths
        self.widths = widths
        self.group_widths = group_widths
        self.bottleneck_multipliers = bottleneck_multipliers
        self.strides = strides
        self.se_ratio = se_ratio

    @classmethod
    def from_init_params(
        cls, depth, w_0, w_a, w_m, group_width, bottleneck_multiplier=1.0, se_ratio=None, **kwargs
    ):
        """Quantizes the linear widths w_0 + w_a * i to w_0 * w_m ** k (section 3.3)."""
        if w_a < 0 or w_0 <= 0 or w_m <= 1 or w_0 % 8 != 0:
            raise ValueError("Invalid RegNet settings")
        per_block = []
        for i in range(depth):
            k = round(math.log((w_0 + w_a * i) / w_0) / math.log(w_m))
            per_block.append(int(round(w_0 * w_m**k / 8) * 8))
        widths = sorted(set(per_block))
        depths = [per_block.count(width) for width in widths]
        groups = []
        for i, width in enumerate(widths):  # groups divide the width within the bottleneck
            inner = int(width * bottleneck_multiplier)
            group = min(group_width, inner)
            widths[i] = int(make_divisible(inner, group) / bottleneck_multiplier)
            groups.append(group)
        count = len(widths)
        return cls(depths, widths, groups, [bottleneck_multiplier] * count, [2] * count, se_ratio)

    def stages(self):
        """(depth, width, group width, bottleneck multiplier, stride) of each."""
        return zip(
            self.depths,
            self.widths,
            self.group_widths,
            self.bottleneck_multipliers,
            self.strides,
            strict=True,
        )


class AnyStage(nn.Sequential):
    """Equal blocks, the first of which may shrink the image."""


class RegNet(nn.Module):
    """A stem and stages of equal blocks."""

    def __init__(
        self,
        block_params,
        num_classes=1000,
        stem_width=32,
        stem_type=None,
        block_type=None,
        norm_layer=None,
        activation=None,
    ):
        super().__init__()
        norm_layer = norm_layer or nn.BatchNorm2d
        activation = activation or nn.ReLU
        block_type = block_type or ResBottleneckBlock
        self.stem = (stem_type or SimpleStemIN)(3, stem_width, norm_layer, activation)
        channels, stages = stem_width, OrderedDict()
        for i, (depth, width, group, multiplier, stride) in enumerate(block_params.stages(), 1):
            blocks = OrderedDict()
            for j in range(depth):
                blocks[f"block{i}-{j}"] = block_type(
                    channels,
                    width,
                    stride if j == 0 else 1,
                    norm_layer,
                    activation,
                    group,
                    multiplier,
                    block_params.se_ratio,
                )
                channels = width
            stages[f"block{i}"] = AnyStage(blocks)
        self.trunk_output = nn.Sequential(stages)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(channels, num_classes)

        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):  # biases, of squeeze and excitation, stay
                fan_out = layer.kernel_size[0] * layer.kernel_size[1] * layer.out_channels
                nn.init.normal_(layer.weight, mean=0.0, std=math.sqrt(2.0 / fan_out))
        init_layers(self, None, small_normal)

    def forward(self, x):
        return self.fc(self.avgpool(self.trunk_output(self.stem(x))).flatten(1))


def _regnet(parameters, **options):
    options.setdefault("norm_layer", partial(nn.BatchNorm2d, eps=1e-05, momentum=0.1))
    return RegNet(BlockParams.from_init_params(*parameters[:5], se_ratio=parameters[5]), **options)


def _model(kind, depth, w_0, w_a, w_m, group_width):
    se_ratio = 0.25 if kind[0] == "y" else None
    make = partial(_regnet, (depth, w_0, w_a, w_m, group_width, se_ratio))
    return model(f"regnet_{kind}", f"RegNet_{kind.upper()}_Weights", make)


# Depth, w_0, w_a, w_m and group width, from the authors' configurations (tables 5 and 6).
RegNet_Y_400MF_Weights, regnet_y_400mf = _model("y_400mf", 16, 48, 27.89, 2.09, 8)
RegNet_Y_800MF_Weights, regnet_y_800mf = _model("y_800mf", 14, 56, 38.84, 2.4, 16)
RegNet_Y_1_6GF_Weights, regnet_y_1_6gf = _model("y_1_6gf", 27, 48, 20.71, 2.65, 24)
RegNet_Y_3_2GF_Weights, regnet_y_3_2gf = _model("y_3_2gf", 21, 80, 42.63, 2.66, 24)
RegNet_Y_8GF_Weights, regnet_y_8gf = _model("y_8gf", 17, 192, 76.82, 2.19, 56)
RegNet_Y_16GF_Weights, regnet_y_16gf = _model("y_16gf", 18, 200, 106.23, 2.48, 112)
RegNet_Y_32GF_Weights, regnet_y_32gf = _model("y_32gf", 20, 232, 115.89, 2.53, 232)
RegNet_Y_128GF_Weights, regnet_y_128gf = _model("y_128gf", 27, 456, 160.83, 2.52, 264)
RegNet_X_400MF_Weights, regnet_x_400mf = _model("x_400mf", 22, 24, 24.48, 2.54, 16)
RegNet_X_800MF_Weights, regnet_x_800mf = _model("x_800mf", 16, 56, 35.73, 2.28, 16)
RegNet_X_1_6GF_Weights, regnet_x_1_6gf = _model("x_1_6gf", 18, 80, 34.01, 2.25, 24)
RegNet_X_3_2GF_Weights, regnet_x_3_2gf = _model("x_3_2gf", 25, 88, 26.31, 2.25, 48)
RegNet_X_8GF_Weights, regnet_x_8gf = _model("x_8gf", 23, 80, 49.56, 2.88, 120)
RegNet_X_16GF_Weights, regnet_x_16gf = _model("x_16gf", 22, 216, 55.59, 2.1, 128)
RegNet_X_32GF_Weights, regnet_x_32gf = _model("x_32gf", 23, 320, 69.86, 2.0, 168)

__all__ = [name for name in globals() if name.lower().startswith("regnet")]
