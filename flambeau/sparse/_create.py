"""Making sparse tensors: from parts, from dense tensors, from each other; and back."""

import flambeau
from flambeau import Tensor

from . import _compressed
from ._compressed import as_positions, as_tensor
from ._tensor import CompressedTensor, CooTensor, SparseTensor, compressed, coo, handles


def _finish(made, requires_grad):
    return made.requires_grad_() if requires_grad else made


def _check_bounds(indices, size, name):
    if indices.numel() == 0:
        return
    for d, (low, high) in enumerate(zip(indices.amin(1).tolist(), indices.amax(1).tolist())):
        if low < 0:
            raise RuntimeError(f"{name}(): found negative index {low} for dim {d}")
        if high >= size[d]:
            raise RuntimeError(
                f"{name}(): size is inconsistent with indices: for dim {d}, size is {size[d]} but "
                f"found index {high}"
            )


def sparse_coo_tensor(
    indices=None, values=None, size=None, *, dtype=None, device=None, pin_memory=False,
    requires_grad=False, check_invariants=None, is_coalesced=None,
):  # fmt: skip
    """A sparse tensor in coordinate format, with values[k] at the position indices[:, k].

    Shapes: indices (sparse_dim, nnz), values (nnz, ...). Values of one position add up. Positions
    are always checked, whatever `check_invariants` says; `pin_memory` has no effect on the CPU.

    >>> import flambeau as torch
    >>> torch.sparse_coo_tensor([[0, 1], [2, 0]], [3.0, 4.0], (2, 3)).to_dense()
    tensor([[0., 0., 3.],
            [4., 0., 0.]])
    """
    name = "sparse_coo_tensor"
    if values is None:
        size = indices if size is None else size
        if isinstance(size, Tensor) or size is None:
            raise TypeError(f"{name}(): expected indices and values, or a size")
        indices = flambeau.empty((len(size), 0), dtype=flambeau.int64)
        values = flambeau.empty(0, dtype=dtype, device=device)
        return _finish(coo(indices, values, size, True), requires_grad)
    indices, values = as_positions(indices, name, "indices"), as_tensor(values, dtype, device)
    indices = indices.to(flambeau.int64)
    if indices.dim() != 2:
        raise RuntimeError(
            f"{name}(): indices must be sparse_dim x nnz, but got: {tuple(indices.shape)}"
        )
    values = values.expand(indices.shape[1]) if values.dim() == 0 else values
    if values.shape[0] != indices.shape[1]:
        raise RuntimeError(
            f"{name}(): indices and values must have same nnz, but got nnz from indices: "
            f"{indices.shape[1]}, nnz from values: {values.shape[0]}"
        )
    if size is None:
        sizes = (indices.amax(1) + 1).tolist() if indices.numel() else [0] * indices.shape[0]
        size = (*sizes, *values.shape[1:])
    size = tuple(size)
    if len(size) != indices.shape[0] + values.dim() - 1:
        raise RuntimeError(
            f"{name}(): number of dimensions must be sparse_dim ({indices.shape[0]}) + dense_dim "
            f"({values.dim() - 1}), but got {len(size)}"
        )
    if size[indices.shape[0] :] != tuple(values.shape[1:]):
        raise RuntimeError(
            f"{name}(): values has incorrect size, expected {list(size[indices.shape[0] :])}, got "
            f"{list(values.shape[1:])}"
        )
    _check_bounds(indices, size, name)
    if requires_grad:
        values = values.detach()
    return _finish(coo(indices, values, size, bool(is_coalesced)), requires_grad)


# -- conversions -----------------------------------------------------------------------------------
def flat_positions(x, dims=None):
    """One number for the position of each value of a COO tensor, in row-major order."""
    dims = range(x.sparse_dim()) if dims is None else dims
    flat = x._i.new_zeros(x._i.shape[1])
    for d in dims:
        flat = flat * x.shape[d] + x._i[d]
    return flat


