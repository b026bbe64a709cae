"""Functions of matrices made of other operators: powers, products, tensor equations."""

import flambeau
from flambeau._ops import functions, op, write_out
from flambeau._ops.norms import check_inexact


def _check_square(input, name, argument="A"):
    if input.dim() < 2:
        raise RuntimeError(f"{name}: The input tensor {argument} must have at least 2 dimensions.")
    rows, columns = input.shape[-2:]
    if rows != columns:
        raise RuntimeError(
            f"{name}: {argument} must be batches of square matrices, but they are "
            f"{rows} by {columns} matrices"
        )


def _eye(like, rows, columns=None):
    return flambeau.eye(rows, columns, dtype=like.dtype, device=like.device)


# -- powers ----------------------------------------------------------------------------------------
def _power(input, n):
    if n == 0:  # its gradient is 0, not absent
        return input.masked_fill(flambeau.ones_like(input, dtype=flambeau.bool), 0) + _eye(
            input, input.size(-1)
        )
    result = None
    while n:
        if n & 1:
            result = input if result is None else result @ input
        n >>= 1
        if n:
            input = input @ input
    return result


@op("linalg.matrix_power(Tensor input, int n) -> Tensor", out=True)
def linalg_matrix_power(input, n):
    """The n-th power of square matrices, of their inverses for negative n.

    >>> import flambeau as torch
    >>> torch.linalg.matrix_power(torch.tensor([[2.0]]), -1)
    tensor([[0.5000]])
    """
    _check_square(input, "linalg.matrix_power")
    if n < 0:
        input, n = functions["linalg.inv"](input), -n
    result = _power(input, n)
    return result.clone() if result is input else result


@op("matrix_power(Tensor input, int n) -> Tensor", out=True)
def matrix_power(input, n):
    """The n-th power of square matrices: `flambeau.linalg.matrix_power`.

    >>> import flambeau as torch
    >>> torch.tensor([[2.0]]).matrix_power(3)
    tensor([[8.]])
    """
    return linalg_matrix_power(input, n)


# -- determinant -----------------------------------------------------------------------------------
@op("logdet(Tensor input) -> Tensor")
def logdet(input):
    """The logarithm of the determinant; nan where that is negative.

    >>> import flambeau as torch
    >>> torch.logdet(torch.eye(3))
    tensor(0.)
    """
    _check_square(input, "logdet")
    sign, size = functions["linalg.slogdet"](input)
    if input.is_complex():
        return size + sign.log()
    return flambeau.where(sign == -1, float("nan"), size)


# -- vectors ---------------------------------------------------------------------------------------
def _check_dim(dim, ndim):
    least = max(ndim, 1)
    if not -least <= dim < least:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-least}, {least - 1}], "
            f"but got {dim})"
        )


@op("linalg.vecdot(Tensor x, Tensor y, *, int dim=-1) -> Tensor", out=True)
def vecdot(x, y, *, dim=-1):
    """Dot products along a dimension, the first vectors conjugated.

    >>> import flambeau as torch
    >>> torch.linalg.vecdot(torch.ones(2, 3), torch.ones(3))
    tensor([3., 3.])
    """
    check_inexact(x, "linalg.vecdot")
    if x.dtype != y.dtype:
        raise RuntimeError(
            "linalg.vecdot: Expected x and y to have the same dtype, but found x of type "
            f"{x.dtype} and y of type {y.dtype} instead"
        )
    return (x.conj() * y).sum(dim)


@op("cross(Tensor input, Tensor other, int? dim=None) -> Tensor", out=True)
def cross(input, other, dim=None):
    """The cross product along a dimension, by default the first that has three elements.

    >>> import flambeau as torch
    >>> torch.cross(torch.tensor([1, 0, 0]), torch.tensor([0, 1, 0]), dim=0)
    tensor([0, 0, 1])
    """
    if dim is None:
        if input.dim() != other.dim():
            raise RuntimeError("linalg.cross: inputs must have the same number of dimensions.")
        shape = flambeau.broadcast_shapes(input.shape, other.shape)
        if 3 not in shape:
            raise RuntimeError("no dimension of size 3 in input")
        dim = list(shape).index(3)
    return flambeau.linalg.cross(input, other, dim=dim)


