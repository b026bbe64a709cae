"""FCOS (Tian et al., arXiv 1904.01355)."""

import math

import flambeau
from flambeau import nn
from flambeau.nn import functional as F

from ...ops import generalized_box_iou_loss, sigmoid_focal_loss
from . import _utils as det_utils
from .anchor_utils import AnchorGenerator
from .faster_rcnn import MEAN, STD
from .retinanet import resnet_p7
from .single_stage import SingleStage, by_place
from .transform import GeneralizedRCNNTransform

__all__ = ["FCOS", "FCOS_ResNet50_FPN_Weights", "fcos_resnet50_fpn"]


def _tower(in_channels, num_convs, norm_layer):
    layers = []
    for _ in range(num_convs):
        layers += [nn.Conv2d(in_channels, in_channels, 3, 1, 1), norm_layer(in_channels), nn.ReLU()]
    return nn.Sequential(*layers)


def _group_norm(channels):
    return nn.GroupNorm(32, channels)


class FCOSClassificationHead(nn.Module):
    """[N, places, classes]"""

    def __init__(
        self,
        in_channels,
        num_anchors,
        num_classes,
        num_convs=4,
        prior_probability=0.01,
        norm_layer=None,
    ):
        super().__init__()
        self.num_classes = num_classes
        self.num_anchors = num_anchors
        self.conv = _tower(in_channels, num_convs, norm_layer or _group_norm)
        det_utils.normal_init(self.conv)
        self.cls_logits = nn.Conv2d(in_channels, num_anchors * num_classes, 3, 1, 1)
        nn.init.normal_(self.cls_logits.weight, std=0.01)
        bias = -math.log((1 - prior_probability) / prior_probability)
        nn.init.constant_(self.cls_logits.bias, bias)

    def forward(self, x):
        maps = [by_place(self.cls_logits(self.conv(f)), self.num_classes) for f in x]
        return flambeau.cat(maps, dim=1)


class FCOSRegressionHead(nn.Module):
    """(distances of the box's sides [N, places, 4], centredness [N, places, 1])"""

    def __init__(self, in_channels, num_anchors, num_convs=4, norm_layer=None):
        super().__init__()
        self.conv = _tower(in_channels, num_convs, norm_layer or _group_norm)
        self.bbox_reg = nn.Conv2d(in_channels, num_anchors * 4, 3, 1, 1)
        self.bbox_ctrness = nn.Conv2d(in_channels, num_anchors * 1, 3, 1, 1)
        for layer in [self.bbox_reg, self.bbox_ctrness]:
            det_utils.normal_init(layer)
        det_utils.normal_init(self.conv)

    def forward(self, x):
        boxes, centred = [], []
        for features in x:
            features = self.conv(features)
            boxes.append(by_place(F.relu(self.bbox_reg(features)), 4))
            centred.append(by_place(self.bbox_ctrness(features), 1))
        return flambeau.cat(boxes, dim=1), flambeau.cat(centred, dim=1)


class FCOSHead(nn.Module):
    """Classes, boxes and centredness of all places."""

    def __init__(self, in_channels, num_anchors, num_classes, num_convs=4):
        super().__init__()
        self.box_coder = det_utils.BoxLinearCoder(normalize_by_size=True)
        self.classification_head = FCOSClassificationHead(
            in_channels, num_anchors, num_classes, num_convs
        )
        self.regression_head = FCOSRegressionHead(in_channels, num_anchors, num_convs)

    def compute_loss(self, targets, head_outputs, anchors, matched_idxs):
        logits = head_outputs["cls_logits"]
        classes, boxes = [], []
        for target, matched in zip(targets, matched_idxs, strict=True):
            if len(target["labels"]) == 0:
                classes.append(target["labels"].new_full((len(matched),), -1))
                boxes.append(target["boxes"].new_zeros((len(matched), 4)))
                continue
            index = matched.clip(min=0)
            label = target["labels"][index]
            label[matched < 0] = -1
            classes.append(label)
            boxes.append(target["boxes"][index])
        classes, boxes, anchors = (flambeau.stack(v) for v in (classes, boxes, list(anchors)))
        positive = classes >= 0
        count = max(1, int(positive.sum()))
        truth = flambeau.zeros_like(logits)
        truth[positive, classes[positive]] = 1.0
        class_loss = sigmoid_focal_loss(logits, truth, reduction="sum")
        predicted = self.box_coder.decode(head_outputs["bbox_regression"], anchors)
        box_loss = generalized_box_iou_loss(predicted[positive], boxes[positive], reduction="sum")
        sides = self.box_coder.encode(boxes, anchors)
        across, down = sides[..., 0::2], sides[..., 1::2]
        centred = flambeau.sqrt(
            across.min(dim=-1)[0]
            / across.max(dim=-1)[0]
            * (down.min(dim=-1)[0] / down.max(dim=-1)[0])
        )
        found = head_outputs["bbox_ctrness"].squeeze(dim=2)
        centred_loss = F.binary_cross_entropy_with_logits(
            found[positive], centred[positive], reduction="sum"
        )
        return {
            "classification": class_loss / count,
            "bbox_regression": box_loss / count,
            "bbox_ctrness": centred_loss / count,
        }

    def forward(self, x):
        boxes, centred = self.regression_head(x)
        return {
            "cls_logits": self.classification_head(x),
            "bbox_regression": boxes,
            "bbox_ctrness": centred,
        }


