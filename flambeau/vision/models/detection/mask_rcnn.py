"""Mask R-CNN (He et al., arXiv 1703.06870)."""

from collections import OrderedDict
from functools import partial

from flambeau import nn

from ...ops import Conv2dNormActivation, MultiScaleRoIAlign
from .._utils import he_normal
from ._utils import detector
from .faster_rcnn import FasterRCNN, resnet_fpn, v2_parts

__all__ = [
    "MaskRCNN",
    "MaskRCNN_ResNet50_FPN_V2_Weights",
    "MaskRCNN_ResNet50_FPN_Weights",
    "maskrcnn_resnet50_fpn",
    "maskrcnn_resnet50_fpn_v2",
]


class MaskRCNN(FasterRCNN):
    """Faster R-CNN whose detections have masks [N, 1, H, W] too; targets have "masks"."""

    def __init__(
        self,
        backbone,
        num_classes=None,
        *args,
        mask_roi_pool=None,
        mask_head=None,
        mask_predictor=None,
        **kwargs,
    ):
        if num_classes is not None and mask_predictor is not None:
            raise ValueError("num_classes should be None when mask_predictor is specified")
        width = backbone.out_channels
        pool = mask_roi_pool or MultiScaleRoIAlign(
            ["0", "1", "2", "3"], output_size=14, sampling_ratio=2
        )
        head = mask_head or MaskRCNNHeads(width, (256,) * 4, 1)
        predictor = mask_predictor or MaskRCNNPredictor(256, 256, num_classes)
        super().__init__(backbone, num_classes, *args, **kwargs)
        self.roi_heads.mask_roi_pool = pool
        self.roi_heads.mask_head = head
        self.roi_heads.mask_predictor = predictor


class MaskRCNNHeads(nn.Sequential):
    """Convolutions of 3x3."""

    _version = 2

    def __init__(self, in_channels, layers, dilation, norm_layer=None):
        blocks = []
        for width in layers:
            blocks.append(
                Conv2dNormActivation(
                    in_channels, width, padding=dilation, dilation=dilation, norm_layer=norm_layer
                )
            )
            in_channels = width
        super().__init__(*blocks)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                he_normal(layer.weight)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, *args):
        if local_metadata.get("version", None) in (None, 1):  # mask_fcn1 ... then
            for i in range(len(self)):
                for kind in ("weight", "bias"):
                    value = state_dict.pop(f"{prefix}mask_fcn{i + 1}.{kind}", None)
                    if value is not None:
                        state_dict[f"{prefix}{i}.0.{kind}"] = value
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)


class MaskRCNNPredictor(nn.Sequential):
    """Twice the size, then a mask for each class."""

    def __init__(self, in_channels, dim_reduced, num_classes):
        super().__init__(
            OrderedDict(
                conv5_mask=nn.ConvTranspose2d(in_channels, dim_reduced, 2, 2, 0),
                relu=nn.ReLU(inplace=True),
                mask_fcn_logits=nn.Conv2d(dim_reduced, num_classes, 1, 1, 0),
            )
        )
        for name, parameter in self.named_parameters():
            if "weight" in name:
                he_normal(parameter)


def _resnet50_fpn(weights_backbone, progress, trainable, trained, v2=False, **options):
    backbone = resnet_fpn(weights_backbone, progress, trainable, trained, v2)
    parts = {}
    if v2:
        width = backbone.out_channels
        parts = v2_parts(width)
        parts["mask_head"] = MaskRCNNHeads(width, [256] * 4, 1, norm_layer=nn.BatchNorm2d)
    return MaskRCNN(backbone, **{**parts, **options})


MaskRCNN_ResNet50_FPN_Weights, maskrcnn_resnet50_fpn = detector(
    "maskrcnn_resnet50_fpn",
    "MaskRCNN_ResNet50_FPN_Weights",
    __name__,
    _resnet50_fpn,
    eps=("COCO_V1",),
)
MaskRCNN_ResNet50_FPN_V2_Weights, maskrcnn_resnet50_fpn_v2 = detector(
    "maskrcnn_resnet50_fpn_v2",
    "MaskRCNN_ResNet50_FPN_V2_Weights",
    __name__,
    partial(_resnet50_fpn, v2=True),
    backbone=None,
)
