"""Colours, blur and warps of images: tensors [..., C, H, W] and PIL images."""

import numbers

import flambeau
from flambeau._ops import internal
from flambeau.nn import functional as F

from . import _pil, _tensor

__all__ = [
    "adjust_brightness",
    "adjust_contrast",
    "adjust_gamma",
    "adjust_hue",
    "adjust_saturation",
    "adjust_sharpness",
    "autocontrast",
    "elastic_transform",
    "equalize",
    "gaussian_blur",
    "invert",
    "perspective",
    "posterize",
    "solarize",
]


def _is_tensor(img):
    from . import functional

    return functional._is_tensor(img)


def _channels(img, allowed):
    channels = _tensor.size_of(img)[0]
    if channels not in allowed:
        raise TypeError(
            f"Input image tensor permitted channel values are {' or '.join(map(str, allowed))}, "
            f"that is, images can have {' or '.join(map(str, allowed))} channels, but found "
            f"{channels}"
        )
    return channels


def _blend(img, other, ratio):
    """img * ratio + other * (1 - ratio); other may have one channel or one pixel, or be None."""
    if _tensor.is_native(img) and (other is None or other.shape[-3] == 1):
        turned = img.movedim(-3, -1)
        if other is None and turned.is_contiguous():  # pixel after pixel, as it stays
            flat = turned.reshape(1, -1, turned.shape[-1])
            return internal["_image_blend"](flat, None, ratio).view(turned.shape).movedim(-1, -3)
        return internal["_image_blend"](img, other, ratio)
    made = ratio * img
    if other is not None:
        made = made + (1.0 - ratio) * other
    return made.clamp(0, _tensor.max_value(img.dtype)).to(img.dtype)


def _positive(value, name):
    if value < 0:
        raise ValueError(f"{name} ({value}) is not non-negative.")


def _enhanced(img, kind, factor):
    from PIL import ImageEnhance

    return getattr(ImageEnhance, kind)(img).enhance(factor)


def adjust_brightness(img, brightness_factor):
    """Times a factor: 0 is black, 1 the image."""
    _positive(brightness_factor, "brightness_factor")
    if not _is_tensor(img):
        return _enhanced(img, "Brightness", brightness_factor)
    _channels(img, (1, 3))
    return _blend(img, None, float(brightness_factor))


def adjust_contrast(img, contrast_factor):
    """Away from the mean grey by a factor: 0 is grey, 1 the image."""
    _positive(contrast_factor, "contrast_factor")
    if not _is_tensor(img):
        return _enhanced(img, "Contrast", contrast_factor)
    grey = _tensor.gray(img, 1) if _channels(img, (1, 3)) == 3 else img
    wide = grey if grey.is_floating_point() else grey.to(flambeau.float32)
    return _blend(img, wide.mean(dim=(-3, -2, -1), keepdim=True), float(contrast_factor))


def adjust_saturation(img, saturation_factor):
    """Away from grey by a factor: 0 is grey, 1 the image."""
    _positive(saturation_factor, "saturation_factor")
    if not _is_tensor(img):
        return _enhanced(img, "Color", saturation_factor)
    if _channels(img, (1, 3)) == 1:
        return img
    return _blend(img, _tensor.gray(img, 1), float(saturation_factor))


def _to_hsv(img):
    """Channels from 0 to 1 (Smith, Color gamut transform pairs, 1978)."""
    red, green, blue = img.unbind(-3)
    high, low = img.amax(-3), img.amin(-3)
    span = high - low
    flat = span == 0
    ones = flambeau.ones_like(high)
    saturation = span / flambeau.where(flat, ones, high)
    divisor = flambeau.where(flat, ones, span)
    r, g, b = ((high - c) / divisor for c in (red, green, blue))
    hue = flambeau.where(
        high == red, b - g, flambeau.where(high == green, 2.0 + r - b, 4.0 + g - r)
    )
    hue = flambeau.where(flat, flambeau.zeros_like(hue), hue)
    return flambeau.fmod(hue / 6.0 + 1.0, 1.0), saturation, high


def _from_hsv(hue, saturation, value):
    sector = flambeau.floor(hue * 6.0)
    f = hue * 6.0 - sector
    sector = sector.to(flambeau.int64) % 6
    p = (value * (1.0 - saturation)).clamp(0.0, 1.0)
    q = (value * (1.0 - saturation * f)).clamp(0.0, 1.0)
    t = (value * (1.0 - saturation * (1.0 - f))).clamp(0.0, 1.0)
    choices = [(value, q, p, p, t, value), (t, value, value, q, p, p), (p, p, t, value, value, q)]
    channels = [
        flambeau.stack(parts).gather(0, sector.unsqueeze(0)).squeeze(0) for parts in choices
    ]
    return flambeau.stack(channels, dim=-3)


