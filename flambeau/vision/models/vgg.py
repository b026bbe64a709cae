"""VGG (Simonyan and Zisserman, arXiv 1409.1556)."""

from functools import partial

from flambeau import nn

from ._api import fit_classes, model
from ._utils import he_normal, init_layers, small_normal


class VGG(nn.Module):
    """3x3 convolutions (`features`) and three linear layers."""

    def __init__(self, features, num_classes=1000, init_weights=True, dropout=0.5):
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096),
            nn.ReLU(True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, num_classes),
        )
        if init_weights:
            init_layers(self, he_normal, small_normal)

    def forward(self, x):
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


# Convolutions in each of the five parts, of table 1; the widths are 64 128 256 512 512.
_DEPTHS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


def make_layers(cfg, batch_norm=False):
    """Convolutions of the given widths with ReLU; "M" is a pooling that halves."""
    layers, channels = [], 3
    for width in cfg:
        if width == "M":
            layers.append(nn.MaxPool2d(2, 2))
            continue
        layers.append(nn.Conv2d(channels, width, 3, padding=1))
        layers += [nn.BatchNorm2d(width)] if batch_norm else []
        layers.append(nn.ReLU(inplace=True))
        channels = width
    return nn.Sequential(*layers)


def _features(depth, batch_norm):
    parts = zip(_DEPTHS[depth], (64, 128, 256, 512, 512), strict=True)
    return make_layers([w for n, width in parts for w in [width] * n + ["M"]], batch_norm)


def _vgg(depth, batch_norm, **options):
    return VGG(_features(depth, batch_norm), **options)


def _fit(weights, options):
    options["init_weights"] = False
    if weights.meta["categories"] is not None:  # some are of the features only
        fit_classes(weights, options)


def _model(depth, batch_norm=False):
    suffix = "_bn" if batch_norm else ""
    make = partial(_vgg, depth, batch_norm)
    return model(f"vgg{depth}{suffix}", f"VGG{depth}{suffix.upper()}_Weights", make, _fit)


VGG11_Weights, vgg11 = _model(11)
VGG11_BN_Weights, vgg11_bn = _model(11, True)
VGG13_Weights, vgg13 = _model(13)
VGG13_BN_Weights, vgg13_bn = _model(13, True)
VGG16_Weights, vgg16 = _model(16)
VGG16_BN_Weights, vgg16_bn = _model(16, True)
VGG19_Weights, vgg19 = _model(19)
VGG19_BN_Weights, vgg19_bn = _model(19, True)

__all__ = ["VGG"] + [name for name in globals() if name.lower().startswith("vgg")][1:]
