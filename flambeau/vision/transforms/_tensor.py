"""The transforms on tensors, [..., channels, height, width]."""

import math

import flambeau
from flambeau.nn import functional as F


def size_of(image):
    """(channels, height, width)"""
    height, width = image.shape[-2:]
    return (image.shape[-3] if image.dim() > 2 else 1), height, width


def max_value(dtype):
    """The value of white."""
    return flambeau.iinfo(dtype).max if not dtype.is_floating_point else 1


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
    if dtype.is_floating_point:
        return image.to(dtype) / max_value(source)
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
        raise ValueError(f"std evaluated to zero after conversion to {image.dtype}")
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


def resize(image, size, mode, antialias):
    height, width = image.shape[-2:]
    if [height, width] == list(size):
        return image
    if mode in ("nearest", "nearest-exact"):
        rows = _nearest(height, size[0], mode == "nearest-exact")
        columns = _nearest(width, size[1], mode == "nearest-exact")
        return image.index_select(-2, rows).index_select(-1, columns)
    if mode not in ("bilinear", "bicubic"):
        raise ValueError(f"resize(): tensors have no interpolation {mode!r}")
    made = image if image.is_floating_point() else image.to(flambeau.float32)
    if height != size[0]:
        made = flambeau.matmul(_weights(height, size[0], mode, antialias, made.dtype), made)
    if width != size[1]:
        made = flambeau.matmul(made, _weights(width, size[1], mode, antialias, made.dtype).mT)
    return _back(made, image.dtype)


def _nearest(source, target, exact):
    at = (flambeau.arange(target, dtype=flambeau.float32) + (0.5 if exact else 0)) * (
        source / target
    )
    return at.to(flambeau.int64).clamp(max=source - 1)


def _weights(source, target, mode, antialias, dtype):
    """[target, source]: how much of each source row goes into each target row."""
    scale = source / target
    stretch = max(scale, 1.0) if antialias else 1.0
    centre = (flambeau.arange(target, dtype=flambeau.float64) + 0.5) * scale - 0.5
    if mode == "bilinear":
        reach, a = 1, None
    else:
        reach, a = 2, (-0.5 if antialias else -0.75)
    if not antialias:  # taps beyond the border repeat it
        taps = flambeau.arange(-reach, source + reach, dtype=flambeau.float64)
        weights = _kernel(taps - centre.unsqueeze(1), a)
        inner = weights[:, reach : reach + source].clone()
        inner[:, 0] += weights[:, :reach].sum(1)
        inner[:, -1] += weights[:, reach + source :].sum(1)
        return inner.to(dtype)
    taps = flambeau.arange(source, dtype=flambeau.float64)
    weights = _kernel((taps - centre.unsqueeze(1)) / stretch, a)
    return (weights / weights.sum(1, keepdim=True)).to(dtype)


def _kernel(x, a):
    """The triangle, or with `a` Keys' cubic, at x."""
    x = x.abs()
    if a is None:
        return (1 - x).clamp(min=0)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    zero = flambeau.zeros_like(x)
    return flambeau.where(x <= 1, near, flambeau.where(x < 2, far, zero))


def _back(image, dtype):
    """Floats to the dtype an image came in."""
    if image.dtype == dtype:
        return image
    if dtype.is_floating_point:
        return image.to(dtype)
    return image.round().clamp(flambeau.iinfo(dtype).min, flambeau.iinfo(dtype).max).to(dtype)


def gray(image, channels):
    if size_of(image)[0] not in (1, 3):
        raise TypeError(
            f"Input image tensor permitted channel values are 1 or 3, but found {size_of(image)[0]}"
        )
    if size_of(image)[0] == 3:
        red, green, blue = image.unbind(-3)
        made = (0.2989 * red + 0.587 * green + 0.114 * blue).to(image.dtype).unsqueeze(-3)
    else:
        made = image
    return (
        made.expand(*image.shape[:-3], channels, *image.shape[-2:]).clone()
        if channels == 3
        else made
    )


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
    batch = image.reshape(1, -1, height, width)
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
    a, b, _, d, e, _ = matrix
    corners = [(x * width / 2, y * height / 2) for x in (-1, 1) for y in (-1, 1)]
    xs = [width / 2 + a * x + b * y for x, y in corners]
    ys = [height / 2 + d * x + e * y for x, y in corners]
    return [_span(ys), _span(xs)]


def _span(values):
    # cut off after four digits: a quarter turn must not gain a pixel from the sine's last bit
    low, high = (math.trunc(round(value, 6) * 1e4) / 1e4 for value in (min(values), max(values)))
    return math.ceil(high) - math.floor(low)