@handles("coalesce")
def coalesce(x):
    """The same tensor with its positions in order, each once."""
    if not isinstance(x, CooTensor):
        raise RuntimeError("coalesce expected sparse coordinate tensor layout but got Strided")
    if x._coalesced:
        return x
    if x.sparse_dim() == 0 and x._i.shape[1] > 1:  # all at the one position that there is
        return coo(x._i[:, :1], x._v.sum(0, True, dtype=x._v.dtype), x.shape, True)
    flat = flat_positions(x)
    if x._i.shape[1] < 2 or bool((flat.diff() > 0).all()):
        made = x._with_values(x._v, True)
        made._leaf = x._leaf
        return made
    places, inverse = flat.unique(return_inverse=True)
    values = x._v.new_zeros((places.shape[0], *x._v.shape[1:])).index_add(0, inverse, x._v)
    indices = flambeau.stack(flambeau.unravel_index(places, tuple(x.shape[: x.sparse_dim()])))
    return coo(indices, values, x.shape, True)


@handles("to_dense")
def to_dense(input, dtype=None, *, masked_grad=None):
    """The tensor with all its zeros; a dense tensor itself. Gradients go to the elements held,
    whatever `masked_grad` says."""
    x = input
    if not isinstance(x, SparseTensor):
        return x if dtype is None else x.to(dtype)
    x = to_coo(x)
    dense = x._v.new_zeros(tuple(x.shape))
    if x.sparse_dim() == 0:
        dense = dense + x._v.sum(0)
    elif x._coalesced:
        dense = dense.index_put(tuple(x._i), x._v)
    else:
        dense = dense.index_put(tuple(x._i), x._v, accumulate=True)
    return dense if dtype is None else dense.to(dtype)


def begins(ordered, n):
    """Where each of n rows begins in a list of row numbers in order."""
    return flambeau.searchsorted(ordered, flambeau.arange(n + 1, dtype=ordered.dtype))


def to_coo(x):
    """A sparse tensor in coordinate format."""
    if isinstance(x, CooTensor):
        return x
    if not isinstance(x, CompressedTensor):
        got = x.layout if isinstance(x, Tensor) else type(x).__name__
        raise TypeError(f"expected a sparse tensor, got {got}")
    return _compressed.expand(x)


