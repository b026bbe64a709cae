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


@op("meshgrid(Tensor[] tensors, *, str? indexing=None) -> Tensor[]", method=False)
def meshgrid(*tensors, indexing=None):
    """A grid of the coordinates given, one tensor for each: `indexing` is "ij" or "xy".

    >>> import flambeau as torch
    >>> torch.meshgrid(torch.arange(2), torch.arange(3), indexing="ij")[0].shape
    torch.Size([2, 3])
    """
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tensors[0]
    if indexing not in (None, "ij", "xy"):
        raise RuntimeError(f'meshgrid(): indexing must be one of "xy" or "ij", got {indexing!r}')
    for tensor in tensors:
        if tensor.dim() > 1:
            raise RuntimeError(f"meshgrid(): expected 0-D or 1-D tensors, got {tensor.dim()}-D")
    swap = indexing == "xy" and len(tensors) >= 2
    flat = [tensor.reshape(-1) for tensor in tensors]
    if swap:
        flat[:2] = flat[1::-1]
    shape = [len(tensor) for tensor in flat]
    grids = [
        tensor.view([-1 if i == d else 1 for i in range(len(flat))]).expand(shape)
        for d, tensor in enumerate(flat)
    ]
    if swap:
        grids[:2] = grids[1::-1]
    return tuple(grids)
