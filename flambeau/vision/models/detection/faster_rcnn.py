"""Faster R-CNN (Ren et al., arXiv 1506.01497) and the recipe of Li et al. (arXiv 2111.11429)."""

from functools import partial

from flambeau import nn
from flambeau.nn import functional as F

from ...ops import Conv2dNormActivation, FrozenBatchNorm2d, MultiScaleRoIAlign
from .. import mobilenetv3, resnet
from .._utils import he_normal
from ._utils import detector
from .anchor_utils import AnchorGenerator
from .backbone_utils import _mobilenet_extractor, _resnet_fpn_extractor
from .generalized_rcnn import GeneralizedRCNN
from .roi_heads import RoIHeads
from .rpn import RegionProposalNetwork, RPNHead
from .transform import GeneralizedRCNNTransform

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]  # of ImageNet


def _default_anchorgen():
    return AnchorGenerator(((32,), (64,), (128,), (256,), (512,)), ((0.5, 1.0, 2.0),) * 5)


class FasterRCNN(GeneralizedRCNN):
    """A backbone with `out_channels`, proposals and a classifier of regions.

    It takes a list of images [C, H, W] with values from 0 to 1, and targets while training:
    {"boxes": [N, 4], "labels": int64 [N]} for each. It returns boxes, labels and scores.
    """

    def __init__(
        self,
        backbone,
        num_classes=None,
        min_size=800,
        max_size=1333,
        image_mean=None,
        image_std=None,
        rpn_anchor_generator=None,
        rpn_head=None,
        rpn_pre_nms_top_n_train=2000,
        rpn_pre_nms_top_n_test=1000,
        rpn_post_nms_top_n_train=2000,
        rpn_post_nms_top_n_test=1000,
        rpn_nms_thresh=0.7,
        rpn_fg_iou_thresh=0.7,
        rpn_bg_iou_thresh=0.3,
        rpn_batch_size_per_image=256,
        rpn_positive_fraction=0.5,
        rpn_score_thresh=0.0,
        box_roi_pool=None,
        box_head=None,
        box_predictor=None,
        box_score_thresh=0.05,
        box_nms_thresh=0.5,
        box_detections_per_img=100,
        box_fg_iou_thresh=0.5,
        box_bg_iou_thresh=0.5,
        box_batch_size_per_image=512,
        box_positive_fraction=0.25,
        bbox_reg_weights=None,
        **kwargs,
    ):
        if not hasattr(backbone, "out_channels"):
            raise ValueError(
                "backbone should contain an attribute out_channels specifying the number of "
                "output channels (assumed to be the same for all the levels)"
            )
        if (num_classes is None) == (box_predictor is None):
            raise ValueError("either num_classes or box_predictor is given, not both or none")
        width = backbone.out_channels
        anchors = rpn_anchor_generator or _default_anchorgen()
        rpn = RegionProposalNetwork(
            anchors,
            rpn_head or RPNHead(width, anchors.num_anchors_per_location()[0]),
            rpn_fg_iou_thresh,
            rpn_bg_iou_thresh,
            rpn_batch_size_per_image,
            rpn_positive_fraction,
            {"training": rpn_pre_nms_top_n_train, "testing": rpn_pre_nms_top_n_test},
            {"training": rpn_post_nms_top_n_train, "testing": rpn_post_nms_top_n_test},
            rpn_nms_thresh,
            score_thresh=rpn_score_thresh,
        )
        pool = box_roi_pool or MultiScaleRoIAlign(["0", "1", "2", "3"], 7, sampling_ratio=2)
        if box_head is None:
            box_head = TwoMLPHead(width * pool.output_size[0] ** 2, 1024)
        heads = RoIHeads(
            pool,
            box_head,
            box_predictor or FastRCNNPredictor(1024, num_classes),
            box_fg_iou_thresh,
            box_bg_iou_thresh,
            box_batch_size_per_image,
            box_positive_fraction,
            bbox_reg_weights,
            box_score_thresh,
            box_nms_thresh,
            box_detections_per_img,
        )
        transform = GeneralizedRCNNTransform(
            min_size, max_size, image_mean or MEAN, image_std or STD, **kwargs
        )
        super().__init__(backbone, rpn, heads, transform)


class TwoMLPHead(nn.Module):
    """Two linear layers."""

    def __init__(self, in_channels, representation_size):
        super().__init__()
        self.fc6 = nn.Linear(in_channels, representation_size)
        self.fc7 = nn.Linear(representation_size, representation_size)

    def forward(self, x):
        return F.relu(self.fc7(F.relu(self.fc6(x.flatten(1)))))


