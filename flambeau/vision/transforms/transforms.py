"""Transforms as objects."""

import numbers

import flambeau
from flambeau import nn

from . import functional as F
from .functional import InterpolationMode


class Compose:
    """One transform after the other.

    >>> import numpy
    >>> from flambeau.vision import transforms
    >>> prepare = transforms.Compose([transforms.ToTensor(), transforms.Normalize(0.5, 0.25)])
    >>> prepare(numpy.zeros((1, 2), numpy.uint8))
    tensor([[[-2., -2.]]])
    """

    def __init__(self, transforms):
        self.transforms = transforms

    def __call__(self, img):
        for transform in self.transforms:
            img = transform(img)
        return img

    def _on_batch(self, images):
        """All images at once, [N, C, H, W]; None if some transform must see them one by one."""
        for transform in self.transforms:
            step = getattr(transform, "_on_batch", None)
            images = None if step is None else step(images)
            if images is None:
                return None
        return images

    def __repr__(self):
        lines = [f"    {transform}" for transform in self.transforms]
        return "\n".join([f"{type(self).__name__}(", *lines, ")"])


class ToTensor:
    """A PIL image or [H, W, C] array to a [C, H, W] tensor; uint8 becomes float from 0 to 1.

    >>> from flambeau.vision import transforms
    >>> import numpy
    >>> transforms.ToTensor()(numpy.full((1, 2, 3), 255, numpy.uint8)).shape
    torch.Size([3, 1, 2])
    """

    def __call__(self, pic):
        return F.to_tensor(pic)

    def _on_batch(self, images):
        if images.dtype != flambeau.uint8:  # only images straight from a dataset
            return None
        return images.to(flambeau.get_default_dtype()).div_(255)

    def __repr__(self):
        return f"{type(self).__name__}()"


class PILToTensor(ToTensor):
    """A PIL image to a [C, H, W] tensor of its own type."""

    def __call__(self, pic):
        return F.pil_to_tensor(pic)

    def _on_batch(self, images):
        return images if images.dtype == flambeau.uint8 else None


class ConvertImageDtype(nn.Module):
    """A tensor image in another dtype, black to black and white to white.

    >>> import flambeau as torch
    >>> from flambeau.vision import transforms
    >>> transforms.ConvertImageDtype(torch.float32)(torch.tensor([[[255]]], dtype=torch.uint8))
    tensor([[[1.]]])
    """

    def __init__(self, dtype):
        super().__init__()
        self.dtype = dtype

    def forward(self, image):
        return F.convert_image_dtype(image, self.dtype)


class ToPILImage:
    """A [C, H, W] tensor or [H, W, C] array to a PIL image."""

    def __init__(self, mode=None):
        self.mode = mode

    def __call__(self, pic):
        return F.to_pil_image(pic, self.mode)

    def __repr__(self):
        return f"{type(self).__name__}({'' if self.mode is None else f'mode={self.mode}'})"


class Normalize(nn.Module):
    """`(image - mean) / std`, channel by channel.

    >>> import flambeau as torch
    >>> from flambeau.vision import transforms
    >>> transforms.Normalize([0.5], [0.25])(torch.ones(1, 1, 2))
    tensor([[[2., 2.]]])
    """

    def __init__(self, mean, std, inplace=False):
        super().__init__()
        self.mean = mean
        self.std = std
        self.inplace = inplace

    def forward(self, tensor):
        return F.normalize(tensor, self.mean, self.std, self.inplace)

    def _on_batch(self, images):
        return self.forward(images) if images.is_floating_point() else None

    def __repr__(self):
        return f"{type(self).__name__}(mean={self.mean}, std={self.std})"


class Lambda:
    """A function of one's own.

    >>> import flambeau as torch
    >>> from flambeau.vision import transforms
    >>> transforms.Lambda(lambda x: x + 1)(torch.zeros(2))
    tensor([1., 1.])
    """

    def __init__(self, lambd):
        if not callable(lambd):
            raise TypeError(f"Argument lambd should be callable, got {type(lambd).__name__!r}")
        self.lambd = lambd

    def __call__(self, img):
        return self.lambd(img)

    def __repr__(self):
        return f"{type(self).__name__}()"


