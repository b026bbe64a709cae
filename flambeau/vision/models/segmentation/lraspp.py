"""Lite R-ASPP on MobileNetV3 (Howard et al., arXiv 1905.02244, figure 10)."""

from collections import OrderedDict

from flambeau import nn
from flambeau.nn import functional as F

from .. import mobilenetv3
from .._utils import IntermediateLayerGetter
from ._utils import model, stages

__all__ = ["LRASPP", "LRASPP_MobileNet_V3_Large_Weights", "lraspp_mobilenet_v3_large"]


class LRASPPHead(nn.Module):
    """High features, gated by their mean, added to low ones."""

    def __init__(self, low_channels, high_channels, num_classes, inter_channels):
        super().__init__()
        self.cbr = nn.Sequential(
            nn.Conv2d(high_channels, inter_channels, 1, bias=False),
            nn.BatchNorm2d(inter_channels),
            nn.ReLU(inplace=True),
        )
        self.scale = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(high_channels, inter_channels, 1, bias=False),
            nn.Sigmoid(),
        )
        self.low_classifier = nn.Conv2d(low_channels, num_classes, 1)
        self.high_classifier = nn.Conv2d(inter_channels, num_classes, 1)

    def forward(self, input):
        low, high = input["low"], input["high"]
        x = self.cbr(high) * self.scale(high)
        x = F.interpolate(x, size=low.shape[-2:], mode="bilinear")
        return self.low_classifier(low) + self.high_classifier(x)


class LRASPP(nn.Module):
    """{"out": [N, classes, H, W]}"""

    def __init__(self, backbone, low_channels, high_channels, num_classes, inter_channels=128):
        super().__init__()
        self.backbone = backbone
        self.classifier = LRASPPHead(low_channels, high_channels, num_classes, inter_channels)

    def forward(self, input):
        out = self.classifier(self.backbone(input))
        out = F.interpolate(out, size=input.shape[-2:], mode="bilinear")
        return OrderedDict(out=out)


def _make(backbone, num_classes, aux):
    features = backbone.features
    index = stages(features)
    low, high = index[-4], index[-1]
    body = IntermediateLayerGetter(features, {str(low): "low", str(high): "high"})
    return LRASPP(body, features[low].out_channels, features[high].out_channels, num_classes)


LRASPP_MobileNet_V3_Large_Weights, lraspp_mobilenet_v3_large = model(
    "lraspp_mobilenet_v3_large",
    "LRASPP_MobileNet_V3_Large_Weights",
    __name__,
    mobilenetv3.mobilenet_v3_large,
    _make,
    aux=False,
    dilated=True,
)
