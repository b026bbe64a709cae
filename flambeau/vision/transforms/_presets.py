"""What published weights want of their input, as transforms."""

import flambeau
from flambeau import nn

from . import functional as F
from .functional import InterpolationMode

__all__ = [
    "ImageClassification",
    "ObjectDetection",
    "OpticalFlow",
    "SemanticSegmentation",
    "VideoClassification",
]

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet


def _as_tensor(image):
    return image if isinstance(image, flambeau.Tensor) else F.pil_to_tensor(image)


class _Preset(nn.Module):
    @property
    def _options(self):
        own = {name: value for name, value in vars(self).items() if not name.startswith("_")}
        own.pop("training")
        return own

    def __repr__(self):
        lines = "".join(f"\n    {name}={value}" for name, value in self._options.items())
        return f"{type(self).__name__}({lines and lines + chr(10)})"

    def _set(self, **options):
        for name, value in options.items():
            setattr(self, name, value)

    def describe(self):
        """What it does to an image, in words."""
        options = ", ".join(f"{name}={value}" for name, value in self._options.items())
        return f"Takes PIL images or tensors to float tensors; {options or 'no options'}."


class ObjectDetection(_Preset):
    """Pixels from 0 to 1."""

    def __init__(self):
        super().__init__()
        self._set()

    def forward(self, img):
        return F.convert_image_dtype(_as_tensor(img), flambeau.float32)


class ImageClassification(_Preset):
    """Resized, cut at the middle, normalized."""

    def __init__(
        self,
        *,
        crop_size,
        resize_size=256,
        mean=_MEAN,
        std=_STD,
        interpolation=InterpolationMode.BILINEAR,
        antialias=True,
    ):
        super().__init__()
        self._set(
            crop_size=[crop_size],
            resize_size=[resize_size],
            mean=list(mean),
            std=list(std),
            interpolation=interpolation,
            antialias=antialias,
        )

    def forward(self, img):
        img = F.resize(
            img, self.resize_size, interpolation=self.interpolation, antialias=self.antialias
        )
        img = _as_tensor(F.center_crop(img, self.crop_size))
        img = F.convert_image_dtype(img, flambeau.float32)
        return F.normalize(img, mean=self.mean, std=self.std)


class VideoClassification(_Preset):
    """[..., T, C, H, W] resized, cut at the middle, normalized, as [..., C, T, H, W]."""

    def __init__(
        self,
        *,
        crop_size,
        resize_size,
        mean=(0.43216, 0.394666, 0.37645),
        std=(0.22803, 0.22145, 0.216989),
        interpolation=InterpolationMode.BILINEAR,
    ):
        super().__init__()
        self._set(
            crop_size=list(crop_size),
            resize_size=list(resize_size),
            mean=list(mean),
            std=list(std),
            interpolation=interpolation,
        )

    def forward(self, vid):
        single = vid.ndim < 5
        vid = vid.unsqueeze(0) if single else vid
        n, t, c, h, w = vid.shape
        vid = vid.view(-1, c, h, w)
        vid = F.resize(vid, self.resize_size, interpolation=self.interpolation, antialias=False)
        vid = F.convert_image_dtype(F.center_crop(vid, self.crop_size), flambeau.float32)
        vid = F.normalize(vid, mean=self.mean, std=self.std)
        vid = vid.view(n, t, c, *self.crop_size).permute(0, 2, 1, 3, 4)
        return vid.squeeze(0) if single else vid


class SemanticSegmentation(_Preset):
    """Resized and normalized."""

    def __init__(
        self,
        *,
        resize_size,
        mean=_MEAN,
        std=_STD,
        interpolation=InterpolationMode.BILINEAR,
        antialias=True,
    ):
        super().__init__()
        self._set(
            resize_size=None if resize_size is None else [resize_size],
            mean=list(mean),
            std=list(std),
            interpolation=interpolation,
            antialias=antialias,
        )

    def forward(self, img):
        if self.resize_size is not None:
            img = F.resize(
                img, self.resize_size, interpolation=self.interpolation, antialias=self.antialias
            )
        img = F.convert_image_dtype(_as_tensor(img), flambeau.float32)
        return F.normalize(img, mean=self.mean, std=self.std)


class OpticalFlow(_Preset):
    """Two images, pixels from -1 to 1."""

    def __init__(self):
        super().__init__()
        self._set()

    def forward(self, img1, img2):
        def prepare(img):
            img = F.convert_image_dtype(_as_tensor(img), flambeau.float32)
            return F.normalize(img, mean=[0.5, 0.5, 0.5], std=[0.5, 0.5, 0.5]).contiguous()

        return prepare(img1), prepare(img2)
