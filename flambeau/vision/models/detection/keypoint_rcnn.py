"""Mask R-CNN for keypoints (He et al., arXiv 1703.06870, section 5)."""

from flambeau import nn
from flambeau.nn import functional as F

from ...ops import MultiScaleRoIAlign
from .._utils import he_normal
from ._utils import detector
from .faster_rcnn import FasterRCNN, resnet_fpn

__all__ = ["KeypointRCNN", "KeypointRCNN_ResNet50_FPN_Weights", "keypointrcnn_resnet50_fpn"]


class KeypointRCNN(FasterRCNN):
    """Faster R-CNN whose detections have keypoints [N, K, 3] too; targets have "keypoints"."""

    def __init__(
        self,
        backbone,
        num_classes=None,
        min_size=None,
        *args,
        keypoint_roi_pool=None,
        keypoint_head=None,
        keypoint_predictor=None,
        num_keypoints=None,
        **kwargs,
    ):
        if min_size is None:
            min_size = (640, 672, 704, 736, 768, 800)
        if num_keypoints is not None and keypoint_predictor is not None:
            raise ValueError("num_keypoints should be None when keypoint_predictor is specified")
        pool = keypoint_roi_pool or MultiScaleRoIAlign(
            ["0", "1", "2", "3"], output_size=14, sampling_ratio=2
        )
        head = keypoint_head or KeypointRCNNHeads(backbone.out_channels, (512,) * 8)
        predictor = keypoint_predictor or KeypointRCNNPredictor(512, num_keypoints or 17)
        super().__init__(backbone, num_classes, min_size, *args, **kwargs)
        self.roi_heads.keypoint_roi_pool = pool
        self.roi_heads.keypoint_head = head
        self.roi_heads.keypoint_predictor = predictor


class KeypointRCNNHeads(nn.Sequential):
    """Convolutions of 3x3."""

    def __init__(self, in_channels, layers):
        parts = []
        for width in layers:
            parts += [nn.Conv2d(in_channels, width, 3, 1, 1), nn.ReLU(inplace=True)]
            in_channels = width
        super().__init__(*parts)
        for layer in self.children():
            if isinstance(layer, nn.Conv2d):
                he_normal(layer.weight)
                nn.init.zeros_(layer.bias)


class KeypointRCNNPredictor(nn.Module):
    """A heat map of four times the size for each keypoint."""

    def __init__(self, in_channels, num_keypoints):
        super().__init__()
        self.kps_score_lowres = nn.ConvTranspose2d(in_channels, num_keypoints, 4, 2, 1)
        he_normal(self.kps_score_lowres.weight)
        nn.init.zeros_(self.kps_score_lowres.bias)
        self.up_scale = 2
        self.out_channels = num_keypoints

    def forward(self, x):
        x = self.kps_score_lowres(x)
        return F.interpolate(x, scale_factor=float(self.up_scale), mode="bilinear")


def _resnet50_fpn(weights_backbone, progress, trainable, trained, **options):
    backbone = resnet_fpn(weights_backbone, progress, trainable, trained)
    return KeypointRCNN(backbone, **options)


KeypointRCNN_ResNet50_FPN_Weights, keypointrcnn_resnet50_fpn = detector(
    "keypointrcnn_resnet50_fpn",
    "KeypointRCNN_ResNet50_FPN_Weights",
    __name__,
    _resnet50_fpn,
    eps=("COCO_V1",),
    num_classes=(lambda meta: len(meta["categories"]), 2),
    num_keypoints=(lambda meta: len(meta["keypoint_names"]), 17),
)
