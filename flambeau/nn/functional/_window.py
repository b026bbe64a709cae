"""Max and average pooling made of other operators: windows as shifted, strided slices."""

import itertools
import math

import flambeau as torch
from flambeau import _C

from ..modules.utils import _ntuple

__all__ = [
    f"{kind}_pool{n}d{more}"
    for n in (1, 2, 3)
    for kind, more in (
        ("avg", ""),
        ("max", ""),
        ("max", "_with_indices"),
        ("adaptive_avg", ""),
        ("adaptive_max", ""),
        ("adaptive_max", "_with_indices"),
    )
]


def _geometry(name, input, kernel, stride, padding, dilation, ceil_mode, dims):
    """Output sizes; complains about windows that make no sense."""
    if input.dim() not in (dims + 1, dims + 2):
        raise RuntimeError(
            f"{name}: Expected {dims + 1}D or {dims + 2}D tensor for input, but got: "
            f"{list(input.shape)}"
        )
    sizes = []
    for n, k, s, p, d in zip(input.shape[-dims:], kernel, stride, padding, dilation):
        if k <= 0 or s <= 0 or d <= 0:
            raise RuntimeError(
                f"{name}: kernel size, stride and dilation should be greater than zero, got "
                f"{k}, {s} and {d}"
            )
        if p < 0 or p > ((k - 1) * d + 1) // 2:
            raise RuntimeError(
                f"{name}: pad should be at most half of effective kernel size, but got pad={p}, "
                f"kernel_size={k} and dilation={d}"
            )
        free = n + 2 * p - d * (k - 1) - 1
        out = (free + (s - 1 if ceil_mode else 0)) // s + 1
        if ceil_mode and (out - 1) * s >= n + p:
            out -= 1  # windows begin inside the input or its left padding
        if out < 1:
            raise RuntimeError(
                f"{name}: Given input size {list(input.shape)}, the calculated output size "
                f"{out} is too small"
            )
        sizes.append(out)
    return sizes


def _slices(input, sizes, kernel, stride, padding, dilation, fill):
    """The padded input seen through each element of the window in turn."""
    dims = len(sizes)
    pad = []
    for n, o, k, s, p, d in reversed(
        list(zip(input.shape[-dims:], sizes, kernel, stride, padding, dilation))
    ):
        pad += [p, max(0, (o - 1) * s + (k - 1) * d + 1 - n - p)]
    if any(pad):
        input = torch.nn.functional.pad(input, pad, value=fill)
    for offsets in itertools.product(*(range(k) for k in kernel)):
        window = [
            slice(i * d, i * d + (o - 1) * s + 1, s)
            for i, o, s, d in zip(offsets, sizes, stride, dilation)
        ]
        yield input[(..., *window)]


def _arguments(kernel_size, stride, padding, dilation, dims):
    expand = _ntuple(dims)
    stride = kernel_size if stride is None or stride == [] or stride == () else stride
    values = [expand(v) for v in (kernel_size, stride, padding, dilation)]
    return [v * dims if len(v) == 1 else v for v in values]


def _max_pool(input, kernel_size, stride, padding, dilation, ceil_mode, dims, want_indices):
    where = _arguments(kernel_size, stride, padding, dilation, dims)
    sizes = _geometry(f"max_pool{dims}d", input, *where, ceil_mode, dims)
    if input.dtype in (torch.float32, torch.float64) and not any(d != 1 for d in where[3]):
        result = _C._internal["_max_pool"](input, sizes, *where)
        return result if want_indices else result[0]
    lowest = -math.inf if input.is_floating_point() else torch.iinfo(input.dtype).min
    best, which = torch.stack(list(_slices(input, sizes, *where, lowest))).max(0)
    if not want_indices:
        return best
    # The flat position in the input of every element, seen through the same windows.
    plane = input.shape[-dims:]
    flat = torch.arange(math.prod(plane), device=input.device).reshape(1, *plane)
    places = torch.stack(list(_slices(flat, sizes, *where, 0)))
    places = places.expand(-1, which[..., *[0] * dims].numel(), *sizes)
    picked = places.gather(0, which.reshape(1, -1, *sizes))
    return best, picked.reshape(which.shape)


def _avg_pool(input, kernel_size, stride, padding, ceil_mode, include_pad, divisor, dims):
    where = _arguments(kernel_size, stride, padding, 1, dims)
    sizes = _geometry(f"avg_pool{dims}d", input, *where, ceil_mode, dims)
    if divisor == 0:
        raise RuntimeError("divisor must be not zero")
    total = sum(_slices(input, sizes, *where, 0))
    if divisor is not None:
        return total / divisor
    count = None
    for d in range(dims):
        length = [
            _overlap(o, where[0][d], where[1][d], where[2][d], input.shape[d - dims], include_pad)
            for o in range(sizes[d])
        ]
        shape = [-1] + [1] * (dims - d - 1)
        along = torch.tensor(length, dtype=input.dtype, device=input.device).reshape(shape)
        count = along if count is None else count * along
    return total / count


