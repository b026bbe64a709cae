"""Transforms of whole samples: images and videos with their masks, boxes and keypoints."""

from ..autoaugment import AutoAugmentPolicy
from ..functional import InterpolationMode
from . import functional
from ._auto_augment import AugMix, AutoAugment, RandAugment, TrivialAugmentWide
from ._color import (
    JPEG,
    RGB,
    ColorJitter,
    ConvertImageDtype,
    GaussianBlur,
    GaussianNoise,
    Grayscale,
    LinearTransformation,
    Normalize,
    PILToTensor,
    RandomAdjustSharpness,
    RandomAutocontrast,
    RandomChannelPermutation,
    RandomEqualize,
    RandomErasing,
    RandomGrayscale,
    RandomInvert,
    RandomPhotometricDistort,
    RandomPosterize,
    RandomSolarize,
    ToDtype,
    ToImage,
    ToPILImage,
    ToPureTensor,
    ToTensor,
)
from ._geometry import (
    CenterCrop,
    ElasticTransform,
    FiveCrop,
    Pad,
    RandomAffine,
    RandomCrop,
    RandomHorizontalFlip,
    RandomIoUCrop,
    RandomPerspective,
    RandomResize,
    RandomResizedCrop,
    RandomRotation,
    RandomShortestSize,
    RandomVerticalFlip,
    RandomZoomOut,
    Resize,
    ScaleJitter,
    TenCrop,
)
from ._misc import (
    ClampBoundingBoxes,
    ClampKeyPoints,
    Compose,
    ConvertBoundingBoxFormat,
    CutMix,
    Identity,
    Lambda,
    MixUp,
    RandomApply,
    RandomChoice,
    RandomOrder,
    SanitizeBoundingBoxes,
    SanitizeKeyPoints,
    SetClampingMode,
    UniformTemporalSubsample,
)
from ._misc import _named_like_labels as _find_labels_default_heuristic  # as in pickles
from ._transform import (
    Transform,
    check_type,
    get_bounding_boxes,
    get_keypoints,
    has_all,
    has_any,
    query_chw,
    query_size,
)

__all__ = [name for name in globals() if not name.startswith("_")]
