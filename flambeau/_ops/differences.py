"""Differences, gradients and integrals of sampled functions."""

import flambeau

from . import op


def _dim(x, dim, name):
    if not -max(x.dim(), 1) <= dim < max(x.dim(), 1):
        raise IndexError(
            f"{name}(): Dimension out of range (expected to be in range of "
            f"[{-max(x.dim(), 1)}, {max(x.dim(), 1) - 1}], but got {dim})"
        )
    return dim % max(x.dim(), 1)


@op(
    "diff(Tensor input, int n=1, int dim=-1, Tensor? prepend=None, Tensor? append=None) -> Tensor",
    out=True,
)
def diff(input, n=1, dim=-1, prepend=None, append=None):
    """The n-th differences of neighbours along a dimension; of booleans, where they differ.

    >>> import flambeau as torch
    >>> torch.diff(torch.tensor([1, 3, 2]))
    tensor([ 2, -1])
    """
    if input.dim() == 0:
        raise RuntimeError("diff(): expected input to be at least one-dimensional")
    if n < 0:
        raise RuntimeError(f"diff(): order must be non-negative but got {n}")
    dim = _dim(input, dim, "diff")
    for ends, name in ((prepend, "prepend"), (append, "append")):
        if ends is None:
            continue
        if ends.dim() != input.dim():
            raise RuntimeError(
                f"diff(): expected {name} to have {input.dim()} dimensions, got {ends.dim()}"
            )
        for d in range(input.dim()):
            if d != dim and ends.shape[d] != input.shape[d]:
                raise RuntimeError(
                    f"diff(): expected {name} to have the sizes of input but for dimension {dim}, "
                    f"got {tuple(ends.shape)} and {tuple(input.shape)}"
                )
    if n == 0:
        return input.clone()
    parts = [x for x in (prepend, input, append) if x is not None]
    x = flambeau.cat(parts, dim) if len(parts) > 1 else input
    for _ in range(min(n, x.shape[dim])):
        length = max(x.shape[dim] - 1, 0)
        after, before = x.narrow(dim, x.shape[dim] - length, length), x.narrow(dim, 0, length)
        x = after != before if x.dtype == flambeau.bool else after - before
    return x


def _check_points(name, y, x, dx):
    if x is not None and dx is not None:
        raise TypeError(f"{name}(): only one of x and dx can be given")
    if y.dtype == flambeau.bool or (x is not None and x.dtype == flambeau.bool):
        raise RuntimeError(
            f"{name}(): received a bool input for `x` or `y`, but bool is not supported"
        )


def _spaced(name, y, x, dx, dim):
    """The means of neighbours of y, times their distances."""
    dim = _dim(y, dim, name)
    _check_points(name, y, x, dx)
    n = y.shape[dim]
    rest = max(n - 1, 0)
    sums = y.narrow(dim, n - rest, rest) + y.narrow(dim, 0, rest)
    if x is None:
        return sums * (1.0 if dx is None else dx) / 2.0, dim
    if x.dim() == 1:
        if x.shape[0] != n:
            raise RuntimeError(f"{name}(): There must be one `x` value for each sample point")
        steps = diff(x).reshape([-1] + [1] * (y.dim() - dim - 1))
    else:
        if _dim(x, dim - y.dim(), name) is not None and x.shape[dim - y.dim()] != n:
            raise RuntimeError(f"{name}(): There must be one `x` value for each sample point")
        steps = diff(x, dim=dim - y.dim())
    return sums * steps / 2.0, dim


@op("trapezoid(Tensor y, Tensor? x=None, *, Scalar? dx=None, int dim=-1) -> Tensor", method=False)
def trapezoid(y, x=None, *, dx=None, dim=-1):
    """The integral along a dimension by the trapezoidal rule, over points x or at distance dx.

    >>> import flambeau as torch
    >>> torch.trapezoid(torch.tensor([1.0, 2.0, 4.0]))
    tensor(4.5000)
    """
    if y.shape[_dim(y, dim, "trapezoid")] == 0:
        return y.sum(dim) * 0.0 if y.is_floating_point() or y.is_complex() else y.sum(dim) / 2.0
    if x is None and y.is_floating_point():  # all but half of both ends, without the areas
        _check_points("trapezoid", y, x, dx)
        ends = (y.select(dim, 0) + y.select(dim, -1)) / 2
        return (y.sum(dim) - ends) * (1.0 if dx is None else dx)
    areas, dim = _spaced("trapezoid", y, x, dx, dim)
    return areas.sum(dim)


@op("trapz(Tensor y, Tensor? x=None, *, Scalar? dx=None, int dim=-1) -> Tensor", method=False)
def trapz(y, x=None, *, dx=None, dim=-1):
    """The older name of trapezoid().

    >>> import flambeau as torch
    >>> torch.trapz(torch.tensor([1.0, 3.0]), dx=0.5)
    tensor(1.)
    """
    return trapezoid(y, x, dx=dx, dim=dim)


