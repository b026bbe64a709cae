"""SqueezeNet (Iandola et al., arXiv 1602.07360) and the authors' version 1.1."""

from functools import partial

import flambeau
from flambeau import nn

from ._api import model
from ._utils import init_layers

__all__ = [
    "SqueezeNet",
    "SqueezeNet1_0_Weights",
    "SqueezeNet1_1_Weights",
    "squeezenet1_0",
    "squeezenet1_1",
]


class Fire(nn.Module):
    """Few 1x1 filters, then 1x1 and 3x3 ones side by side."""

    def __init__(self, inplanes, squeeze_planes, expand1x1_planes, expand3x3_planes):
        super().__init__()
        self.squeeze = nn.Conv2d(inplanes, squeeze_planes, 1)
        self.squeeze_activation = nn.ReLU(inplace=True)
        self.expand1x1 = nn.Conv2d(squeeze_planes, expand1x1_planes, 1)
        self.expand1x1_activation = nn.ReLU(inplace=True)
        self.expand3x3 = nn.Conv2d(squeeze_planes, expand3x3_planes, 3, padding=1)
        self.expand3x3_activation = nn.ReLU(inplace=True)

    def forward(self, x):
        x = self.squeeze_activation(self.squeeze(x))
        small = self.expand1x1_activation(self.expand1x1(x))
        return flambeau.cat([small, self.expand3x3_activation(self.expand3x3(x))], 1)


# Widths of the first convolution, its kernel, and the Fire modules' squeezes; 0 is a pooling.
_VERSIONS = {
    "1_0": (96, 7, (0, 16, 16, 32, 0, 32, 48, 48, 64, 0, 64)),
    "1_1": (64, 3, (0, 16, 16, 0, 32, 32, 0, 48, 48, 64, 64)),
}


class SqueezeNet(nn.Module):
    """Fire modules and a convolution instead of linear layers."""

    def __init__(self, version="1_0", num_classes=1000, dropout=0.5):
        super().__init__()
        if version not in _VERSIONS:
            raise ValueError(f"Unsupported SqueezeNet version {version}: 1_0 or 1_1 expected")
        self.num_classes = num_classes
        channels, kernel, squeezes = _VERSIONS[version]
        layers = [nn.Conv2d(3, channels, kernel, stride=2), nn.ReLU(inplace=True)]
        for squeeze in squeezes:
            if squeeze:
                layers.append(Fire(channels, squeeze, 4 * squeeze, 4 * squeeze))
                channels = 8 * squeeze
            else:
                layers.append(nn.MaxPool2d(3, 2, ceil_mode=True))
        self.features = nn.Sequential(*layers)
        final = nn.Conv2d(512, num_classes, 1)
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout), final, nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d((1, 1))
        )
        init_layers(
            self,
            lambda w: (
                nn.init.normal_(w, 0.0, 0.01) if w is final.weight else nn.init.kaiming_uniform_(w)
            ),
        )

    def forward(self, x):
        return self.classifier(self.features(x)).flatten(1)


SqueezeNet1_0_Weights, squeezenet1_0 = model(
    "squeezenet1_0", "SqueezeNet1_0_Weights", partial(SqueezeNet, "1_0")
)
SqueezeNet1_1_Weights, squeezenet1_1 = model(
    "squeezenet1_1", "SqueezeNet1_1_Weights", partial(SqueezeNet, "1_1")
)
