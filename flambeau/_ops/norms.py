"""Norms of vectors and matrices."""

from flambeau._ops import functions, internal, op, write_out

_INFINITY = float("inf")


def _dims(dim):
    return None if dim is None else [dim] if isinstance(dim, int) else list(dim)


def _vector(input, ord, dims, keepdim, dtype):
    return functions["linalg.vector_norm"](input, ord, dims, keepdim, dtype=dtype)


def check_inexact(input, name):
    """RuntimeError unless the tensor is of floating-point or complex numbers."""
    if not (input.is_floating_point() or input.is_complex()):
        raise RuntimeError(
            f"{name}: Expected a floating point or complex tensor as input. Got {input.dtype}"
        )


def _greatest(values, dim, keepdim, positive):
    """The greatest of non-negative values, 0 where there is none; or the least."""
    if not positive:
        return values.amin(dim, keepdim=keepdim)
    if values.size(dim) == 0:
        return values.sum(dim, keepdim=keepdim)
    return values.amax(dim, keepdim=keepdim)


def _check_matrix_norm(input, ord, dims, dtype):
    name = "linalg.matrix_norm"
    check_inexact(input, name)
    if input.dim() < 2:
        raise RuntimeError(f"{name}: The input tensor A must have at least 2 dimensions.")
    if len(dims) != 2:
        raise RuntimeError(f"{name}: dim must be a 2-tuple. Got {' '.join(map(str, dims))}")
    if dtype is not None and not (dtype.is_floating_point or dtype.is_complex):
        raise RuntimeError(f"{name}: dtype should be floating point or complex, but got {dtype}")
    for d in dims:
        if not -input.dim() <= d < input.dim():
            raise IndexError(
                f"Dimension out of range (expected to be in range of [{-input.dim()}, "
                f"{input.dim() - 1}], but got {d})"
            )
    rows, columns = (d % input.dim() for d in dims)
    if rows == columns:
        raise RuntimeError(f"{name}: dims must be different. Got ({dims[0]}, {dims[1]})")
    known = ("fro", "nuc") if isinstance(ord, str) else (1, -1, 2, -2, _INFINITY, -_INFINITY)
    if ord not in known:
        raise RuntimeError(f"{name}: Order {ord} not supported.")
    return rows, columns


@op("linalg.matrix_norm(Tensor input, Scalar ord='fro', int[] dim=[-2, -1]) -> Tensor", out=True)
def matrix_norm(input, ord="fro", dim=(-2, -1), keepdim=False, *, dtype=None):
    """The norm of matrices, by `ord`.

    'fro' is the root of the sum of squares, 'nuc' the sum of the singular values; 2 and -2 are the
    greatest and the least of these, 1 and -1 those of the columns' sums of absolute values,
    infinity and its negative those of the rows'.

    >>> import flambeau as torch
    >>> torch.linalg.matrix_norm(torch.ones(2, 2))
    tensor(2.)
    """
    dims = _dims(dim)
    rows, columns = _check_matrix_norm(input, ord, dims, dtype)
    if ord == "fro":
        return _vector(input, 2, dims, keepdim, dtype)
    if dtype is not None:
        input = input.to(dtype)
    if ord in ("nuc", 2, -2):
        values = functions["linalg.svdvals"](input.movedim([rows, columns], [-2, -1]))
        result = values.sum(-1) if ord == "nuc" else _greatest(values, -1, False, ord > 0)
        if keepdim:
            for d in sorted((rows, columns)):
                result = result.unsqueeze(d)
        return result
    summed, kept = (rows, columns) if abs(ord) == 1 else (columns, rows)
    sums = _vector(input, 1, [summed], True, None)
    result = _greatest(sums, kept, True, ord > 0)
    if not keepdim:
        result = result.squeeze([rows, columns])
    return result


