"""Interpolation to another size: each dimension in turn, as a product with a matrix of taps."""

import math

import flambeau as torch

from ._sample import cubic_weights

__all__ = ["interpolate", "upsample", "upsample_bilinear", "upsample_nearest"]

_LINEAR = {"linear": 3, "bilinear": 4, "trilinear": 5}
_MODES = ("nearest", "nearest-exact", "area", *_LINEAR, "bicubic")


def interpolate(
    input,
    size=None,
    scale_factor=None,
    mode="nearest",
    align_corners=None,
    recompute_scale_factor=None,
    antialias=False,
):
    """Resizes the spatial dimensions of (N, C, *) to a size or by a factor.

    Modes: "nearest", "nearest-exact", "linear" (3D), "bilinear" and "bicubic" (4D), "trilinear"
    (5D), "area".

    >>> import flambeau as torch
    >>> torch.nn.functional.interpolate(torch.tensor([[[1.0, 2.0]]]), scale_factor=2)
    tensor([[[1., 1., 2., 2.]]])
    """
    dims = input.dim() - 2
    _check(input, mode, align_corners, antialias)
    size, scales = _target(input, dims, size, scale_factor, recompute_scale_factor)
    if mode == "area":
        return getattr(torch.nn.functional, f"adaptive_avg_pool{dims}d")(input, size)
    if any(n < 1 for n in (*input.shape[2:], *size)):
        raise RuntimeError(
            "Input and output sizes should be greater than 0, but got input "
            f"({list(input.shape[2:])}) and output ({list(size)})"
        )
    if input.numel() == 0:
        return input.new_zeros((*input.shape[:2], *size))
    output = input
    for i in range(dims):
        step = (2 + i, input.shape[2 + i], size[i], scales[i])
        if mode in ("nearest", "nearest-exact"):
            output = _nearest(output, *step, mode == "nearest-exact")
        elif antialias:
            output = _antialiased(output, *step, mode == "bicubic", bool(align_corners))
        else:
            output = _tapped(output, *step, mode == "bicubic", bool(align_corners))
    return output.clone() if output is input else output


def _check(input, mode, align_corners, antialias):
    if mode not in _MODES:
        raise NotImplementedError(
            "Input Error: Only 3D, 4D and 5D input Tensors supported (got "
            f"{input.dim()}D) for the modes: {' | '.join(_MODES)} (got {mode})"
        )
    if align_corners is not None and mode not in (*_LINEAR, "bicubic"):
        raise ValueError(
            "align_corners option can only be set with the interpolating modes: "
            "linear | bilinear | bicubic | trilinear"
        )
    wanted = _LINEAR.get(mode, 4 if mode == "bicubic" else None)
    if wanted is not None and input.dim() != wanted and input.dim() in (3, 4, 5):
        raise NotImplementedError(
            f"Got {input.dim()}D input, but {mode} mode needs {wanted}D input"
        )
    if antialias and (mode not in ("bilinear", "bicubic") or input.dim() != 4):
        raise ValueError(
            "Anti-alias option is restricted to bilinear and bicubic modes and "
            "requires a 4-D tensor as input"
        )


def _target(input, dims, size, scale_factor, recompute):
    """The output size, and for each dimension the scale that was asked for, or None."""
    if size is None and scale_factor is None:
        raise ValueError("either size or scale_factor should be defined")
    if size is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    if input.dim() not in (3, 4, 5):
        raise NotImplementedError(
            f"Input Error: Only 3D, 4D and 5D input Tensors supported (got {input.dim()}D)"
        )
    given = size if size is not None else scale_factor
    name = "size" if size is not None else "scale_factor"
    given = list(given) if isinstance(given, (tuple, list)) else [given] * dims
    if len(given) != dims:
        raise ValueError(
            f"Input and {name} must have the same number of spatial dimensions, but got input "
            f"with spatial dimensions of {list(input.shape[2:])} and {name} of {given}."
        )
    if size is not None:
        if recompute:
            raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
        return given, [None] * dims
    size = [math.floor(float(n * factor)) for n, factor in zip(input.shape[2:], given)]
    return size, [None] * dims if recompute else given


