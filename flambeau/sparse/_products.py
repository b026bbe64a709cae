"""Products with sparse matrices."""

import flambeau
from flambeau import _C, Tensor

from ._create import begins, coalesce, to_coo, to_dense, to_sparse_csr
from ._math import add, in_layout_of, is_sparse, joined, mul, to_out
from ._shapes import transpose
from ._tensor import CompressedTensor, coo, handles


def _check(a, b, name):
    for x in (a, b):
        if not isinstance(x, Tensor):
            raise TypeError(f"{name}(): expected a tensor, got {type(x).__name__}")
    if a.dim() != 2 or b.dim() != 2:
        raise RuntimeError(f"{name}(): expected matrices, got {a.dim()}-D and {b.dim()}-D")
    if a.shape[1] != b.shape[0]:
        raise RuntimeError(
            f"{name}(): mat1 and mat2 shapes cannot be multiplied ({a.shape[0]}x{a.shape[1]} and "
            f"{b.shape[0]}x{b.shape[1]})"
        )
    if a.dtype != b.dtype:
        raise RuntimeError(
            f"{name}(): expected both matrices to have the same dtype, got {a.dtype} and {b.dtype}"
        )


def _rows(a):
    """Where the rows of a begin, and the columns; None when its values are not in that order."""
    if isinstance(a, CompressedTensor):
        if a.layout != flambeau.sparse_csr or a.dim() != 2:
            return None
        return a._c.to(flambeau.int64), a._p.to(flambeau.int64)
    if not a._coalesced or a.sparse_dim() != 2 or a.dense_dim():
        return None
    if "_rows" not in a.__dict__:
        a._rows = begins(a._i[0].contiguous(), a.shape[0]), a._i[1].contiguous()
    return a._rows


def _sparse_dense(a, b):
    """Row r of the result is the sum of value * b[column] over the values in row r of a."""
    rows = _rows(a) if b.dtype in (flambeau.float32, flambeau.float64) else None
    if rows is not None:
        return _C._internal["compressed_product"](*rows, a._v, b)
    a = to_coo(a)
    if a.sparse_dim() != 2:
        raise RuntimeError("mm(): expected a sparse matrix without dense dimensions")
    terms = a._v.unsqueeze(1) * b.index_select(0, a._i[1])
    return terms.new_zeros((a.shape[0], b.shape[1])).index_add(0, a._i[0], terms)


def _sparse_sparse(a, b):
    """All pairs of a value (r, k) of a and a value (k, c) of b, added up at (r, c)."""
    x, y = to_coo(a), to_sparse_csr(b)
    begins = y._c.to(flambeau.int64)
    counts = begins.diff()[x._i[1]]
    pair = flambeau.repeat_interleave(counts)
    within = flambeau.arange(pair.shape[0]) - (counts.cumsum(0) - counts)[pair]
    other = begins[x._i[1]][pair] + within
    indices = flambeau.stack([x._i[0][pair], y._p.to(flambeau.int64)[other]])
    made = coo(indices, x._v[pair] * y._v[other], (a.shape[0], b.shape[1]), False)
    return in_layout_of(a, coalesce(made))


@handles("mm", "spmm")
def product(input, mat2, *, out=None):
    _check(input, mat2, "mm")
    if is_sparse(input) and is_sparse(mat2):
        result = _sparse_sparse(input, mat2)
    elif is_sparse(input):
        result = _sparse_dense(input, mat2)
    else:
        result = _sparse_dense(transpose(mat2, 0, 1), input.t()).t()
    return to_out(result, out)


@handles("matmul", "__matmul__", "__rmatmul__", "mv", "dot")
def matmul(input, other, *, out=None):
    if input.dim() == 2 and other.dim() == 2:
        return product(input, other, out=out)
    if input.dim() == 2 and other.dim() == 1 and not is_sparse(other):
        return to_out(product(input, other.unsqueeze(1)).squeeze(1), out)
    if input.dim() == 1 and other.dim() == 2 and not is_sparse(input):
        return to_out(product(input.unsqueeze(0), other).squeeze(0), out)
    raise NotImplementedError(
        f"matmul(): of {input.dim()}-D and {other.dim()}-D, sparse: only matrices are multiplied"
    )


@handles("bmm")
def bmm(input, mat2, *, out=None):
    if not is_sparse(input) or is_sparse(mat2) or input.dim() != 3 or mat2.dim() != 3:
        raise RuntimeError("bmm(): expected a sparse and a dense 3-D tensor")
    parts = [product(input.select(0, b), mat2[b]) for b in range(input.shape[0])]
    return to_out(flambeau.stack(parts), out)


@handles("sspaddmm")
def sspaddmm(input, mat1, mat2, *, beta=1, alpha=1, out=None):
    """beta * input + alpha * (mat1 @ mat2) of sparse input and mat1, sparse."""
    return to_out(joined(mul(input, beta), smm(mat1, mat2) * alpha, "sspaddmm"), out)


@handles("hspmm")
def hspmm(mat1, mat2, *, out=None):
    """The product of a sparse and a dense matrix, of which the rows that may not be zero are kept.

    >>> import flambeau as torch
    >>> torch.hspmm(torch.eye(2).to_sparse(), torch.ones(2, 3)).indices()
    tensor([[0, 1]])
    """
    rows = to_coo(mat1)._i[0].unique()
    whole = to_dense(product(mat1, mat2))
    return to_out(coo(rows.unsqueeze(0), whole[rows], whole.shape, True), out)


