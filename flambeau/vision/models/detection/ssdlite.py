"""SSDlite on MobileNetV3 (Howard et al., arXiv 1905.02244, section 6.3)."""

from collections import OrderedDict
from functools import partial

from flambeau import nn

from ...ops import Conv2dNormActivation
from .. import mobilenetv3
from . import _utils as det_utils
from .anchor_utils import DefaultBoxGenerator
from .backbone_utils import freeze, stage_indices
from .ssd import SSD, SSDScoringHead

__all__ = ["SSDLite320_MobileNet_V3_Large_Weights", "ssdlite320_mobilenet_v3_large"]


def _prediction_block(in_channels, out_channels, kernel_size, norm_layer):
    """Depthwise, then 1x1."""
    return nn.Sequential(
        Conv2dNormActivation(
            in_channels,
            in_channels,
            kernel_size=kernel_size,
            groups=in_channels,
            norm_layer=norm_layer,
            activation_layer=nn.ReLU6,
        ),
        nn.Conv2d(in_channels, out_channels, 1),
    )


def _extra_block(in_channels, out_channels, norm_layer):
    """1x1, depthwise of stride 2, 1x1."""
    unit = partial(Conv2dNormActivation, norm_layer=norm_layer, activation_layer=nn.ReLU6)
    mid = out_channels // 2
    return nn.Sequential(
        unit(in_channels, mid, kernel_size=1),
        unit(mid, mid, kernel_size=3, stride=2, groups=mid),
        unit(mid, out_channels, kernel_size=1),
    )


def _scoring_head(in_channels, num_anchors, columns, norm_layer):
    layers = nn.ModuleList(
        _prediction_block(channels, columns * count, 3, norm_layer)
        for channels, count in zip(in_channels, num_anchors, strict=True)
    )
    det_utils.normal_init(layers, 0.03)
    return layers, columns


class SSDLiteClassificationHead(SSDScoringHead):
    """[N, boxes, classes]"""

    def __init__(self, in_channels, num_anchors, num_classes, norm_layer):
        super().__init__(*_scoring_head(in_channels, num_anchors, num_classes, norm_layer))


class SSDLiteRegressionHead(SSDScoringHead):
    """[N, boxes, 4]"""

    def __init__(self, in_channels, num_anchors, norm_layer):
        super().__init__(*_scoring_head(in_channels, num_anchors, 4, norm_layer))


class SSDLiteHead(nn.Module):
    """Classes and boxes of all default boxes."""

    def __init__(self, in_channels, num_anchors, num_classes, norm_layer):
        super().__init__()
        self.classification_head = SSDLiteClassificationHead(
            in_channels, num_anchors, num_classes, norm_layer
        )
        self.regression_head = SSDLiteRegressionHead(in_channels, num_anchors, norm_layer)

    def forward(self, x):
        return {
            "bbox_regression": self.regression_head(x),
            "cls_logits": self.classification_head(x),
        }


class SSDLiteFeatureExtractorMobileNet(nn.Module):
    """Maps of six sizes: within the block at `c4_pos`, at the end, and after further blocks."""

    def __init__(self, backbone, c4_pos, norm_layer, width_mult=1.0, min_depth=16):
        super().__init__()
        if backbone[c4_pos].use_res_connect:
            raise ValueError("backbone[c4_pos].use_res_connect should be False")
        block = backbone[c4_pos].block
        self.features = nn.Sequential(
            nn.Sequential(*backbone[:c4_pos], block[0]),
            nn.Sequential(block[1:], *backbone[c4_pos + 1 :]),
        )
        widths = [max(min_depth, int(d * width_mult)) for d in (512, 256, 256, 128)]
        before = [self.features[1][-1].out_channels, *widths[:-1]]
        self.extra = nn.ModuleList(
            _extra_block(inp, out, norm_layer) for inp, out in zip(before, widths, strict=True)
        )
        det_utils.normal_init(self.extra, 0.03)

    def forward(self, x):
        maps = []
        for layer in (*self.features, *self.extra):
            x = layer(x)
            maps.append(x)
        return OrderedDict((str(i), v) for i, v in enumerate(maps))


def _ssdlite320(
    weights_backbone, progress, trainable, trained, num_classes, norm_layer=None, **options
):
    norm_layer = norm_layer or partial(nn.BatchNorm2d, eps=0.001, momentum=0.03)
    size = (320, 320)
    net = mobilenetv3.mobilenet_v3_large(
        weights=weights_backbone,
        progress=progress,
        norm_layer=norm_layer,
        reduced_tail=weights_backbone is None,
    )
    if weights_backbone is None:
        det_utils.normal_init(net, 0.03)
    features = net.features
    stages = [*stage_indices(features), len(features) - 1]
    freeze(features, stages, trainable)
    backbone = SSDLiteFeatureExtractorMobileNet(features, stages[-2], norm_layer)
    anchors = DefaultBoxGenerator([[2, 3] for _ in range(6)], min_ratio=0.2, max_ratio=0.95)
    channels = det_utils.retrieve_out_channels(backbone, size)
    head = SSDLiteHead(channels, anchors.num_anchors_per_location(), num_classes, norm_layer)
    defaults = {
        "score_thresh": 0.001,
        "nms_thresh": 0.55,
        "detections_per_img": 300,
        "topk_candidates": 300,
        # from -1 to 1
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }
    return SSD(backbone, anchors, size, num_classes, head=head, **{**defaults, **options})


SSDLite320_MobileNet_V3_Large_Weights, ssdlite320_mobilenet_v3_large = det_utils.detector(
    "ssdlite320_mobilenet_v3_large",
    "SSDLite320_MobileNet_V3_Large_Weights",
    __name__,
    _ssdlite320,
    layers=(6, 6),
)
