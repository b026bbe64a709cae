"""Shapes of sparse tensors, and parts of them."""

import flambeau
from flambeau import Tensor

from ._create import coalesce, flat_positions, to_coo
from ._math import become, dims_of, in_layout_of, is_sparse, same_shape, to_out
from ._tensor import CompressedTensor, compressed, coo, handles


@handles("transpose", "swapaxes", "swapdims", "mT")
def transpose(input, dim0=-2, dim1=-1):
    order = list(range(input.dim()))
    a, b = dim0 % input.dim(), dim1 % input.dim()
    order[a], order[b] = order[b], order[a]
    return permute(input, order)


@handles("t", "adjoint", "T")
def t(input):
    if input.dim() > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {input.dim()}D")
    return input if input.dim() < 2 else transpose(input, 0, 1)


@handles("permute")
def permute(input, *sizes, dims=None):
    dims = sizes if dims is None else (dims,)
    dims = dims[0] if len(dims) == 1 and not isinstance(dims[0], int) else dims
    dims = [d % input.dim() for d in dims]
    if sorted(dims) != list(range(input.dim())):
        raise RuntimeError(f"permute(): {dims} is no order of {input.dim()} dimensions")
    if isinstance(input, CompressedTensor):
        return _permute_compressed(input, dims)
    depth = input.sparse_dim()
    if any((d < depth) != (i < depth) for i, d in enumerate(dims)):
        raise RuntimeError("permute(): sparse and dense dimensions cannot be exchanged")
    values = input._v.permute(0, *(d - depth + 1 for d in dims[depth:]))
    same = dims[:depth] == list(range(depth))
    indices = input._i if same else input._i[dims[:depth]]
    shape = [input.shape[d] for d in dims]
    return coo(indices, values, shape, input._coalesced and same)


_TURNED = {
    flambeau.sparse_csr: flambeau.sparse_csc,
    flambeau.sparse_csc: flambeau.sparse_csr,
    flambeau.sparse_bsr: flambeau.sparse_bsc,
    flambeau.sparse_bsc: flambeau.sparse_bsr,
}


def _permute_compressed(x, dims):
    """Rows and columns exchanged, or nothing: the same parts read the other way."""
    same, row = list(range(x.dim())), x._c.dim() - 1
    if dims == same:
        return x
    same[row], same[row + 1] = row + 1, row
    if dims != same:
        raise RuntimeError("permute(): of a compressed tensor only rows and columns are exchanged")
    shape = tuple(x.shape[d] for d in dims)
    values = x._v if x._blocksize is None else x._v.transpose(row + 1, row + 2)
    return compressed(x._c, x._p, values, shape, _TURNED[x.layout])


@handles("t_")
def t_(input):
    return become(input, t(input))


@handles("transpose_", "swapaxes_", "swapdims_")
def transpose_(input, dim0, dim1):
    return become(input, transpose(input, dim0, dim1))


@handles("unsqueeze")
def unsqueeze(input, dim):
    x = to_coo(input)
    (dim,) = dims_of(x, dim, x.dim() + 1)
    if dim > x.sparse_dim():
        return x._with_values(x._v.unsqueeze(dim - x.sparse_dim() + 1))
    rows = [*x._i[:dim], flambeau.zeros_like(x._i[0]), *x._i[dim:]]
    shape = [*x.shape[:dim], 1, *x.shape[dim:]]
    return coo(flambeau.stack(rows), x._v, shape, x._coalesced)


@handles("index_select")
def index_select(input, dim, index):
    x = to_coo(input)
    (dim,) = dims_of(x, dim)
    shape = [*x.shape[:dim], index.numel(), *x.shape[dim + 1 :]]
    index, n = index.reshape(-1), x.shape[dim]
    if index.numel() and not (-n <= int(index.min()) and int(index.max()) < n):
        raise IndexError(f"index_select(): index out of range for dimension of {n}")
    index = flambeau.where(index < 0, index + n, index)
    if dim >= x.sparse_dim():
        values = x._v.index_select(dim - x.sparse_dim() + 1, index)
        return coo(x._i, values, shape, x._coalesced)
    # For each place asked for, the elements that lie there.
    order = x._i[dim].argsort(stable=True)
    ordered = x._i[dim][order]
    low = flambeau.searchsorted(ordered, index)
    counts = flambeau.searchsorted(ordered, index, right=True) - low
    new = flambeau.repeat_interleave(counts)
    within = flambeau.arange(new.shape[0]) - (counts.cumsum(0) - counts)[new]
    taken = order[low[new] + within]
    indices = x._i[:, taken].clone()
    indices[dim] = new
    return in_layout_of(input, coalesce(coo(indices, x._v[taken], shape, False)))


