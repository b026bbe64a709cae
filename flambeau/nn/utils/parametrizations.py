"""Parametrizations of weights: orthogonal, with norm and direction apart, of spectral norm 1."""

import flambeau as torch
from flambeau import Tensor

from .. import functional as F
from ..modules import conv
from ..modules.module import Module
from . import parametrize

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]

_MAPS = ("matrix_exp", "cayley", "householder")


def _orthonormal_columns(matrix):
    """Q of the QR decomposition whose R has a positive diagonal."""
    q, r = torch.linalg.qr(matrix)
    return q * r.diagonal(dim1=-2, dim2=-1).sgn().unsqueeze(-2)


def _is_orthogonal(q):
    n, k = q.shape[-2:]
    eye = torch.eye(k, dtype=q.dtype, device=q.device)
    eps = 10.0 * n * torch.finfo(q.dtype).eps
    return torch.allclose(q.mH @ q, eye.expand(*q.shape[:-2], k, k), atol=eps)


class _Orthogonal(Module):
    """Matrices with orthonormal columns (rows, where there are more of those than columns)."""

    def __init__(self, weight, orthogonal_map, *, use_trivialization=True):
        super().__init__()
        if weight.is_complex() and orthogonal_map == "householder":
            raise ValueError("The householder parametrization does not support complex tensors.")
        self.shape = weight.shape
        self.orthogonal_map = orthogonal_map
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, X):
        n, k = X.shape[-2:]
        transposed = n < k
        if transposed:
            X, n, k = X.mT, k, n
        Q = self._householder(X) if self.orthogonal_map == "householder" else self._skew(X, n, k)
        if hasattr(self, "base") and self.base is not None:
            Q = self.base @ Q
        return Q.mT if transposed else Q

    def _skew(self, X, n, k):
        X = X.tril()
        if n != k:
            X = torch.cat([X, X.new_zeros(n, n - k).expand(*X.shape[:-2], -1, -1)], dim=-1)
        A = X - X.mH
        if self.orthogonal_map == "matrix_exp":
            Q = torch.matrix_exp(A)
        else:
            eye = torch.eye(n, dtype=A.dtype, device=A.device)
            Q = torch.linalg.solve(eye - A / 2, eye + A / 2)
        return Q[..., :k] if n != k else Q

    @staticmethod
    def _householder(X):
        A = X.tril(diagonal=-1)
        tau = 2.0 / (1.0 + (A * A).sum(dim=-2))
        Q = torch.linalg.householder_product(A, tau)
        return Q * X.diagonal(dim1=-2, dim2=-1).int().unsqueeze(-2)

    def right_inverse(self, Q):
        if Q.shape != self.shape:
            raise ValueError(
                f"Expected a matrix or batch of matrices of shape {self.shape}. Got a tensor of "
                f"shape {Q.shape}."
            )
        first = Q
        n, k = Q.shape[-2:]
        transposed = n < k
        if transposed:
            Q, n, k = Q.mT, k, n
        if not hasattr(self, "base"):
            return self._inverse_without_base(Q, transposed)
        if n == k:
            Q = Q.clone() if _is_orthogonal(Q) else _orthonormal_columns(Q)
        else:
            more = torch.randn(*Q.shape[:-2], n, n - k, dtype=Q.dtype, device=Q.device)
            Q = _orthonormal_columns(torch.cat([Q, more], dim=-1))
        self.base = Q
        # The map takes minus the identity to the identity, so that the value is the base.
        inverse = torch.zeros_like(first)
        inverse.diagonal(dim1=-2, dim2=-1).fill_(-1.0)
        return inverse

    def _inverse_without_base(self, Q, transposed):
        if self.orthogonal_map != "householder":
            raise NotImplementedError(
                "It is not possible to assign to the matrix exponential or the Cayley "
                "parametrizations when use_trivialization=False."
            )
        A, tau = torch.geqrf(Q)
        diagonal = A.diagonal(dim1=-2, dim2=-1)
        diagonal.sign_()
        # No reflection where tau is 0: the product's column has the other sign.
        diagonal.copy_(torch.where(tau == 0.0, -diagonal, diagonal))
        return A.mT if transposed else A


def _tensor_of(module, name):
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    return weight


def orthogonal(module, name="weight", orthogonal_map=None, *, use_trivialization=True):
    """Keeps a weight orthogonal, by the matrix exponential, Cayley's map or reflections.

    >>> import flambeau as torch
    >>> from flambeau.nn.utils.parametrizations import orthogonal
    >>> layer = orthogonal(torch.nn.Linear(4, 2))
    >>> bool(torch.allclose(layer.weight @ layer.weight.mT, torch.eye(2), atol=1e-5))
    True
    """
    weight = _tensor_of(module, name)
    if weight.ndim < 2:
        raise ValueError(
            f"Expected a matrix or batch of matrices. Got a tensor of {weight.ndim} dimensions."
        )
    if orthogonal_map is None:
        square = weight.shape[-2] == weight.shape[-1]
        orthogonal_map = "matrix_exp" if square or weight.is_complex() else "householder"
    if orthogonal_map not in _MAPS:
        names = ", ".join(f'"{name}"' for name in _MAPS)
        raise ValueError(f"orthogonal_map has to be one of {names}. Got: {orthogonal_map}")
    part = _Orthogonal(weight, orthogonal_map, use_trivialization=use_trivialization)
    parametrize.register_parametrization(module, name, part, unsafe=True)
    return module


