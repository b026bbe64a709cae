"""EfficientNet (Tan and Le, arXiv 1905.11946) and EfficientNetV2 (arXiv 2104.00298)."""

import copy
import math
from functools import partial

from flambeau import nn

from ..ops.misc import Conv2dNormActivation, SqueezeExcitation
from ..ops.stochastic_depth import StochasticDepth
from ._api import model
from ._utils import init_layers, make_divisible


class _MBConvConfig:
    """A line of a table: `num_layers` blocks, of which the first has the stride."""

    def __init__(
        self, expand_ratio, kernel, stride, input_channels, out_channels, num_layers, block
    ):
        self.expand_ratio = expand_ratio
        self.kernel = kernel
        self.stride = stride
        self.input_channels = input_channels
        self.out_channels = out_channels
        self.num_layers = num_layers
        self.block = block

    @staticmethod
    def adjust_channels(channels, width_mult, min_value=None):
        return make_divisible(channels * width_mult, 8, min_value)

    def __repr__(self):
        values = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({values})"


class MBConvConfig(_MBConvConfig):
    """A line of table 1, scaled in width and depth."""

    def __init__(
        self,
        expand_ratio,
        kernel,
        stride,
        input_channels,
        out_channels,
        num_layers,
        width_mult=1.0,
        depth_mult=1.0,
        block=None,
    ):
        super().__init__(
            expand_ratio,
            kernel,
            stride,
            self.adjust_channels(input_channels, width_mult),
            self.adjust_channels(out_channels, width_mult),
            self.adjust_depth(num_layers, depth_mult),
            block or MBConv,
        )

    @staticmethod
    def adjust_depth(num_layers, depth_mult):
        return int(math.ceil(num_layers * depth_mult))


class FusedMBConvConfig(_MBConvConfig):
    """A line with an ordinary convolution in place of 1x1 and depthwise (V2, figure 2)."""

    def __init__(
        self,
        expand_ratio,
        kernel,
        stride,
        input_channels,
        out_channels,
        num_layers,
        block=None,
    ):
        super().__init__(
            expand_ratio,
            kernel,
            stride,
            input_channels,
            out_channels,
            num_layers,
            block or FusedMBConv,
        )


class _Residual(nn.Module):
    def __init__(self, cnf, stochastic_depth_prob, layers):
        super().__init__()
        if not 1 <= cnf.stride <= 2:
            raise ValueError("illegal stride value")
        self.use_res_connect = cnf.stride == 1 and cnf.input_channels == cnf.out_channels
        self.block = nn.Sequential(*layers)
        self.stochastic_depth = StochasticDepth(stochastic_depth_prob, "row")
        self.out_channels = cnf.out_channels

    def forward(self, input):
        result = self.block(input)
        return self.stochastic_depth(result) + input if self.use_res_connect else result


class MBConv(_Residual):
    """1x1 to more channels, depthwise, squeeze and excitation, 1x1."""

    def __init__(self, cnf, stochastic_depth_prob, norm_layer, se_layer=SqueezeExcitation):
        unit = partial(Conv2dNormActivation, norm_layer=norm_layer, activation_layer=nn.SiLU)
        hidden = cnf.adjust_channels(cnf.input_channels, cnf.expand_ratio)
        layers = []
        if hidden != cnf.input_channels:
            layers.append(unit(cnf.input_channels, hidden, kernel_size=1))
        layers.append(
            unit(hidden, hidden, kernel_size=cnf.kernel, stride=cnf.stride, groups=hidden)
        )
        squeezed = max(1, cnf.input_channels // 4)
        layers.append(se_layer(hidden, squeezed, activation=partial(nn.SiLU, inplace=True)))
        layers.append(unit(hidden, cnf.out_channels, kernel_size=1, activation_layer=None))
        super().__init__(cnf, stochastic_depth_prob, layers)


class FusedMBConv(_Residual):
    """A convolution to more channels, 1x1 to few."""

    def __init__(self, cnf, stochastic_depth_prob, norm_layer):
        unit = partial(Conv2dNormActivation, norm_layer=norm_layer, activation_layer=nn.SiLU)
        hidden = cnf.adjust_channels(cnf.input_channels, cnf.expand_ratio)
        outer = cnf.out_channels
        first = partial(unit, cnf.input_channels, kernel_size=cnf.kernel, stride=cnf.stride)
        if hidden == cnf.input_channels:
            layers = [first(outer)]
        else:
            layers = [first(hidden), unit(hidden, outer, kernel_size=1, activation_layer=None)]
        super().__init__(cnf, stochastic_depth_prob, layers)


class EfficientNet(nn.Module):
    """Stages as the configurations say; blocks are dropped more often the deeper they are."""

    def __init__(
        self,
        inverted_residual_setting,
        dropout,
        stochastic_depth_prob=0.2,
        num_classes=1000,
        norm_layer=None,
        last_channel=None,
    ):
        super().__init__()
        settings = inverted_residual_setting
        if not settings:
            raise ValueError("The inverted_residual_setting should not be empty")
        if not all(isinstance(s, _MBConvConfig) for s in settings):
            raise TypeError("The inverted_residual_setting should be List[MBConvConfig]")
        norm_layer = norm_layer or nn.BatchNorm2d
        unit = partial(Conv2dNormActivation, norm_layer=norm_layer, activation_layer=nn.SiLU)
        layers = [unit(3, settings[0].input_channels, stride=2)]
        total, done = sum(s.num_layers for s in settings), 0
        for setting in settings:
            stage, cnf = [], copy.copy(setting)
            for _ in range(setting.num_layers):
                stage.append(
                    cnf.block(cnf, stochastic_depth_prob * float(done) / total, norm_layer)
                )
                cnf = copy.copy(cnf)
                cnf.input_channels, cnf.stride = cnf.out_channels, 1
                done += 1
            layers.append(nn.Sequential(*stage))
        last = settings[-1].out_channels
        width = 4 * last if last_channel is None else last_channel
        layers.append(unit(last, width, kernel_size=1))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout, inplace=True), nn.Linear(width, num_classes)
        )
        init_layers(
            self,
            partial(nn.init.kaiming_normal_, mode="fan_out"),
            lambda w: nn.init.uniform_(w, -1.0 / math.sqrt(len(w)), 1.0 / math.sqrt(len(w))),
        )

    def forward(self, x):
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