@handles("narrow_copy")
def narrow_copy(input, dim, start, length):
    (dim,) = dims_of(input, dim)
    if not 0 <= start <= start + length <= input.shape[dim]:
        raise RuntimeError(
            "Invalid range to narrow. range(start, start+length) must be a subset of range(0, "
            f"{input.shape[dim]})."
        )
    return index_select(input, dim, flambeau.arange(start, start + length))


@handles("select")
def select(input, dim, index):
    (dim,) = dims_of(input, dim)
    n = input.shape[dim]
    if not -n <= index < n:
        raise IndexError(f"select(): index {index} out of range for dimension {dim} of size {n}")
    if isinstance(input, CompressedTensor) and dim < input._c.dim() - 1:  # a matrix of a batch
        shape = (*input.shape[:dim], *input.shape[dim + 1 :])
        parts = (part.select(dim, index) for part in (input._c, input._p, input._v))
        return compressed(*parts, shape, input.layout)
    x = to_coo(input)
    shape = [*x.shape[:dim], *x.shape[dim + 1 :]]
    if dim >= x.sparse_dim():
        values = x._v.select(dim - x.sparse_dim() + 1, index)
        return coo(x._i, values, shape, x._coalesced)
    here = (x._i[dim] == index % n).nonzero().squeeze(1)
    values = x._v[here]
    rows = [x._i[d][here] for d in range(x.sparse_dim()) if d != dim]
    if not rows:
        return values.sum(0, dtype=values.dtype)
    return coo(flambeau.stack(rows), values, shape, x._coalesced)


@handles("__getitem__")
def _getitem(x, index):
    index = index if isinstance(index, tuple) else (index,)
    dim = 0
    for i in index:
        if isinstance(i, int):
            x = x.select(dim, i)
        elif isinstance(i, slice):
            places = range(*i.indices(x.shape[dim]))
            if len(places) != x.shape[dim] or places.step != 1:
                at = flambeau.tensor(list(places), dtype=flambeau.int64)
                x = x.index_select(dim, at)
            dim += 1
        elif isinstance(i, Tensor) and i.dim() == 1 and not is_sparse(i):
            at = i.nonzero().squeeze(1) if i.dtype == flambeau.bool else i
            x = x.index_select(dim, at)
            dim += 1
        else:
            raise NotImplementedError(f"a sparse tensor takes no index of {type(i).__name__}")
    return x


@handles("cat", "concat", "concatenate")
def cat(tensors, dim=0, *, out=None):
    parts = [to_coo(x) for x in tensors if is_sparse(x)]
    if len(parts) != len(tensors):
        raise RuntimeError("Concatenating sparse tensors, but a dense tensor was found")
    (dim,) = dims_of(parts[0], dim)
    total, rows, values = 0, [], []
    for x in parts:
        expected = [n for d, n in enumerate(parts[0].shape) if d != dim]
        if [n for d, n in enumerate(x.shape) if d != dim] != expected:
            raise RuntimeError(f"cat(): Sizes of tensors must match except in dimension {dim}")
        if dim >= x.sparse_dim():
            raise RuntimeError("cat(): sparse tensors are joined along sparse dimensions only")
        indices = x._i.clone()
        indices[dim] += total
        total += x.shape[dim]
        rows.append(indices)
        values.append(x._v)
    shape = [*parts[0].shape[:dim], total, *parts[0].shape[dim + 1 :]]
    return to_out(coo(flambeau.cat(rows, 1), flambeau.cat(values), shape, False), out)


@handles("hstack", "column_stack")
def hstack(tensors, *, out=None):
    return cat(tensors, 0 if tensors[0].dim() == 1 else 1, out=out)


@handles("vstack", "row_stack")
def vstack(tensors, *, out=None):
    return cat([x if x.dim() > 1 else unsqueeze(x, 0) for x in tensors], 0, out=out)


@handles("stack")
def stack(tensors, dim=0, *, out=None):
    return cat([unsqueeze(x, dim) for x in tensors], dim, out=out)


@handles("sparse_mask")
def sparse_mask(input, mask):
    """The elements of a tensor at the positions of a sparse one."""
    if not is_sparse(mask):
        raise RuntimeError("sparse_mask(): expected the mask to be sparse")
    same_shape(input, mask, "sparse_mask")
    at = to_coo(mask)
    if not is_sparse(input):
        return in_layout_of(mask, coo(at._i, input[tuple(at._i)], input.shape, at._coalesced))
    x, at = coalesce(to_coo(input)), coalesce(at)
    have, want = flat_positions(x), flat_positions(at)
    if not have.numel():
        values = x._v.new_zeros((want.shape[0], *x._v.shape[1:]))
    else:
        k = flambeau.searchsorted(have, want).clamp(max=have.numel() - 1)
        there = (have[k] == want).reshape(-1, *[1] * (x._v.dim() - 1))
        values = flambeau.where(there, x._v[k], x._v.new_zeros(()))
    return in_layout_of(mask, coo(at._i, values, x.shape, True))
