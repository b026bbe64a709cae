"""SSD (Liu et al., arXiv 1512.02325)."""

from collections import OrderedDict

import flambeau
from flambeau import nn
from flambeau.nn import functional as F

from ...ops import box_iou, clip_boxes_to_image
from .. import vgg
from . import _utils as det_utils
from .anchor_utils import DefaultBoxGenerator
from .faster_rcnn import MEAN, STD
from .single_stage import SingleStage, by_place
from .transform import GeneralizedRCNNTransform

__all__ = ["SSD300_VGG16_Weights", "ssd300_vgg16"]


def _xavier_init(module):
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.constant_(layer.bias, 0.0)


class SSDScoringHead(nn.Module):
    """A layer for each map; [N, boxes of all maps, num_columns]."""

    def __init__(self, module_list, num_columns):
        super().__init__()
        self.module_list = module_list
        self.num_columns = num_columns

    def forward(self, x):
        maps = [
            by_place(layer(features), self.num_columns)
            for layer, features in zip(self.module_list, x, strict=True)
        ]
        return flambeau.cat(maps, dim=1)


def _scoring_head(in_channels, num_anchors, columns):
    layers = nn.ModuleList(
        nn.Conv2d(channels, columns * count, 3, padding=1)
        for channels, count in zip(in_channels, num_anchors, strict=True)
    )
    _xavier_init(layers)
    return layers, columns


class SSDClassificationHead(SSDScoringHead):
    """[N, boxes, classes]"""

    def __init__(self, in_channels, num_anchors, num_classes):
        super().__init__(*_scoring_head(in_channels, num_anchors, num_classes))


class SSDRegressionHead(SSDScoringHead):
    """[N, boxes, 4]"""

    def __init__(self, in_channels, num_anchors):
        super().__init__(*_scoring_head(in_channels, num_anchors, 4))


class SSDHead(nn.Module):
    """Classes and boxes of all default boxes."""

    def __init__(self, in_channels, num_anchors, num_classes):
        super().__init__()
        self.classification_head = SSDClassificationHead(in_channels, num_anchors, num_classes)
        self.regression_head = SSDRegressionHead(in_channels, num_anchors)

    def forward(self, x):
        return {
            "bbox_regression": self.regression_head(x),
            "cls_logits": self.classification_head(x),
        }


class SSD(SingleStage):
    """Takes and returns what `FasterRCNN` does; images are resized to `size`."""

    per_level = False

    def __init__(
        self,
        backbone,
        anchor_generator,
        size,
        num_classes,
        image_mean=None,
        image_std=None,
        head=None,
        score_thresh=0.01,
        nms_thresh=0.45,
        detections_per_img=200,
        iou_thresh=0.5,
        topk_candidates=400,
        positive_fraction=0.25,
        **kwargs,
    ):
        super().__init__()
        self.backbone = backbone
        self.anchor_generator = anchor_generator
        self.box_coder = det_utils.BoxCoder(weights=(10.0, 10.0, 5.0, 5.0))
        if head is None:
            channels = getattr(backbone, "out_channels", None)
            channels = channels or det_utils.retrieve_out_channels(backbone, size)
            anchors = anchor_generator.num_anchors_per_location()
            if len(channels) != len(anchors):
                raise ValueError(
                    f"The length of the output channels from the backbone ({len(channels)}) do "
                    f"not match the length of the anchor generator aspect ratios ({len(anchors)})"
                )
            head = SSDHead(channels, anchors, num_classes)
        self.head = head
        self.proposal_matcher = det_utils.SSDMatcher(iou_thresh)
        self.transform = GeneralizedRCNNTransform(
            min(size),
            max(size),
            image_mean or MEAN,
            image_std or STD,
            size_divisible=1,
            fixed_size=size,
            **kwargs,
        )
        self.score_thresh = score_thresh
        self.nms_thresh = nms_thresh
        self.detections_per_img = detections_per_img
        self.topk_candidates = topk_candidates
        self.neg_to_pos_ratio = (1.0 - positive_fraction) / positive_fraction

    def compute_loss(self, targets, head_outputs, anchors, counts=None):
        """Negatives are those that are worst classified, three for each positive."""
        logits, regression = head_outputs["cls_logits"], head_outputs["bbox_regression"]
        box_loss, classes, positives = [], [], 0
        for i, (target, anchor) in enumerate(zip(targets, anchors, strict=True)):
            if target["boxes"].numel() == 0:
                matched = flambeau.full((anchor.size(0),), -1, dtype=flambeau.int64)
            else:
                matched = self.proposal_matcher(box_iou(target["boxes"], anchor))
            index = flambeau.where(matched >= 0)[0]
            truth = matched[index]
            positives += truth.numel()
            codes = self.box_coder.encode_single(target["boxes"][truth], anchor[index])
            box_loss.append(F.smooth_l1_loss(regression[i][index], codes, reduction="sum"))
            kinds = flambeau.zeros((logits.size(1),), dtype=target["labels"].dtype)
            kinds[index] = target["labels"][truth]
            classes.append(kinds)
        box_loss, classes = flambeau.stack(box_loss), flambeau.stack(classes)
        loss = F.cross_entropy(
            logits.reshape(-1, logits.size(-1)), classes.view(-1), reduction="none"
        ).view(classes.size())
        positive = classes > 0
        wanted = self.neg_to_pos_ratio * positive.sum(1, keepdim=True)
        hardness = loss.detach().clone()
        hardness[positive] = -float("inf")
        rank = hardness.sort(1, descending=True)[1].sort(1)[1]
        negative = rank < wanted
        count = max(1, positives)
        return {
            "bbox_regression": box_loss.sum() / count,
            "classification": (loss[positive].sum() + loss[negative].sum()) / count,
        }

    def postprocess_detections(self, head_outputs, image_anchors, image_shapes):
        scores = F.softmax(head_outputs["cls_logits"], dim=-1)
        detections = []
        for codes, score, anchors, shape in zip(
            head_outputs["bbox_regression"], scores, image_anchors, image_shapes, strict=True
        ):
            boxes = clip_boxes_to_image(self.box_coder.decode_single(codes, anchors), shape)
            found = [], [], []
            for label in range(1, score.size(-1)):
                column = score[:, label]
                above = column > self.score_thresh
                column, box = column[above], boxes[above]
                column, index = column.topk(min(self.topk_candidates, len(column)))
                kinds = flambeau.full_like(column, label, dtype=flambeau.int64)
                for items, part in zip(found, (box[index], column, kinds), strict=True):
                    items.append(part)
            detections.append(self._detections(*found, shape))
        return detections


