"""Rearranging pixels: shuffles, blocks as columns, sampling along a grid."""

import flambeau as torch
from flambeau._ops import shown_as

from ..modules.utils import _pair

__all__ = [
    "affine_grid",
    "channel_shuffle",
    "fold",
    "grid_sample",
    "native_channel_shuffle",
    "pixel_shuffle",
    "pixel_unshuffle",
    "unfold",
]


def _check_dims(name, input):
    if input.dim() < 3:
        raise RuntimeError(
            f"{name} expects input to have at least 3 dimensions, but got input with "
            f"{input.dim()} dimension(s)"
        )


def _has_channels_last(input):
    return (
        input.dim() == 4
        and input.numel() > 0
        and not input.is_contiguous()
        and input.is_contiguous(memory_format=torch.channels_last)
    )


@shown_as("PixelShuffleBackward0")
def pixel_shuffle(input, upscale_factor):
    """Spreads channels over pixels: (*, C * r * r, H, W) becomes (*, C, H * r, W * r).

    >>> import flambeau as torch
    >>> torch.nn.functional.pixel_shuffle(torch.ones(1, 9, 4, 4), 3).shape
    torch.Size([1, 1, 12, 12])
    """
    _check_dims("pixel_shuffle", input)
    r = upscale_factor
    if r <= 0:
        raise RuntimeError(f"pixel_shuffle expects a positive upscale_factor, but got {r}")
    *batch, channels, height, width = input.shape
    if channels % (r * r):
        raise RuntimeError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square "
            f"of upscale_factor, but input.size(-3)={channels} is not divisible by {r * r}"
        )
    channels //= r * r
    blocks = input.reshape(*batch, channels, r, r, height, width)
    n = len(batch)
    if _has_channels_last(input):
        rows = blocks.permute(0, 4, 2, 5, 3, 1).reshape(-1, height * r, width * r, channels)
        return rows.permute(0, 3, 1, 2)
    order = (*range(n + 1), n + 3, n + 1, n + 4, n + 2)
    return blocks.permute(order).reshape(*batch, channels, height * r, width * r)


@shown_as("PixelUnshuffleBackward0")
def pixel_unshuffle(input, downscale_factor):
    """Gathers pixels into channels: (*, C, H * r, W * r) becomes (*, C * r * r, H, W).

    >>> import flambeau as torch
    >>> torch.nn.functional.pixel_unshuffle(torch.ones(1, 1, 12, 12), 3).shape
    torch.Size([1, 9, 4, 4])
    """
    _check_dims("pixel_unshuffle", input)
    r = downscale_factor
    if r <= 0:
        raise RuntimeError(f"pixel_unshuffle expects a positive downscale_factor, but got {r}")
    *batch, channels, height, width = input.shape
    for name, dim, size in (("height", -2, height), ("width", -1, width)):
        if size % r:
            raise RuntimeError(
                f"pixel_unshuffle expects {name} to be divisible by downscale_factor, but "
                f"input.size({dim})={size} is not divisible by {r}"
            )
    height, width = height // r, width // r
    blocks = input.reshape(*batch, channels, height, r, width, r)
    n = len(batch)
    if _has_channels_last(input):
        rows = blocks.permute(0, 2, 4, 1, 3, 5).reshape(-1, height, width, channels * r * r)
        return rows.permute(0, 3, 1, 2)
    order = (*range(n + 1), n + 2, n + 4, n + 1, n + 3)
    return blocks.permute(order).reshape(*batch, channels * r * r, height, width)


