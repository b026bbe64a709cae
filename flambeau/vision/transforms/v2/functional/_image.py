"""Kernels for images and videos that the first version of the transforms does not have."""

import flambeau

from ... import _color, _pil, _tensor
from ... import functional as F1


def resize(image, size=None, interpolation="bilinear", max_size=None, antialias=True):
    """The image in another size; one number is the length of the shorter side."""
    if not isinstance(image, flambeau.Tensor):
        return F1.resize(image, size, F1._mode(interpolation), max_size, antialias)
    target = F1._target_size(*image.shape[-2:], size, max_size)
    mode = F1._mode(interpolation).value
    return _tensor.resize(image, target, mode, antialias, bytes_between=True)


def resized_crop(image, top, left, height, width, size, interpolation="bilinear", antialias=True):
    """A crop in another size."""
    cut = F1.crop(image, top, left, height, width)
    return resize(cut, size, interpolation, antialias=antialias)


def pad(image, padding, fill=None, padding_mode="constant"):
    """Borders: one width, [horizontal, vertical] or [left, top, right, bottom]."""
    fill = 0 if fill is None else fill
    if isinstance(fill, (list, tuple)) and len(fill) == 1:
        fill = fill[0]
    if not isinstance(fill, (list, tuple)) or padding_mode != "constant":
        return F1.pad(image, padding, fill, padding_mode)
    if not isinstance(image, flambeau.Tensor):
        return F1.pad(image, padding, tuple(int(v) for v in fill), padding_mode)
    planes = [
        F1.pad(image[..., c : c + 1, :, :], padding, v, "constant") for c, v in enumerate(fill)
    ]
    return flambeau.cat(planes, -3)


def perspective(
    image, startpoints, endpoints, interpolation="bilinear", fill=None, coefficients=None
):
    """The image with four points [x, y] moved to four others, or by eight coefficients."""
    check_perspective(startpoints, endpoints, coefficients)
    if coefficients is None:
        return F1.perspective(image, startpoints, endpoints, F1._mode(interpolation), fill)
    mode = F1._mode(interpolation)
    if isinstance(image, flambeau.Tensor):
        return _color.warp_perspective(image, coefficients, mode.value, F1._fill_list(image, fill))
    from PIL import Image

    return image.transform(
        image.size,
        Image.Transform.PERSPECTIVE,
        coefficients,
        _pil.resampling(mode),
        fillcolor=_pil.fill_of(image, fill),
    )


def check_perspective(startpoints, endpoints, coefficients):
    """Either points or coefficients, or an error."""
    if coefficients is None:
        if startpoints is None or endpoints is None:
            raise ValueError(
                "Either the startpoints/endpoints or the coefficients must have non `None` values."
            )
    elif startpoints is not None and endpoints is not None:
        raise ValueError(
            "The startpoints/endpoints and the coefficients shouldn't be defined concurrently."
        )
    elif len(coefficients) != 8:
        raise ValueError("Argument coefficients should have 8 float values")


def erase(image, i, j, h, w, v, inplace=False):
    """The image with the rectangle from row i, column j set to v."""
    if isinstance(image, flambeau.Tensor):
        return F1.erase(image, i, j, h, w, v, inplace)
    return F1.to_pil_image(F1.erase(F1.pil_to_tensor(image), i, j, h, w, v), mode=image.mode)


def posterize(image, bits):
    """The highest bits of each channel; of floats as many steps as those have."""
    if not isinstance(bits, int) or not 0 <= bits <= 8:
        raise TypeError(f"bits must be a positive integer in the range [0, 8], got {bits} instead.")
    if not isinstance(image, flambeau.Tensor) or image.dtype == flambeau.uint8:
        return F1.posterize(image, bits)
    if image.is_floating_point():
        steps = 1 << bits
        return image.mul(steps).floor_().clamp_(0, steps - 1).mul_(1.0 / steps)
    width = flambeau.iinfo(image.dtype).bits - 1
    return image if bits >= width else image & (((1 << bits) - 1) << (width - bits))


