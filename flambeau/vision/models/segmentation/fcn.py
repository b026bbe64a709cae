"""Fully convolutional networks (Long et al., arXiv 1411.4038) on a dilated ResNet."""

from flambeau import nn

from .. import resnet
from ._utils import _SimpleSegmentationModel, cut, model

__all__ = ["FCN", "FCN_ResNet50_Weights", "FCN_ResNet101_Weights", "fcn_resnet50", "fcn_resnet101"]


class FCN(_SimpleSegmentationModel):
    """A backbone and an `FCNHead`."""


class FCNHead(nn.Sequential):
    """3x3 and 1x1."""

    def __init__(self, in_channels, channels):
        inner = in_channels // 4
        super().__init__(
            nn.Conv2d(in_channels, inner, 3, padding=1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Conv2d(inner, channels, 1),
        )


def _fcn(backbone, num_classes, aux):
    aux_head = FCNHead(1024, num_classes) if aux else None
    return FCN(cut(backbone, aux, "layer4", "layer3"), FCNHead(2048, num_classes), aux_head)


DILATED = {"replace_stride_with_dilation": [False, True, True]}
FCN_ResNet50_Weights, fcn_resnet50 = model(
    "fcn_resnet50", "FCN_ResNet50_Weights", __name__, resnet.resnet50, _fcn, **DILATED
)
FCN_ResNet101_Weights, fcn_resnet101 = model(
    "fcn_resnet101", "FCN_ResNet101_Weights", __name__, resnet.resnet101, _fcn, **DILATED
)