def _overlap(o, kernel, stride, padding, size, include_pad):
    """How many elements of a window count: those in the input and, if asked, its padding."""
    start = o * stride - padding
    stop = min(start + kernel, size + padding)
    if not include_pad:
        start, stop = max(start, 0), min(stop, size)
    return stop - start


def _adaptive_sizes(name, input, output_size, dims):
    if input.dim() not in (dims + 1, dims + 2):
        raise RuntimeError(
            f"{name}: Expected {dims + 1}D or {dims + 2}D tensor, but got {list(input.shape)}"
        )
    wanted = _ntuple(dims)(output_size)
    if len(wanted) == 1:
        wanted = wanted * dims
    if len(wanted) != dims:
        raise RuntimeError(f"{name}: output_size must have {dims} elements, got {len(wanted)}")
    sizes = [n if w is None else w for n, w in zip(input.shape[-dims:], wanted)]
    if any(n < 0 for n in sizes):
        raise RuntimeError(f"{name}: elements of output_size must be non-negative, got {sizes}")
    if any(n == 0 for n in input.shape[-dims:]):
        raise RuntimeError(
            f"{name}: Expected input to have non-zero size for non-batch dimensions, but input "
            f"has sizes {list(input.shape)}"
        )
    return sizes


def _bounds(size, out):
    return [(i * size // out, -((i + 1) * size // -out)) for i in range(out)]


def _adaptive_avg(input, output_size, dims):
    sizes = _adaptive_sizes(f"adaptive_avg_pool{dims}d", input, output_size, dims)
    for d, out in enumerate(sizes, -dims):
        size = input.shape[d]
        if out == size:
            continue
        if out and size % out == 0:  # windows side by side
            input = input.unflatten(d, (out, size // out)).mean(d)
            continue
        means = [input.narrow(d, a, b - a).mean(d) for a, b in _bounds(size, out)]
        shape = list(input.shape)
        shape[d] = 0
        input = torch.stack(means, d) if means else input.new_zeros(shape)
    return input


def _adaptive_max(input, output_size, dims):
    sizes = _adaptive_sizes(f"adaptive_max_pool{dims}d", input, output_size, dims)
    plane = input.shape[-dims:]
    flat = torch.arange(math.prod(plane), device=input.device).reshape(plane).expand(input.shape)
    # The last dimension first: among equals the first in memory order stays the maximum.
    for d in range(-1, -dims - 1, -1):
        values, places = [], []
        for a, b in _bounds(input.shape[d], sizes[d]):
            best, which = input.narrow(d, a, b - a).max(d, keepdim=True)
            values.append(best)
            places.append(flat.narrow(d, a, b - a).gather(d, which))
        if not values:
            shape = list(input.shape)
            shape[d] = 0
            return input.new_zeros(shape), flat.new_zeros(shape)
        input, flat = torch.cat(values, d), torch.cat(places, d)
    return input, flat


def _define(n):
    """The six functions for n dimensions, whose signatures are alike."""

    def avg_pool(
        input,
        kernel_size,
        stride=None,
        padding=0,
        ceil_mode=False,
        count_include_pad=True,
        divisor_override=None,
    ):
        return _avg_pool(
            input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, n
        )

    def max_pool(
        input,
        kernel_size,
        stride=None,
        padding=0,
        dilation=1,
        ceil_mode=False,
        return_indices=False,
    ):
        return _max_pool(
            input, kernel_size, stride, padding, dilation, ceil_mode, n, return_indices
        )

    def max_pool_with_indices(
        input,
        kernel_size,
        stride=None,
        padding=0,
        dilation=1,
        ceil_mode=False,
        return_indices=False,
    ):
        return _max_pool(input, kernel_size, stride, padding, dilation, ceil_mode, n, True)

    def adaptive_avg_pool(input, output_size):
        return _adaptive_avg(input, output_size, n)

    def adaptive_max_pool(input, output_size, return_indices=False):
        result = _adaptive_max(input, output_size, n)
        return result if return_indices else result[0]

    def adaptive_max_pool_with_indices(input, output_size, return_indices=False):
        return _adaptive_max(input, output_size, n)

    docs = {
        avg_pool: (f"avg_pool{n}d", "The mean of each window."),
        max_pool: (f"max_pool{n}d", "The largest value of each window, and where, if asked."),
        max_pool_with_indices: (
            f"max_pool{n}d_with_indices",
            "The largest value of each window, and where it stands.",
        ),
        adaptive_avg_pool: (
            f"adaptive_avg_pool{n}d",
            "The mean of as many windows as the output is to have.",
        ),
        adaptive_max_pool: (
            f"adaptive_max_pool{n}d",
            "The largest value of as many windows as the output is to have.",
        ),
        adaptive_max_pool_with_indices: (
            f"adaptive_max_pool{n}d_with_indices",
            "The largest value of as many windows as the output is to have, and where.",
        ),
    }
    for function, (name, doc) in docs.items():
        function.__name__ = function.__qualname__ = name
        function.__doc__ = f"{doc} Input (N, C, *) or (C, *), {n} spatial dimensions."
        yield name, function


for _n in (1, 2, 3):
    globals().update(_define(_n))