class FastRCNNConvFCHead(nn.Sequential):
    """Convolutions, then linear layers."""

    def __init__(self, input_size, conv_layers, fc_layers, norm_layer=None):
        channels, height, width = input_size
        layers = []
        for out in conv_layers:
            layers.append(Conv2dNormActivation(channels, out, norm_layer=norm_layer))
            channels = out
        layers.append(nn.Flatten())
        channels *= height * width
        for out in fc_layers:
            layers += [nn.Linear(channels, out), nn.ReLU(inplace=True)]
            channels = out
        super().__init__(*layers)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                he_normal(layer.weight)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)


class FastRCNNPredictor(nn.Module):
    """(class scores, corrections of the box for each class)"""

    def __init__(self, in_channels, num_classes):
        super().__init__()
        self.cls_score = nn.Linear(in_channels, num_classes)
        self.bbox_pred = nn.Linear(in_channels, num_classes * 4)

    def forward(self, x):
        if x.dim() == 4 and tuple(x.shape[2:]) != (1, 1):
            raise AssertionError(
                f"x has the wrong shape, expecting the last two dimensions to be [1,1] "
                f"instead of {list(x.shape[2:])}"
            )
        x = x.flatten(start_dim=1)
        return self.cls_score(x), self.bbox_pred(x)


def resnet_fpn(weights_backbone, progress, trainable, trained, v2=False):
    """The backbone of the ResNet-50 detectors."""
    norm_layer = FrozenBatchNorm2d if trained and not v2 else nn.BatchNorm2d
    backbone = resnet.resnet50(
        weights=weights_backbone, progress=progress, **({} if v2 else {"norm_layer": norm_layer})
    )
    norm = nn.BatchNorm2d if v2 else None
    return _resnet_fpn_extractor(backbone, trainable, norm_layer=norm)


def v2_parts(width):
    """(anchors, head of the proposals, head of the boxes) of version 2."""
    anchors = _default_anchorgen()
    return {
        "rpn_anchor_generator": anchors,
        "rpn_head": RPNHead(width, anchors.num_anchors_per_location()[0], conv_depth=2),
        "box_head": FastRCNNConvFCHead((width, 7, 7), [256] * 4, [1024], norm_layer=nn.BatchNorm2d),
    }


def _resnet50_fpn(weights_backbone, progress, trainable, trained, v2=False, **options):
    backbone = resnet_fpn(weights_backbone, progress, trainable, trained, v2)
    parts = v2_parts(backbone.out_channels) if v2 else {}
    return FasterRCNN(backbone, **{**parts, **options})


def _mobilenet_fpn(weights_backbone, progress, trainable, trained, defaults=None, **options):
    backbone = mobilenetv3.mobilenet_v3_large(
        weights=weights_backbone,
        progress=progress,
        norm_layer=FrozenBatchNorm2d if trained else nn.BatchNorm2d,
    )
    backbone = _mobilenet_extractor(backbone, True, trainable)
    anchors = AnchorGenerator(((32, 64, 128, 256, 512),) * 3, ((0.5, 1.0, 2.0),) * 3)
    defaults = {"rpn_score_thresh": 0.05, **(defaults or {})}
    return FasterRCNN(backbone, rpn_anchor_generator=anchors, **{**defaults, **options})


FasterRCNN_ResNet50_FPN_Weights, fasterrcnn_resnet50_fpn = detector(
    "fasterrcnn_resnet50_fpn",
    "FasterRCNN_ResNet50_FPN_Weights",
    __name__,
    _resnet50_fpn,
    eps=("COCO_V1",),
)
FasterRCNN_ResNet50_FPN_V2_Weights, fasterrcnn_resnet50_fpn_v2 = detector(
    "fasterrcnn_resnet50_fpn_v2",
    "FasterRCNN_ResNet50_FPN_V2_Weights",
    __name__,
    partial(_resnet50_fpn, v2=True),
    backbone=None,
)
FasterRCNN_MobileNet_V3_Large_FPN_Weights, fasterrcnn_mobilenet_v3_large_fpn = detector(
    "fasterrcnn_mobilenet_v3_large_fpn",
    "FasterRCNN_MobileNet_V3_Large_FPN_Weights",
    __name__,
    _mobilenet_fpn,
    layers=(6, 3),
)
_SMALL = {
    "min_size": 320,
    "max_size": 640,
    "rpn_pre_nms_top_n_test": 150,
    "rpn_post_nms_top_n_test": 150,
}
FasterRCNN_MobileNet_V3_Large_320_FPN_Weights, fasterrcnn_mobilenet_v3_large_320_fpn = detector(
    "fasterrcnn_mobilenet_v3_large_320_fpn",
    "FasterRCNN_MobileNet_V3_Large_320_FPN_Weights",
    __name__,
    partial(_mobilenet_fpn, defaults=_SMALL),
    layers=(6, 3),
)

__all__ = [name for name in globals() if name.lower().startswith("fasterrcnn")]