def adjust_sharpness(image, sharpness_factor):
    """Away from a blurred image by a factor: 0 is blurred, 1 the image."""
    if not isinstance(image, flambeau.Tensor) or min(image.shape[-2:]) <= 2:
        return F1.adjust_sharpness(image, sharpness_factor)
    _color._positive(sharpness_factor, "sharpness_factor")
    _color._channels(image, (1, 3))
    if image.numel() == 0:
        return image
    wide = image.clone() if image.is_floating_point() else image.to(flambeau.float32)
    kernel = flambeau.full((3, 3), 1 / 13, dtype=wide.dtype)
    kernel[1, 1] = 5 / 13
    blurred = _color._depthwise(wide, kernel)
    if not image.is_floating_point():
        blurred.round_()
    inner = wide[..., 1:-1, 1:-1]
    inner.add_(blurred.sub_(inner), alpha=1.0 - sharpness_factor)
    return wide.clamp_(0, _tensor.max_value(image.dtype)).to(image.dtype)


def permute_channels(image, permutation):
    """Channels in another order."""
    channels = F1.get_dimensions(image)[0]
    if len(permutation) != channels:
        raise ValueError(
            f"Length of permutation does not match number of channels: {len(permutation)} != "
            f"{channels}"
        )
    if not isinstance(image, flambeau.Tensor):
        return F1.to_pil_image(permute_channels(F1.pil_to_tensor(image), permutation))
    return image[..., permutation, :, :]


def grayscale_to_rgb(image):
    """Three equal channels of one."""
    if not isinstance(image, flambeau.Tensor):
        return image.convert("RGB")
    if image.shape[-3] >= 3:
        return image
    return image.expand(*image.shape[:-3], 3, *image.shape[-2:]).clone()


def rgb_to_grayscale(image, num_output_channels=1):
    """The image in grey, in 1 or 3 equal channels."""
    if num_output_channels not in (1, 3):
        raise ValueError(f"num_output_channels must be 1 or 3, got {num_output_channels}.")
    if isinstance(image, flambeau.Tensor) and image.shape[-3] == 1 and num_output_channels == 3:
        return flambeau.cat([image] * 3, -3)
    return F1.rgb_to_grayscale(image, num_output_channels)


def gaussian_noise(image, mean=0.0, sigma=0.1, clip=True):
    """Normal noise added; `sigma` and `mean` as for values from 0 to 1."""
    if not isinstance(image, flambeau.Tensor):
        raise ValueError("Gaussian Noise is not implemented for PIL images.")
    if sigma < 0:
        raise ValueError(f"sigma shouldn't be negative. Got {sigma}")
    if image.is_floating_point():
        made = image + mean + flambeau.randn_like(image) * sigma
        return made.clamp(0, 1) if clip else made
    if image.dtype != flambeau.uint8:
        raise ValueError(
            f"Input tensor is expected to be in uint8 or float dtype, got {image.dtype}"
        )
    noise = flambeau.randn_like(image.float()) * sigma + mean
    made = image.to(flambeau.int32) + (noise * 255).to(flambeau.int32)
    return (made.clamp(0, 255) if clip else made).to(flambeau.uint8)


def jpeg(image, quality):
    """What compression leaves of the image."""
    from flambeau.vision.io import decode_jpeg, encode_jpeg

    if not isinstance(image, flambeau.Tensor):
        return F1.to_pil_image(jpeg(F1.pil_to_tensor(image), quality), mode=image.mode)
    if image.numel() == 0:
        return image.clone()
    flat = image.reshape(-1, *image.shape[-3:])
    return flambeau.stack([decode_jpeg(encode_jpeg(i, quality)) for i in flat]).reshape(image.shape)


def to_dtype(image, dtype=flambeau.float32, scale=False):
    """Another dtype; with `scale` black stays black and white white."""
    if not scale:
        return image.to(dtype)
    narrow = dtype.is_floating_point and not image.is_floating_point()
    if narrow and image.dtype != flambeau.bool and dtype == flambeau.get_default_dtype():
        return image * (1.0 / _tensor.max_value(image.dtype))  # rounded as torchvision does
    return _tensor.convert_dtype(image, dtype)


def uniform_temporal_subsample(video, num_samples):
    """Frames evenly spread over the video."""
    last = video.shape[-4] - 1
    index = flambeau.linspace(0, last, num_samples).long()
    return video.index_select(-4, index)
