"""Pictures of many images, and drawing on them."""

import math
import os
from collections.abc import Iterable

import flambeau

from ._drawing import (
    _generate_color_palette,  # noqa: F401 (libraries take it from here)
    draw_bounding_boxes,
    draw_keypoints,
    draw_segmentation_masks,
    flow_to_image,
)

__all__ = [
    "draw_bounding_boxes",
    "draw_keypoints",
    "draw_segmentation_masks",
    "flow_to_image",
    "make_grid",
    "save_image",
]


def _log_api_usage_once(obj):
    """Nothing is counted here; copies of torchvision's files call it."""


def _make_ntuple(x, n):
    """n values, from one or from a sequence."""
    return tuple(x) if isinstance(x, Iterable) else (x,) * n


def make_grid(
    tensor,
    nrow=8,
    padding=2,
    normalize=False,
    value_range=None,
    scale_each=False,
    pad_value=0.0,
):
    """Lays images [N, C, H, W], or a list of [C, H, W], out in rows of `nrow`.

    `normalize` shifts all of them to values from 0 to 1, from `value_range` or their own least and
    greatest, with `scale_each` image by image.

    >>> import flambeau as torch
    >>> from flambeau.vision.utils import make_grid
    >>> make_grid(torch.zeros(5, 3, 4, 4), nrow=3).shape
    torch.Size([3, 14, 20])
    """
    images = _batch(tensor)
    if normalize:
        images = _normalized(images, value_range, scale_each)
    count = images.size(0)
    if count == 1:
        return images.squeeze(0)
    columns = min(nrow, count)
    rows = math.ceil(count / columns)
    height, width = images.size(2) + padding, images.size(3) + padding
    shape = (images.size(1), height * rows + padding, width * columns + padding)
    grid = images.new_full(shape, pad_value)
    for i in range(count):
        top, left = i // columns * height + padding, i % columns * width + padding
        grid[:, top : top + height - padding, left : left + width - padding] = images[i]
    return grid


def _batch(tensor):
    if isinstance(tensor, (list, tuple)) and all(isinstance(t, flambeau.Tensor) for t in tensor):
        images = flambeau.stack(list(tensor), dim=0)
    elif isinstance(tensor, flambeau.Tensor):
        images = tensor
    else:
        raise TypeError(f"tensor or list of tensors expected, got {type(tensor)}")
    if not 2 <= images.dim() <= 4:
        raise ValueError(
            f"make_grid(): images have 2 to 4 dimensions, got shape {tuple(images.shape)}"
        )
    while images.dim() < 4:
        images = images.unsqueeze(0)
    return flambeau.cat([images] * 3, 1) if images.size(1) == 1 else images


def _normalized(images, value_range, scale_each):
    if value_range is not None and not isinstance(value_range, tuple):
        raise TypeError(
            "value_range has to be a tuple (min, max) if specified. min and max are numbers"
        )
    images = images.clone()
    for part in images if scale_each else [images]:
        low, high = value_range or (float(part.min()), float(part.max()))
        part.clamp_(min=low, max=high).sub_(low).div_(max(high - low, 1e-5))
    return images


def save_image(tensor, fp, format=None, **kwargs):
    """Saves an image or a grid of images (see `make_grid` for `kwargs`) with values from 0 to 1.

    With Pillow in any of its formats; without it as PNG.
    """
    grid = make_grid(tensor, **kwargs).detach()
    pixels = grid.mul(255).add(0.5).clamp(0, 255).permute(1, 2, 0).to(flambeau.uint8).contiguous()
    try:
        from PIL import Image
    except ImportError:
        _save_png(pixels, fp, format)
        return
    Image.fromarray(pixels.numpy()).save(fp, format=format)


def _save_png(pixels, fp, format):
    named = format or ("" if hasattr(fp, "write") else os.path.splitext(os.fspath(fp))[1][1:])
    if named.lower() != "png":
        raise ValueError(f"save_image(): without Pillow only PNG can be written, got {named!r}")
    data = _png(pixels)
    if hasattr(fp, "write"):
        fp.write(data)
    else:
        with open(fp, "wb") as file:
            file.write(data)


def _png(pixels):
    """The PNG file of uint8 pixels [H, W, 1 to 4 channels]."""
    import struct
    import zlib

    height, width, channels = pixels.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]  # grey, grey with alpha, RGB, RGBA

    def chunk(name, data):
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    rows = pixels.reshape(height, width * channels)
    filtered = flambeau.cat([flambeau.zeros(height, 1, dtype=flambeau.uint8), rows], 1)
    header = struct.pack(">2I5B", width, height, 8, kind, 0, 0, 0)
    data = zlib.compress(filtered.numpy().tobytes(), 6)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )
