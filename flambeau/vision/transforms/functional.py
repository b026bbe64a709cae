"""Transforms as functions of an image and their parameters."""

import enum
import math
import numbers

import flambeau
from flambeau._ops import internal

from . import _pil, _tensor
from ._color import (
    adjust_brightness,
    adjust_contrast,
    adjust_gamma,
    adjust_hue,
    adjust_saturation,
    adjust_sharpness,
    autocontrast,
    elastic_transform,
    equalize,
    gaussian_blur,
    invert,
    perspective,
    posterize,
    solarize,
)

__all__ = [
    "InterpolationMode",
    "adjust_brightness",
    "adjust_contrast",
    "adjust_gamma",
    "adjust_hue",
    "adjust_saturation",
    "adjust_sharpness",
    "affine",
    "autocontrast",
    "center_crop",
    "convert_image_dtype",
    "crop",
    "elastic_transform",
    "equalize",
    "erase",
    "five_crop",
    "gaussian_blur",
    "get_dimensions",
    "get_image_num_channels",
    "get_image_size",
    "hflip",
    "invert",
    "normalize",
    "pad",
    "perspective",
    "pil_to_tensor",
    "posterize",
    "resize",
    "resized_crop",
    "rgb_to_grayscale",
    "rotate",
    "solarize",
    "ten_crop",
    "to_grayscale",
    "to_pil_image",
    "to_tensor",
    "vflip",
]


class InterpolationMode(enum.Enum):
    """How to find values between pixels. Box, Hamming and Lanczos are for PIL images."""

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"


