"""Helpers of the distributions: broadcasting parameters, probabilities and their logarithms."""

from functools import update_wrapper

import flambeau as torch
from flambeau import Tensor

__all__ = [
    "broadcast_all",
    "clamp_probs",
    "euler_constant",
    "lazy_property",
    "logits_to_probs",
    "probs_to_logits",
    "tril_matrix_to_vec",
    "vec_to_tril_matrix",
]

euler_constant = 0.57721566490153286060  # the Euler-Mascheroni constant


def broadcast_all(*values):
    """Tensors of one shape made of tensors and numbers.

    >>> from flambeau.distributions.utils import broadcast_all
    >>> import flambeau as torch
    >>> [v.shape for v in broadcast_all(torch.zeros(2), 1.0)]
    [torch.Size([2]), torch.Size([2])]
    """
    tensors = [v for v in values if isinstance(v, Tensor)]
    if len(tensors) < len(values):
        for v in values:
            if not isinstance(v, (Tensor, int, float, complex)):
                raise ValueError("Input arguments must all be instances of Number or torch.Tensor.")
        options = {"dtype": torch.get_default_dtype()}
        if tensors:
            options = {"dtype": tensors[0].dtype, "device": tensors[0].device}
        values = [v if isinstance(v, Tensor) else torch.tensor(v, **options) for v in values]
    return torch.broadcast_tensors(*values)


def is_number(*values):
    """Whether no parameter is a tensor, so that the batch has no dimensions."""
    return not any(isinstance(v, Tensor) for v in values)


def tiny(tensor):
    """The smallest positive normal number of a tensor's dtype."""
    return torch.finfo(tensor.dtype).tiny


def standard_normal(shape, like):
    """Draws of the standard normal distribution, with dtype and device of a tensor."""
    return torch.normal(
        torch.zeros(shape, dtype=like.dtype, device=like.device),
        torch.ones(shape, dtype=like.dtype, device=like.device),
    )


def sum_rightmost(value, dim):
    """The sum over the last `dim` dimensions."""
    return value.reshape(value.shape[:-dim] + (-1,)).sum(-1) if dim else value


def clamp_probs(probs):
    """Probabilities kept off 0 and 1 by the rounding error of their dtype."""
    eps = torch.finfo(probs.dtype).eps
    return probs.clamp(min=eps, max=1 - eps)


def logits_to_probs(logits, is_binary=False):
    """Probabilities of log-odds (`is_binary`) or of unnormalized logarithms in the last dimension.

    >>> import flambeau as torch
    >>> from flambeau.distributions.utils import logits_to_probs
    >>> logits_to_probs(torch.zeros(2))
    tensor([0.5000, 0.5000])
    """
    if is_binary:
        return torch.sigmoid(logits)
    return torch.nn.functional.softmax(logits, dim=-1)


def probs_to_logits(probs, is_binary=False):
    """The inverse of `logits_to_probs`: log-odds, or logarithms of probabilities."""
    clamped = clamp_probs(probs)
    if is_binary:
        return torch.log(clamped) - torch.log1p(-clamped)
    return torch.log(clamped)


class lazy_property:
    """A property that is computed once, with gradients, and kept in the object."""

    def __init__(self, wrapped):
        self.wrapped = wrapped
        update_wrapper(self, wrapped)

    def __get__(self, instance, obj_type=None):
        if instance is None:
            return _lazy_property_and_property(self.wrapped)
        with torch.enable_grad():
            value = self.wrapped(instance)
        setattr(instance, self.wrapped.__name__, value)
        return value


class _lazy_property_and_property(lazy_property, property):
    """What a class shows of its lazy property: something that documents itself."""

    def __init__(self, wrapped):
        property.__init__(self, wrapped)


def tril_matrix_to_vec(mat, diag=0):
    """The elements on and below a diagonal, row by row: [..., N, N] -> [..., M].

    >>> import flambeau as torch
    >>> from flambeau.distributions.utils import tril_matrix_to_vec
    >>> tril_matrix_to_vec(torch.tensor([[1, 0], [2, 3]]))
    tensor([1, 2, 3])
    """
    n = mat.shape[-1]
    if diag < -n or diag >= n:
        raise ValueError(f"diag ({diag}) provided is outside [{-n}, {n - 1}].")
    rows, columns = torch.tril_indices(n, n, diag)
    return mat[..., rows, columns]


def vec_to_tril_matrix(vec, diag=0):
    """The inverse of `tril_matrix_to_vec`: [..., M] -> [..., N, N]."""
    # M elements up to diagonal k of an N by N matrix: M = N (N + 1) / 2 + k N, for k <= 0
    m = vec.shape[-1]
    size = ((1 + 2 * diag) ** 2 + 8 * m + 4 * abs(diag) * (diag + 1)) ** 0.5
    n = (-(1 + 2 * diag) + size) / 2
    if round(n) - n > torch.finfo(vec.dtype).eps:
        raise ValueError(
            f"The size of last dimension is {m} which cannot be expressed as the lower triangular "
            "part of a square D x D matrix."
        )
    n = round(n)
    rows, columns = torch.tril_indices(n, n, diag)
    mat = vec.new_zeros(vec.shape[:-1] + (n, n))
    mat[..., rows, columns] = vec
    return mat


_standard_normal, _sum_rightmost = standard_normal, sum_rightmost  # names that libraries import
