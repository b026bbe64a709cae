"""Transforms of whole samples: images and videos with their masks, boxes and keypoints."""

from flambeau.vision import transforms as _v1

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
from ._transform import Transform
from ._utils import (
    _find_labels_default_heuristic,  # as in pickles
    check_type,
    get_bounding_boxes,
    get_keypoints,
    has_all,
    has_any,
    query_chw,
    query_size,
)

__all__ = [name for name in globals() if not name.startswith("_")]

for _name in __all__:  # the draws of version 1, for programs that make them by themselves
    _first = getattr(_v1, _name, None)
    if isinstance(_first, type) and hasattr(_first, "get_params"):
        globals()[_name].get_params = staticmethod(_first.get_params)
