"""Interpolation to another size."""

import math

import flambeau as torch
from flambeau._ops import internal

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
    steps = [float(scale or 0.0) for scale in scales]
    return _kernel(mode, dims, antialias)(input, list(size), bool(align_corners), steps, False)


def _kernel(mode, dims, antialias):
    """The native operator."""
    if mode.startswith("nearest"):
        name = f"_upsample_{mode.replace('-', '_')}{dims}d"
    else:
        name = f"_upsample_{mode}{dims}d" + ("_aa" if antialias else "")
    return internal[name]


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


def _deprecated(name):
    import warnings

    warnings.warn(
        f"`nn.functional.{name}` is deprecated. Use `nn.functional.interpolate` instead.",
        stacklevel=3,
    )


def upsample(input, size=None, scale_factor=None, mode="nearest", align_corners=None):
    """The same as `interpolate`."""
    _deprecated("upsample")
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input, size=None, scale_factor=None):
    """`interpolate` with ``mode="nearest"``."""
    _deprecated("upsample_nearest")
    return interpolate(input, size, scale_factor, mode="nearest")


def upsample_bilinear(input, size=None, scale_factor=None):
    """`interpolate` with ``mode="bilinear"`` and aligned corners."""
    _deprecated("upsample_bilinear")
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)
