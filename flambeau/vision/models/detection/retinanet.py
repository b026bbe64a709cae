"""RetinaNet (Lin et al., arXiv 1708.02002)."""

import math
from functools import partial

import flambeau
from flambeau import nn

from ...ops import (
    Conv2dNormActivation,
    FrozenBatchNorm2d,
    box_iou,
    sigmoid_focal_loss,
)
from ...ops.feature_pyramid_network import LastLevelP6P7
from .. import resnet
from . import _utils as det_utils
from .anchor_utils import AnchorGenerator
from .backbone_utils import _resnet_fpn_extractor
from .faster_rcnn import MEAN, STD
from .single_stage import SingleStage, by_place
from .transform import GeneralizedRCNNTransform

__all__ = [
    "RetinaNet",
    "RetinaNet_ResNet50_FPN_V2_Weights",
    "RetinaNet_ResNet50_FPN_Weights",
    "retinanet_resnet50_fpn",
    "retinanet_resnet50_fpn_v2",
]


def _default_anchorgen():
    sizes = tuple(
        (x, int(x * 2 ** (1.0 / 3)), int(x * 2 ** (2.0 / 3))) for x in (32, 64, 128, 256, 512)
    )
    return AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * len(sizes))


class _Head(nn.Module):
    _version = 2

    def __init__(self, in_channels, norm_layer):
        super().__init__()
        self.conv = nn.Sequential(
            *(
                Conv2dNormActivation(in_channels, in_channels, norm_layer=norm_layer)
                for _ in range(4)
            )
        )

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, *args):
        if local_metadata.get("version", None) in (None, 1):  # conv.0 conv.2 ... then
            for i in range(4):
                for kind in ("weight", "bias"):
                    value = state_dict.pop(f"{prefix}conv.{2 * i}.{kind}", None)
                    if value is not None:
                        state_dict[f"{prefix}conv.{i}.0.{kind}"] = value
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)


class RetinaNetClassificationHead(_Head):
    """[N, anchors, classes]"""

    def __init__(
        self, in_channels, num_anchors, num_classes, prior_probability=0.01, norm_layer=None
    ):
        super().__init__(in_channels, norm_layer)
        det_utils.normal_init(self.conv)
        self.cls_logits = nn.Conv2d(in_channels, num_anchors * num_classes, 3, 1, 1)
        nn.init.normal_(self.cls_logits.weight, std=0.01)
        bias = -math.log((1 - prior_probability) / prior_probability)
        nn.init.constant_(self.cls_logits.bias, bias)
        self.num_classes = num_classes
        self.num_anchors = num_anchors

    def compute_loss(self, targets, head_outputs, matched_idxs):
        losses = []
        for target, logits, matched in zip(
            targets, head_outputs["cls_logits"], matched_idxs, strict=True
        ):
            positive = matched >= 0
            truth = flambeau.zeros_like(logits)
            truth[positive, target["labels"][matched[positive]]] = 1.0
            counts = matched != det_utils.Matcher.BETWEEN_THRESHOLDS
            loss = sigmoid_focal_loss(logits[counts], truth[counts], reduction="sum")
            losses.append(loss / max(1, int(positive.sum())))
        return sum(losses) / max(1, len(targets))

    def forward(self, x):
        maps = [by_place(self.cls_logits(self.conv(f)), self.num_classes) for f in x]
        return flambeau.cat(maps, dim=1)


class RetinaNetRegressionHead(_Head):
    """[N, anchors, 4]"""

    def __init__(self, in_channels, num_anchors, norm_layer=None):
        super().__init__(in_channels, norm_layer)
        self.bbox_reg = nn.Conv2d(in_channels, num_anchors * 4, 3, 1, 1)
        nn.init.normal_(self.bbox_reg.weight, std=0.01)
        nn.init.zeros_(self.bbox_reg.bias)
        det_utils.normal_init(self.conv)
        self.box_coder = det_utils.BoxCoder(weights=(1.0, 1.0, 1.0, 1.0))
        self._loss_type = "l1"

    def compute_loss(self, targets, head_outputs, anchors, matched_idxs):
        losses = []
        for target, regression, anchor, matched in zip(
            targets, head_outputs["bbox_regression"], anchors, matched_idxs, strict=True
        ):
            index = flambeau.where(matched >= 0)[0]
            truth = target["boxes"][matched[index]]
            loss = det_utils._box_loss(
                self._loss_type, self.box_coder, anchor[index], truth, regression[index]
            )
            losses.append(loss / max(1, index.numel()))
        return sum(losses) / max(1, len(targets))

    def forward(self, x):
        return flambeau.cat([by_place(self.bbox_reg(self.conv(f)), 4) for f in x], dim=1)


