"""MobileNetV2 (Sandler et al., arXiv 1801.04381)."""

from functools import partial

from flambeau import nn

from ..ops.misc import Conv2dNormActivation
from ._api import model
from ._utils import init_layers, make_divisible

__all__ = ["InvertedResidual", "MobileNetV2", "MobileNet_V2_Weights", "mobilenet_v2"]


class InvertedResidual(nn.Module):
    """1x1 to more channels, depthwise 3x3, linear 1x1 to few."""

    def __init__(self, inp, oup, stride, expand_ratio, norm_layer=None):
        super().__init__()
        if stride not in (1, 2):
            raise ValueError(f"stride should be 1 or 2 instead of {stride}")
        self.stride = stride
        norm_layer = norm_layer or nn.BatchNorm2d
        hidden = int(round(inp * expand_ratio))
        self.use_res_connect = stride == 1 and inp == oup
        unit = partial(Conv2dNormActivation, norm_layer=norm_layer, activation_layer=nn.ReLU6)
        layers = [] if expand_ratio == 1 else [unit(inp, hidden, kernel_size=1)]
        layers += [
            unit(hidden, hidden, stride=stride, groups=hidden),
            nn.Conv2d(hidden, oup, 1, bias=False),
            norm_layer(oup),
        ]
        self.conv = nn.Sequential(*layers)
        self.out_channels = oup
        self._is_cn = stride > 1

    def forward(self, x):
        return x + self.conv(x) if self.use_res_connect else self.conv(x)


# Table 2: expansion, channels, repeats, stride.
_TABLE = [
    [1, 16, 1, 1],
    [6, 24, 2, 2],
    [6, 32, 3, 2],
    [6, 64, 4, 2],
    [6, 96, 3, 1],
    [6, 160, 3, 2],
    [6, 320, 1, 1],
]


class MobileNetV2(nn.Module):
    """Inverted residuals with linear bottlenecks."""

    def __init__(
        self,
        num_classes=1000,
        width_mult=1.0,
        inverted_residual_setting=None,
        round_nearest=8,
        block=None,
        norm_layer=None,
        dropout=0.2,
    ):
        super().__init__()
        block = block or InvertedResidual
        norm_layer = norm_layer or nn.BatchNorm2d
        table = _TABLE if inverted_residual_setting is None else inverted_residual_setting
        if len(table) == 0 or len(table[0]) != 4:
            raise ValueError(
                f"inverted_residual_setting should be non-empty or a 4-element list, got {table}"
            )
        unit = partial(Conv2dNormActivation, norm_layer=norm_layer, activation_layer=nn.ReLU6)
        channels = make_divisible(32 * width_mult, round_nearest)
        self.last_channel = make_divisible(1280 * max(1.0, width_mult), round_nearest)
        layers = [unit(3, channels, stride=2)]
        for expansion, width, repeats, stride in table:
            width = make_divisible(width * width_mult, round_nearest)
            for i in range(repeats):
                layers.append(
                    block(channels, width, stride if i == 0 else 1, expansion, norm_layer)
                )
                channels = width
        layers.append(unit(channels, self.last_channel, kernel_size=1))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout), nn.Linear(self.last_channel, num_classes)
        )
        init_mobile(self)

    def forward(self, x):
        return self._forward_impl(x)

    def _forward_impl(self, x):
        x = self.features(x)
        return self.classifier(nn.functional.adaptive_avg_pool2d(x, (1, 1)).flatten(1))


def init_mobile(net):
    init_layers(
        net,
        partial(nn.init.kaiming_normal_, mode="fan_out"),
        partial(nn.init.normal_, mean=0.0, std=0.01),
    )


MobileNet_V2_Weights, mobilenet_v2 = model("mobilenet_v2", "MobileNet_V2_Weights", MobileNetV2)
