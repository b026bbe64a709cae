"""Max pooling with its choice of results, and adaptive pooling."""

from math import prod

from flambeau._ops import functions, internal

from ..modules.utils import _ntuple
from ._dispatch import boolean_dispatch

__all__ = [
    f"{kind}_pool{n}d{more}"
    for n in (1, 2, 3)
    for kind, more in (
        ("max", ""),
        ("_max", ""),
        ("max", "_with_indices"),
        ("adaptive_avg", ""),
        ("adaptive_max", ""),
        ("_adaptive_max", ""),
        ("adaptive_max", "_with_indices"),
    )
]


def _adaptive_sizes(name, input, output_size, dims):
    fits = input.dim() in (dims + 1, dims + 2)
    start = input.dim() - dims if name in ("adaptive_avg_pool1d", "adaptive_avg_pool2d") else 1
    if not fits or 0 in input.shape[start:]:
        raise RuntimeError(
            f"{name}: Expected {dims + 1}D or {dims + 2}D tensor with non-zero size for non-batch "
            f"dimensions, but got {list(input.shape)}"
        )
    wanted = _ntuple(dims)(output_size)
    if len(wanted) == 1:
        wanted = wanted * dims
    if len(wanted) != dims:
        raise RuntimeError(f"{name}: output_size must have {dims} elements, got {len(wanted)}")
    sizes = [n if w is None else w for n, w in zip(input.shape[-dims:], wanted)]
    if any(n < 0 for n in sizes):
        raise RuntimeError(f"{name}: elements of output_size must be non-negative, got {sizes}")
    if prod(input.shape[:-dims]) * prod(sizes) * input.element_size() >= 2**63:
        raise RuntimeError(f"{name}: output_size {sizes} is more than memory can have")
    if not input.is_floating_point():
        raise NotImplementedError(f'"{name}" not implemented for {input.dtype}')
    return sizes


def _define(n):
    """The functions for n dimensions, whose signatures are alike."""
    values = functions[f"max_pool{n}d"]
    values_and_places = functions[f"max_pool{n}d_with_indices"]
    average = internal[f"_adaptive_avg_pool{n}d"]
    adaptive = internal[f"_adaptive_max_pool{n}d"]
    adaptive_values = internal[f"_adaptive_max_values{n}d"]
    last = tuple(range(-n, 0))

    def max_pool(
        input,
        kernel_size,
        stride=None,
        padding=0,
        dilation=1,
        ceil_mode=False,
        return_indices=False,
    ):
        return values(input, kernel_size, stride, padding, dilation, ceil_mode)

    def max_pool_with_indices(
        input,
        kernel_size,
        stride=None,
        padding=0,
        dilation=1,
        ceil_mode=False,
        return_indices=False,
    ):
        return values_and_places(input, kernel_size, stride, padding, dilation, ceil_mode)

    def adaptive_avg_pool(input, output_size):
        one = tuple(_ntuple(n)(output_size)) == (1,) * n
        if n == 1 or not one:  # a mean is taken of tensors with more dimensions, too
            sizes = _adaptive_sizes(f"adaptive_avg_pool{n}d", input, output_size, n)
        return input.mean(last, keepdim=True) if one else average(input, sizes, False)

    def adaptive_max_pool_with_indices(input, output_size, return_indices=False):
        sizes = _adaptive_sizes(f"adaptive_max_pool{n}d", input, output_size, n)
        best, places = adaptive(input, sizes)
        return best, places.long()

    def adaptive_max_pool(input, output_size, return_indices=False):
        sizes = _adaptive_sizes(f"adaptive_max_pool{n}d", input, output_size, n)
        return adaptive_values(input, sizes)

    as_many = "of as many windows as the output is to have"
    for name, function, doc in (
        ("_max_pool{}d", max_pool, "The largest value of each window."),
        (
            "max_pool{}d_with_indices",
            max_pool_with_indices,
            "The largest value of each window, and where it stands.",
        ),
        ("adaptive_avg_pool{}d", adaptive_avg_pool, f"The mean {as_many}."),
        ("_adaptive_max_pool{}d", adaptive_max_pool, f"The largest value {as_many}."),
        (
            "adaptive_max_pool{}d_with_indices",
            adaptive_max_pool_with_indices,
            f"The largest value {as_many}, and where.",
        ),
    ):
        function.__name__ = function.__qualname__ = name.format(n)
        function.__doc__ = f"{doc} Input (N, C, *) or (C, *), {n} spatial dimensions."
        yield function.__name__, function
    for name, index, both, best in (
        (f"max_pool{n}d", 6, max_pool_with_indices, max_pool),
        (f"adaptive_max_pool{n}d", 2, adaptive_max_pool_with_indices, adaptive_max_pool),
    ):
        pool = boolean_dispatch("return_indices", index, False, both, best, __name__, name)
        pool.__doc__ = f"{best.__doc__} With return_indices, where the values stand as well."
        yield name, pool


for _n in (1, 2, 3):
    globals().update(_define(_n))
