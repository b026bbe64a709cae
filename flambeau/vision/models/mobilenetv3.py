"""MobileNetV3 (Howard et al., arXiv 1905.02244)."""

from functools import partial

from flambeau import nn

from ..ops.misc import Conv2dNormActivation, SqueezeExcitation
from ._api import model
from ._utils import make_divisible
from .mobilenetv2 import init_mobile

__all__ = [
    "MobileNetV3",
    "MobileNet_V3_Large_Weights",
    "MobileNet_V3_Small_Weights",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
]

_SQUEEZE = partial(SqueezeExcitation, scale_activation=nn.Hardsigmoid)


class InvertedResidualConfig:
    """A line of the paper's tables 1 and 2."""

    def __init__(
        self,
        input_channels,
        kernel,
        expanded_channels,
        out_channels,
        use_se,
        activation,
        stride,
        dilation,
        width_mult,
    ):
        self.input_channels = self.adjust_channels(input_channels, width_mult)
        self.kernel = kernel
        self.expanded_channels = self.adjust_channels(expanded_channels, width_mult)
        self.out_channels = self.adjust_channels(out_channels, width_mult)
        self.use_se = use_se
        self.use_hs = activation == "HS"
        self.stride = stride
        self.dilation = dilation

    @staticmethod
    def adjust_channels(channels, width_mult):
        return make_divisible(channels * width_mult, 8)


class InvertedResidual(nn.Module):
    """1x1 to more channels, depthwise, squeeze and excitation, linear 1x1."""

    def __init__(
        self,
        cnf,
        norm_layer,
        se_layer=_SQUEEZE,
    ):
        super().__init__()
        if cnf.stride not in (1, 2):
            raise ValueError("illegal stride value")
        self.use_res_connect = cnf.stride == 1 and cnf.input_channels == cnf.out_channels
        hidden = cnf.expanded_channels
        unit = partial(Conv2dNormActivation, norm_layer=norm_layer)
        active = partial(unit, activation_layer=nn.Hardswish if cnf.use_hs else nn.ReLU)
        layers = []
        if hidden != cnf.input_channels:
            layers.append(active(cnf.input_channels, hidden, kernel_size=1))
        layers.append(
            active(
                hidden,
                hidden,
                kernel_size=cnf.kernel,
                stride=1 if cnf.dilation > 1 else cnf.stride,
                dilation=cnf.dilation,
                groups=hidden,
            )
        )
        if cnf.use_se:
            layers.append(se_layer(hidden, make_divisible(hidden // 4, 8)))
        layers.append(unit(hidden, cnf.out_channels, kernel_size=1, activation_layer=None))
        self.block = nn.Sequential(*layers)
        self.out_channels = cnf.out_channels
        self._is_cn = cnf.stride > 1

    def forward(self, input):
        result = self.block(input)
        return result + input if self.use_res_connect else result


class MobileNetV3(nn.Module):
    """Inverted residuals as the configurations say, and two linear layers."""

    def __init__(
        self,
        inverted_residual_setting,
        last_channel,
        num_classes=1000,
        block=None,
        norm_layer=None,
        dropout=0.2,
        **kwargs,
    ):
        super().__init__()
        settings = inverted_residual_setting
        if not settings:
            raise ValueError("The inverted_residual_setting should not be empty")
        if not all(isinstance(s, InvertedResidualConfig) for s in settings):
            raise TypeError("The inverted_residual_setting should be List[InvertedResidualConfig]")
        if kwargs:
            raise TypeError(f"MobileNetV3: unexpected arguments {sorted(kwargs)}")
        block = block or InvertedResidual
        norm_layer = norm_layer or partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)
        unit = partial(Conv2dNormActivation, norm_layer=norm_layer, activation_layer=nn.Hardswish)
        layers = [unit(3, settings[0].input_channels, stride=2)]
        layers += [block(setting, norm_layer) for setting in settings]
        last = settings[-1].out_channels
        layers.append(unit(last, 6 * last, kernel_size=1))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Linear(6 * last, last_channel),
            nn.Hardswish(inplace=True),
            nn.Dropout(p=dropout, inplace=True),
            nn.Linear(last_channel, num_classes),
        )
        init_mobile(self)

    def forward(self, x):
        return self._forward_impl(x)

    def _forward_impl(self, x):
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


# Input, kernel, expanded and output channels, squeeze and excitation, activation, stride.
# The lines from "tail" on may be halved in width and dilated instead of strided.
_LARGE = """
16 3 16 16 - RE 1, 16 3 64 24 - RE 2, 24 3 72 24 - RE 1, 24 5 72 40 SE RE 2,
40 5 120 40 SE RE 1, 40 5 120 40 SE RE 1, 40 3 240 80 - HS 2, 80 3 200 80 - HS 1,
80 3 184 80 - HS 1, 80 3 184 80 - HS 1, 80 3 480 112 SE HS 1, 112 3 672 112 SE HS 1,
tail, 112 5 672 160 SE HS 2, 160 5 960 160 SE HS 1, 160 5 960 160 SE HS 1"""
_SMALL = """
16 3 16 16 SE RE 2, 16 3 72 24 - RE 2, 24 3 88 24 - RE 1, 24 5 96 40 SE HS 2,
40 5 240 40 SE HS 1, 40 5 240 40 SE HS 1, 40 5 120 48 SE HS 1, 48 5 144 48 SE HS 1,
tail, 48 5 288 96 SE HS 2, 96 5 576 96 SE HS 1, 96 5 576 96 SE HS 1"""


def _settings(table, width_mult, reduced_tail, dilated):
    settings, tail, shrink = [], False, 2 if reduced_tail else 1
    for line in table.split(","):
        if line.strip() == "tail":
            tail = True
            continue
        inp, kernel, hidden, out, se, activation, stride = line.split()
        inp, hidden, out = int(inp), int(hidden), int(out)
        if tail:
            first = int(stride) == 2
            inp = inp if first else inp // shrink
            hidden = hidden if first else hidden // shrink
            out //= shrink
        settings.append(
            InvertedResidualConfig(
                inp,
                int(kernel),
                hidden,
                out,
                se == "SE",
                activation,
                int(stride),
                2 if tail and dilated else 1,
                width_mult,
            )  # fmt: skip
        )
    return settings


def _mobilenet_v3(
    table, last, width_mult=1.0, reduced_tail=False, dilated=False, kind=MobileNetV3, **options
):
    last = InvertedResidualConfig.adjust_channels(last // (2 if reduced_tail else 1), width_mult)
    return kind(_settings(table, width_mult, reduced_tail, dilated), last, **options)


large = partial(_mobilenet_v3, _LARGE, 1280)
MobileNet_V3_Large_Weights, mobilenet_v3_large = model(
    "mobilenet_v3_large", "MobileNet_V3_Large_Weights", large
)
MobileNet_V3_Small_Weights, mobilenet_v3_small = model(
    "mobilenet_v3_small", "MobileNet_V3_Small_Weights", partial(_mobilenet_v3, _SMALL, 1024)
)
