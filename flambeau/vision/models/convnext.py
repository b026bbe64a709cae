"""ConvNeXt (Liu et al., arXiv 2201.03545)."""

from functools import partial

import flambeau
from flambeau import nn
from flambeau.nn import functional as F

from ..ops.misc import Conv2dNormActivation, Permute
from ..ops.stochastic_depth import StochasticDepth
from ._api import model
from ._utils import init_layers, truncated


class LayerNorm2d(nn.LayerNorm):
    """Layer norm over the channels of [N, C, H, W]."""

    def forward(self, x):
        x = F.layer_norm(
            x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps
        )
        return x.permute(0, 3, 1, 2)


class CNBlock(nn.Module):
    """Depthwise 7x7, norm, two linear layers beside the identity."""

    def __init__(self, dim, layer_scale, stochastic_depth_prob, norm_layer=None):
        super().__init__()
        norm_layer = norm_layer or partial(nn.LayerNorm, eps=1e-6)
        self.block = nn.Sequential(
            nn.Conv2d(dim, dim, 7, padding=3, groups=dim, bias=True),
            Permute([0, 2, 3, 1]),
            norm_layer(dim),
            nn.Linear(dim, 4 * dim),
            nn.GELU(),
            nn.Linear(4 * dim, dim),
            Permute([0, 3, 1, 2]),
        )
        self.layer_scale = nn.Parameter(flambeau.ones(dim, 1, 1) * layer_scale)
        self.stochastic_depth = StochasticDepth(stochastic_depth_prob, "row")

    def forward(self, input):
        return self.stochastic_depth(self.layer_scale * self.block(input)) + input


class CNBlockConfig:
    """Width, the next stage's width, and the number of blocks."""

    def __init__(self, input_channels, out_channels, num_layers):
        self.input_channels = input_channels
        self.out_channels = out_channels
        self.num_layers = num_layers

    def __repr__(self):
        return (
            f"CNBlockConfig(input_channels={self.input_channels}, "
            f"out_channels={self.out_channels}, num_layers={self.num_layers})"
        )


class ConvNeXt(nn.Module):
    """4x4 patches, stages of blocks, 2x2 convolutions between them."""

    def __init__(
        self,
        block_setting,
        stochastic_depth_prob=0.0,
        layer_scale=1e-6,
        num_classes=1000,
        block=None,
        norm_layer=None,
        **kwargs,
    ):
        super().__init__()
        if not block_setting:
            raise ValueError("The block_setting should not be empty")
        if not all(isinstance(s, CNBlockConfig) for s in block_setting):
            raise TypeError("The block_setting should be List[CNBlockConfig]")
        if kwargs:
            raise TypeError(f"ConvNeXt: unexpected arguments {sorted(kwargs)}")
        block = block or CNBlock
        norm_layer = norm_layer or partial(LayerNorm2d, eps=1e-6)
        layers = [
            Conv2dNormActivation(
                3,
                block_setting[0].input_channels,
                kernel_size=4,
                stride=4,
                padding=0,
                norm_layer=norm_layer,
                activation_layer=None,
                bias=True,
            )
        ]
        total, done = sum(s.num_layers for s in block_setting), 0
        for setting in block_setting:
            width, stage = setting.input_channels, []
            for _ in range(setting.num_layers):
                stage.append(
                    block(width, layer_scale, stochastic_depth_prob * done / (total - 1.0))
                )
                done += 1
            layers.append(nn.Sequential(*stage))
            if setting.out_channels is not None:
                layers.append(
                    nn.Sequential(norm_layer(width), nn.Conv2d(width, setting.out_channels, 2, 2))
                )
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        last = block_setting[-1]
        last = last.input_channels if last.out_channels is None else last.out_channels
        self.classifier = nn.Sequential(
            norm_layer(last), nn.Flatten(1), nn.Linear(last, num_classes)
        )
        init_layers(self, truncated, truncated, norm=False)

    def forward(self, x):
        return self.classifier(self.avgpool(self.features(x)))


def _convnext(widths, depths, drop, **options):
    following = [*widths[1:], None]
    setting = [CNBlockConfig(*line) for line in zip(widths, following, depths, strict=True)]
    options.setdefault("stochastic_depth_prob", drop)
    return ConvNeXt(setting, **options)


def _model(kind, width, depths, drop):
    make = partial(_convnext, [width, 2 * width, 4 * width, 8 * width], depths, drop)
    return model(f"convnext_{kind.lower()}", f"ConvNeXt_{kind}_Weights", make)


ConvNeXt_Tiny_Weights, convnext_tiny = _model("Tiny", 96, [3, 3, 9, 3], 0.1)
ConvNeXt_Small_Weights, convnext_small = _model("Small", 96, [3, 3, 27, 3], 0.4)
ConvNeXt_Base_Weights, convnext_base = _model("Base", 128, [3, 3, 27, 3], 0.5)
ConvNeXt_Large_Weights, convnext_large = _model("Large", 192, [3, 3, 27, 3], 0.5)

__all__ = [name for name in globals() if name.lower().startswith("convnext")]
