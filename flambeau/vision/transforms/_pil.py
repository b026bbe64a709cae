"""The transforms on PIL images."""

import math

import flambeau
from flambeau._ops import internal


def is_pil(image):
    """Whether it is a PIL image; does not import Pillow to find out."""
    import sys

    pil = sys.modules.get("PIL.Image")
    return pil is not None and isinstance(image, pil.Image)


def resampling(mode):
    """PIL's number for an interpolation mode."""
    from PIL import Image

    names = {"nearest-exact": "nearest"}
    return getattr(Image.Resampling, names.get(mode.value, mode.value).upper())


def size_of(image):
    """(channels, height, width)"""
    return len(image.getbands()), image.height, image.width


def interleaved(tensor):
    """A tensor [channels, height, width] as an array [height, width, channels] of its own."""
    import numpy

    if tensor.permute(1, 2, 0).is_contiguous():
        return tensor.permute(1, 2, 0).numpy().copy()
    planes = tensor.contiguous().numpy()
    made = numpy.empty((*planes.shape[1:], len(planes)), planes.dtype)
    for channel, plane in enumerate(planes):
        made[:, :, channel] = plane
    return made


def _pixels(image):
    """[height, width, 4] (RGB) or [height, width] (L) bytes over the image's own memory, or None.

    Pillow keeps the pixels of colours in four bytes each; those of large images lie in pieces.
    """
    if image.mode not in ("RGB", "L") or not hasattr(image, "__arrow_c_array__"):
        return None
    try:
        flat = flambeau._C._arrow_bytes(image.__arrow_c_array__()[1])
    except ValueError:
        return None
    shape = (image.height, image.width) + ((4,) if image.mode == "RGB" else ())
    return flat.view(shape) if flat.numel() == math.prod(shape) else None


def to_tensor(image):
    """[channels, height, width] in the image's own type; the channels of a pixel are neighbours."""
    import numpy

    if image.mode == "1":
        array = numpy.array(image, dtype=numpy.uint8) * 255
    else:
        array = numpy.array(image)
        if array.dtype == numpy.dtype(">u2") or array.dtype == numpy.uint16:
            array = array.astype(numpy.int16)
    if array.ndim == 2:
        array = array[:, :, None]
    return flambeau.from_numpy(array).permute(2, 0, 1)


def to_floats(image):
    """[channels, height, width] from 0 to 1, float32, from an image of bytes; None for others."""
    pixels = _pixels(image)
    if pixels is None:
        return None
    planes = pixels[..., :3].permute(2, 0, 1) if pixels.dim() == 3 else pixels.unsqueeze(0)
    return internal["_bytes_to_floats"](planes)


def resize(image, size, mode):
    """The image in another size (height, width), bit for bit as Pillow makes it."""
    height, width = size
    pixels = None
    # newer Pillows shrink the height first where that is much more to shrink
    tall = 0 < image.height - height >= 2 * (image.width - width)
    exact = mode.value in ("bilinear", "bicubic", "lanczos", "box")
    if exact and not tall and min(height, width, *image.size) > 0:
        pixels = _pixels(image)
    if pixels is None:
        return image.resize((width, height), resampling(mode))
    from PIL import Image

    planes = pixels.permute(2, 0, 1) if pixels.dim() == 3 else pixels.unsqueeze(0)
    made = internal["_resize_pixels"](planes.unsqueeze(0), [height, width], mode.value)
    raw = ("raw", "RGBX") if pixels.dim() == 3 else ()
    made = Image.frombytes(image.mode, (width, height), made.permute(0, 2, 3, 1), *raw)
    made.info = image.info.copy()
    return made


def from_array(array, mode):
    """An [height, width, channels] or [height, width] array as an image."""
    import numpy
    from PIL import Image

    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    kinds = {"uint8": "L", "int16": "I;16", "int32": "I", "float32": "F"}
    if array.ndim == 2:
        expected = kinds.get(array.dtype.name)
        if mode is not None and mode != expected:
            raise ValueError(
                f"Incorrect mode ({mode}) supplied for input type {array.dtype}. "
                f"Should be {expected}"
            )
        allowed = [expected]
    else:
        allowed = {2: ["LA"], 3: ["RGB", "YCbCr", "HSV"], 4: ["RGBA", "CMYK", "RGBX"]}[
            array.shape[2]
        ]
        if mode is not None and mode not in allowed:
            raise ValueError(f"Only modes {allowed} are supported for {array.shape[2]}D inputs")
        if array.dtype != numpy.uint8:
            allowed = [None]
    if allowed[0] is None:
        raise TypeError(f"Input type {array.dtype} is not supported")
    mode = mode or allowed[0]
    if array.dtype == numpy.int16:
        array = array.astype(numpy.uint16)
    if len(allowed) > 1 and mode != allowed[0]:
        height, width = array.shape[:2]
        return Image.frombytes(mode, (width, height), numpy.ascontiguousarray(array).tobytes())
    return Image.fromarray(array)


def fill_of(image, fill):
    """A fill value with as many bands as the image."""
    bands = len(image.getbands())
    if fill is None:
        fill = 0
    if isinstance(fill, (int, float)):
        fill = fill if image.mode == "F" else int(fill)
        return (fill,) * bands if bands > 1 else fill
    if bands == 1 and len(fill) == 1:
        return fill[0]
    fill = tuple(fill) * bands if len(fill) == 1 else tuple(fill)
    if len(fill) != bands:
        raise ValueError(
            "The number of elements in 'fill' does not match the number of channels of the image "
            f"({len(fill)} != {bands})"
        )
    return fill if image.mode == "F" else tuple(int(v) for v in fill)


def pad(image, padding, fill, mode):
    """padding is [left, top, right, bottom]"""
    left, top, right, bottom = padding
    if mode == "constant":
        from PIL import Image

        made = Image.new(
            image.mode,
            (image.width + left + right, image.height + top + bottom),
            fill_of(image, fill),
        )
        if image.mode == "P":
            made.putpalette(image.getpalette())
        made.paste(image, (left, top))
        return made
    import numpy
    from PIL import Image

    if min(padding) < 0:
        box = (max(-left, 0), max(-top, 0))
        image = image.crop((*box, image.width - max(-right, 0), image.height - max(-bottom, 0)))
        left, top, right, bottom = (max(side, 0) for side in padding)
    array = numpy.asarray(image)
    widths = [(top, bottom), (left, right)] + [(0, 0)] * (array.ndim - 2)
    made = Image.fromarray(numpy.pad(array, widths, mode=mode))
    if image.mode == "P":
        made.putpalette(image.getpalette())
    return made


def gray(image, channels):
    if channels not in (1, 3):
        raise ValueError("num_output_channels should be either 1 or 3")
    made = image.convert("L")
    if channels == 3:
        from PIL import Image

        made = Image.merge("RGB", (made,) * 3)
    return made
