"""Names of classes, as copies of torchvision's model files import them."""

from ._api import _facts

_IMAGENET_CATEGORIES = _facts()["categories"]["ImageNet-1K"]
_COCO_CATEGORIES = _facts()["categories"]["COCO"]
_COCO_PERSON_CATEGORIES = _facts()["categories"]["COCO person"]
_VOC_CATEGORIES = _facts()["categories"]["VOC"]
_KINETICS400_CATEGORIES = _facts()["categories"]["Kinetics-400"]
_COCO_PERSON_KEYPOINT_NAMES = [
    "nose",
    *(
        f"{side}_{part}"
        for part in ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
        for side in ("left", "right")
    ),
]
