"""ShuffleNetV2 (Ma et al., arXiv 1807.11164)."""

from functools import partial

import flambeau
from flambeau import nn

from ._api import model


def channel_shuffle(x, groups):
    """Channels of all groups taken in turn."""
    n, c, h, w = x.size()
    return x.view(n, groups, c // groups, h, w).transpose(1, 2).contiguous().view(n, c, h, w)


class InvertedResidual(nn.Module):
    """Half of the channels goes by (stride 1) or through a branch of its own (stride 2)."""

    def __init__(self, inp, oup, stride):
        super().__init__()
        if not 1 <= stride <= 3:
            raise ValueError("illegal stride value")
        self.stride = stride
        half = oup // 2
        if stride == 1 and inp != half * 2:
            raise ValueError(
                f"Invalid combination of stride {stride}, inp {inp} and oup {oup} values. If "
                "stride == 1 then inp should be equal to oup // 2 << 1."
            )

        def point(channels):
            return [
                nn.Conv2d(channels, half, 1, bias=False),
                nn.BatchNorm2d(half),
                nn.ReLU(inplace=True),
            ]

        def depthwise(channels):
            return [
                nn.Conv2d(channels, channels, 3, stride, 1, groups=channels, bias=False),
                nn.BatchNorm2d(channels),
            ]

        self.branch1 = nn.Sequential(*(depthwise(inp) + point(inp) if stride > 1 else []))
        self.branch2 = nn.Sequential(
            *point(inp if stride > 1 else half), *depthwise(half), *point(half)
        )

    def forward(self, x):
        if self.stride == 1:
            kept, x = x.chunk(2, dim=1)
        else:
            kept = self.branch1(x)
        return channel_shuffle(self._join((kept, self.branch2(x))), 2)

    def _join(self, halves):
        return flambeau.cat(halves, 1)


class ShuffleNetV2(nn.Module):
    """A stem, three stages, a 1x1 convolution and a linear layer."""

    def __init__(
        self,
        stages_repeats,
        stages_out_channels,
        num_classes=1000,
        inverted_residual=InvertedResidual,
    ):
        super().__init__()
        if len(stages_repeats) != 3:
            raise ValueError("expected stages_repeats as list of 3 positive ints")
        if len(stages_out_channels) != 5:
            raise ValueError("expected stages_out_channels as list of 5 positive ints")
        self._stage_out_channels = stages_out_channels
        channels, *widths, last = stages_out_channels
        self.conv1 = nn.Sequential(
            nn.Conv2d(3, channels, 3, 2, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        )
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        for i, (repeats, width) in enumerate(zip(stages_repeats, widths, strict=True), 2):
            blocks = [inverted_residual(channels, width, 2)]
            blocks += [inverted_residual(width, width, 1) for _ in range(repeats - 1)]
            setattr(self, f"stage{i}", nn.Sequential(*blocks))
            channels = width
        self.conv5 = nn.Sequential(
            nn.Conv2d(channels, last, 1, bias=False), nn.BatchNorm2d(last), nn.ReLU(inplace=True)
        )
        self.fc = nn.Linear(last, num_classes)

    def forward(self, x):
        return self._forward_impl(x)

    def _forward_impl(self, x):
        x = self.maxpool(self.conv1(x))
        x = self.conv5(self.stage4(self.stage3(self.stage2(x))))
        return self.fc(x.mean([2, 3]))


CHANNELS = {  # table 5
    "0.5": [24, 48, 96, 192, 1024],
    "1.0": [24, 116, 232, 464, 1024],
    "1.5": [24, 176, 352, 704, 1024],
    "2.0": [24, 244, 488, 976, 2048],
}


def _model(width):
    name = width.replace(".", "_")
    sizes = {"stages_repeats": [4, 8, 4], "stages_out_channels": CHANNELS[width]}
    make = partial(ShuffleNetV2, **sizes)
    return model(f"shufflenet_v2_x{name}", f"ShuffleNet_V2_X{name}_Weights", make)


ShuffleNet_V2_X0_5_Weights, shufflenet_v2_x0_5 = _model("0.5")
ShuffleNet_V2_X1_0_Weights, shufflenet_v2_x1_0 = _model("1.0")
ShuffleNet_V2_X1_5_Weights, shufflenet_v2_x1_5 = _model("1.5")
ShuffleNet_V2_X2_0_Weights, shufflenet_v2_x2_0 = _model("2.0")

__all__ = [name for name in globals() if name.lower().startswith("shufflenet")]