# -- sizes -----------------------------------------------------------------------------------------
class Resize(nn.Module):
    """The image in another size; one number is the length of the shorter side.

    >>> import flambeau as torch
    >>> from flambeau.vision import transforms
    >>> transforms.Resize(4)(torch.ones(3, 8, 16)).shape
    torch.Size([3, 4, 8])
    """

    def __init__(
        self, size, interpolation=InterpolationMode.BILINEAR, max_size=None, antialias=True
    ):
        super().__init__()
        if size is not None and not isinstance(size, (int, tuple, list)):
            raise TypeError(f"Size should be int or sequence. Got {type(size)}")
        self.size = size
        self.interpolation = F._mode(interpolation)
        self.max_size = max_size
        self.antialias = antialias

    def forward(self, img):
        return F.resize(img, self.size, self.interpolation, self.max_size, self.antialias)

    def __repr__(self):
        return (
            f"{type(self).__name__}(size={self.size}, interpolation={self.interpolation.value}, "
            f"max_size={self.max_size}, antialias={self.antialias})"
        )


class CenterCrop(nn.Module):
    """The middle of the image.

    >>> import flambeau as torch
    >>> from flambeau.vision import transforms
    >>> transforms.CenterCrop(2)(torch.ones(3, 8, 8)).shape
    torch.Size([3, 2, 2])
    """

    def __init__(self, size):
        super().__init__()
        self.size = F._pair(size)

    def forward(self, img):
        return F.center_crop(img, self.size)

    def __repr__(self):
        return f"{type(self).__name__}(size={self.size})"


class FiveCrop(nn.Module):
    """The four corners and the middle, as a tuple.

    >>> import flambeau as torch
    >>> from flambeau.vision import transforms
    >>> len(transforms.FiveCrop(2)(torch.ones(3, 8, 8)))
    5
    """

    def __init__(self, size):
        super().__init__()
        self.size = F._pair(size)

    def forward(self, img):
        return F.five_crop(img, self.size)

    def __repr__(self):
        return f"{type(self).__name__}(size={self.size})"


class TenCrop(nn.Module):
    """`FiveCrop` of the image and of its mirror image."""

    def __init__(self, size, vertical_flip=False):
        super().__init__()
        self.size = F._pair(size)
        self.vertical_flip = vertical_flip

    def forward(self, img):
        return F.ten_crop(img, self.size, self.vertical_flip)

    def __repr__(self):
        return f"{type(self).__name__}(size={self.size}, vertical_flip={self.vertical_flip})"


class Pad(nn.Module):
    """Borders: one width, (horizontal, vertical) or (left, top, right, bottom).

    >>> import flambeau as torch
    >>> from flambeau.vision import transforms
    >>> transforms.Pad(1)(torch.ones(1, 2, 2)).shape
    torch.Size([1, 4, 4])
    """

    def __init__(self, padding, fill=0, padding_mode="constant"):
        super().__init__()
        if not isinstance(padding, (numbers.Number, tuple, list)):
            raise TypeError("Got inappropriate padding arg")
        if not isinstance(fill, (numbers.Number, str, tuple, list)):
            raise TypeError("Got inappropriate fill arg")
        F.check_padding(padding, padding_mode)
        self.padding = padding
        self.fill = fill
        self.padding_mode = padding_mode

    def forward(self, img):
        return F.pad(img, self.padding, self.fill, self.padding_mode)

    def __repr__(self):
        return (
            f"{type(self).__name__}(padding={self.padding}, fill={self.fill}, "
            f"padding_mode={self.padding_mode})"
        )


class Grayscale(nn.Module):
    """The image in grey, in 1 or 3 equal channels.

    >>> import flambeau as torch
    >>> from flambeau.vision import transforms
    >>> transforms.Grayscale()(torch.ones(3, 4, 4)).shape
    torch.Size([1, 4, 4])
    """

    def __init__(self, num_output_channels=1):
        super().__init__()
        self.num_output_channels = num_output_channels

    def forward(self, img):
        return F.rgb_to_grayscale(img, self.num_output_channels)

    def __repr__(self):
        return f"{type(self).__name__}(num_output_channels={self.num_output_channels})"


def __getattr__(name):  # programs import the other transforms from here too
    from importlib import import_module

    whole = import_module(__package__)
    if name in whole.__all__:
        return getattr(whole, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
