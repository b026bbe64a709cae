"""DeepLabV3 (Chen et al., arXiv 1706.05587)."""

import flambeau
from flambeau import nn
from flambeau.nn import functional as F

from .. import mobilenetv3, resnet
from ._utils import _SimpleSegmentationModel, cut, model, stages
from .fcn import DILATED, FCNHead


class DeepLabV3(_SimpleSegmentationModel):
    """A backbone and a `DeepLabHead`."""


def _unit(in_channels, out_channels, kernel=1, dilation=1):
    padding = dilation if kernel > 1 else 0
    layers = [
        nn.Conv2d(
            in_channels, out_channels, kernel, padding=padding, dilation=dilation, bias=False
        ),
        nn.BatchNorm2d(out_channels),
    ]
    return [*layers, nn.ReLU()]


class ASPPConv(nn.Sequential):
    """A dilated 3x3 convolution."""

    def __init__(self, in_channels, out_channels, dilation):
        super().__init__(*_unit(in_channels, out_channels, 3, dilation))


class ASPPPooling(nn.Sequential):
    """The mean of the whole image, everywhere."""

    def __init__(self, in_channels, out_channels):
        super().__init__(nn.AdaptiveAvgPool2d(1), *_unit(in_channels, out_channels))

    def forward(self, x):
        return F.interpolate(super().forward(x), size=x.shape[-2:], mode="bilinear")


class ASPP(nn.Module):
    """Convolutions of several dilations side by side."""

    def __init__(self, in_channels, atrous_rates, out_channels=256):
        super().__init__()
        self.convs = nn.ModuleList(
            [
                nn.Sequential(*_unit(in_channels, out_channels)),
                *(ASPPConv(in_channels, out_channels, rate) for rate in atrous_rates),
                ASPPPooling(in_channels, out_channels),
            ]
        )
        joined = len(self.convs) * out_channels
        self.project = nn.Sequential(*_unit(joined, out_channels), nn.Dropout(0.5))

    def forward(self, x):
        return self.project(flambeau.cat([conv(x) for conv in self.convs], dim=1))


class DeepLabHead(nn.Sequential):
    """ASPP, 3x3 and 1x1."""

    def __init__(self, in_channels, num_classes, atrous_rates=(12, 24, 36)):
        super().__init__(
            ASPP(in_channels, atrous_rates), *_unit(256, 256, 3), nn.Conv2d(256, num_classes, 1)
        )


def _on_resnet(backbone, num_classes, aux):
    aux_head = FCNHead(1024, num_classes) if aux else None
    body = cut(backbone, aux, "layer4", "layer3")
    return DeepLabV3(body, DeepLabHead(2048, num_classes), aux_head)


def _on_mobilenet(backbone, num_classes, aux):
    features = backbone.features
    index = stages(features)
    out, early = index[-1], index[-4]
    aux_head = FCNHead(features[early].out_channels, num_classes) if aux else None
    head = DeepLabHead(features[out].out_channels, num_classes)
    return DeepLabV3(cut(features, aux, out, early), head, aux_head)


DeepLabV3_ResNet50_Weights, deeplabv3_resnet50 = model(
    "deeplabv3_resnet50",
    "DeepLabV3_ResNet50_Weights",
    __name__,
    resnet.resnet50,
    _on_resnet,
    **DILATED,
)
DeepLabV3_ResNet101_Weights, deeplabv3_resnet101 = model(
    "deeplabv3_resnet101",
    "DeepLabV3_ResNet101_Weights",
    __name__,
    resnet.resnet101,
    _on_resnet,
    **DILATED,
)
DeepLabV3_MobileNet_V3_Large_Weights, deeplabv3_mobilenet_v3_large = model(
    "deeplabv3_mobilenet_v3_large",
    "DeepLabV3_MobileNet_V3_Large_Weights",
    __name__,
    mobilenetv3.mobilenet_v3_large,
    _on_mobilenet,
    dilated=True,
)

__all__ = [name for name in globals() if name.lower().startswith("deeplabv3")]
