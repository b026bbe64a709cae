"""Histograms of one and of several dimensions."""

import math

import flambeau

from . import op, result_type_of


def _range(x, low_high, name):
    """The least and the greatest edge for one column of values."""
    if low_high is not None:
        low, high = low_high
        if not (abs(low) < float("inf") and abs(high) < float("inf")):
            raise RuntimeError(f"{name}(): range [{low}, {high}] is not finite")
        if low > high:
            raise RuntimeError(f"{name}(): min {low} should not exceed max {high}")
    elif x.numel() == 0:
        low, high = 0.0, 1.0
    else:
        low, high = x.min().item(), x.max().item()
        if not (abs(low) < float("inf") and abs(high) < float("inf")):
            raise RuntimeError(
                f"{name}(): dimension's inferred range [{low}, {high}] is not finite"
            )
    return (low - 0.5, high + 0.5) if low == high else (low, high)


def _edges(x, bins, low_high, name):
    if isinstance(bins, flambeau.Tensor):
        if bins.dtype != x.dtype:
            raise RuntimeError(
                f"{name}(): input tensor and bins tensors should have the same dtype, but got "
                f"input {x.dtype} and bins {bins.dtype}"
            )
        if bins.dim() != 1 or bins.numel() == 0:
            raise RuntimeError(f"{name}(): bins tensor should have one dimension and be non-empty")
        return bins
    if bins <= 0:
        raise RuntimeError(f"{name}(): bins must be > 0, but got {bins}")
    low, high = _range(x, low_high, name)
    return flambeau.linspace(low, high, bins + 1, dtype=x.dtype)


def _count(columns, edges, weight, density):
    """How much weight of the points falls in each cell of the grid of edges."""
    # A cell before and one behind along each dimension, for what lies outside.
    shape = [e.numel() + 1 for e in edges]
    cell = None
    for x, e in zip(columns, edges, strict=True):
        at = flambeau.searchsorted(e, x.contiguous(), right=True)
        at -= (x == e[-1]).long()  # the last edge belongs to its bin
        cell = at if cell is None else cell.mul_(e.numel() + 1).add_(at)
    hist = flambeau.bincount(cell, weight, minlength=math.prod(shape)).to(columns[0].dtype)
    hist = hist.reshape(shape)[tuple(slice(1, n - 1) for n in shape)].contiguous()
    if density:
        hist = hist / hist.sum()
        for d, e in enumerate(edges):
            hist = hist / e.diff().reshape([-1] + [1] * (len(edges) - 1 - d))
    return hist


def _check(input, weight, name, of_points):
    if input.dtype not in (flambeau.float32, flambeau.float64):
        raise NotImplementedError(f"\"{name}\" not implemented for '{input.dtype}'")
    if weight is None:
        return None
    if weight.dtype != input.dtype:
        raise RuntimeError(
            f"{name}(): if weight tensor is provided, input tensor and weight tensor should have "
            f"the same dtype, but got input {input.dtype} and weight {weight.dtype}"
        )
    wanted = input.shape[:-1] if of_points else input.shape
    if weight.shape != wanted:
        raise RuntimeError(
            f"{name}(): if weight tensor is provided it should have the shape {tuple(wanted)}, "
            f"got {tuple(weight.shape)}"
        )
    return weight.detach().reshape(-1)


@op(
    "histogram(Tensor input, int bins=100, *, float[]? range=None, Tensor? weight=None, "
    "bool density=False) -> (Tensor hist, Tensor bin_edges)",
    out=True,
)
def histogram(input, bins=100, *, range=None, weight=None, density=False):
    """How many elements (or how much weight) fall between edges, and the edges.

    `bins` is a number of equal parts of `range`, or the edges themselves.

    >>> import flambeau as torch
    >>> torch.histogram(torch.tensor([1.0, 2.0, 1.0]), 2, range=(0.0, 3.0)).hist
    tensor([2., 1.])
    """
    weight = _check(input, weight, "histogram", False)
    x = input.detach().reshape(-1)
    if isinstance(bins, flambeau.Tensor) and range is not None:
        raise TypeError("histogram(): range is only taken with a number of bins")
    edges = _edges(x, bins, range, "histogram")
    hist = _count([x], [edges], weight, density)
    return result_type_of("histogram", ("hist", "bin_edges"))((hist, edges))


@op(
    "histogramdd(Tensor input, int[] bins, float[]? range=None, Tensor? weight=None, "
    "bool density=False) -> (Tensor hist, Tensor[] bin_edges)",
    method=False,
)
def histogramdd(input, bins, range=None, weight=None, density=False):
    """The histogram of points [..., D] over a grid of D dimensions, and its edges.

    `bins` is a number for all dimensions, a number for each, or the edges of each.

    >>> import flambeau as torch
    >>> torch.histogramdd(torch.tensor([[0.0, 1.0], [1.0, 0.0]]), bins=[2, 2]).hist
    tensor([[0., 1.],
            [1., 0.]])
    """
    if input.dim() < 2:
        raise RuntimeError("histogramdd(): input tensor should have at least 2 dimensions")
    width = input.shape[-1]
    weight = _check(input, weight, "histogramdd", True)
    if isinstance(bins, int):
        bins = [bins] * width
    if len(bins) != width:
        raise RuntimeError(
            "histogramdd(): The size of bins must be equal to the innermost dimension of the input."
        )
    if range is not None and len(range) != 2 * width:
        raise RuntimeError(
            f"histogramdd(): for a {width}-dimensional histogram range should have {2 * width} "
            f"elements, but got {len(range)}"
        )
    points = input.detach().reshape(-1, width)
    columns = [points[:, d] for d in _numbers(width)]
    edges = [
        _edges(
            columns[d], bins[d], None if range is None else range[2 * d : 2 * d + 2], "histogramdd"
        )
        for d in _numbers(width)
    ]
    hist = _count(columns, edges, weight, density)
    return result_type_of("histogramdd", ("hist", "bin_edges"))((hist, tuple(edges)))


def _numbers(n, _range=range):
    return _range(n)
