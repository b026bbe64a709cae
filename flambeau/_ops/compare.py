"""Comparisons of whole tensors, and grids of coordinates."""

import flambeau

from . import op


@op(
    "isclose(Tensor input, Tensor other, float rtol=1e-05, float atol=1e-08, "
    "bool equal_nan=False) -> Tensor"
)
def isclose(input, other, rtol=1e-05, atol=1e-08, equal_nan=False):
    """Where |input - other| <= atol + rtol * |other|; infinities are close to themselves.

    >>> import flambeau as torch
    >>> torch.isclose(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.1]))
    tensor([ True, False])
    """
    if input.dtype != other.dtype:
        raise RuntimeError(f"isclose(): {input.dtype} did not match {other.dtype}")
    if rtol < 0 or atol < 0:
        raise RuntimeError(f"isclose(): rtol and atol must not be negative, got {rtol} and {atol}")
    close = input == other
    if equal_nan and (input.is_floating_point() or input.is_complex()):
        close = close | ((input != input) & (other != other))
    if rtol == 0 and atol == 0:
        return close
    if not (input.is_floating_point() or input.is_complex()):
        input, other = input.to(flambeau.float64), other.to(flambeau.float64)
    apart = (input - other).abs()
    return close | ((apart <= atol + (rtol * other).abs()) & apart.isfinite())


@op(
    "allclose(Tensor input, Tensor other, float rtol=1e-05, float atol=1e-08, "
    "bool equal_nan=False) -> bool"
)
def allclose(input, other, rtol=1e-05, atol=1e-08, equal_nan=False):
    """Whether all elements are close, as `isclose` has it.

    >>> import flambeau as torch
    >>> torch.allclose(torch.ones(2), torch.ones(2) + 1e-7)
    True
    """
    return bool(isclose(input, other, rtol, atol, equal_nan).all())


@op("equal(Tensor input, Tensor other) -> bool")
def equal(input, other):
    """Whether two tensors have the same shape and the same elements.

    >>> import flambeau as torch
    >>> torch.equal(torch.ones(2), torch.ones(3))
    False
    """
    if input.shape != other.shape:
        return False
    return bool((input == other).all())