def _ratio(length, wanted, scale):
    """How far to step in the input for one step in the output."""
    return 1.0 / scale if scale is not None and scale > 0 else length / wanted


def _nearest(input, dim, length, wanted, scale, exact):
    if wanted == length and not exact and scale is None:
        return input
    # In float32, as the index arithmetic of the reference is.
    steps = torch.arange(wanted, dtype=torch.float32, device=input.device)
    ratio = _ratio(length, wanted, scale)
    places = ((steps + 0.5) * ratio if exact else steps * ratio).floor().long()
    return input.index_select(dim, places.clamp(max=length - 1))


def _positions(length, wanted, scale, align_corners, cubic, like):
    """Where each output element lies between the input's, as float64."""
    steps = torch.arange(wanted, dtype=torch.float64, device=like.device)
    if align_corners:
        return steps * ((length - 1) / (wanted - 1) if wanted > 1 else 0.0)
    places = (steps + 0.5) * _ratio(length, wanted, scale) - 0.5
    return places if cubic else places.clamp(min=0)


def _tapped(input, dim, length, wanted, scale, cubic, align_corners):
    dtype = input.dtype if input.is_floating_point() else torch.float32
    places = _positions(length, wanted, scale, align_corners, cubic, input)
    low = places.floor()
    t = places - low
    if cubic:
        taps = [(i - 1, weight) for i, weight in enumerate(cubic_weights(t))]
    else:
        taps = [(0, 1 - t), (1, t)]
    shape = [-1] + [1] * (input.dim() - dim - 1)
    total = None
    for offset, weight in taps:
        index = (low.long() + offset).clamp(0, length - 1)
        term = input.index_select(dim, index) * weight.to(dtype).reshape(shape)
        total = term if total is None else total + term
    return _to_dtype(total, input)


def _to_dtype(output, input):
    if input.is_floating_point():
        return output.to(input.dtype)
    return output.round().clamp(0, 255).to(input.dtype)


def _antialiased(input, dim, length, wanted, scale, cubic, align_corners):
    """Filters with a support that grows with the reduction, so that nothing is skipped."""
    if align_corners:
        ratio = (length - 1) / (wanted - 1) if wanted > 1 else 0.0
    else:
        ratio = _ratio(length, wanted, scale)
    stretch = max(ratio, 1.0)
    support = (2.0 if cubic else 1.0) * stretch
    steps = torch.arange(wanted, dtype=torch.float64, device=input.device).unsqueeze(1)
    centers = (steps + 0.5) * ratio
    pixels = torch.arange(length, dtype=torch.float64, device=input.device)
    first = (centers - support + 0.5).floor().clamp(min=0)
    last = (centers + support + 0.5).floor().clamp(max=length)
    x = ((pixels + 0.5 - centers) / stretch).abs()
    weights = _cubic_filter(x) if cubic else (1 - x).clamp(min=0)
    weights = weights * ((pixels >= first) & (pixels < last))
    weights = weights / weights.sum(1, keepdim=True)
    dtype = input.dtype if input.is_floating_point() else torch.float32
    product = input.to(dtype).movedim(dim, -1) @ weights.to(dtype).t()
    return _to_dtype(product.movedim(-1, dim), input)


def _cubic_filter(x, a=-0.5):
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))


def upsample(input, size=None, scale_factor=None, mode="nearest", align_corners=None):
    """The same as `interpolate`."""
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input, size=None, scale_factor=None):
    """`interpolate` with ``mode="nearest"``."""
    return interpolate(input, size, scale_factor, mode="nearest")


def upsample_bilinear(input, size=None, scale_factor=None):
    """`interpolate` with ``mode="bilinear"`` and aligned corners."""
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)