@op("linalg.vander(Tensor x, *, int? N=None) -> Tensor")
def vander(x, *, N=None):
    """The matrix of the powers 0 to N - 1 of each element, in rows.

    >>> import flambeau as torch
    >>> torch.linalg.vander(torch.tensor([2, 3]), N=3)
    tensor([[1, 2, 4],
            [1, 3, 9]])
    """
    if x.dtype == flambeau.bool:
        raise RuntimeError(
            "linalg.vander supports floating point, complex, and integer tensors, but got Bool"
        )
    if x.dim() == 0:
        x = x.unsqueeze(-1)
    n = x.size(-1) if N is None else N
    if n <= 1:
        raise RuntimeError("N must be greater than 1.")
    powers = x.unsqueeze(-1).expand(*x.shape, n - 1).cumprod(-1)
    return flambeau.cat([flambeau.ones_like(powers[..., :1]), powers], -1)


# -- tensors as matrices ---------------------------------------------------------------------------
def _check_halves(shape, first, text):
    rows, columns = 1, 1
    for i, n in enumerate(shape):
        if i < first:
            columns *= n
        else:
            rows *= n
    if rows != columns:
        raise RuntimeError(
            f"Expected self to satisfy the requirement prod(self.shape[{text}:]) == "
            f"prod(self.shape[:{text}]), but got {rows} != {columns}"
        )
    return rows


@op("linalg.tensorinv(Tensor input, int ind=2) -> Tensor", out=True)
def tensorinv(input, ind=2):
    """The inverse of a tensor that maps its last dimensions to its first `ind`.

    >>> import flambeau as torch
    >>> torch.linalg.tensorinv(torch.eye(6).reshape(2, 3, 6)).shape
    torch.Size([6, 2, 3])
    """
    if ind <= 0:
        raise RuntimeError(f"Expected a strictly positive integer for 'ind', but got {ind}")
    shape = list(input.shape)
    n = _check_halves(shape, ind, "ind")
    result = functions["linalg.inv"](input.reshape(n, n))
    return result.reshape(shape[ind:] + shape[:ind])


@op("linalg.tensorsolve(Tensor input, Tensor other, int[]? dims=None) -> Tensor", out=True)
def tensorsolve(input, other, dims=None):
    """X with tensordot(input, X, X.ndim) = other; `dims` of `input` are moved to its end first.

    >>> import flambeau as torch
    >>> torch.linalg.tensorsolve(torch.eye(6).reshape(2, 3, 6), torch.ones(2, 3)).shape
    torch.Size([6])
    """
    if dims is not None:
        dims = [dims] if isinstance(dims, int) else list(dims)
        for d in dims:
            _check_dim(d, input.dim())
        input = input.movedim(dims, list(range(input.dim() - len(dims), input.dim())))
    shape = list(input.shape)
    n = _check_halves(shape, other.dim(), "other.ndim")
    result = functions["linalg.solve"](input.reshape(n, n), other.reshape(n))
    return result.reshape(shape[other.dim() :])


# -- Householder vectors ---------------------------------------------------------------------------
def _reflectors(input, tau, name):
    if input.dim() < 2:
        raise RuntimeError(f"{name}: input must have at least 2 dimensions.")
    if input.size(-1) < tau.size(-1):
        raise RuntimeError(
            f"{name}: input.shape[-1] must be greater than or equal to tau.shape[-1]"
        )
    if input.shape[:-2] != tau.shape[:-1]:
        raise RuntimeError(
            f"{name}: Expected batch dimensions of tau to be equal to input.shape[:-2], but got "
            f"{list(tau.shape[:-1])}"
        )
    if tau.dtype != input.dtype:
        raise RuntimeError(
            f"{name}: tau dtype {tau.dtype} does not match input dtype {input.dtype}"
        )
    m, k = input.size(-2), tau.size(-1)
    return input[..., :k].tril(-1) + _eye(input, m, k)


def _apply(v, tau, other, adjoint):
    """Q C or Q^H C with Q = 1 - V T V^H, T = (1 + D U)^-1 D, D = diag(tau), U = striu(V^H V).

    This is the product of the reflections 1 - tau_i v_i v_i^H (Joffrain et al. 2006).
    """
    solve = functions["linalg.solve_triangular"]
    upper = tau.unsqueeze(-1) * (v.mH @ v).triu(1)
    inner = v.mH @ other
    if adjoint:
        inner = solve(upper.mH, inner, upper=False, unitriangular=True)
        return other - v @ (tau.conj().unsqueeze(-1) * inner)
    inner = solve(upper, tau.unsqueeze(-1) * inner, upper=True, unitriangular=True)
    return other - v @ inner