@op(
    "cumulative_trapezoid(Tensor y, Tensor? x=None, *, Scalar? dx=None, int dim=-1) -> Tensor",
    method=False,
)
def cumulative_trapezoid(y, x=None, *, dx=None, dim=-1):
    """The running integral of trapezoid(): one element less along the dimension.

    >>> import flambeau as torch
    >>> torch.cumulative_trapezoid(torch.tensor([1.0, 2.0, 4.0]))
    tensor([1.5000, 4.5000])
    """
    areas, dim = _spaced("cumulative_trapezoid", y, x, dx, dim)
    return areas.cumsum(dim)


def _gradient_dims(input, spacing, dim):
    if dim is None:
        listed = isinstance(spacing, (list, tuple))
        dims = list(range(input.dim()))
        if listed and len(spacing) != len(dims):
            raise RuntimeError(
                "gradient(): expected spacing to be unspecified, a scalar, or a list of length "
                f"{len(dims)}, but got a list of length {len(spacing)}"
            )
    else:
        dims = [dim] if isinstance(dim, int) else list(dim)
    dims = [_dim(input, d, "gradient") for d in dims]
    for d in dims:
        if dims.count(d) > 1:
            raise RuntimeError(f"gradient(): dim {d} appears multiple times in the list of dims")
    return dims


def _along(x, dim, start, length):
    return x.narrow(dim, start, length)


def _gradient_even(f, dim, h, edge_order):
    n = f.shape[dim]

    def at(i):
        return _along(f, dim, i % n, 1)

    if edge_order == 1:
        first, last = (at(1) - at(0)) / h, (at(-1) - at(-2)) / h
    else:
        first = (at(1) * 4 - at(0) * 3 - at(2)) / (2 * h)
        last = (at(-1) * 3 - at(-2) * 4 + at(-3)) / (2 * h)
    middle = (_along(f, dim, 2, n - 2) - _along(f, dim, 0, n - 2)) / (2 * h)
    return flambeau.cat([first, middle, last], dim)


def _gradient_uneven(f, dim, x, edge_order):
    """Second-order differences between points at uneven distances (Fornberg, 1988)."""
    n = f.shape[dim]
    steps = diff(x)
    shape = [-1] + [1] * (f.dim() - dim - 1)
    left, right = steps[:-1].reshape(shape), steps[1:].reshape(shape)

    def at(i):
        return _along(f, dim, i % n, 1)

    before, here, after = (_along(f, dim, i, n - 2) for i in range(3))
    middle = (
        before * (-right / (left * (left + right)))
        + here * ((right - left) / (left * right))
        + after * (left / (right * (left + right)))
    )
    a, b = steps[0], steps[-1]
    if edge_order == 1:
        first, last = (at(1) - at(0)) / a, (at(-1) - at(-2)) / b
    else:
        c, d = steps[1], steps[-2]
        first = (
            at(0) * (-(2 * a + c) / (a * (a + c)))
            + at(1) * ((a + c) / (a * c))
            - at(2) * (a / (c * (a + c)))
        )
        last = (
            at(-3) * (b / (d * (d + b)))
            - at(-2) * ((d + b) / (d * b))
            + at(-1) * ((2 * b + d) / (b * (d + b)))
        )
    return flambeau.cat([first, middle, last], dim)


@op(
    "gradient(Tensor input, *, Scalar? spacing=None, int[]? dim=None, int edge_order=1) "
    "-> Tensor[]",
    method=False,
)
def gradient(input, *, spacing=None, dim=None, edge_order=1):
    """Derivatives along dimensions of a function given by samples, one tensor for each.

    `spacing` is a distance, a list of them, or a list of the coordinates along each dimension.

    >>> import flambeau as torch
    >>> torch.gradient(torch.tensor([1.0, 2.0, 4.0, 8.0]))
    (tensor([1.0000, 1.5000, 3.0000, 4.0000]),)
    """
    if edge_order not in (1, 2):
        raise RuntimeError("gradient(): only supports edge_order=1 and edge_order=2.")
    dims = _gradient_dims(input, spacing, dim)
    if spacing is None:
        spacing = 1
    if not isinstance(spacing, (list, tuple)):
        spacing = [spacing] * len(dims)
    if len(spacing) != len(dims):
        raise RuntimeError(
            "gradient(): expected spacing to be unspecified, a scalar or a list of length "
            f"{len(dims)}, but got a list of length {len(spacing)}"
        )
    for d in dims:
        if input.shape[d] < edge_order + 1:
            raise RuntimeError(
                f"gradient(): expected each dimension size to be at least {edge_order + 1}"
            )
    found = []
    for d, h in zip(dims, spacing, strict=True):
        if isinstance(h, flambeau.Tensor) and h.dim() == 1:
            if h.device != input.device:
                raise RuntimeError("gradient(): expected each tensor to be on the same device")
            if h.shape[0] != input.shape[d]:
                raise RuntimeError(
                    f"gradient(): expected {input.shape[d]} coordinates for dimension {d}, got "
                    f"{h.shape[0]}"
                )
            found.append(_gradient_uneven(input, d, h, edge_order))
        else:
            found.append(_gradient_even(input, d, h, edge_order))
    return tuple(found)