@op(
    "linalg.norm(Tensor input, Scalar? ord=None, int[1]? dim=None, bool keepdim=False) -> Tensor",
    out=True,
)
def linalg_norm(input, ord=None, dim=None, keepdim=False, *, dtype=None):
    """A vector norm, or a matrix norm where two dimensions are named or `ord` asks for one.

    >>> import flambeau as torch
    >>> torch.linalg.norm(torch.tensor([3.0, 4.0]))
    tensor(5.)
    """
    dims = _dims(dim)
    check_inexact(input, "linalg.norm")
    if dims is not None and len(dims) not in (1, 2):
        raise RuntimeError(
            f"linalg.norm: If dim is specified, it must be of length 1 or 2. Got {dims}"
        )
    if dims is None and ord is not None and input.dim() not in (1, 2):
        raise RuntimeError(
            "linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. "
            f"Got {input.dim()}D."
        )
    if ord is None:
        return _vector(input, 2, dims, keepdim, dtype)
    single = input.dim() == 1 if dims is None else len(dims) == 1
    if single and not isinstance(ord, str):
        return _vector(input, ord, dims, keepdim, dtype)
    dims = [-2, -1] if dims is None else dims
    return matrix_norm(input, ord, dims, keepdim, dtype=dtype)


@op("norm(Tensor input, Scalar? p='fro', int[1]? dim=None, bool keepdim=False) -> Tensor")
def norm(input, p="fro", dim=None, keepdim=False, out=None, dtype=None):
    """The p-norm of all elements, or along dimensions; 'fro' is the 2-norm, 'nuc' of matrices.

    >>> import flambeau as torch
    >>> torch.norm(torch.tensor([3.0, 4.0]))
    tensor(5.)
    """
    dims = _dims(dim)
    if isinstance(p, str) and not (p == "fro" and (dims is None or len(dims) == 1)):
        dims = list(range(input.dim())) if dims is None else dims
        result = matrix_norm(input, p, dims, keepdim, dtype=dtype)
    else:
        result = _vector(input, 2 if p in ("fro", None) else p, dims, keepdim, dtype)
    return result if out is None else write_out("norm", result, out)


@op(
    "frobenius_norm(Tensor input, int[1] dim, bool keepdim=False) -> Tensor", method=False, out=True
)
def frobenius_norm(input, dim, keepdim=False):
    """The root of the sum of squares along dimensions.

    >>> import flambeau as torch
    >>> torch.frobenius_norm(torch.tensor([3.0, 4.0]), dim=0)
    tensor(5.)
    """
    return _vector(input, 2, _dims(dim) or None, keepdim, None)


@op("nuclear_norm(Tensor input, int[2] dim, bool keepdim=False) -> Tensor", method=False, out=True)
def nuclear_norm(input, dim=(-2, -1), keepdim=False):
    """The sum of the singular values of matrices.

    >>> import flambeau as torch
    >>> torch.nuclear_norm(torch.eye(3))
    tensor(3.)
    """
    return matrix_norm(input, "nuc", dim, keepdim)


# -- what follows from singular values -------------------------------------------------------------
def _values(input, hermitian):
    if hermitian:
        return functions["linalg.eigvalsh"](input).abs()
    return functions["linalg.svdvals"](input)


def _tolerances(input, atol, rtol, name):
    """Both tolerances as tensors; the default is relative: epsilon times the longer side."""
    import flambeau

    real = input.real.dtype if input.is_complex() else input.dtype
    if rtol is None:
        given = atol is not None and (isinstance(atol, flambeau.Tensor) or atol > 0)
        rtol = flambeau.finfo(real).eps * max(input.shape[-2:])
        if given and isinstance(atol, flambeau.Tensor):
            rtol = flambeau.where(atol > 0, 0.0, rtol)
        elif given:
            rtol = 0.0
    pair = []
    for which, value in (("atol", 0.0 if atol is None else atol), ("rtol", rtol)):
        if not isinstance(value, flambeau.Tensor):
            value = flambeau.full((), float(value), dtype=real, device=input.device)
        elif value.is_complex():
            raise RuntimeError(f"{name}: {which} tensor of complex type is not supported.")
        pair.append(value.to(real))
    return pair


