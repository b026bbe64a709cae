"""Random transforms; they draw torchvision's numbers from the global generator."""

import math
import numbers
import random

import flambeau
from flambeau import nn

from . import functional as F
from .functional import InterpolationMode


def _chance(p):
    return bool(flambeau.rand(1) < p)


def _uniform(low, high):
    return float(flambeau.empty(1).uniform_(float(low), float(high)).item())


def _integer(high):
    return int(flambeau.randint(0, high, size=(1,)).item())


class _Flip(nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.p = p

    def __repr__(self):
        return f"{type(self).__name__}(p={self.p})"


class RandomHorizontalFlip(_Flip):
    """Left and right swapped, with probability p.

    >>> import flambeau as torch
    >>> from flambeau.vision import transforms
    >>> transforms.RandomHorizontalFlip(p=1.0)(torch.arange(3).view(1, 1, 3))
    tensor([[[2, 1, 0]]])
    """

    def forward(self, img):
        return F.hflip(img) if _chance(self.p) else img


class RandomVerticalFlip(_Flip):
    """Top and bottom swapped, with probability p.

    >>> import flambeau as torch
    >>> from flambeau.vision import transforms
    >>> transforms.RandomVerticalFlip(p=1.0)(torch.arange(3).view(1, 3, 1)).flatten()
    tensor([2, 1, 0])
    """

    def forward(self, img):
        return F.vflip(img) if _chance(self.p) else img


class RandomGrayscale(_Flip):
    """Grey with as many channels as before, with probability p."""

    def __init__(self, p=0.1):
        super().__init__(p)

    def forward(self, img):
        channels = F.get_image_num_channels(img)
        return F.rgb_to_grayscale(img, channels) if _chance(self.p) else img


class RandomCrop(nn.Module):
    """A rectangle of the given size at a random place, after padding if asked for.

    >>> import flambeau as torch
    >>> from flambeau.vision import transforms
    >>> transforms.RandomCrop(4, padding=1)(torch.ones(3, 4, 4)).shape
    torch.Size([3, 4, 4])
    """

    @staticmethod
    def get_params(img, output_size):
        """(top, left, height, width)"""
        _, h, w = F.get_dimensions(img)
        height, width = output_size
        if h < height or w < width:
            raise ValueError(
                f"Required crop size {(height, width)} is larger than input image size {(h, w)}"
            )
        if (h, w) == (height, width):
            return 0, 0, h, w
        return _integer(h - height + 1), _integer(w - width + 1), height, width

    def __init__(self, size, padding=None, pad_if_needed=False, fill=0, padding_mode="constant"):
        super().__init__()
        self.size = F._pair(size)
        self.padding = padding
        self.pad_if_needed = pad_if_needed
        self.fill = fill
        self.padding_mode = padding_mode

    def forward(self, img):
        if self.padding is not None:
            img = F.pad(img, self.padding, self.fill, self.padding_mode)
        _, h, w = F.get_dimensions(img)
        if self.pad_if_needed and w < self.size[1]:
            img = F.pad(img, [self.size[1] - w, 0], self.fill, self.padding_mode)
        if self.pad_if_needed and h < self.size[0]:
            img = F.pad(img, [0, self.size[0] - h], self.fill, self.padding_mode)
        return F.crop(img, *self.get_params(img, self.size))

    def __repr__(self):
        return f"{type(self).__name__}(size={self.size}, padding={self.padding})"


def _ordered_pair(value, name):
    """A range of two numbers; one that is the wrong way round is warned of."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise TypeError(f"{name} should be a sequence of two floats.")
    if value[0] > value[1]:
        import warnings

        warnings.warn("Scale and ratio should be of kind (min, max)", stacklevel=3)
    return value


class RandomResizedCrop(nn.Module):
    """A rectangle of random area and shape, resized to the given size.

    >>> import flambeau as torch
    >>> from flambeau.vision import transforms
    >>> transforms.RandomResizedCrop(4)(torch.ones(3, 8, 8)).shape
    torch.Size([3, 4, 4])
    """

    def __init__(
        self,
        size,
        scale=(0.08, 1.0),
        ratio=(3.0 / 4.0, 4.0 / 3.0),
        interpolation=InterpolationMode.BILINEAR,
        antialias=True,
    ):
        super().__init__()
        self.size = F._pair(size)
        self.scale = _ordered_pair(scale, "Scale")
        self.ratio = _ordered_pair(ratio, "Ratio")
        self.interpolation = F._mode(interpolation)
        self.antialias = antialias

    @staticmethod
    def get_params(img, scale, ratio):
        """(top, left, height, width)"""
        _, h, w = F.get_dimensions(img)
        for _ in range(10):
            height, width = _rectangle(h * w, scale, ratio)
            if 0 < width <= w and 0 < height <= h:
                return _integer(h - height + 1), _integer(w - width + 1), height, width
        shape = min(max(w / h, min(ratio)), max(ratio))  # the widest that fits
        width, height = w, h
        if w / h < min(ratio):
            height = int(round(w / shape))
        elif w / h > max(ratio):
            width = int(round(h * shape))
        return (h - height) // 2, (w - width) // 2, height, width

    def forward(self, img):
        box = self.get_params(img, self.scale, self.ratio)
        return F.resized_crop(img, *box, self.size, self.interpolation, self.antialias)

    def __repr__(self):
        scale, ratio = (tuple(round(v, 4) for v in pair) for pair in (self.scale, self.ratio))
        return (
            f"{type(self).__name__}(size={self.size}, scale={scale}, ratio={ratio}, "
            f"interpolation={self.interpolation.value}, antialias={self.antialias})"
        )


def _rectangle(area, scale, ratio, tall=False):
    """(height, width) of a random share of an area with a random width-to-height ratio."""
    area *= _uniform(*scale)
    low, high = flambeau.log(flambeau.tensor(ratio)).tolist()
    # the exponential in float32, as torchvision takes it
    shape = float(flambeau.exp(flambeau.tensor(_uniform(low, high))).item())
    sides = int(round(math.sqrt(area / shape))), int(round(math.sqrt(area * shape)))
    return sides[::-1] if tall else sides


class RandomErasing(nn.Module):
    """With probability p, a rectangle is set to `value`: a number, one per channel or 'random'.

    >>> import flambeau as torch
    >>> from flambeau.vision import transforms
    >>> made = transforms.RandomErasing(p=1.0)(torch.ones(3, 8, 8))
    >>> bool((made == 0).any())
    True
    """

    def __init__(self, p=0.5, scale=(0.02, 0.33), ratio=(0.3, 3.3), value=0, inplace=False):
        super().__init__()
        if not isinstance(value, (numbers.Number, str, tuple, list)):
            raise TypeError("Argument value should be either a number or str or a sequence")
        if isinstance(value, str) and value != "random":
            raise ValueError("If value is str, it should be 'random'")
        if not 0 <= p <= 1:
            raise ValueError("Random erasing probability should be between 0 and 1")
        if not 0 <= scale[0] <= scale[1] <= 1:
            raise ValueError("Scale should be between 0 and 1")
        self.p = p
        self.scale = scale
        self.ratio = ratio
        self.value = value
        self.inplace = inplace

    @staticmethod
    def get_params(img, scale, ratio, value=None):
        """(top, left, height, width, what to put there)"""
        c, h, w = img.shape[-3:]
        for _ in range(10):
            height, width = _rectangle(h * w, scale, ratio, tall=True)
            if not (height < h and width < w):
                continue
            if value is None:
                v = flambeau.empty([c, height, width], dtype=flambeau.float32).normal_()
            else:
                v = flambeau.tensor(value)[:, None, None]
            return _integer(h - height + 1), _integer(w - width + 1), height, width, v
        return 0, 0, h, w, img

    def forward(self, img):
        if not _chance(self.p):
            return img
        value = self.value
        if isinstance(value, numbers.Number):
            value = [float(value)]
        elif isinstance(value, str):
            value = None
        else:
            value = [float(v) for v in value]
        if value is not None and len(value) not in (1, img.shape[-3]):
            raise ValueError(
                f"If value is a sequence, it should have either a single value or {img.shape[-3]} "
                "(number of input channels)"
            )
        return F.erase(img, *self.get_params(img, self.scale, self.ratio, value), self.inplace)

    def __repr__(self):
        return (
            f"{type(self).__name__}(p={self.p}, scale={self.scale}, ratio={self.ratio}, "
            f"value={self.value}, inplace={self.inplace})"
        )


def _range(value, name):
    """[-value, value] of a number, or the pair that was given."""
    if isinstance(value, numbers.Number):
        if value < 0:
            raise ValueError(f"If {name} is a single number, it must be positive.")
        return [-float(value), float(value)]
    if len(value) not in (2, 4) or (len(value) == 4 and name != "shear"):
        raise ValueError(f"{name} should be a sequence of length 2.")
    return [float(v) for v in value]


def _pair_or_none(value, name):
    if value is not None and not isinstance(value, (list, tuple)):
        raise TypeError(f"{name} should be a sequence of length 2.")
    if value is not None and len(value) != 2:
        raise ValueError(f"{name} should be a sequence of length 2.")


class RandomRotation(nn.Module):
    """A turn by a random angle."""

    def __init__(
        self, degrees, interpolation=InterpolationMode.NEAREST, expand=False, center=None, fill=0
    ):
        super().__init__()
        self.degrees = _range(degrees, "degrees")
        self.interpolation = F._mode(interpolation)
        self.expand = expand
        _pair_or_none(center, "center")
        self.center = center
        self.fill = F.check_fill(fill)

    @staticmethod
    def get_params(degrees):
        """The angle."""
        return _uniform(*degrees)

    def forward(self, img):
        angle = self.get_params(self.degrees)
        return F.rotate(img, angle, self.interpolation, self.expand, self.center, self.fill)

    def __repr__(self):
        center = "" if self.center is None else f", center={self.center}"
        return (
            f"{type(self).__name__}(degrees={self.degrees}, "
            f"interpolation={self.interpolation.value}, expand={self.expand}{center}, "
            f"fill={self.fill})"
        )


class RandomAffine(nn.Module):
    """A random turn, and where given a random shift, scale and shear."""

    def __init__(
        self,
        degrees,
        translate=None,
        scale=None,
        shear=None,
        interpolation=InterpolationMode.NEAREST,
        fill=0,
        center=None,
    ):
        super().__init__()
        self.degrees = _range(degrees, "degrees")
        for name, value in (("translate", translate), ("scale", scale), ("center", center)):
            _pair_or_none(value, name)
        if translate is not None and not all(0.0 <= t <= 1.0 for t in translate):
            raise ValueError("translation values should be between 0 and 1")
        if scale is not None and not all(s > 0 for s in scale):
            raise ValueError("scale values should be positive")
        self.translate = translate
        self.scale = scale
        self.shear = None if shear is None else _range(shear, "shear")
        self.interpolation = F._mode(interpolation)
        self.fill = F.check_fill(fill)
        self.center = center

    @staticmethod
    def get_params(degrees, translate, scale_ranges, shears, img_size):
        """(angle, (x, y), scale, (shear_x, shear_y)) for an image of [width, height]"""
        angle = _uniform(*degrees)
        shift = (0, 0)
        if translate is not None:
            reach = [float(t * side) for t, side in zip(translate, img_size)]
            shift = tuple(int(round(_uniform(-r, r))) for r in reach)
        scale = 1.0 if scale_ranges is None else _uniform(*scale_ranges)
        shear = (0.0, 0.0)
        if shears is not None:
            shear_x = _uniform(shears[0], shears[1])
            shear = (shear_x, _uniform(shears[2], shears[3]) if len(shears) == 4 else 0.0)
        return angle, shift, scale, shear

    def forward(self, img):
        size = F.get_image_size(img)
        params = self.get_params(self.degrees, self.translate, self.scale, self.shear, size)
        return F.affine(
            img, *params, interpolation=self.interpolation, fill=self.fill, center=self.center
        )

    def __repr__(self):
        parts = [f"degrees={self.degrees}"]
        parts += [
            f"{name}={getattr(self, name)}"
            for name in ("translate", "scale", "shear")
            if getattr(self, name) is not None
        ]
        if self.interpolation != InterpolationMode.NEAREST:
            parts.append(f"interpolation={self.interpolation.value}")
        parts += [
            f"{name}={getattr(self, name)}" for name in ("fill", "center") if getattr(self, name)
        ]
        return f"{type(self).__name__}({', '.join(parts)})"


class RandomApply(nn.Module):
    """A list of transforms, with probability p."""

    def __init__(self, transforms, p=0.5):
        super().__init__()
        self.transforms = transforms
        self.p = p

    def forward(self, img):
        if self.p < flambeau.rand(1):
            return img
        for transform in self.transforms:
            img = transform(img)
        return img

    def __repr__(self):
        lines = [f"    {transform}" for transform in self.transforms]
        return "\n".join([f"{type(self).__name__}(", f"    p={self.p}", *lines, ")"])


class RandomChoice:
    """One of a list of transforms."""

    def __init__(self, transforms, p=None):
        self.transforms = transforms
        self.p = p

    def __call__(self, *args):
        return random.choices(self.transforms, weights=self.p)[0](*args)

    def __repr__(self):
        return f"{type(self).__name__}({self.transforms}, p={self.p})"


class RandomOrder:
    """A list of transforms in random order."""

    def __init__(self, transforms):
        self.transforms = transforms

    def __call__(self, img):
        order = list(range(len(self.transforms)))
        random.shuffle(order)
        for i in order:
            img = self.transforms[i](img)
        return img

    def __repr__(self):
        return f"{type(self).__name__}({self.transforms})"
