"""Sampling of images at places between pixels."""

import itertools

import flambeau as torch
from flambeau import _levels
from flambeau._ops import internal

_PADDINGS = ("zeros", "border", "reflection")


def sample(input, grid, mode, padding_mode, align_corners):
    """`grid_sample`, see there."""
    _check(input, grid, mode, padding_mode)
    if _has_kernel(input, grid, mode):
        padding = _PADDINGS.index(padding_mode)
        return internal["_grid_sample"](
            input, grid, mode == "nearest", padding, bool(align_corners)
        )
    return _composed(input, grid, mode, padding_mode, align_corners)


def second(inputs, directions, nearest, padding, align_corners):
    """The gradients of the kernel's gradients with respect to (gradient, image, grid)."""
    create = torch.is_grad_enabled()
    with torch.enable_grad():
        own = [t.view_as(t) if t.requires_grad else t.detach().requires_grad_() for t in inputs]
        grad, image, grid = own
        if padding < len(_PADDINGS):
            mode = "nearest" if nearest else "bilinear"
            out = _composed(image, grid, mode, _PADDINGS[padding], align_corners)
        else:  # the grid is in pixels
            taps = [_linear_taps(grid[..., 1]), _linear_taps(grid[..., 0])]
            out = _combine(image, taps)
        first = torch.autograd.grad(out, (image, grid), grad, create_graph=True, allow_unused=True)
        live = [(f, d) for f, d in zip(first, directions) if f is not None and d is not None]
        if not live:
            return None, None, None
        ys, gs = zip(*live)
        return torch.autograd.grad(ys, own, gs, create_graph=create, allow_unused=True)


def _composed(input, grid, mode, padding_mode, align_corners):
    """The same, of operators that have every derivative."""
    dims = input.dim() - 2
    size = input.shape[2:]
    # One tensor of positions in pixels for each spatial dimension, in the image's order.
    places = [_to_pixels(grid[..., dims - 1 - i], size[i], align_corners) for i in range(dims)]
    if mode == "bicubic":
        return _combine(input, [_cubic_taps(p) for p in places], padding_mode, align_corners)
    places = [_clip(p, n, padding_mode, align_corners) for p, n in zip(places, size)]
    if mode == "nearest":
        out = _pick(input, [p.round() for p in places])
        if not grid.requires_grad:
            return out
        # The grid has a gradient, of zeros.
        return torch.where(out.new_ones((), dtype=torch.bool), out, places[0].unsqueeze(1))
    return _combine(input, [_linear_taps(p) for p in places])


def _has_kernel(input, grid, mode):
    """Images, unless forward derivatives are wanted: the kernel's gradient is not recorded."""
    if _levels.dual_levels(input) or _levels.dual_levels(grid):
        return False
    return (
        input.dim() == 4
        and mode != "bicubic"
        and input.dtype == grid.dtype
        and input.dtype in (torch.float32, torch.float64)
        and grid.shape[0] == input.shape[0]
    )


def _check(input, grid, mode, padding_mode):
    if mode not in ("bilinear", "nearest", "bicubic"):
        raise ValueError(
            "nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or "
            f"'bicubic', but got: '{mode}'"
        )
    if padding_mode not in _PADDINGS:
        raise ValueError(
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or "
            f"'reflection', but got: '{padding_mode}'"
        )
    if input.dim() not in (4, 5) or input.dim() != grid.dim():
        raise RuntimeError(
            "grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, "
            f"but got input with sizes {list(input.shape)} and grid with sizes "
            f"{list(grid.shape)}"
        )
    if input.shape[0] != grid.shape[0]:
        raise RuntimeError(
            "grid_sampler(): expected grid and input to have same batch size, but got input with "
            f"sizes {list(input.shape)} and grid with sizes {list(grid.shape)}"
        )
    if grid.shape[-1] != input.dim() - 2:
        raise RuntimeError(
            f"grid_sampler(): expected grid to have size {input.dim() - 2} in last dimension, "
            f"but got grid with sizes {list(grid.shape)}"
        )
    if mode == "bicubic" and input.dim() == 5:
        raise RuntimeError("grid_sampler(): bicubic interpolation only supports 4D input")
    if 0 in input.shape[2:]:
        raise RuntimeError(
            "grid_sampler(): expected input to have non-empty spatial dimensions, but input has "
            f"sizes {list(input.shape)}"
        )


def _to_pixels(place, size, align_corners):
    if align_corners:
        return (place + 1) * ((size - 1) / 2)
    return ((place + 1) * size - 1) / 2


def _clip(place, size, padding_mode, align_corners):
    if padding_mode == "reflection":
        place = _reflect(place, size, align_corners)
    if padding_mode != "zeros":
        place = place.clamp(0, size - 1)
    return place


def _reflect(place, size, align_corners):
    low, span = (0.0, size - 1.0) if align_corners else (-0.5, float(size))
    if span == 0:  # whatever the place is; its gradient is zero
        return torch.where(torch.ones_like(place, dtype=torch.bool), 0.0, place)
    place = (place - low).abs()
    folded = place.remainder(2 * span)
    return torch.where(folded > span, 2 * span - folded, folded) + low


def _linear_taps(place):
    """(offset position, weight) pairs along one dimension."""
    low = place.detach().floor()
    weight = place - low
    return [(low, 1 - weight), (low + 1, weight)]


def _cubic_taps(place):
    low = place.detach().floor()
    t = place - low
    return [(low + i - 1, w) for i, w in enumerate(cubic_weights(t))]


def cubic_weights(t, a=-0.75):
    """The weights of the four neighbours of a point at a fraction t after the second."""

    def near(x):
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x):
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return far(t + 1), near(t), near(1 - t), far(2 - t)


def _pick(input, positions):
    """The pixels at whole positions; zero where they lie outside."""
    size = input.shape[2:]
    inside = torch.ones_like(positions[0], dtype=torch.bool)
    flat = torch.zeros_like(positions[0], dtype=torch.int64)
    for position, n in zip(positions, size):
        inside = inside & (position >= 0) & (position <= n - 1)
        flat = flat * n + torch.where(inside, position, torch.zeros_like(position)).long()
    number, channels = input.shape[:2]
    flat = torch.where(inside, flat, torch.zeros_like(flat))
    index = flat.flatten(1).unsqueeze(1).expand(number, channels, -1)
    values = input.flatten(2).gather(2, index)
    values = values.reshape(number, channels, *positions[0].shape[1:])
    return values.masked_fill(~inside.unsqueeze(1), 0)


def _combine(input, taps, padding_mode=None, align_corners=None):
    """The weighted sum over every combination of neighbours."""
    size = input.shape[2:]
    total = None
    for corner in itertools.product(*taps):
        positions = [position for position, _ in corner]
        if padding_mode is not None:
            positions = [
                _clip(p, n, padding_mode, align_corners).round() for p, n in zip(positions, size)
            ]
        weight = corner[0][1]
        for _, factor in corner[1:]:
            weight = weight * factor
        term = _pick(input, positions) * weight.unsqueeze(1)
        total = term if total is None else total + term
    return total
