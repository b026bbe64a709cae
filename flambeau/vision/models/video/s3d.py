"""S3D, GoogLeNet with separate space and time (Xie et al., arXiv 1712.04851)."""

from functools import partial

import flambeau
from flambeau import nn

from ...ops.misc import Conv3dNormActivation
from .._api import model

__all__ = ["S3D", "S3D_Weights", "s3d"]


class TemporalSeparableConv(nn.Sequential):
    """1 x k x k, then k x 1 x 1."""

    def __init__(self, in_planes, out_planes, kernel_size, stride, padding, norm_layer):
        k, s, p = kernel_size, stride, padding
        unit = partial(Conv3dNormActivation, bias=False, norm_layer=norm_layer)
        super().__init__(
            unit(in_planes, out_planes, (1, k, k), (1, s, s), (0, p, p)),
            unit(out_planes, out_planes, (k, 1, 1), (s, 1, 1), (p, 0, 0)),
        )


class SepInceptionBlock3D(nn.Module):
    """1x1x1, two separable convolutions and pooling, side by side."""

    def __init__(self, in_planes, b0_out, b1_mid, b1_out, b2_mid, b2_out, b3_out, norm_layer):
        super().__init__()
        point = partial(Conv3dNormActivation, in_planes, kernel_size=1, norm_layer=norm_layer)

        def separable(mid, out):
            return nn.Sequential(point(mid), TemporalSeparableConv(mid, out, 3, 1, 1, norm_layer))

        self.branch0 = point(b0_out)
        self.branch1 = separable(b1_mid, b1_out)
        self.branch2 = separable(b2_mid, b2_out)
        self.branch3 = nn.Sequential(nn.MaxPool3d(3, 1, 1), point(b3_out))

    def forward(self, x):
        return flambeau.cat([branch(x) for branch in self.children()], 1)


# GoogLeNet's table; a pooling's kernel, stride and padding between the blocks.
_TABLE = [
    (192, 64, 96, 128, 16, 32, 32),
    (256, 128, 128, 192, 32, 96, 64),
    (3, 2, 1),
    (480, 192, 96, 208, 16, 48, 64),
    (512, 160, 112, 224, 24, 64, 64),
    (512, 128, 128, 256, 24, 64, 64),
    (512, 112, 144, 288, 32, 64, 64),
    (528, 256, 160, 320, 32, 128, 128),
    (2, 2, 0),
    (832, 256, 160, 320, 32, 128, 128),
    (832, 384, 192, 384, 48, 128, 128),
]


class S3D(nn.Module):
    """For [N, 3, T, H, W] with T of 14 and H and W of 224 at least."""

    def __init__(self, num_classes=400, dropout=0.2, norm_layer=None):
        super().__init__()
        norm_layer = norm_layer or partial(nn.BatchNorm3d, eps=0.001, momentum=0.001)
        layers = [
            TemporalSeparableConv(3, 64, 7, 2, 3, norm_layer),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            Conv3dNormActivation(64, 64, kernel_size=1, norm_layer=norm_layer),
            TemporalSeparableConv(64, 192, 3, 1, 1, norm_layer),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
        ]
        for row in _TABLE:
            pooling = len(row) == 3
            layers.append(nn.MaxPool3d(*row) if pooling else SepInceptionBlock3D(*row, norm_layer))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AvgPool3d((2, 7, 7), stride=1)
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout), nn.Conv3d(1024, num_classes, 1, bias=True)
        )

    def forward(self, x):
        x = self.classifier(self.avgpool(self.features(x)))
        return x.mean(dim=(2, 3, 4))


S3D_Weights, s3d = model("s3d", "S3D_Weights", S3D)