@op("linalg.matrix_rank(Tensor input, *, Tensor? atol=None, Tensor? rtol=None) -> Tensor", out=True)
def matrix_rank(input, tol=None, hermitian=False, *, atol=None, rtol=None):
    """How many singular values of matrices are greater than max(atol, rtol * the greatest).

    >>> import flambeau as torch
    >>> torch.linalg.matrix_rank(torch.ones(3, 3))
    tensor(1)
    """
    import flambeau

    name = "torch.linalg.matrix_rank"
    if input.dim() < 2:
        raise RuntimeError(f"{name}: The input tensor input must have at least 2 dimensions.")
    check_inexact(input, name)
    if tol is not None:
        atol, rtol = tol, 0.0
    with flambeau.no_grad():
        values = _values(input, hermitian)
        if values.size(-1) == 0:
            result = flambeau.zeros(values.shape[:-1], dtype=flambeau.int64, device=input.device)
            return result
        atol, rtol = _tolerances(input, atol, rtol, name)
        least = flambeau.maximum(atol, rtol * values.amax(-1))
        return (values > least.unsqueeze(-1)).sum(-1)


@op("linalg.pinv(Tensor input, *, Tensor? atol=None, Tensor? rtol=None) -> Tensor", out=True)
def pinv(input, rcond=None, hermitian=False, *, atol=None, rtol=None):
    """The pseudoinverse of matrices: singular values up to max(atol, rtol * the greatest) are 0.

    >>> import flambeau as torch
    >>> torch.linalg.pinv(torch.tensor([[2.0], [0.0]]))
    tensor([[0.5000, 0.0000]])
    """
    if input.dim() < 2 or not (input.is_floating_point() or input.is_complex()):
        raise RuntimeError(
            f"linalg.pinv({input.dtype}{list(input.shape)}): expected a tensor with 2 or more "
            "dimensions of float, double, cfloat or cdouble types"
        )
    if rcond is not None:
        rtol = rcond
    atol, rtol = _tolerances(input, atol, rtol, "torch.linalg.pinv")
    return internal["_linalg_pinv"](input, atol, rtol, hermitian)


@op("pinverse(Tensor input, float rcond=1e-15) -> Tensor")
def pinverse(input, rcond=1e-15):
    """The pseudoinverse of matrices: `flambeau.linalg.pinv`.

    >>> import flambeau as torch
    >>> torch.pinverse(torch.tensor([[2.0], [0.0]]))
    tensor([[0.5000, 0.0000]])
    """
    return pinv(input, rcond)


def _check_condition(input, p):
    if input.dim() < 2:
        raise RuntimeError("linalg.cond: The input tensor must have at least 2 dimensions.")
    if p not in (None, "fro", "nuc", 1, -1, 2, -2, _INFINITY, -_INFINITY):
        raise RuntimeError(f"linalg.cond got an invalid norm type: {p}")
    if p not in (None, 2, -2) and input.size(-1) != input.size(-2):
        raise RuntimeError(
            f"linalg.cond(ord={p}): A must be batches of square matrices, but they are "
            f"{input.size(-2)} by {input.size(-1)} matrices"
        )


@op("linalg.cond(Tensor input, Scalar? p=None) -> Tensor", out=True)
def cond(input, p=None):
    """The condition number of matrices: the norm times that of the inverse, infinite if singular.

    >>> import flambeau as torch
    >>> torch.linalg.cond(torch.diag(torch.tensor([4.0, 2.0])))
    tensor(2.)
    """
    _check_condition(input, p)
    if input.size(-1) == 0 or input.size(-2) == 0:
        real = input.real if input.is_complex() else input
        return real.new_zeros(input.shape[:-2])
    if p in (None, 2, -2):
        values = functions["linalg.svdvals"](input)
        most, least = values[..., 0], values[..., -1]
        return least / most if p == -2 else most / least
    inverse, info = functions["linalg.inv_ex"](input)
    singular = info > 0
    if info.is_meta or not bool(singular.any()):
        return matrix_norm(input, p) * matrix_norm(inverse, p)
    inverse = inverse.masked_fill(singular[..., None, None], 0)  # has no finite norm
    return (matrix_norm(input, p) * matrix_norm(inverse, p)).masked_fill(singular, _INFINITY)