class RetinaNetHead(nn.Module):
    """Classes and boxes of all anchors."""

    def __init__(self, in_channels, num_anchors, num_classes, norm_layer=None):
        super().__init__()
        self.classification_head = RetinaNetClassificationHead(
            in_channels, num_anchors, num_classes, norm_layer=norm_layer
        )
        self.regression_head = RetinaNetRegressionHead(
            in_channels, num_anchors, norm_layer=norm_layer
        )

    def compute_loss(self, targets, head_outputs, anchors, matched_idxs):
        return {
            "classification": self.classification_head.compute_loss(
                targets, head_outputs, matched_idxs
            ),
            "bbox_regression": self.regression_head.compute_loss(
                targets, head_outputs, anchors, matched_idxs
            ),
        }

    def forward(self, x):
        return {
            "cls_logits": self.classification_head(x),
            "bbox_regression": self.regression_head(x),
        }


class RetinaNet(SingleStage):
    """Takes and returns what `FasterRCNN` does."""

    def __init__(
        self,
        backbone,
        num_classes,
        min_size=800,
        max_size=1333,
        image_mean=None,
        image_std=None,
        anchor_generator=None,
        head=None,
        proposal_matcher=None,
        score_thresh=0.05,
        nms_thresh=0.5,
        detections_per_img=300,
        fg_iou_thresh=0.5,
        bg_iou_thresh=0.4,
        topk_candidates=1000,
        **kwargs,
    ):
        super().__init__()
        if not hasattr(backbone, "out_channels"):
            raise ValueError("backbone should contain an attribute out_channels")
        self.backbone = backbone
        self.anchor_generator = anchor_generator or _default_anchorgen()
        anchors = self.anchor_generator.num_anchors_per_location()[0]
        self.head = head or RetinaNetHead(backbone.out_channels, anchors, num_classes)
        self.proposal_matcher = proposal_matcher or det_utils.Matcher(
            fg_iou_thresh, bg_iou_thresh, allow_low_quality_matches=True
        )
        self.box_coder = det_utils.BoxCoder(weights=(1.0, 1.0, 1.0, 1.0))
        self.transform = GeneralizedRCNNTransform(
            min_size, max_size, image_mean or MEAN, image_std or STD, **kwargs
        )
        self.score_thresh = score_thresh
        self.nms_thresh = nms_thresh
        self.detections_per_img = detections_per_img
        self.topk_candidates = topk_candidates

    def compute_loss(self, targets, head_outputs, anchors, counts=None):
        matched = []
        for anchor, target in zip(anchors, targets, strict=True):
            if target["boxes"].numel() == 0:
                none = flambeau.full((anchor.size(0),), -1, dtype=flambeau.int64)
                matched.append(none.to(anchor.device))
            else:
                matched.append(self.proposal_matcher(box_iou(target["boxes"], anchor)))
        return self.head.compute_loss(targets, head_outputs, anchors, matched)

    def _scores(self, outputs):
        return flambeau.sigmoid(outputs["cls_logits"])

    def _decode(self, codes, anchors):
        return self.box_coder.decode_single(codes, anchors)


def resnet_p7(weights_backbone, progress, trainable, trained, p6_channels=256, **options):
    """ResNet-50 with a pyramid of levels 3 to 7."""
    if "norm_layer" not in options:
        options["norm_layer"] = FrozenBatchNorm2d if trained else nn.BatchNorm2d
    backbone = resnet.resnet50(weights=weights_backbone, progress=progress, **options)
    return _resnet_fpn_extractor(
        backbone,
        trainable,
        returned_layers=[2, 3, 4],
        extra_blocks=LastLevelP6P7(p6_channels, 256),
    )


def _resnet50_fpn(weights_backbone, progress, trainable, trained, num_classes, v2=False, **options):
    body = partial(resnet_p7, weights_backbone, progress, trainable, trained)
    if not v2:
        return RetinaNet(body(), num_classes, **options)
    backbone = body(p6_channels=2048, norm_layer=nn.BatchNorm2d)
    anchors = _default_anchorgen()
    head = RetinaNetHead(
        backbone.out_channels,
        anchors.num_anchors_per_location()[0],
        num_classes,
        norm_layer=partial(nn.GroupNorm, 32),
    )
    head.regression_head._loss_type = "giou"
    return RetinaNet(backbone, num_classes, anchor_generator=anchors, head=head, **options)


RetinaNet_ResNet50_FPN_Weights, retinanet_resnet50_fpn = det_utils.detector(
    "retinanet_resnet50_fpn",
    "RetinaNet_ResNet50_FPN_Weights",
    __name__,
    _resnet50_fpn,
    eps=("COCO_V1",),
)
RetinaNet_ResNet50_FPN_V2_Weights, retinanet_resnet50_fpn_v2 = det_utils.detector(
    "retinanet_resnet50_fpn_v2",
    "RetinaNet_ResNet50_FPN_V2_Weights",
    __name__,
    partial(_resnet50_fpn, v2=True),
    backbone=None,
)
