"""Norms, and the factorizations that initial values need, from other operators and NumPy."""

from collections import namedtuple

from flambeau._ops import functions, op

QR = namedtuple("qr", ["Q", "R"])


def _dims(dim):
    return None if dim is None else [dim] if isinstance(dim, int) else list(dim)


@op("linalg.matrix_norm(Tensor A, Scalar ord='fro', int[] dim=[-2, -1]) -> Tensor", method=False)
def matrix_norm(A, ord="fro", dim=(-2, -1), keepdim=False, *, dtype=None):
    """The norm of matrices: Frobenius, or the greatest (least) sum of rows or columns.

    >>> import flambeau as torch
    >>> torch.linalg.matrix_norm(torch.ones(2, 2))
    tensor(2.)
    """
    vector = functions["linalg.vector_norm"]
    if dtype is not None:
        A = A.to(dtype)
    if ord in ("fro", None):
        return vector(A, 2, list(dim), keepdim)
    if ord not in (1, -1, float("inf"), float("-inf")):
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    rows, columns = (d % A.dim() for d in dim)
    summed, kept = (rows, columns) if abs(ord) == 1 else (columns, rows)
    sums = A.abs().sum(summed, keepdim=True)
    out = sums.amax(kept, keepdim=True) if ord > 0 else sums.amin(kept, keepdim=True)
    if keepdim:
        return out
    return out.squeeze(max(rows, columns)).squeeze(min(rows, columns))


@op("linalg.norm(Tensor A, Scalar? ord=None, int[1]? dim=None, bool keepdim=False) -> Tensor")
def linalg_norm(A, ord=None, dim=None, keepdim=False, *, dtype=None):
    """A vector norm, or a matrix norm where two dimensions are named or `ord` asks for one.

    >>> import flambeau as torch
    >>> torch.linalg.norm(torch.tensor([3.0, 4.0]))
    tensor(5.)
    """
    vector = functions["linalg.vector_norm"]
    dims = _dims(dim)
    if ord is None or (dims is not None and len(dims) == 1) or (dims is None and A.dim() == 1):
        return vector(A, 2 if ord is None else ord, dims, keepdim, dtype=dtype)
    return matrix_norm(A, ord, (-2, -1) if dims is None else dims, keepdim, dtype=dtype)


@op("norm(Tensor input, Scalar? p='fro', int[1]? dim=None, bool keepdim=False) -> Tensor")
def norm(input, p="fro", dim=None, keepdim=False, out=None, dtype=None):
    """The p-norm of all elements, or along dimensions; 'fro' is the 2-norm.

    >>> import flambeau as torch
    >>> torch.norm(torch.tensor([3.0, 4.0]))
    tensor(5.)
    """
    if p == "nuc":
        raise RuntimeError("norm(): the nuclear norm needs a singular value decomposition")
    p = 2 if p in ("fro", None) else p
    result = functions["linalg.vector_norm"](input, p, _dims(dim), keepdim, dtype=dtype)
    return result if out is None else out.copy_(result)


def _triangle(x):
    """The part of the gradient that a triangular factor takes: the lower triangle, mirrored."""
    lower = x.tril(-1)
    return x.tril() + lower.mH


@op("linalg.qr(Tensor A, str mode='reduced') -> (Tensor Q, Tensor R)", method=False)
def qr(A, mode="reduced"):
    """A = Q R with orthonormal columns in Q and R upper triangular, by LAPACK.

    The gradient (Walter and Lehmann 2018) exists for mode 'reduced' with at least as many rows
    as columns.

    >>> import flambeau as torch
    >>> q, r = torch.linalg.qr(torch.eye(2))
    >>> torch.allclose(q @ r, torch.eye(2))
    True
    """
    import numpy

    import flambeau as torch

    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' "
            "(default), 'r', or 'complete'"
        )
    if A.dim() < 2:
        raise RuntimeError(
            f"linalg.qr: The input tensor A must have at least 2 dimensions, got {A.dim()}"
        )

    class Factor(torch.autograd.Function):
        @staticmethod
        def forward(ctx, A):
            if mode == "r":
                r = torch.from_numpy(numpy.linalg.qr(A.detach().numpy(), "r"))
                return A.new_empty(0), r
            q, r = numpy.linalg.qr(A.detach().numpy(), mode)
            q, r = torch.from_numpy(q), torch.from_numpy(r)
            ctx.save_for_backward(q, r)
            return q, r

        @staticmethod
        def backward(ctx, dq, dr):
            if mode == "r" or (mode == "complete" and A.shape[-2] > A.shape[-1]):
                raise RuntimeError(f"linalg.qr: no gradient in mode '{mode}'")
            if A.shape[-2] < A.shape[-1]:
                raise RuntimeError("linalg.qr: no gradient for more columns than rows")
            q, r = ctx.saved_tensors
            m = r @ dr.mH - dq.mH @ q
            return (dq + q @ _triangle(m)) @ torch.linalg.inv(r).mH

    return QR(*Factor.apply(A))


@op("linalg.inv(Tensor A) -> Tensor", method=False)
def inv(A):
    """The inverse of square matrices.

    >>> import flambeau as torch
    >>> torch.linalg.inv(torch.tensor([[2.0]]))
    tensor([[0.5000]])
    """
    import numpy

    import flambeau as torch

    if A.dim() < 2 or A.shape[-1] != A.shape[-2]:
        raise RuntimeError(
            f"linalg.inv: A must be batches of square matrices, but got {list(A.shape)}"
        )

    class Inverse(torch.autograd.Function):
        @staticmethod
        def forward(ctx, A):
            try:
                y = torch.from_numpy(numpy.linalg.inv(A.detach().numpy()))
            except numpy.linalg.LinAlgError as e:
                raise RuntimeError(
                    "linalg.inv: The diagonal element is zero, the inversion could "
                    "not be completed because the input matrix is singular."
                ) from e
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx, g):
            (y,) = ctx.saved_tensors
            return -(y.mH @ g @ y.mH)

    return Inverse.apply(A)
