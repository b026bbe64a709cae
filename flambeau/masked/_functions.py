"""Functions of tensors with a mask: elements where it is false take no part."""

import flambeau as torch


def _parts(input, mask):
    """The data and the mask, of the data's shape, or None; a MaskedTensor brings its own."""
    from ._tensor import MaskedTensor

    if isinstance(input, MaskedTensor):
        mask = input.get_mask() if mask is None else mask & input.get_mask()
        input = input._data
    if not isinstance(input, torch.Tensor):
        raise TypeError(f"expected a tensor, got {type(input).__name__}")
    if input.layout != torch.strided:
        raise ValueError(f"masked functions expect strided tensors (got {input.layout} tensor)")
    if mask is None:
        return input, None
    if not isinstance(mask, torch.Tensor):
        raise TypeError(f"mask must be a tensor, got {type(mask).__name__}")
    if mask.dim() > input.dim():
        raise IndexError("mask must be broadcastable to the input: it has more dimensions")
    mask = mask if mask.dtype == torch.bool else mask != 0
    return input, mask.broadcast_to(input.shape)


def _filled(input, mask, value):
    """input with a value where the mask is false."""
    if mask is None:
        return input
    return torch.where(mask, input, torch.full((), value, dtype=input.dtype, device=input.device))


def _dims(input, dim):
    """The dimensions as a list without repetition; all when none are given."""
    ndim = input.dim()
    if dim is None or (isinstance(dim, (tuple, list)) and not dim):
        return list(range(ndim))
    dims = [dim] if isinstance(dim, int) else list(dim)
    found = []
    for d in dims:
        if not -max(ndim, 1) <= d < max(ndim, 1):
            raise IndexError(
                f"Dimension out of range (expected to be in range of [{-max(ndim, 1)}, "
                f"{max(ndim, 1) - 1}], but got {d})"
            )
        d %= max(ndim, 1)
        if d in found:
            raise RuntimeError(f"dim={d} appears multiple times in the list of dims")
        found.append(d)
    return found if ndim else []


def _least(dtype):
    if dtype == torch.bool:
        return False
    return -float("inf") if dtype.is_floating_point else torch.iinfo(dtype).min


def _greatest(dtype):
    if dtype == torch.bool:
        return True
    return float("inf") if dtype.is_floating_point else torch.iinfo(dtype).max


def _summing_dtype(input, dtype):
    if dtype is not None:
        return dtype
    whole = not (input.is_floating_point() or input.is_complex())
    return torch.int64 if whole else input.dtype


def _converted(input, dtype):
    return input if dtype is None or input.dtype == dtype else input.to(dtype)


def _ready(input, mask, dtype, value):
    """input in a dtype, with a value where the mask is false."""
    input, mask = _parts(input, mask)
    return _filled(_converted(input, dtype), mask, value)