@op("linalg.householder_product(Tensor input, Tensor tau) -> Tensor", out=True)
def householder_product(input, tau):
    """The first columns of the product of the reflections that `flambeau.geqrf` gives.

    >>> import flambeau as torch
    >>> a = torch.ones(3, 2)
    >>> q = torch.linalg.householder_product(*torch.geqrf(a))
    >>> torch.allclose(q.mT @ q, torch.eye(2), atol=1e-6)
    True
    """
    name = "torch.linalg.householder_product"
    v = _reflectors(input, tau, name)
    m, n = input.shape[-2:]
    if m < n:
        raise RuntimeError(
            f"{name}: input.shape[-2] must be greater than or equal to input.shape[-1]"
        )
    return _apply(v, tau, _eye(input, m, n), False)


@op("orgqr(Tensor input, Tensor input2) -> Tensor", out=True)
def orgqr(input, input2):
    """The orthogonal factor of a QR factorization: `flambeau.linalg.householder_product`.

    >>> import flambeau as torch
    >>> torch.orgqr(*torch.geqrf(torch.ones(3, 2))).shape
    torch.Size([3, 2])
    """
    return householder_product(input, input2)


def _check_ormqr(input, tau, other, left):
    name = "torch.ormqr"
    if input.dim() < 2 or other.dim() < 2:
        which = "input" if input.dim() < 2 else "other"
        raise RuntimeError(f"{name}: {which} must have at least 2 dimensions.")
    side = -2 if left else -1
    if other.size(side) < tau.size(-1):
        raise RuntimeError(
            f"{name}: other.shape[{side}] must be greater than or equal to tau.shape[-1]"
        )
    if other.size(side) != input.size(-2):
        raise RuntimeError(f"{name}: other.shape[{side}] must be equal to input.shape[-2]")
    if tau.dim() != input.dim() - 1 or other.dim() != input.dim():
        raise RuntimeError(
            f"{name}: Expected tau to have one dimension less than input and other as many, but "
            f"got tau.ndim equal to {tau.dim()}, other.ndim {other.dim()}, input.ndim {input.dim()}"
        )
    if other.shape[:-2] != input.shape[:-2]:
        raise RuntimeError(
            f"{name}: Expected batch dimensions of other to be equal to input.shape[:-2], but got "
            f"{list(other.shape[:-2])}"
        )
    if other.dtype != input.dtype:
        raise RuntimeError(
            f"{name}: Expected input and other to have the same dtype, but input has dtype "
            f"{input.dtype} and other has dtype {other.dtype}"
        )
    return name


@op(
    "ormqr(Tensor input, Tensor input2, Tensor input3, bool left=True, bool transpose=False) "
    "-> Tensor",
    out=True,
)
def ormqr(input, input2, input3, left=True, transpose=False):
    """Q C, or C Q for left=False, or with Q^H, for the Q whose reflections `geqrf` gives.

    >>> import flambeau as torch
    >>> a, tau = torch.geqrf(torch.ones(3, 2))
    >>> torch.ormqr(a, tau, torch.ones(3, 4)).shape
    torch.Size([3, 4])
    """
    name = _check_ormqr(input, input2, input3, left)
    v = _reflectors(input, input2, name)
    if left:
        return _apply(v, input2, input3, transpose)
    return _apply(v, input2, input3.mH, not transpose).mH


# -- LU --------------------------------------------------------------------------------------------
@op("lu(Tensor A, bool pivot=True, bool get_infos=False) -> (Tensor, Tensor)", method=True)
def lu(A, pivot=True, get_infos=False, out=None):
    """The compact LU factorization and its pivots, and for `get_infos` which are singular.

    >>> import flambeau as torch
    >>> torch.lu(torch.eye(2))[1]
    tensor([1, 2], dtype=torch.int32)
    """
    factors, pivots, info = functions["linalg.lu_factor_ex"](
        A, pivot=pivot, check_errors=not get_infos
    )
    result = (factors, pivots, info) if get_infos else (factors, pivots)
    if out is None:
        return result
    if not isinstance(out, (tuple, list)) or len(out) != len(result):
        raise TypeError(f"lu(): expected out to be a tuple of {len(result)} tensors")
    return tuple(write_out("lu", value, o) for value, o in zip(result, out))