@shown_as("ChannelShuffleBackward0")
def channel_shuffle(input, groups):
    """Interleaves the channels of several groups.

    >>> import flambeau as torch
    >>> torch.nn.functional.channel_shuffle(torch.arange(4.0).view(1, 4, 1), 2).flatten()
    tensor([0., 2., 1., 3.])
    """
    if input.dim() <= 2:
        raise RuntimeError(
            f"channel_shuffle expects input with > 2 dims, but got input with sizes "
            f"{list(input.shape)}"
        )
    number, channels = input.shape[:2]
    if groups <= 0:
        raise RuntimeError(f"Number of groups to divide channels in must be positive. Got {groups}")
    if channels % groups:
        raise RuntimeError(
            "Number of channels must be divisible by groups. "
            f"Got {channels} channels and {groups} groups."
        )
    grouped = input.reshape(number, groups, channels // groups, *input.shape[2:])
    return grouped.transpose(1, 2).reshape(input.shape)


def native_channel_shuffle(input, groups):
    """The same as `channel_shuffle`."""
    return channel_shuffle(input, groups)


def _block_places(size, kernel, dilation, padding, stride, device):
    """Where in the padded image each element of each block stands, and how many blocks fit.

    Returns places of shape (kh * kw * oh * ow), the padded size and (oh, ow).
    """
    padded = [n + 2 * p for n, p in zip(size, padding)]
    blocks = [
        (n - d * (k - 1) - 1) // s + 1 for n, k, d, s in zip(padded, kernel, dilation, stride)
    ]
    rows, columns = (
        torch.arange(k, device=device).mul(d).unsqueeze(1)
        + torch.arange(max(o, 0), device=device).mul(s)
        for k, d, s, o in zip(kernel, dilation, stride, blocks)
    )
    # [kh, kw, oh, ow]
    places = rows[:, None, :, None] * padded[1] + columns[None, :, None, :]
    return places.flatten(), padded, blocks


def _check_blocks(kernel, dilation, padding, stride):
    for name, values, least in (
        ("kernel size", kernel, 1),
        ("dilation", dilation, 1),
        ("padding", padding, 0),
        ("stride", stride, 1),
    ):
        if len(values) != 2:
            raise RuntimeError(f"It is expected {name} equals to 2, but got size {len(values)}")
        if any(value < least for value in values):
            kind = "greater than zero" if least else "non-negative"
            raise RuntimeError(f"{name} should be {kind}, but got {tuple(values)}")


def _warn_of_corners():
    import warnings

    warnings.warn(
        "Default grid_sample and affine_grid behavior has changed to align_corners=False since "
        "1.3.0. Please specify align_corners=True if the old behavior is desired.",
        stacklevel=3,
    )


@shown_as("Im2ColBackward0")
def unfold(input, kernel_size, dilation=1, padding=0, stride=1):
    """Writes every block of an image as a column: (N, C, H, W) to (N, C * kernel, L).

    >>> import flambeau as torch
    >>> torch.nn.functional.unfold(torch.ones(2, 5, 3, 4), (2, 3)).shape
    torch.Size([2, 30, 4])
    """
    kernel, dilation, padding, stride = map(_pair, (kernel_size, dilation, padding, stride))
    _check_blocks(kernel, dilation, padding, stride)
    if input.dim() not in (3, 4) or 0 in input.shape[input.dim() - 3 :]:
        raise RuntimeError(
            "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero "
            f"dimensions for input, but got: {list(input.shape)}"
        )
    image = input if input.dim() == 4 else input.unsqueeze(0)
    size = image.shape[2:]
    places, _, blocks = _block_places(size, kernel, dilation, padding, stride, input.device)
    if min(blocks) < 1:
        raise RuntimeError(
            f"Given input with spatial size {tuple(size)}, kernel_size={kernel}, "
            f"dilation={dilation}, padding={padding}, stride={stride}, calculated shape of the "
            f"array of sliding blocks as {tuple(blocks)}, but its components must be at least "
            "one."
        )
    if padding != (0, 0):
        image = torch.nn.functional.pad(image, (padding[1], padding[1], padding[0], padding[0]))
    columns = image.flatten(2).index_select(2, places)
    height = image.shape[1] * kernel[0] * kernel[1]
    columns = columns.reshape(image.shape[0], height, blocks[0] * blocks[1])
    return columns if input.dim() == 4 else columns.squeeze(0)


@shown_as("Col2ImBackward0")
def fold(input, output_size, kernel_size, dilation=1, padding=0, stride=1):
    """Adds columns of blocks up into an image: (N, C * kernel, L) to (N, C, *output_size).

    >>> import flambeau as torch
    >>> torch.nn.functional.fold(torch.ones(1, 12, 12), (4, 5), (2, 2)).shape
    torch.Size([1, 3, 4, 5])
    """
    size, kernel, dilation, padding, stride = map(
        _pair, (output_size, kernel_size, dilation, padding, stride)
    )
    _check_blocks(kernel, dilation, padding, stride)
    if input.dim() not in (2, 3):
        raise RuntimeError(
            "Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and "
            f"non-zero dimensions for input, but got: {list(input.shape)}"
        )
    columns = input if input.dim() == 3 else input.unsqueeze(0)
    area = kernel[0] * kernel[1]
    if columns.shape[1] % area:
        raise RuntimeError(
            "Expected size of input's dimension 1 to be divisible by the product of kernel_size, "
            f"but got input.size(1)={columns.shape[1]} and kernel_size={kernel}."
        )
    places, padded, blocks = _block_places(size, kernel, dilation, padding, stride, input.device)
    if blocks[0] * blocks[1] != columns.shape[2] or min(blocks) < 1:
        raise RuntimeError(
            f"Given output_size={size}, kernel_size={kernel}, dilation={dilation}, "
            f"padding={padding}, stride={stride}, expected size of input's dimension 2 to match "
            f"the calculated number of sliding blocks {blocks[0]} * {blocks[1]} = "
            f"{blocks[0] * blocks[1]}, but got input.size(2)={columns.shape[2]}."
        )
    number, channels = columns.shape[0], columns.shape[1] // area
    image = torch.zeros(
        (number, channels, padded[0] * padded[1]), dtype=input.dtype, device=input.device
    )
    image = image.index_add(2, places, columns.reshape(number, channels, -1))
    image = image.view(number, channels, *padded)
    image = image[:, :, padding[0] : padding[0] + size[0], padding[1] : padding[1] + size[1]]
    image = image.contiguous()
    return image if input.dim() == 3 else image.squeeze(0)


def affine_grid(theta, size, align_corners=None):
    """The grid of places that an affine map sends the pixels of an image of a size to.

    Shapes: theta (N, 2, 3) with size (N, C, H, W), result (N, H, W, 2); or one dimension more.

    >>> import flambeau as torch
    >>> theta = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    >>> torch.nn.functional.affine_grid(theta, (1, 1, 2, 2), align_corners=False)[0, 0]
    tensor([[-0.5000, -0.5000],
            [ 0.5000, -0.5000]])
    """
    if align_corners is None:
        _warn_of_corners()
    if not theta.is_floating_point():
        raise ValueError(f"Expected theta to have floating point type, but got {theta.dtype}")
    dims = len(size) - 2
    if dims not in (2, 3):
        raise NotImplementedError(
            "affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, "
            f"respectively. Got size {tuple(size)}"
        )
    if theta.dim() != 3 or tuple(theta.shape[-2:]) != (dims, dims + 1):
        raise ValueError(
            f"Expected a batch of {dims}D affine matrices of shape Nx{dims}x{dims + 1} for size "
            f"{tuple(size)}. Got {theta.shape}."
        )
    if min(size) <= 0:
        raise ValueError(f"Expected non-zero, positive output size. Got {tuple(size)}")
    axes = []
    for n in size[2:]:
        steps = torch.arange(n, dtype=theta.dtype, device=theta.device)
        if align_corners:
            axes.append((steps * 2 - (n - 1)) / max(n - 1, 1))
        else:
            axes.append((steps * 2 + 1) / n - 1)
    places = torch.meshgrid(*axes, indexing="ij")
    # x first: the last dimension of the image is the first coordinate.
    grid = torch.stack([*reversed(places), torch.ones_like(places[0])], -1)
    mapped = grid.reshape(1, -1, dims + 1) @ theta.transpose(1, 2)
    return mapped.reshape(size[0], *size[2:], dims)


def grid_sample(input, grid, mode="bilinear", padding_mode="zeros", align_corners=None):
    """Samples an image at places between -1 and 1.

    Shapes: input (N, C, H, W) with grid (N, H', W', 2), result (N, C, H', W'); or one dimension
    more. Modes: "bilinear", "nearest", "bicubic"; padding: "zeros", "border", "reflection".

    >>> import flambeau as torch
    >>> image = torch.arange(4.0).view(1, 1, 2, 2)
    >>> torch.nn.functional.grid_sample(image, torch.zeros(1, 1, 1, 2), align_corners=False).item()
    1.5
    """
    from ._sample import sample

    if align_corners is None:
        _warn_of_corners()
    return sample(input, grid, mode, padding_mode, bool(align_corners))
