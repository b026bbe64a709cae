"""The transforms on tensors, [..., channels, height, width]."""

import math

import flambeau
from flambeau._ops import internal
from flambeau.nn import functional as F


def size_of(image):
    """(channels, height, width)"""
    height, width = image.shape[-2:]
    return (image.shape[-3] if image.dim() > 2 else 1), height, width


def max_value(dtype):
    """The value of white."""
    return flambeau.iinfo(dtype).max if not dtype.is_floating_point else 1


def is_native(image):
    """Whether the kernels of images take it: bytes or float32, and no gradient is wanted."""
    return (
        image.dtype in (flambeau.uint8, flambeau.float32)
        and not (image.requires_grad and flambeau.is_grad_enabled())
        and image.dim() > 2
        and image.numel() > 0
        and image.device.type == "cpu"
    )


def by_table(image, f):
    """f of each byte, for an f of single pixels."""
    table = f(flambeau.arange(256, dtype=flambeau.uint8).view(1, 1, 256))
    return internal["_lookup_bytes"](image, table)


def convert_dtype(image, dtype):
    source = image.dtype
    if source == dtype:
        return image
    if source.is_floating_point:
        if dtype.is_floating_point:
            return image.to(dtype)
        if dtype == flambeau.int64 or (source == flambeau.float32 and dtype == flambeau.int32):
            raise RuntimeError(f"The cast from {source} to {dtype} cannot be performed safely.")
        return (image * (max_value(dtype) + 1 - 1e-3)).to(dtype)
    if dtype == flambeau.get_default_dtype():  # in one pass
        return image / max_value(source)
    if dtype.is_floating_point:
        return image.to(dtype).div_(max_value(source))
    wide, narrow = max_value(source), max_value(dtype)
    if wide > narrow:
        return (image // ((wide + 1) // (narrow + 1))).to(dtype)
    return image.to(dtype) * ((narrow + 1) // (wide + 1))


def normalize(image, mean, std, inplace):
    if not image.is_floating_point():
        raise TypeError(f"Input tensor should be a float tensor. Got {image.dtype}.")
    if image.dim() < 3:
        raise ValueError(
            "Expected tensor to be a tensor image of size (..., C, H, W). Got tensor.size() = "
            f"{tuple(image.shape)}"
        )
    mean = flambeau.as_tensor(mean, dtype=image.dtype, device=image.device)
    std = flambeau.as_tensor(std, dtype=image.dtype, device=image.device)
    if (std == 0).any():
        raise ValueError(
            f"std evaluated to zero after conversion to {image.dtype}: std evaluated to zero, "
            "leading to division by zero."
        )
    channels = image.shape[-3]
    each = mean.dim() == 1 and std.dim() == 1 and len(mean) == len(std) == channels
    if each and image.dtype == flambeau.float32 and is_native(image):
        if image.is_contiguous() or not inplace:
            made = internal["_standardize"](image, mean, std, inplace)
            if inplace:
                flambeau._C._increment_version(image)
            return image if inplace else made
    mean, std = (v.view(-1, 1, 1) if v.dim() == 1 else v for v in (mean, std))
    return image.sub_(mean).div_(std) if inplace else (image - mean).div_(std)


def crop(image, top, left, height, width):
    _, h, w = size_of(image)
    bottom, right = top + height, left + width
    inside = image[..., max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    if top < 0 or left < 0 or bottom > h or right > w:
        over = [max(-left + min(0, right), 0), max(right - max(w, left), 0)]
        over += [max(-top + min(0, bottom), 0), max(bottom - max(h, top), 0)]
        return F.pad(inside, over)
    return inside


def pad(image, padding, fill, mode):
    """padding is [left, top, right, bottom]"""
    left, top, right, bottom = padding
    if mode == "constant":
        return F.pad(image, [left, right, top, bottom], value=float(fill))
    if min(padding) < 0:  # cut first: the other modes only add
        image = crop(
            image,
            max(-top, 0),
            max(-left, 0),
            image.shape[-2] - max(-top, 0) - max(-bottom, 0),
            image.shape[-1] - max(-left, 0) - max(-right, 0),
        )
        left, top, right, bottom = (max(side, 0) for side in padding)
    if mode != "symmetric" and image.dtype != flambeau.bool and image.numel() > 0:
        planes = image.reshape(1, -1, *image.shape[-2:])
        native = "reflect" if mode == "reflect" else "replicate"
        made = F.pad(planes, [left, right, top, bottom], mode=native)
        return made.view(*image.shape[:-2], *made.shape[-2:])
    rows = _border(image.shape[-2], top, bottom, mode)
    columns = _border(image.shape[-1], left, right, mode)
    return image.index_select(-2, rows).index_select(-1, columns)


def _border(size, before, after, mode):
    """Which of `size` rows each row of the padded image repeats."""
    at = flambeau.arange(-before, size + after)
    if mode == "edge":
        return at.clamp(0, size - 1)
    if mode == "reflect":
        if max(before, after) >= size:
            raise RuntimeError(
                f"pad(): reflection needs padding smaller than the image, got {max(before, after)} "
                f"for a side of {size}"
            )
        period = max(2 * (size - 1), 1)
        at = at % period
        return flambeau.minimum(at, period - at)
    at = at % (2 * size)  # symmetric: the border itself comes twice
    return flambeau.minimum(at, 2 * size - 1 - at)


def resize(image, size, mode, antialias, bytes_between=False):
    if list(image.shape[-2:]) == list(size):
        return image
    smooth = mode in ("bilinear", "bicubic")
    # bicubic overshoots between its two passes, which bytes cannot hold
    as_bytes = image.dtype == flambeau.uint8 and (bytes_between or mode != "bicubic")
    native = image.is_floating_point() or as_bytes
    if image.numel() == 0:
        return image.new_empty((*image.shape[:-2], *size))
    batch = image[None, None] if image.dim() == 2 else image.reshape(-1, *image.shape[-3:])
    made = F.interpolate(
        batch if native else batch.to(flambeau.float32),
        size=list(size),
        mode=mode,
        align_corners=False if smooth else None,
        antialias=antialias and smooth,
    )
    return _back(made.reshape(*image.shape[:-2], *size), image.dtype)


def _back(image, dtype):
    """Floats to the dtype an image came in."""
    if image.dtype == dtype:
        return image
    if dtype.is_floating_point:
        return image.to(dtype)
    if dtype == flambeau.bool:
        return image != 0
    return image.round().clamp(flambeau.iinfo(dtype).min, flambeau.iinfo(dtype).max).to(dtype)


def gray(image, channels):
    if size_of(image)[0] not in (1, 3):
        raise TypeError(
            f"Input image tensor permitted channel values are 1 or 3, but found {size_of(image)[0]}"
        )
    if size_of(image)[0] == 3 and is_native(image):
        made = internal["_image_gray"](image)
    elif size_of(image)[0] == 3:
        red, green, blue = image.unbind(-3)
        made = (0.2989 * red + 0.587 * green + 0.114 * blue).to(image.dtype).unsqueeze(-3)
    else:
        made = image
    return made.expand(*image.shape[:-3], channels, *image.shape[-2:]) if channels == 3 else made


def warp(image, matrix, size, mode, fill):
    """Samples at `matrix` (2x3, output to input, about the centres) of each output pixel."""
    height, width = image.shape[-2:]
    # torchvision's order of operations: nearest pixels hang on the last bit
    theta = flambeau.tensor(matrix, dtype=flambeau.float32).view(2, 3)
    theta = theta / flambeau.tensor([[width / 2], [height / 2]])
    base = flambeau.ones(*size, 3)
    base[..., 0] = flambeau.arange(size[1], dtype=flambeau.float32) - (size[1] - 1) / 2
    base[..., 1] = (flambeau.arange(size[0], dtype=flambeau.float32) - (size[0] - 1) / 2).unsqueeze(
        1
    )
    grid = flambeau.matmul(base.view(-1, 3), theta.T).view(*size, 2)
    return sample(image, grid, mode, fill)


def sample(image, grid, mode, fill):
    """Pixels at a grid [H, W, 2] of places from -1 to 1."""
    size = grid.shape[:2]
    if image.numel() == 0:
        return image.new_zeros((*image.shape[:-2], *size))
    batch = image.reshape(1, -1, *image.shape[-2:])
    if not batch.is_floating_point():
        batch = batch.to(flambeau.float32)
    if fill is not None:  # how much of each output pixel lies inside
        batch = flambeau.cat([batch, flambeau.ones_like(batch[:, :1])], 1)
    made = F.grid_sample(
        batch,
        grid.to(batch.dtype).unsqueeze(0),
        mode=mode,
        padding_mode="zeros",
        align_corners=False,
    )
    if fill is not None:
        made, inside = made[:, :-1], made[:, -1:]
        channels = size_of(image)[0]
        colour = flambeau.tensor([float(v) for v in fill], dtype=made.dtype)
        colour = colour.expand(channels).repeat(made.shape[1] // channels).view(1, -1, 1, 1)
        if mode == "nearest":
            made = flambeau.where(inside < 0.5, colour, made)
        else:
            made = made * inside + (1 - inside) * colour
    return _back(made.reshape(*image.shape[:-2], *size), image.dtype)


def rotated_size(width, height, matrix):
    """[height, width] that a rotated image takes."""
    a, b, c, d, e, f = matrix
    corners = [(x * width / 2, y * height / 2) for x in (-1, 1) for y in (-1, 1)]
    xs = [width / 2 + a * x + b * y + c for x, y in corners]
    ys = [height / 2 + d * x + e * y + f for x, y in corners]
    return [_span(ys), _span(xs)]


def _span(values):
    # cut off after four digits: a quarter turn must not gain a pixel from the sine's last bit
    low, high = (math.trunc(round(value, 6) * 1e4) / 1e4 for value in (min(values), max(values)))
    return math.ceil(high) - math.floor(low)