# -- reductions ------------------------------------------------------------------------------------
def sum(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The sum of the elements under the mask; 0 where there are none.

    >>> import flambeau as torch
    >>> torch.masked.sum(torch.tensor([1, 2, 4]), mask=torch.tensor([True, False, True]))
    tensor(5)
    """
    input, mask = _parts(input, mask)
    dtype = _summing_dtype(input, dtype)
    x = _filled(_converted(input, dtype), mask, 0)
    return x.sum(_dims(input, dim), keepdim) if input.dim() else x.clone()


def prod(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The product of the elements under the mask; 1 where there are none.

    >>> import flambeau as torch
    >>> torch.masked.prod(torch.tensor([2, 3, 4]), mask=torch.tensor([True, False, True]))
    tensor(8)
    """
    input, mask = _parts(input, mask)
    x = _filled(_converted(input, _summing_dtype(input, dtype)), mask, 1)
    for d in sorted(_dims(input, dim), reverse=True):
        x = x.prod(d, keepdim)
    return x.clone() if input.dim() == 0 else x


def _extreme(input, dim, keepdim, dtype, mask, name, bound):
    input, mask = _parts(input, mask)
    if input.is_complex():
        raise RuntimeError(f"masked.{name}(): not implemented for {input.dtype}")
    x = _converted(input, dtype)
    x = _filled(x, mask, bound(x.dtype))
    return getattr(x, name)(_dims(input, dim), keepdim) if input.dim() else x.clone()


def amax(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The greatest element under the mask; the least number of the dtype where there are none.

    >>> import flambeau as torch
    >>> torch.masked.amax(torch.tensor([1.0, 9.0]), mask=torch.tensor([True, False]))
    tensor(1.)
    """
    return _extreme(input, dim, keepdim, dtype, mask, "amax", _least)


def amin(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The least element under the mask; the greatest number of the dtype where there are none.

    >>> import flambeau as torch
    >>> torch.masked.amin(torch.tensor([1.0, -9.0]), mask=torch.tensor([True, False]))
    tensor(1.)
    """
    return _extreme(input, dim, keepdim, dtype, mask, "amin", _greatest)


def _position(input, dim, keepdim, dtype, mask, name, bound):
    input, mask = _parts(input, mask)
    x = _filled(input, mask, bound(input.dtype))
    at = getattr(x, name)(dim, keepdim)
    return at.to(input.dtype if dtype is None else dtype)


def argmax(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """Where the greatest element under the mask is, as a number of the input's dtype.

    >>> import flambeau as torch
    >>> torch.masked.argmax(torch.tensor([1, 9, 3]), mask=torch.tensor([True, False, True]))
    tensor(2)
    """
    return _position(input, dim, keepdim, dtype, mask, "argmax", _least)


def argmin(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """Where the least element under the mask is, as a number of the input's dtype.

    >>> import flambeau as torch
    >>> torch.masked.argmin(torch.tensor([4, 0, 3]), mask=torch.tensor([True, False, True]))
    tensor(2)
    """
    return _position(input, dim, keepdim, dtype, mask, "argmin", _greatest)


def _count(input, mask, dims, keepdim):
    """How many elements are under the mask: a tensor, or a number when there is none."""
    if mask is None:
        n = 1
        for d in dims:
            n *= input.shape[d]
        return n
    return mask.sum(dims, keepdim) if input.dim() else mask.to(torch.int64)


def mean(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The mean of the elements under the mask; nan where there are none.

    >>> import flambeau as torch
    >>> torch.masked.mean(torch.tensor([1.0, 2.0, 4.0]), mask=torch.tensor([True, False, True]))
    tensor(2.5000)
    """
    input, mask = _parts(input, mask)
    dtype = input.dtype if dtype is None else dtype
    if not (dtype.is_floating_point or dtype.is_complex):
        raise ValueError(f"masked.mean(): expected a floating point or complex dtype, got {dtype}")
    total = sum(input, dim, keepdim=keepdim, dtype=dtype, mask=mask)
    return total / _count(input, mask, _dims(input, dim), keepdim)


def median(input, dim=-1, *, keepdim=False, dtype=None, mask=None):
    """The median of the elements under the mask; nan where there are none.

    >>> import flambeau as torch
    >>> torch.masked.median(torch.tensor([1.0, 9.0, 3.0]), mask=torch.tensor([True, False, True]))
    tensor(1.)
    """
    input, mask = _parts(input, mask)
    x = _converted(input, dtype)
    if not x.is_floating_point():
        raise ValueError(f"masked.median(): expected a floating point dtype, got {x.dtype}")
    if mask is not None and bool((x.isnan() & mask).any()):
        raise ValueError("masked.median(): expected no nan in fully-unmasked tensors")
    return torch.nanmedian(_filled(x, mask, float("nan")), dim, keepdim).values


def logsumexp(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The logarithm of the sum of exponentials of the elements under the mask; -inf for none.

    >>> import flambeau as torch
    >>> torch.masked.logsumexp(torch.tensor([1.0, 9.0]), mask=torch.tensor([True, False]))
    tensor(1.)
    """
    input, mask = _parts(input, mask)
    dtype = input.dtype if dtype is None else dtype
    x = _converted(input, dtype)
    bound = -float("inf") if x.is_complex() else _least(x.dtype)
    x = _filled(x, mask, bound)
    return torch.logsumexp(x, _dims(input, dim), keepdim).to(dtype)


def logaddexp(input, other, *, dtype=None, input_mask=None, other_mask=None):
    """log(exp(input) + exp(other)), where what is not under its mask counts as -inf.

    >>> import flambeau as torch
    >>> torch.masked.logaddexp(torch.ones(1), torch.ones(1), other_mask=torch.tensor([False]))
    tensor([1.])
    """
    pairs = (input, input_mask), (other, other_mask)
    return torch.logaddexp(*(_ready(x, mask, dtype, -float("inf")) for x, mask in pairs))


def norm(input, ord=2.0, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The norm of the elements under the mask as a vector.

    >>> import flambeau as torch
    >>> torch.masked.norm(torch.tensor([3.0, 7.0, 4.0]), mask=torch.tensor([True, False, True]))
    tensor(5.)
    """
    x = _ready(input, mask, dtype, float("inf") if ord < 0 else 0)
    return torch.linalg.vector_norm(x, ord, _dims(x, dim), keepdim)


def _variance(input, dim, unbiased, correction, keepdim, dtype, mask, root):
    if unbiased is not None and correction is not None:
        raise ValueError("Only one of unbiased and correction may be given")
    if correction is None:
        correction = 1 if unbiased is None or unbiased else 0
    input, mask = _parts(input, mask)
    if dtype is None:
        whole = not (input.is_floating_point() or input.is_complex())
        dtype = torch.float32 if whole else input.dtype
    x, dims = _converted(input, dtype), _dims(input, dim)
    count = _count(input, mask, dims, True)
    center = sum(x, dim, keepdim=True, dtype=dtype, mask=mask) / count
    apart = _filled(x - center, mask, 0)
    squares = apart * apart.conj()
    total = squares.sum(dims, keepdim) if input.dim() else squares
    if not keepdim and isinstance(count, torch.Tensor):
        count = count.reshape(total.shape)
    if correction:
        count = count - correction
        count = count.clamp(min=0) if isinstance(count, torch.Tensor) else max(count, 0)
    result = (total / count).to(dtype)
    return result.sqrt() if root else result


def var(input, dim=None, unbiased=None, *, correction=None, keepdim=False, dtype=None, mask=None):
    """The variance of the elements under the mask.

    >>> import flambeau as torch
    >>> torch.masked.var(torch.tensor([1.0, 9.0, 3.0]), mask=torch.tensor([True, False, True]))
    tensor(2.)
    """
    return _variance(input, dim, unbiased, correction, keepdim, dtype, mask, False)


def std(input, dim=None, unbiased=None, *, correction=None, keepdim=False, dtype=None, mask=None):
    """The standard deviation of the elements under the mask.

    >>> import flambeau as torch
    >>> torch.masked.std(torch.tensor([1.0, 9.0, 5.0]), mask=torch.tensor([True, False, True]))
    tensor(2.8284)
    """
    return _variance(input, dim, unbiased, correction, keepdim, dtype, mask, True)


# -- of the input's shape --------------------------------------------------------------------------
def cumsum(input, dim, *, dtype=None, mask=None):
    """The running sum of the elements under the mask.

    >>> import flambeau as torch
    >>> torch.masked.cumsum(torch.tensor([1, 2, 4]), 0, mask=torch.tensor([True, False, True]))
    tensor([1, 1, 5])
    """
    return _ready(input, mask, dtype, 0).cumsum(dim, dtype=dtype or input.dtype)


def cumprod(input, dim, *, dtype=None, mask=None):
    """The running product of the elements under the mask.

    >>> import flambeau as torch
    >>> torch.masked.cumprod(torch.tensor([3, 2, 4]), 0, mask=torch.tensor([True, False, True]))
    tensor([ 3,  3, 12])
    """
    return _ready(input, mask, dtype, 1).cumprod(dim, dtype=dtype or input.dtype)


def softmax(input, dim, *, dtype=None, mask=None):
    """Softmax over the elements under the mask; the others are 0.

    >>> import flambeau as torch
    >>> torch.masked.softmax(torch.ones(3), 0, mask=torch.tensor([True, False, True]))
    tensor([0.5000, 0.0000, 0.5000])
    """
    return _ready(input, mask, dtype, -float("inf")).softmax(dim)


def log_softmax(input, dim, *, dtype=None, mask=None):
    """The logarithm of softmax() over the elements under the mask; the others are -inf.

    >>> import flambeau as torch
    >>> torch.masked.log_softmax(torch.ones(2), 0, mask=torch.tensor([True, False]))
    tensor([0., -inf])
    """
    return _ready(input, mask, dtype, -float("inf")).log_softmax(dim)


def softmin(input, dim, *, dtype=None, mask=None):
    """softmax() of the negated elements.

    >>> import flambeau as torch
    >>> torch.masked.softmin(torch.ones(3), 0, mask=torch.tensor([True, False, True]))
    tensor([0.5000, 0.0000, 0.5000])
    """
    return (-_ready(input, mask, dtype, float("inf"))).softmax(dim)


def normalize(input, ord, dim, *, eps=1e-12, dtype=None, mask=None):
    """The elements under the mask divided by their norm, or by eps if that is greater; else 0.

    >>> import flambeau as torch
    >>> torch.masked.normalize(torch.tensor([3.0, 4.0]), 2.0, 0)
    tensor([0.6000, 0.8000])
    """
    length = norm(input, ord, dim, keepdim=True, dtype=dtype, mask=mask)
    return _ready(input, mask, dtype, 0) / length.clamp(min=eps)