class SSDFeatureExtractorVGG(nn.Module):
    """Maps of six sizes (seven with `highres`) from VGG's convolutions and further ones."""

    def __init__(self, backbone, highres):
        super().__init__()
        pools = [i for i, layer in enumerate(backbone) if isinstance(layer, nn.MaxPool2d)]
        third, fourth = pools[2], pools[3]
        backbone[third].ceil_mode = True
        self.scale_weight = nn.Parameter(flambeau.ones(512) * 20)
        self.features = nn.Sequential(*backbone[:fourth])

        def extra(first, mid, last, kernel=3, **options):
            return nn.Sequential(
                nn.Conv2d(first, mid, kernel_size=1),
                nn.ReLU(inplace=True),
                nn.Conv2d(mid, last, kernel_size=kernel, **options),
                nn.ReLU(inplace=True),
            )

        blocks = nn.ModuleList(
            [
                extra(1024, 256, 512, padding=1, stride=2),
                extra(512, 128, 256, padding=1, stride=2),
                extra(256, 128, 256),
                extra(256, 128, 256),
            ]
        )
        if highres:
            blocks.append(extra(256, 128, 256, kernel=4))
        _xavier_init(blocks)
        fc = nn.Sequential(
            nn.MaxPool2d(3, 1, 1, ceil_mode=False),
            nn.Conv2d(512, 1024, 3, padding=6, dilation=6),
            nn.ReLU(inplace=True),
            nn.Conv2d(1024, 1024, 1),
            nn.ReLU(inplace=True),
        )
        _xavier_init(fc)
        blocks.insert(0, nn.Sequential(*backbone[fourth:-1], fc))
        self.extra = blocks

    def forward(self, x):
        x = self.features(x)
        maps = [self.scale_weight.view(1, -1, 1, 1) * F.normalize(x)]
        for block in self.extra:
            x = block(x)
            maps.append(x)
        return OrderedDict((str(i), v) for i, v in enumerate(maps))


def _vgg_extractor(backbone, highres, trainable_layers):
    features = backbone.features
    stages = [0] + [i for i, layer in enumerate(features) if isinstance(layer, nn.MaxPool2d)][:-1]
    if not 0 <= trainable_layers <= len(stages):
        raise ValueError(
            f"trainable_layers should be in the range [0, {len(stages)}]. "
            f"Instead got {trainable_layers}"
        )
    first = len(features) if trainable_layers == 0 else stages[len(stages) - trainable_layers]
    for layer in features[:first]:
        for parameter in layer.parameters():
            parameter.requires_grad_(False)
    return SSDFeatureExtractorVGG(features, highres)


def _ssd300(weights_backbone, progress, trainable, trained, num_classes, **options):
    backbone = vgg.vgg16(weights=weights_backbone, progress=progress)
    anchors = DefaultBoxGenerator(
        [[2], [2, 3], [2, 3], [2, 3], [2], [2]],
        scales=[0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05],
        steps=[8, 16, 32, 64, 100, 300],
    )
    # the weights were trained on pixels from 0 to 255 less these means
    defaults = {"image_mean": [0.48235, 0.45882, 0.40784], "image_std": [1.0 / 255.0] * 3}
    return SSD(
        _vgg_extractor(backbone, False, trainable),
        anchors,
        (300, 300),
        num_classes,
        **{**defaults, **options},
    )


SSD300_VGG16_Weights, ssd300_vgg16 = det_utils.detector(
    "ssd300_vgg16",
    "SSD300_VGG16_Weights",
    __name__,
    _ssd300,
    backbone="IMAGENET1K_FEATURES",
    layers=(5, 4),
)