_is_pil_image = _pil.is_pil  # the name that training scripts know
_BY_NUMBER = {0: "nearest", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming", 1: "lanczos"}


def _mode(interpolation):
    if isinstance(interpolation, int):  # PIL's numbers
        return InterpolationMode(_BY_NUMBER[interpolation])
    if isinstance(interpolation, str) and interpolation in _BY_NUMBER.values():
        return InterpolationMode(interpolation)
    if not isinstance(interpolation, InterpolationMode):
        raise TypeError(
            "Argument interpolation should be a InterpolationMode or a corresponding Pillow "
            "integer constant"
        )
    return interpolation


def _is_tensor(image):
    if isinstance(image, flambeau.Tensor):
        if image.dim() < 2:
            raise TypeError("Tensor is not a torch image.")
        return True
    if _pil.is_pil(image):
        return False
    raise TypeError(f"Input should be a Tensor image or a PIL image. Got {type(image)}")


def get_dimensions(img):
    """[channels, height, width]"""
    return list((_tensor if _is_tensor(img) else _pil).size_of(img))


def get_image_size(img):
    """[width, height]"""
    return get_dimensions(img)[:0:-1]


def get_image_num_channels(img):
    """How many channels the image has."""
    return get_dimensions(img)[0]


# -- to tensors and back ---------------------------------------------------------------------------
def to_tensor(pic):
    """A PIL image or [H, W, C] array as a [C, H, W] tensor; uint8 becomes float between 0 and 1.

    >>> import numpy
    >>> from flambeau.vision.transforms.functional import to_tensor
    >>> to_tensor(numpy.full((1, 2), 255, numpy.uint8))
    tensor([[[1., 1.]]])
    """
    if _pil.is_pil(pic):
        floats = flambeau.get_default_dtype() == flambeau.float32
        made = _pil.to_floats(pic) if floats else None
        if made is not None:
            return made
        made = _pil.to_tensor(pic).contiguous()
    elif type(pic).__module__ == "numpy" and hasattr(pic, "ndim"):
        if pic.ndim not in (2, 3):
            raise ValueError(f"pic should be 2/3 dimensional. Got {pic.ndim} dimensions.")
        array = pic[:, :, None] if pic.ndim == 2 else pic
        if pic.dtype == "uint8" and flambeau.get_default_dtype() == flambeau.float32:
            pixels = flambeau.from_numpy(array if min(array.strides) >= 0 else array.copy())
            return internal["_bytes_to_floats"](pixels.permute(2, 0, 1))
        made = flambeau.from_numpy(array.transpose(2, 0, 1).copy())
    else:
        raise TypeError(f"pic should be PIL Image or ndarray. Got {type(pic)}")
    if made.dtype == flambeau.uint8:
        return made.to(flambeau.get_default_dtype()).div_(255)
    return made


def pil_to_tensor(pic):
    """A PIL image as a [C, H, W] tensor of its own type."""
    if not _pil.is_pil(pic):
        raise TypeError(f"pic should be PIL Image. Got {type(pic)}")
    return _pil.to_tensor(pic)


def to_pil_image(pic, mode=None):
    """A [C, H, W] tensor or [H, W, C] array as a PIL image."""
    if isinstance(pic, flambeau.Tensor):
        if pic.dim() not in (2, 3):
            raise ValueError(f"pic should be 2/3 dimensional. Got {pic.dim()} dimensions.")
        if pic.dim() == 2:
            pic = pic.unsqueeze(0)
        if pic.shape[0] > 4:
            raise ValueError(f"pic should not have > 4 channels. Got {pic.shape[0]} channels.")
        if pic.is_floating_point() and mode != "F":
            pic = pic.mul(255).to(flambeau.uint8)
        pic = _pil.interleaved(pic.detach())
    elif type(pic).__module__ != "numpy":
        raise TypeError(f"pic should be Tensor or ndarray. Got {type(pic)}.")
    elif pic.ndim not in (2, 3):
        raise ValueError(f"pic should be 2/3 dimensional. Got {pic.ndim} dimensions.")
    elif pic.ndim == 3 and pic.shape[2] > 4:
        raise ValueError(f"pic should not have > 4 channels. Got {pic.shape[2]} channels.")
    elif pic.dtype.kind == "f" and mode != "F":
        pic = (pic * 255).astype("uint8")
    return _pil.from_array(pic, mode)


def convert_image_dtype(image, dtype=flambeau.float32):
    """A tensor image in another dtype, black to black and white to white."""
    if not isinstance(image, flambeau.Tensor):
        raise TypeError("Input img should be Tensor Image")
    return _tensor.convert_dtype(image, dtype)


def normalize(tensor, mean, std, inplace=False):
    """`(tensor - mean) / std`, channel by channel."""
    if not isinstance(tensor, flambeau.Tensor):
        raise TypeError(f"img should be Tensor Image. Got {type(tensor)}")
    return _tensor.normalize(tensor, mean, std, inplace)


# -- cutting, padding, turning over ----------------------------------------------------------------
def crop(img, top, left, height, width):
    """A rectangle of the image; what lies outside it is 0."""
    if _is_tensor(img):
        return _tensor.crop(img, top, left, height, width)
    return img.crop((left, top, left + width, top + height))


def _pair(size, what="size"):
    if isinstance(size, numbers.Number):
        return int(size), int(size)
    if len(size) == 1:
        return size[0], size[0]
    if len(size) != 2:
        raise ValueError(
            f"Please provide only two dimensions (h, w) for {what}: it should be a number or a "
            f"sequence of 1 or 2, got {size}"
        )
    return tuple(size)


def center_crop(img, output_size):
    """The middle of the image; a smaller image is padded with 0 first."""
    height, width = _pair(output_size)
    _, h, w = get_dimensions(img)
    if width > w or height > h:
        left, top = max((width - w) // 2, 0), max((height - h) // 2, 0)
        right, bottom = max((width - w + 1) // 2, 0), max((height - h + 1) // 2, 0)
        img = pad(img, [left, top, right, bottom])
        _, h, w = get_dimensions(img)
    return crop(img, int(round((h - height) / 2.0)), int(round((w - width) / 2.0)), height, width)


def pad(img, padding, fill=0, padding_mode="constant"):
    """Borders: one width, [horizontal, vertical] or [left, top, right, bottom]."""
    if not isinstance(padding, (numbers.Number, tuple, list)):
        raise TypeError("Got inappropriate padding arg")
    sides = check_padding(padding, padding_mode)
    return (_tensor if _is_tensor(img) else _pil).pad(img, sides, fill, padding_mode)


def check_padding(padding, padding_mode):
    """[left, top, right, bottom]"""
    if padding_mode not in ("constant", "edge", "reflect", "symmetric"):
        raise ValueError("Padding mode should be either constant, edge, reflect or symmetric")
    sides = [padding] if isinstance(padding, numbers.Number) else list(padding)
    if len(sides) not in (1, 2, 4):
        raise ValueError(
            "Padding must be an int or a 1, 2, or 4 element tuple, "
            f"not a {len(sides)} element tuple"
        )
    return sides * (4 // len(sides))


def check_fill(fill):
    """A fill value, or one for each channel; 0 for None."""
    if fill is None:
        return 0
    if not isinstance(fill, (list, tuple, str, numbers.Number)):
        raise TypeError("Fill should be either a sequence or a number.")
    return fill


def hflip(img):
    """Left and right swapped."""
    if _is_tensor(img):
        return img.flip(-1)
    from PIL import Image

    return img.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def vflip(img):
    """Top and bottom swapped."""
    if _is_tensor(img):
        return img.flip(-2)
    from PIL import Image

    return img.transpose(Image.Transpose.FLIP_TOP_BOTTOM)


def five_crop(img, size):
    """The four corners and the middle."""
    height, width = _pair(size)
    _, h, w = get_dimensions(img)
    if width > w or height > h:
        raise ValueError(
            f"Requested crop size {(height, width)} is bigger than input size {(h, w)}"
        )
    corners = [(0, 0), (0, w - width), (h - height, 0), (h - height, w - width)]
    crops = [crop(img, top, left, height, width) for top, left in corners]
    return (*crops, center_crop(img, [height, width]))


def ten_crop(img, size, vertical_flip=False):
    """`five_crop` of the image and of its mirror image."""
    return five_crop(img, size) + five_crop((vflip if vertical_flip else hflip)(img), size)


def erase(img, i, j, h, w, v, inplace=False):
    """The image with the rectangle from row i, column j set to v."""
    if not isinstance(img, flambeau.Tensor):
        raise TypeError(f"erase(): wanted a Tensor, got {type(img)}")
    if not inplace:
        img = img.clone()
    img[..., i : i + h, j : j + w] = v
    return img


# -- resizing --------------------------------------------------------------------------------------
def resize(img, size, interpolation=InterpolationMode.BILINEAR, max_size=None, antialias=True):
    """The image in another size; one number is the length of the shorter side.

    >>> import flambeau as torch
    >>> from flambeau.vision.transforms.functional import resize
    >>> resize(torch.zeros(3, 8, 4), 2).shape
    torch.Size([3, 4, 2])
    """
    mode = _mode(interpolation)
    _, h, w = get_dimensions(img)
    size = _target_size(h, w, size, max_size)
    if [h, w] == size:
        return img
    if _is_tensor(img):
        return _tensor.resize(img, size, mode.value, antialias)
    if antialias is False:
        import warnings

        warnings.warn(
            "Anti-alias option is always applied for PIL Image input. Argument antialias is "
            "ignored.",
            stacklevel=2,
        )
    return _pil.resize(img, size, mode)


def _target_size(h, w, size, max_size):
    if isinstance(size, int):
        size = [size]
    if size is not None and len(size) not in (1, 2):
        raise ValueError("Size must be an int or a 1 or 2 element tuple/list")
    if max_size is not None and size is not None and len(size) != 1:
        raise ValueError(
            "max_size should only be passed if size is None or specifies the length of the "
            "smaller edge, i.e. size should be an int or a sequence of length 1"
        )
    if size is not None and len(size) == 2:
        return list(size)
    short, long = min(h, w), max(h, w)
    if size is None:
        if max_size is None:
            raise ValueError("max_size must be an integer when size is None, but got None")
        new_short, new_long = int(max_size * short / long), max_size
    else:
        new_short, new_long = size[0], int(size[0] * long / short)
        if max_size is not None:
            if max_size <= size[0]:
                raise ValueError(
                    f"max_size = {max_size} must be strictly greater than the requested size for "
                    f"the smaller edge size = {size}"
                )
            if new_long > max_size:
                new_short, new_long = int(max_size * new_short / new_long), max_size
    return [new_long, new_short] if w <= h else [new_short, new_long]


def resized_crop(
    img, top, left, height, width, size, interpolation=InterpolationMode.BILINEAR, antialias=True
):
    """A crop in another size."""
    return resize(crop(img, top, left, height, width), size, interpolation, antialias=antialias)


# -- affine maps -----------------------------------------------------------------------------------
def _get_inverse_affine_matrix(center, angle, translate, scale, shear, inverted=True):
    """The 2x3 map from output to input of: shear, turn, scale about `center`, then translate.

    With `inverted=False` the one from input to output.
    """
    turn, shear_x, shear_y = (math.radians(v) for v in (angle, *shear))
    # forward 2x2: rotation times [[1, 0], [tan y, 1]]-like shears, all of determinant 1
    a = math.cos(turn - shear_y) / math.cos(shear_y)
    b = -a * math.tan(shear_x) - math.sin(turn)
    c = math.sin(turn - shear_y) / math.cos(shear_y)
    d = -c * math.tan(shear_x) + math.cos(turn)
    moved = [center[0] + translate[0], center[1] + translate[1]]
    if inverted:
        p, q, r, s = d / scale, -b / scale, -c / scale, a / scale
        (x, y), (u, v) = moved, center
    else:
        p, q, r, s = a * scale, b * scale, c * scale, d * scale
        (x, y), (u, v) = center, moved
    return [p, q, u - p * x - q * y, r, s, v - r * x - s * y]


def _fill_list(img, fill):
    if fill is None:
        return None
    fill = [fill] if isinstance(fill, numbers.Number) else list(fill)
    if len(fill) not in (1, get_dimensions(img)[0]):
        raise ValueError(
            "The number of elements in 'fill' cannot broadcast to match the number of channels of "
            f"the image ({len(fill)} != {get_dimensions(img)[0]})"
        )
    return fill


def rotate(
    img, angle, interpolation=InterpolationMode.NEAREST, expand=False, center=None, fill=None
):
    """The image turned counter-clockwise by an angle in degrees, about its middle or `center`."""
    mode = _mode(interpolation)
    if not isinstance(angle, (int, float)):
        raise TypeError("Argument angle should be int or float")
    if not isinstance(img, flambeau.Tensor):
        if not _pil.is_pil(img):
            raise TypeError(f"img should be PIL Image. Got {type(img)}")
        return img.rotate(
            angle, _pil.resampling(mode), expand, center, fillcolor=_pil.fill_of(img, fill)
        )
    _, h, w = get_dimensions(img)
    about = [0.0, 0.0] if center is None else [center[0] - w * 0.5, center[1] - h * 0.5]
    matrix = _get_inverse_affine_matrix(about, -angle, [0.0, 0.0], 1.0, [0.0, 0.0])
    size = _tensor.rotated_size(w, h, matrix) if expand else [h, w]
    return _tensor.warp(img, matrix, size, mode.value, _fill_list(img, fill))


def affine(
    img,
    angle,
    translate,
    scale,
    shear,
    interpolation=InterpolationMode.NEAREST,
    fill=None,
    center=None,
):
    """The image sheared, scaled and turned clockwise about its middle or `center`, then moved."""
    mode = _mode(interpolation)
    if not isinstance(angle, (int, float)):
        raise TypeError("Argument angle should be int or float")
    if not isinstance(translate, (list, tuple)):
        raise TypeError("Argument translate should be a sequence")
    if not isinstance(shear, (numbers.Number, list, tuple)):
        raise TypeError("Shear should be either a single value or a sequence of two values")
    if scale <= 0.0:
        raise ValueError("Argument scale should be positive")
    if len(translate) != 2:
        raise ValueError("Argument translate should be a sequence of length 2")
    shear = [float(shear), 0.0] if isinstance(shear, numbers.Number) else [float(v) for v in shear]
    if len(shear) == 1:
        shear = [shear[0], shear[0]]
    if len(shear) != 2:
        raise ValueError(f"Shear should be a sequence containing two values. Got {shear}")
    _, h, w = get_dimensions(img)
    translate = [float(v) for v in translate]
    if not _is_tensor(img):
        from PIL import Image

        centre = [w * 0.5, h * 0.5] if center is None else center
        matrix = _get_inverse_affine_matrix(centre, angle, translate, scale, shear)
        return img.transform(
            (w, h),
            Image.Transform.AFFINE,
            matrix,
            _pil.resampling(mode),
            fillcolor=_pil.fill_of(img, fill),
        )
    about = [0.0, 0.0] if center is None else [center[0] - w * 0.5, center[1] - h * 0.5]
    matrix = _get_inverse_affine_matrix(about, angle, translate, scale, shear)
    return _tensor.warp(img, matrix, [h, w], mode.value, _fill_list(img, fill))


# -- colours ---------------------------------------------------------------------------------------
def rgb_to_grayscale(img, num_output_channels=1):
    """The image in grey, in 1 or 3 equal channels."""
    if num_output_channels not in (1, 3):
        raise ValueError("num_output_channels should be either 1 or 3")
    return (_tensor if _is_tensor(img) else _pil).gray(img, num_output_channels)


def to_grayscale(img, num_output_channels=1):
    """A PIL image in grey, in 1 or 3 equal channels."""
    if not _pil.is_pil(img):
        raise TypeError("Input should be PIL Image")
    return _pil.gray(img, num_output_channels)