def adjust_hue(img, hue_factor):
    """The hue turned by a share of the circle from -0.5 to 0.5."""
    if not -0.5 <= hue_factor <= 0.5:
        raise ValueError(f"hue_factor ({hue_factor}) is not in [-0.5, 0.5].")
    if not _is_tensor(img):
        if img.mode in ("L", "1", "I", "F"):
            return img
        import numpy
        from PIL import Image

        mode = img.mode
        hue, saturation, value = img.convert("HSV").split()
        turned = numpy.array(hue, dtype=numpy.uint8)
        turned += numpy.array(int(hue_factor * 255)).astype(numpy.uint8)
        hue = Image.fromarray(turned)
        return Image.merge("HSV", (hue, saturation, value)).convert(mode)
    if _channels(img, (1, 3)) == 1:
        return img
    if _tensor.is_native(img):
        return internal["_image_hue"](img, hue_factor)
    dtype = img.dtype
    hue, saturation, value = _to_hsv(_tensor.convert_dtype(img, flambeau.float32))
    made = _from_hsv((hue + hue_factor) % 1.0, saturation, value)
    return _tensor.convert_dtype(made, dtype)


def adjust_gamma(img, gamma, gain=1):
    """gain * img ** gamma, for values from 0 to 1."""
    if gamma < 0:
        raise ValueError("Gamma should be a non-negative real number")
    if not _is_tensor(img):
        mode = img.mode
        table = [int((255 + 1 - 1e-3) * gain * pow(v / 255.0, gamma)) for v in range(256)] * 3
        return img.convert("RGB").point(table).convert(mode)
    if img.dtype == flambeau.uint8 and img.numel() > 256:
        return _tensor.by_table(img, lambda table: adjust_gamma(table, gamma, gain))
    made = img if img.is_floating_point() else _tensor.convert_dtype(img, flambeau.float32)
    made = (made**gamma).mul_(gain).clamp_(0, 1)
    return _tensor.convert_dtype(made, img.dtype)


def adjust_sharpness(img, sharpness_factor):
    """Away from a blurred image by a factor: 0 is blurred, 1 the image."""
    _positive(sharpness_factor, "sharpness_factor")
    if not _is_tensor(img):
        return _enhanced(img, "Sharpness", sharpness_factor)
    _channels(img, (1, 3))
    if img.size(-1) <= 2 or img.size(-2) <= 2:
        return img
    wide = img if img.is_floating_point() else img.to(flambeau.float32)
    kernel = flambeau.ones(3, 3, dtype=wide.dtype)
    kernel[1, 1] = 5.0
    inner = _tensor._back(_depthwise(wide, kernel / kernel.sum()), img.dtype)
    blurred = img.clone()
    blurred[..., 1:-1, 1:-1] = inner
    return _blend(img, blurred, float(sharpness_factor))


def _depthwise(img, kernel):
    """Each channel with a kernel [h, w], where it fits."""
    flat = img.reshape(-1, 1, *img.shape[-2:])
    made = F.conv2d(flat, kernel[None, None].to(img.dtype))
    return made.reshape(*img.shape[:-2], *made.shape[-2:])


def _gauss(size, sigma, dtype):
    half = (size - 1) * 0.5
    x = flambeau.linspace(-half, half, steps=size, dtype=dtype)
    density = flambeau.exp(-0.5 * (x / sigma).pow(2))
    return density / density.sum()