class FCOS(SingleStage):
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
        center_sampling_radius=1.5,
        score_thresh=0.2,
        nms_thresh=0.6,
        detections_per_img=100,
        topk_candidates=1000,
        **kwargs,
    ):
        super().__init__()
        if not hasattr(backbone, "out_channels"):
            raise ValueError("backbone should contain an attribute out_channels")
        self.backbone = backbone
        self.anchor_generator = anchor_generator or AnchorGenerator(
            ((8,), (16,), (32,), (64,), (128,)), ((1.0,),) * 5
        )
        anchors = self.anchor_generator.num_anchors_per_location()[0]
        if anchors != 1:
            raise ValueError(
                f"anchor_generator.num_anchors_per_location()[0] should be 1 instead of {anchors}"
            )
        self.head = head or FCOSHead(backbone.out_channels, anchors, num_classes)
        self.box_coder = det_utils.BoxLinearCoder(normalize_by_size=True)
        self.transform = GeneralizedRCNNTransform(
            min_size, max_size, image_mean or MEAN, image_std or STD, **kwargs
        )
        self.center_sampling_radius = center_sampling_radius
        self.score_thresh = score_thresh
        self.nms_thresh = nms_thresh
        self.detections_per_img = detections_per_img
        self.topk_candidates = topk_candidates

    def _match(self, anchors, target, counts):
        """[places]: the smallest object that has this place near its centre and fits the level."""
        truth = target["boxes"]
        if truth.numel() == 0:
            return flambeau.full((len(anchors),), -1, dtype=flambeau.int64)
        centres = (truth[:, :2] + truth[:, 2:]) / 2
        places = (anchors[:, :2] + anchors[:, 2:]) / 2
        sizes = anchors[:, 2] - anchors[:, 0]
        near = (places[:, None] - centres[None]).abs().max(dim=2)[0]
        matches = near < self.center_sampling_radius * sizes[:, None]
        low, high = (places[:, None] - truth[None, :, :2]), (truth[None, :, 2:] - places[:, None])
        sides = flambeau.cat([low, high], dim=2)
        matches = matches & (sides.min(dim=2)[0] > 0)
        lower, upper = sizes * 4, sizes * 8
        lower[: counts[0]] = 0
        upper[-counts[-1] :] = float("inf")
        reach = sides.max(dim=2)[0]
        matches = matches & (reach > lower[:, None]) & (reach < upper[:, None])
        areas = (truth[:, 2] - truth[:, 0]) * (truth[:, 3] - truth[:, 1])
        smallest, index = (matches.to(flambeau.float32) * (1e8 - areas[None])).max(dim=1)
        return flambeau.where(smallest < 1e-5, flambeau.full_like(index, -1), index)

    def compute_loss(self, targets, head_outputs, anchors, num_anchors_per_level):
        matched = [
            self._match(a, t, num_anchors_per_level) for a, t in zip(anchors, targets, strict=True)
        ]
        return self.head.compute_loss(targets, head_outputs, anchors, matched)

    def _scores(self, outputs):
        classes, centred = outputs["cls_logits"], outputs["bbox_ctrness"]
        return flambeau.sqrt(flambeau.sigmoid(classes) * flambeau.sigmoid(centred))

    def _decode(self, codes, anchors):
        return self.box_coder.decode(codes, anchors)


def _resnet50_fpn(weights_backbone, progress, trainable, trained, num_classes, **options):
    backbone = resnet_p7(weights_backbone, progress, trainable, trained)
    return FCOS(backbone, num_classes, **options)


FCOS_ResNet50_FPN_Weights, fcos_resnet50_fpn = det_utils.detector(
    "fcos_resnet50_fpn", "FCOS_ResNet50_FPN_Weights", __name__, _resnet50_fpn
)