class _WeightNorm(Module):
    """g * v / |v|, the norm taken over all dimensions but one."""

    def __init__(self, dim=0):
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g, weight_v):
        return weight_v * (weight_g / norm_except_dim(weight_v, 2, self.dim))

    def right_inverse(self, weight):
        return norm_except_dim(weight, 2, self.dim), weight


def norm_except_dim(v, pow=2, dim=0):
    """The norm over all dimensions but one, which stays; over all for dim=-1."""
    if dim == -1:
        return v.norm(pow)
    dims = [d for d in range(v.dim()) if d != dim % v.dim()]
    if not dims:
        return v.abs()
    return torch.linalg.vector_norm(v, pow, dims, keepdim=True)


def weight_norm(module, name="weight", dim=0):
    """Splits a weight into its norm and its direction (Salimans and Kingma, 2016).

    >>> import flambeau as torch
    >>> from flambeau.nn.utils.parametrizations import weight_norm
    >>> layer = weight_norm(torch.nn.Linear(2, 3))
    >>> layer.parametrizations.weight.original0.shape
    torch.Size([3, 1])
    """
    _tensor_of(module, name)
    part = _WeightNorm(dim)
    parametrize.register_parametrization(module, name, part, unsafe=True)

    def rename(state_dict, prefix, *rest):  # as the older weight_norm named them
        old = [f"{prefix}{name}_g", f"{prefix}{name}_v"]
        if all(key in state_dict for key in old):
            for i, key in enumerate(old):
                state_dict[f"{prefix}parametrizations.{name}.original{i}"] = state_dict.pop(key)

    module._register_load_state_dict_pre_hook(rename)
    return module


class _SpectralNorm(Module):
    """The weight over its greatest singular value, which power iteration estimates."""

    def __init__(self, weight, n_power_iterations=1, dim=0, eps=1e-12):
        super().__init__()
        ndim = weight.ndim
        if dim >= ndim or dim < -ndim:
            raise IndexError(
                f"Dimension out of range (expected to be in range of [-{ndim}, {ndim - 1}] but got "
                f"{dim})"
            )
        if n_power_iterations <= 0:
            raise ValueError(
                "Expected n_power_iterations to be positive, but got "
                f"n_power_iterations={n_power_iterations}"
            )
        self.dim = dim if dim >= 0 else dim + ndim
        self.eps = eps
        if ndim > 1:
            self.n_power_iterations = n_power_iterations
            matrix = self._matrix(weight)
            h, w = matrix.shape
            u, v = (matrix.new_empty(size).normal_(0, 1) for size in (h, w))
            self.register_buffer("_u", F.normalize(u, dim=0, eps=self.eps))
            self.register_buffer("_v", F.normalize(v, dim=0, eps=self.eps))
            self._power_method(matrix, 15)

    def _matrix(self, weight):
        if self.dim != 0:
            weight = weight.movedim(self.dim, 0)
        return weight.flatten(1)

    def _power_method(self, matrix, steps):
        with torch.no_grad():
            for _ in range(steps):
                self._u.copy_(F.normalize(matrix @ self._v, dim=0, eps=self.eps))
                self._v.copy_(F.normalize(matrix.mH @ self._u, dim=0, eps=self.eps))

    def forward(self, weight):
        if weight.ndim == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = self._matrix(weight)
        if self.training:
            self._power_method(matrix, self.n_power_iterations)
        # Copies: the next forward changes the buffers before this one's backward may run.
        u, v = self._u.clone(), self._v.clone()
        return weight / torch.vdot(u, torch.mv(matrix, v))

    def right_inverse(self, value):
        return value


def spectral_norm(module, name="weight", n_power_iterations=1, eps=1e-12, dim=None):
    """Divides a weight by its spectral norm (Miyato et al., 2018).

    >>> import flambeau as torch
    >>> from flambeau.nn.utils.parametrizations import spectral_norm
    >>> layer = spectral_norm(torch.nn.Linear(4, 4))
    >>> bool(torch.linalg.norm(layer.weight @ layer.parametrizations.weight[0]._v) < 1.01)
    True
    """
    weight = _tensor_of(module, name)
    if dim is None:
        transposed = (conv.ConvTranspose1d, conv.ConvTranspose2d, conv.ConvTranspose3d)
        dim = 1 if isinstance(module, transposed) else 0
    part = _SpectralNorm(weight, n_power_iterations, dim, eps)
    parametrize.register_parametrization(module, name, part)
    return module