def blur_options(kernel_size, sigma):
    """([x, y], [x, y]) from what users give."""
    if isinstance(kernel_size, numbers.Number):
        kernel_size = [kernel_size, kernel_size]
    kernel_size = list(kernel_size)
    if len(kernel_size) != 2:
        raise ValueError(
            f"If kernel_size is a sequence its length should be 2. Got {len(kernel_size)}"
        )
    for k in kernel_size:
        if not isinstance(k, int) or k % 2 == 0 or k < 0:
            raise ValueError(
                f"kernel_size should have odd and positive integers. Got {kernel_size}"
            )
    if sigma is None:
        sigma = [k * 0.15 + 0.35 for k in kernel_size]
    elif isinstance(sigma, numbers.Number):
        sigma = [float(sigma)] * 2
    elif not isinstance(sigma, (list, tuple)):
        raise TypeError(f"sigma should be either float or sequence of floats. Got {type(sigma)}")
    sigma = list(sigma) * (2 // len(sigma)) if len(sigma) in (1, 2) else []
    if len(sigma) != 2:
        raise ValueError("If sigma is a sequence, its length should be 2.")
    if any(s <= 0.0 for s in sigma):
        raise ValueError(f"sigma should have positive values. Got {sigma}")
    return kernel_size, sigma


def gaussian_blur(img, kernel_size, sigma=None):
    """Means with Gaussian weights; the borders are mirrored."""
    kernel_size, sigma = blur_options(kernel_size, sigma)
    if not _is_tensor(img):
        from . import functional

        made = gaussian_blur(functional.pil_to_tensor(img), kernel_size, sigma)
        return functional.to_pil_image(made, mode=img.mode)
    if img.numel() == 0:
        return img
    wide = img if img.is_floating_point() else img.to(flambeau.float32)
    x, y = (_gauss(k, s, wide.dtype) for k, s in zip(kernel_size, sigma, strict=True))
    left, top = (k // 2 for k in kernel_size)
    made = _tensor.pad(wide, [left, top, left, top], 0, "reflect")
    made = _depthwise(_depthwise(made, y[:, None]), x[None])
    return _tensor._back(made, img.dtype)


def invert(img):
    """Black to white."""
    if not _is_tensor(img):
        from PIL import ImageOps

        return ImageOps.invert(img)
    return ~img if img.dtype == flambeau.uint8 else _tensor.max_value(img.dtype) - img


def posterize(img, bits):
    """The highest bits of each channel."""
    if not 0 <= bits <= 8:
        raise ValueError(f"The number if bits should be between 0 and 8. Got {bits}")
    if not _is_tensor(img):
        from PIL import ImageOps

        return ImageOps.posterize(img, bits)
    if img.dtype != flambeau.uint8:
        raise TypeError(f"Only torch.uint8 image tensors are supported, but found {img.dtype}")
    return img & (256 - 2 ** (8 - bits))


def solarize(img, threshold):
    """What is not darker than the threshold, inverted."""
    if not _is_tensor(img):
        from PIL import ImageOps

        return ImageOps.solarize(img, threshold)
    if threshold > _tensor.max_value(img.dtype):
        raise TypeError(
            "Threshold should be less than bound of img: Threshold should be less or equal the "
            f"maximum value of the dtype {_tensor.max_value(img.dtype)}, but got {threshold}"
        )
    if img.dtype == flambeau.uint8 and img.numel() > 256:
        return _tensor.by_table(img, lambda table: solarize(table, threshold))
    return flambeau.where(img >= threshold, invert(img), img)


def autocontrast(img):
    """Each channel stretched from black to white."""
    if not _is_tensor(img):
        from PIL import ImageOps

        return ImageOps.autocontrast(img)
    _channels(img, (1, 3))
    bound = _tensor.max_value(img.dtype)
    wide = flambeau.float32 if not img.is_floating_point() else img.dtype
    low, high = (f(dim=(-2, -1), keepdim=True).to(wide) for f in (img.amin, img.amax))
    flat = high == low
    span = flambeau.where(flat, 1.0, (high - low) * (1.0 / bound))
    low = flambeau.where(flat, 0.0, low)
    if img.dtype == flambeau.uint8 and img.shape[-2:].numel() > 256:
        values = flambeau.arange(256, dtype=wide) - low.view(-1, 1)
        table = values.div_(span.view(-1, 1)).clamp_(0, bound).to(img.dtype)
        return internal["_lookup_bytes"](img, table)
    if img.dtype == flambeau.float32 and _tensor.is_native(img):
        planes = img.reshape(-1, *img.shape[-2:])
        made = internal["_standardize"](planes, low.reshape(-1), span.reshape(-1), False)
        return made.clamp_(0, 1).view(img.shape)
    return (img - low).div_(span).clamp_(0, bound).to(img.dtype)


def equalize(img):
    """Each channel's histogram made even."""
    if not _is_tensor(img):
        from PIL import ImageOps

        return ImageOps.equalize(img)
    if img.dtype.is_floating_point:
        made = equalize(_tensor.convert_dtype(img, flambeau.uint8))
        return _tensor.convert_dtype(made, img.dtype)
    if img.dtype != flambeau.uint8:
        raise TypeError(f"Only torch.uint8 image tensors are supported, but found {img.dtype}")
    _channels(img, (1, 3))
    if img.numel() == 0:
        return img
    planes = img.reshape(-1, img.shape[-2] * img.shape[-1])
    counts = internal["_count_bytes"](planes)
    last = 255 - (counts != 0).flip(1).int().argmax(1, keepdim=True)
    step = (planes.shape[1] - counts.gather(1, last)) // 255
    flat = step == 0  # too few values to spread
    some = step.clamp(min=1)
    table = ((counts.cumsum(1) - counts + some // 2) // some).clamp(0, 255)
    table = flambeau.where(flat, flambeau.arange(256), table).to(flambeau.uint8)
    return internal["_lookup_bytes"](planes, table).reshape(img.shape)


# -- warps -----------------------------------------------------------------------------------------
def perspective_coefficients(startpoints, endpoints):
    """(a, b, c, d, e, f, g, h) of the map from end points back to start points."""
    if len(startpoints) != 4 or len(endpoints) != 4:
        raise ValueError(f"Please provide exactly four corners, got {len(startpoints)}")
    rows, wanted = [], []
    for (x, y), (u, v) in zip(endpoints, startpoints, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        wanted += [u, v]
    import numpy

    solved = numpy.linalg.solve(numpy.array(rows, float), numpy.array(wanted, float))
    return solved.astype(numpy.float32).tolist()  # as torchvision's: PIL cuts off at the last bit


def _pixel_centres(height, width):
    """[H, W, 2] x and y."""
    y, x = flambeau.meshgrid(
        flambeau.arange(height, dtype=flambeau.float32) + 0.5,
        flambeau.arange(width, dtype=flambeau.float32) + 0.5,
        indexing="ij",
    )
    return flambeau.stack([x, y], dim=-1)


def warp_perspective(img, coefficients, mode, fill):
    a, b, c, d, e, f, g, h = coefficients
    height, width = img.shape[-2:]
    x, y = _pixel_centres(height, width).unbind(-1)
    below = g * x + h * y + 1.0
    u = (a * x + b * y + c) / (0.5 * width) / below - 1.0
    v = (d * x + e * y + f) / (0.5 * height) / below - 1.0
    return _tensor.sample(img, flambeau.stack([u, v], dim=-1), mode, fill)


def perspective(img, startpoints, endpoints, interpolation=None, fill=None):
    """The image with four points [x, y] moved to four others."""
    from . import functional

    mode = functional._mode(interpolation or functional.InterpolationMode.BILINEAR)
    coefficients = perspective_coefficients(startpoints, endpoints)
    if _is_tensor(img):
        return warp_perspective(img, coefficients, mode.value, functional._fill_list(img, fill))
    from PIL import Image

    return img.transform(
        img.size,
        Image.Transform.PERSPECTIVE,
        coefficients,
        _pil.resampling(mode),
        fillcolor=_pil.fill_of(img, fill),
    )


def check_displacement(displacement, height, width):
    """[1, height, width, 2], or an error."""
    if not isinstance(displacement, flambeau.Tensor):
        raise TypeError("Argument displacement should be a Tensor")
    if tuple(displacement.shape) != (1, height, width, 2):
        raise ValueError(
            f"Argument displacement shape should be {(1, height, width, 2)}, but given "
            f"{tuple(displacement.shape)}"
        )


def elastic_transform(img, displacement, interpolation=None, fill=None):
    """Each pixel from a place moved by displacement [1, H, W, 2], in units of half the image."""
    from . import functional

    if not isinstance(displacement, flambeau.Tensor):
        raise TypeError("Argument displacement should be a Tensor")
    mode = functional._mode(interpolation or functional.InterpolationMode.BILINEAR)
    if not _is_tensor(img):
        made = elastic_transform(functional.pil_to_tensor(img), displacement, mode, fill)
        return functional.to_pil_image(made, mode=img.mode)
    height, width = img.shape[-2:]
    check_displacement(displacement, height, width)
    grid = flambeau.empty(height, width, 2)
    x, y = (flambeau.arange(n, dtype=flambeau.float32) + 0.5 for n in (width, height))
    grid[..., 0] = x / (width / 2) - 1.0
    grid[..., 1] = (y / (height / 2) - 1.0).unsqueeze(1)
    grid = grid + displacement[0]
    return _tensor.sample(img, grid, mode.value, functional._fill_list(img, fill))