def _from_dense(x, sparse_dim, blocksize=None):
    if not 0 <= sparse_dim <= x.dim() or (sparse_dim == 0 and x.dim()):
        raise RuntimeError(
            f"to_sparse(): sparse_dim must be within 1 and {x.dim()}, got {sparse_dim}"
        )
    there = x.detach() != 0
    if sparse_dim < x.dim():
        there = there.flatten(sparse_dim).any(-1)
    if blocksize is not None:  # all positions of the blocks that are not zero
        *batch, rows, columns = there.shape
        high, wide = _compressed.check_blocks(rows, columns, blocksize)
        blocks = there.reshape(*batch, rows // high, high, columns // wide, wide).any(-1).any(-2)
        there = blocks.repeat_interleave(high, -2).repeat_interleave(wide, -1)
    indices = there.nonzero().t().contiguous()
    values = x[tuple(indices)] if sparse_dim else x.reshape(1)[: int(there)]
    return coo(indices, values, x.shape, True)


@handles("to_sparse")
def to_sparse(input, sparse_dim=None, *, layout=None, blocksize=None, dense_dim=None):
    """The tensor without its zeros, in the layout asked for."""
    x = input
    if isinstance(sparse_dim, flambeau.layout):
        sparse_dim, layout = None, sparse_dim
    if layout == flambeau.strided:
        return to_dense(x)
    blocks = layout in _compressed.BLOCKS
    own = x._blocksize if isinstance(x, CompressedTensor) else None
    blocksize = own if blocks and blocksize is None else blocksize
    if blocks != (blocksize is not None):
        raise RuntimeError(
            "to_sparse(): a blocksize is given for the layouts sparse_bsr and sparse_bsc only, "
            f"got {blocksize} for {layout}"
        )
    if not isinstance(x, SparseTensor):
        sparse_dim = x.dim() - (dense_dim or 0) if sparse_dim is None else sparse_dim
        x = _from_dense(x, sparse_dim, blocksize)
    if layout in (None, flambeau.sparse_coo):
        return coalesce(to_coo(x)) if isinstance(x, CompressedTensor) else x
    if x.layout == layout and own == (None if blocksize is None else tuple(blocksize)):
        return x
    dtype = x._c.dtype if isinstance(x, CompressedTensor) else flambeau.int64
    return _compressed.compress(coalesce(to_coo(x)), layout, blocksize, dtype)


@handles("to_sparse_coo")
def to_sparse_coo(input):
    """The tensor without its zeros, in coordinate format."""
    return to_sparse(input)


@handles("to_sparse_csr")
def to_sparse_csr(input, dense_dim=None):
    """The matrix without its zeros, in compressed rows."""
    return to_sparse(input, layout=flambeau.sparse_csr, dense_dim=dense_dim)


@handles("to_sparse_csc")
def to_sparse_csc(input, dense_dim=None):
    """The matrix without its zeros, in compressed columns."""
    return to_sparse(input, layout=flambeau.sparse_csc, dense_dim=dense_dim)


@handles("to_sparse_bsr")
def to_sparse_bsr(input, blocksize, dense_dim=None):
    """The matrix without the blocks that are zero, in compressed rows of blocks."""
    return to_sparse(input, layout=flambeau.sparse_bsr, blocksize=blocksize, dense_dim=dense_dim)


@handles("to_sparse_bsc")
def to_sparse_bsc(input, blocksize, dense_dim=None):
    """The matrix without the blocks that are zero, in compressed columns of blocks."""
    return to_sparse(input, layout=flambeau.sparse_bsc, blocksize=blocksize, dense_dim=dense_dim)


def _nothing(size, dtype, device, layout):
    """A tensor of zeros, none of which are kept."""
    size = tuple(size)
    values = flambeau.empty(0, dtype=dtype, device=device)
    if layout == flambeau.sparse_coo:
        return coo(flambeau.empty((len(size), 0), dtype=flambeau.int64), values, size, True)
    if layout in _compressed.BLOCKS or len(size) < 2:
        raise RuntimeError(f"a tensor of shape {size} is not made empty in layout {layout}")
    leads = size[-2] if layout == flambeau.sparse_csr else size[-1]
    begins = flambeau.zeros((*size[:-2], leads + 1), dtype=flambeau.int64)
    plain = begins.new_zeros((*size[:-2], 0))
    return compressed(begins, plain, values.new_empty(plain.shape), size, layout)


def made_by_layout(function, args, options):
    """What a function that makes tensors gives for a sparse `layout=`."""
    name, layout = function.__name__, options.pop("layout")
    dtype, device = options.get("dtype"), options.get("device")
    if name in ("zeros_like", "empty_like", "new_zeros", "new_empty"):
        like, *args = args
        dtype = like.dtype if dtype is None else dtype
        args = args or [like.shape]
    elif name not in ("zeros", "empty"):
        raise RuntimeError(f"{name}(): makes strided tensors only, not of layout {layout}")
    size = options.get("size", args[0] if args and not isinstance(args[0], int) else args)
    return _finish(_nothing(size, dtype, device, layout), options.get("requires_grad"))


# -- parts -----------------------------------------------------------------------------------------
def _part(x, name, layouts, wanted):
    layout = str(x.layout).rpartition(".")[2]
    if layout not in layouts:
        parts = [part.capitalize() for part in layout.split("_") if part != "coo"]
        raise RuntimeError(f"{name} expected {wanted} tensor layout but got {''.join(parts)}")
    if layout == "sparse_coo" and not x._coalesced:
        raise RuntimeError(
            f"Cannot get {name} on an uncoalesced tensor, please call .coalesce() first"
        )
    return x


_COORDINATES = ("sparse_coo",), "sparse coordinate"
_ROWS = ("sparse_csr", "sparse_bsr"), "sparse row compressed"
_COLUMNS = ("sparse_csc", "sparse_bsc"), "sparse column compressed"


@handles("indices")
def indices(x):
    """The positions of a coalesced COO tensor."""
    return _part(x, "indices", *_COORDINATES)._i


@handles("values")
def values(x):
    """The values of a sparse tensor."""
    return _part(x, "values", ("sparse_coo", *_ROWS[0], *_COLUMNS[0]), "sparse")._v


@handles("crow_indices")
def crow_indices(x):
    """Where each row of a CSR tensor begins."""
    return _part(x, "crow_indices", *_ROWS)._c


@handles("col_indices")
def col_indices(x):
    """The columns of the values of a CSR tensor."""
    return _part(x, "col_indices", *_ROWS)._p


@handles("ccol_indices")
def ccol_indices(x):
    """Where each column of a CSC tensor begins."""
    return _part(x, "ccol_indices", *_COLUMNS)._c


@handles("row_indices")
def row_indices(x):
    """The rows of the values of a CSC tensor."""
    return _part(x, "row_indices", *_COLUMNS)._p


@handles("_indices")
def _indices(x):
    """The positions of a COO tensor, coalesced or not."""
    if not isinstance(x, CooTensor):
        raise RuntimeError("_indices expected sparse coordinate tensor layout")
    return x._i


@handles("_values")
def _values(x):
    """The values of a sparse tensor, coalesced or not."""
    if not isinstance(x, SparseTensor):
        raise RuntimeError("_values expected sparse tensor layout but got Strided")
    return x._v


@handles("_coalesced_")
def _coalesced_(x, coalesced):
    """Says whether the positions of a COO tensor are in order, each once."""
    x._coalesced = coalesced
    return x


@handles("is_coalesced")
def is_coalesced(x):
    """Whether the positions of a COO tensor are in order, each once."""
    if not isinstance(x, CooTensor):
        raise RuntimeError("is_coalesced expected sparse coordinate tensor layout but got Strided")
    return x._coalesced


@handles("sparse_dim")
def sparse_dim(x):
    """How many dimensions are sparse: none of a dense tensor."""
    if isinstance(x, CooTensor):
        return x._i.shape[0]
    return 2 if isinstance(x, CompressedTensor) else 0


@handles("dense_dim")
def dense_dim(x):
    """How many dimensions the values have besides."""
    batches = x._c.dim() - 1 if isinstance(x, CompressedTensor) else 0
    return x.dim() - sparse_dim(x) - batches


@handles("_nnz")
def _nnz(x):
    """How many values are kept."""
    if not isinstance(x, SparseTensor):
        raise RuntimeError("_nnz expected sparse tensor layout but got Strided")
    return x._p.shape[-1] if isinstance(x, CompressedTensor) else x._v.shape[0]


def _convert_indices_from_coo_to_csr(input, size, *, out_int32=False):
    """Where each of `size` rows begins, of sorted row numbers.

    >>> import flambeau as torch
    >>> torch._convert_indices_from_coo_to_csr(torch.tensor([0, 0, 2]), 3)
    tensor([0, 2, 2, 3])
    """
    rows = flambeau.arange(size + 1, dtype=input.dtype, device=input.device)
    return flambeau.searchsorted(input.contiguous(), rows, out_int32=out_int32)


def _convert_indices_from_csr_to_coo(
    crow_indices, col_indices, *, out_int32=False, transpose=False
):
    """The row and the column of each element; transposed, the column and the row."""
    kind = flambeau.int32 if out_int32 else flambeau.int64
    numbers = flambeau.arange(crow_indices.numel() - 1, device=crow_indices.device)
    rows = numbers.repeat_interleave(crow_indices.diff())
    pair = [col_indices, rows] if transpose else [rows, col_indices]
    return flambeau.stack([t.to(kind) for t in pair])