@handles("addmm")
def addmm_(input, mat1, mat2, *, beta=1, alpha=1, out=None):
    result = product(mat1, mat2)
    result = result if alpha == 1 else result * alpha
    if is_sparse(result):
        input = mul(input, beta) if is_sparse(input) else input * beta
        return to_out(add(input, result), out)
    input = to_dense(input)
    if beta == 0:
        return to_out(result, out)
    return to_out((input if beta == 1 else input * beta) + result, out)


@handles("addmv")
def addmv(input, mat, vec, *, beta=1, alpha=1, out=None):
    return addmm_(input.unsqueeze(-1), mat, vec.unsqueeze(1), beta=beta, alpha=alpha).squeeze(1)


@handles("linear")
def _linear(input, weight, bias=None):
    flat = input.reshape(-1, input.shape[-1]) if not is_sparse(input) else input
    result = product(flat, transpose(weight, 0, 1) if is_sparse(weight) else weight.t())
    result = result if is_sparse(input) else result.reshape(*input.shape[:-1], -1)
    return result if bias is None else result + bias


def mm(mat1, mat2, reduce="sum"):
    """The product of a sparse matrix with a dense or sparse one; gradients flow to both.

    With a CSR matrix `reduce` may be "mean", "amax" ("max") or "amin" ("min") of the
    products instead of a sum.

    >>> import flambeau as torch
    >>> a = torch.eye(2).to_sparse()
    >>> torch.sparse.mm(a, torch.tensor([[1.0], [2.0]]))
    tensor([[1.],
            [2.]])
    """
    if reduce == "sum":
        return product(mat1, mat2)
    reduce = {"max": "amax", "min": "amin"}.get(reduce, reduce)
    if reduce not in ("mean", "amax", "amin"):
        raise RuntimeError(f"sparse.mm(): reduce must be sum, mean, amax or amin, got {reduce!r}")
    _check(mat1, mat2, "sparse.mm")
    a = to_coo(mat1)
    terms = a._v.unsqueeze(1) * mat2.index_select(0, a._i[1])
    rows = a._i[0].unsqueeze(1).expand(terms.shape)
    start = terms.new_zeros((a.shape[0], mat2.shape[1]))
    return start.scatter_reduce(0, rows, terms, reduce, include_self=False)


def addmm(mat, mat1, mat2, *, beta=1, alpha=1):
    """beta * mat + alpha * (mat1 @ mat2) for a sparse mat1.

    >>> import flambeau as torch
    >>> torch.sparse.addmm(torch.ones(2, 1), torch.eye(2).to_sparse(), torch.ones(2, 1))
    tensor([[2.],
            [2.]])
    """
    return addmm_(mat, mat1, mat2, beta=beta, alpha=alpha)


def sampled_addmm(input, mat1, mat2, *, beta=1.0, alpha=1.0, out=None):
    """beta * input + alpha * (mat1 @ mat2) at the positions of a CSR matrix only.

    >>> import flambeau as torch
    >>> torch.sparse.sampled_addmm(
    ...     torch.eye(2).to_sparse_csr(), torch.ones(2, 3), torch.ones(3, 2)
    ... ).values()
    tensor([4., 4.])
    """
    x = to_coo(input)
    rows = _rows(input) if mat1.dtype in (flambeau.float32, flambeau.float64) else None
    if rows is not None:
        dots = _C._internal["compressed_sample"](*rows, mat1, mat2.t())
    else:
        dots = (mat1[x._i[0]] * mat2.t()[x._i[1]]).sum(1)
    return to_out(input._with_values(x._v * beta + dots * alpha), out)


def spdiags(diagonals, offsets, shape, layout=None):
    """A sparse matrix with the rows of `diagonals` on its diagonals.

    >>> import flambeau as torch
    >>> torch.sparse.spdiags(torch.tensor([[1, 2]]), torch.tensor([1]), (2, 2)).to_dense()
    tensor([[0, 2],
            [0, 0]])
    """
    diagonals = diagonals if diagonals.dim() == 2 else diagonals.unsqueeze(0)
    offsets = offsets.reshape(-1)
    if offsets.shape[0] != diagonals.shape[0]:
        raise RuntimeError(
            f"spdiags(): number of diagonals ({diagonals.shape[0]}) does not match the number of "
            f"offsets ({offsets.shape[0]})"
        )
    if len(set(offsets.tolist())) != offsets.shape[0]:
        raise RuntimeError("spdiags(): Offset tensor contains duplicate values")
    columns = flambeau.arange(diagonals.shape[1]).expand(diagonals.shape)
    rows = columns - offsets.unsqueeze(1)
    good = (rows >= 0) & (rows < shape[0]) & (columns < shape[1])
    indices = flambeau.stack([rows[good], columns[good]])
    made = coo(indices, diagonals[good], shape, False)
    return made if layout is None else made.to_sparse(layout=layout)


@handles("spmm")
def spmm(mat1, mat2):
    return product(mat1, mat2)


def smm(input, mat):
    """The product of a sparse and a dense matrix as a sparse matrix."""
    result = product(input, mat)
    return result if not isinstance(result, Tensor) or is_sparse(result) else result.to_sparse()