# V1, table 1: expansion, kernel, stride, channels in and out, repeats.
_B0 = [
    (1, 3, 1, 32, 16, 1),
    (6, 3, 2, 16, 24, 2),
    (6, 5, 2, 24, 40, 2),
    (6, 3, 2, 40, 80, 3),
    (6, 5, 1, 80, 112, 3),
    (6, 5, 2, 112, 192, 4),
    (6, 3, 1, 192, 320, 1),
]
# V2: the fused lines, then the others, from the authors' code.
_V2 = {
    "s": (
        [(1, 3, 1, 24, 24, 2), (4, 3, 2, 24, 48, 4), (4, 3, 2, 48, 64, 4)],
        [(4, 3, 2, 64, 128, 6), (6, 3, 1, 128, 160, 9), (6, 3, 2, 160, 256, 15)],
    ),
    "m": (
        [(1, 3, 1, 24, 24, 3), (4, 3, 2, 24, 48, 5), (4, 3, 2, 48, 80, 5)],
        [
            (4, 3, 2, 80, 160, 7),
            (6, 3, 1, 160, 176, 14),
            (6, 3, 2, 176, 304, 18),
            (6, 3, 1, 304, 512, 5),
        ],
    ),
    "l": (
        [(1, 3, 1, 32, 32, 4), (4, 3, 2, 32, 64, 7), (4, 3, 2, 64, 96, 7)],
        [
            (4, 3, 2, 96, 192, 10),
            (6, 3, 1, 192, 224, 19),
            (6, 3, 2, 224, 384, 25),
            (6, 3, 1, 384, 640, 7),
        ],
    ),
}


def _efficientnet(kind, width, depth, dropout, norm, **options):
    if kind in _V2:
        fused, rest = _V2[kind]
        settings = [FusedMBConvConfig(*line) for line in fused]
        settings += [MBConvConfig(*line) for line in rest]
        options.setdefault("last_channel", 1280)
    else:
        settings = [MBConvConfig(*line, width_mult=width, depth_mult=depth) for line in _B0]
    if norm:
        options.setdefault("norm_layer", partial(nn.BatchNorm2d, **norm))
    return EfficientNet(settings, options.pop("dropout", dropout), **options)


def _model(kind, dropout, width=1.0, depth=1.0, **norm):
    enum = f"EfficientNet_{kind.upper()}_Weights"
    make = partial(_efficientnet, kind.removeprefix("v2_"), width, depth, dropout, norm)
    return model(f"efficientnet_{kind}", enum, make)


_LARGE_NORM = {"eps": 0.001, "momentum": 0.01}
EfficientNet_B0_Weights, efficientnet_b0 = _model("b0", 0.2, 1.0, 1.0)
EfficientNet_B1_Weights, efficientnet_b1 = _model("b1", 0.2, 1.0, 1.1)
EfficientNet_B2_Weights, efficientnet_b2 = _model("b2", 0.3, 1.1, 1.2)
EfficientNet_B3_Weights, efficientnet_b3 = _model("b3", 0.3, 1.2, 1.4)
EfficientNet_B4_Weights, efficientnet_b4 = _model("b4", 0.4, 1.4, 1.8)
EfficientNet_B5_Weights, efficientnet_b5 = _model("b5", 0.4, 1.6, 2.2, **_LARGE_NORM)
EfficientNet_B6_Weights, efficientnet_b6 = _model("b6", 0.5, 1.8, 2.6, **_LARGE_NORM)
EfficientNet_B7_Weights, efficientnet_b7 = _model("b7", 0.5, 2.0, 3.1, **_LARGE_NORM)
EfficientNet_V2_S_Weights, efficientnet_v2_s = _model("v2_s", 0.2, eps=1e-3)
EfficientNet_V2_M_Weights, efficientnet_v2_m = _model("v2_m", 0.3, eps=1e-3)
EfficientNet_V2_L_Weights, efficientnet_v2_l = _model("v2_l", 0.4, eps=1e-3)

__all__ = [name for name in globals() if name.lower().startswith("efficientnet")]
