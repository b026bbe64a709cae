"""Transforms of clips [C, T, H, W], as video programs name them."""

import numbers
import random

from . import _functional_video as F
from .transforms import RandomCrop, RandomResizedCrop

__all__ = [
    "CenterCropVideo",
    "NormalizeVideo",
    "RandomCropVideo",
    "RandomHorizontalFlipVideo",
    "RandomResizedCropVideo",
    "ToTensorVideo",
]


def _pair(size):
    return (int(size), int(size)) if isinstance(size, numbers.Number) else size


class RandomCropVideo(RandomCrop):
    """A random piece of every frame, the same of all."""

    def __init__(self, size):
        super().__init__(_pair(size))

    def forward(self, clip):
        return F.crop(clip, *self.get_params(clip, self.size))

    def __repr__(self):
        return f"{type(self).__name__}(size={self.size})"


class RandomResizedCropVideo(RandomResizedCrop):
    """A random piece of every frame, the same of all, in one size."""

    def __init__(
        self, size, scale=(0.08, 1.0), ratio=(3.0 / 4.0, 4.0 / 3.0), interpolation_mode="bilinear"
    ):
        super().__init__(_pair(size), scale, ratio)
        self.interpolation_mode = interpolation_mode

    def forward(self, clip):
        box = self.get_params(clip, self.scale, self.ratio)
        return F.resized_crop(clip, *box, self.size, self.interpolation_mode)

    def __repr__(self):
        return (
            f"{type(self).__name__}(size={self.size}, interpolation_mode={self.interpolation_mode}"
            f", scale={self.scale}, ratio={self.ratio})"
        )


class CenterCropVideo:
    """The middle of every frame."""

    def __init__(self, crop_size):
        self.crop_size = _pair(crop_size)

    def __call__(self, clip):
        return F.center_crop(clip, self.crop_size)

    def __repr__(self):
        return f"{type(self).__name__}(crop_size={self.crop_size})"


class NormalizeVideo:
    """(clip - mean) / std by channel."""

    def __init__(self, mean, std, inplace=False):
        self.mean, self.std, self.inplace = mean, std, inplace

    def __call__(self, clip):
        return F.normalize(clip, self.mean, self.std, self.inplace)

    def __repr__(self):
        return f"{type(self).__name__}(mean={self.mean}, std={self.std}, inplace={self.inplace})"


class ToTensorVideo:
    """uint8 [T, H, W, C] as float [C, T, H, W] from 0 to 1."""

    def __call__(self, clip):
        return F.to_tensor(clip)

    def __repr__(self):
        return type(self).__name__


class RandomHorizontalFlipVideo:
    """Left and right swapped, with probability p."""

    def __init__(self, p=0.5):
        self.p = p

    def __call__(self, clip):
        return F.hflip(clip) if random.random() < self.p else clip

    def __repr__(self):
        return f"{type(self).__name__}(p={self.p})"
