"""Operators that move elements about, made of views and copies."""

import itertools
import warnings

import flambeau
from flambeau import _levels

from . import op


def _listed(tensors):
    """Tensors given one by one, or as one list."""
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        return list(tensors[0])
    return list(tensors)


@op("broadcast_tensors(Tensor[] tensors) -> Tensor[]", method=False)
def broadcast_tensors(*tensors):
    """Views of the tensors in their common shape; those that have it already as they are.

    >>> import flambeau as torch
    >>> [x.shape for x in torch.broadcast_tensors(torch.ones(3, 1), torch.ones(2))]
    [torch.Size([3, 2]), torch.Size([3, 2])]
    """
    tensors = _listed(tensors)
    shape = flambeau.broadcast_shapes(*(x.shape for x in tensors))
    return tuple(x if x.shape == shape else x.expand(shape) for x in tensors)


@op("broadcast_shapes(int[][] shapes) -> int[]", method=False)
def broadcast_shapes(*shapes):
    """The shape that tensors of the given shapes broadcast to.

    >>> import flambeau as torch
    >>> torch.broadcast_shapes((3, 1), (2,))
    torch.Size([3, 2])
    """
    shapes = [(s,) if isinstance(s, int) else tuple(s) for s in shapes]
    out = [1] * max((len(s) for s in shapes), default=0)
    for shape in shapes:
        for d in range(-1, -1 - len(shape), -1):
            if shape[d] < 0:
                raise RuntimeError(
                    f"Trying to create tensor with negative dimension ({shape[d]}): ({shape[d]})"
                )
            if shape[d] in (1, out[d]):
                continue
            if out[d] != 1:
                raise RuntimeError(
                    "broadcast_shapes(): Shape mismatch: objects cannot be broadcast to a single "
                    f"shape: {shapes}"
                )
            out[d] = shape[d]
    return flambeau.Size(out)


@op("meshgrid(Tensor[] tensors, *, str? indexing=None) -> Tensor[]", method=False)
def meshgrid(*tensors, indexing=None):
    """Coordinate grids of the given vectors.

    >>> import flambeau as torch
    >>> x, y = torch.meshgrid(torch.arange(2), torch.arange(3), indexing="ij")
    >>> y
    tensor([[0, 1, 2],
            [0, 1, 2]])
    """
    tensors = _listed(tensors)
    if not tensors:
        raise RuntimeError("meshgrid expects a non-empty TensorList")
    if indexing is None:
        warnings.warn(
            "torch.meshgrid: in an upcoming release, it will be required to pass the indexing "
            "argument.",
            stacklevel=3,
        )
    if indexing not in (None, "ij", "xy"):
        raise RuntimeError(
            f"meshgrid(): indexing must be one of 'xy' or 'ij', but received: {indexing}"
        )
    for x in tensors:
        if x.dim() > 1:
            raise RuntimeError(
                f"meshgrid(): Expected 0D or 1D tensor in the tensor list but got {x.dim()}-D"
            )
        if x.dtype != tensors[0].dtype:
            raise RuntimeError("meshgrid expects all tensors to have the same dtype")
        if x.device != tensors[0].device:
            raise RuntimeError("meshgrid expects all tensors to have the same device")
    swap = indexing == "xy" and len(tensors) > 1
    if swap:
        tensors[0], tensors[1] = tensors[1], tensors[0]
    shape = [x.numel() for x in tensors]
    grids = [
        x.reshape([-1 if d == i else 1 for d in range(len(shape))]).expand(shape)
        for i, x in enumerate(tensors)
    ]
    if swap:
        grids[0], grids[1] = grids[1], grids[0]
    return tuple(grids)


@op("block_diag(Tensor[] tensors) -> Tensor", method=False)
def block_diag(*tensors):
    """A matrix with the given matrices on its diagonal.

    >>> import flambeau as torch
    >>> torch.block_diag(torch.tensor([[1, 2]]), torch.tensor(3))
    tensor([[1, 2, 0],
            [0, 0, 3]])
    """
    tensors = _listed(tensors)
    if not tensors:
        return flambeau.empty(1, 0)
    for i, x in enumerate(tensors):
        if x.dim() > 2:
            raise RuntimeError(
                "block_diag(): Input tensors must have 2 or fewer dimensions. "
                f"Input {i} has {x.dim()} dimensions"
            )
    blocks = [flambeau.atleast_2d(x) for x in tensors]
    dtype = blocks[0].dtype
    for x in blocks[1:]:
        dtype = flambeau.promote_types(dtype, x.dtype)
    width, at, rows = sum(x.shape[1] for x in blocks), 0, []
    for x in blocks:
        left = x.new_zeros(x.shape[0], at, dtype=dtype)
        at += x.shape[1]
        right = x.new_zeros(x.shape[0], width - at, dtype=dtype)
        rows.append(flambeau.cat([left, x.to(dtype), right], 1))
    return flambeau.cat(rows)


@op("cartesian_prod(Tensor[] tensors) -> Tensor", method=False)
def cartesian_prod(*tensors):
    """All combinations of one element from each vector, a row each.

    >>> import flambeau as torch
    >>> torch.cartesian_prod(torch.tensor([1, 2]), torch.tensor([3]))
    tensor([[1, 3],
            [2, 3]])
    """
    tensors = _listed(tensors)
    for x in tensors:
        if x.dim() != 1:
            raise RuntimeError(f"cartesian_prod(): Expect a 1D vector, but got shape {x.shape}")
    if len(tensors) == 1:
        return tensors[0]
    return flambeau.stack([g.reshape(-1) for g in meshgrid(*tensors, indexing="ij")], -1)


@op("combinations(Tensor input, int r=2, bool with_replacement=False) -> Tensor")
def combinations(input, r=2, with_replacement=False):
    """All choices of r elements of a vector, a row each.

    >>> import flambeau as torch
    >>> torch.combinations(torch.tensor([1, 2, 3]))
    tensor([[1, 2],
            [1, 3],
            [2, 3]])
    """
    if input.dim() != 1:
        raise RuntimeError(f"combinations(): Expect a 1D vector, but got shape {input.shape}")
    if r < 0:
        raise RuntimeError(f"combinations(): Expect a non-negative number, but got {r}")
    if r == 0:
        return input.new_empty(0)
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    rows = list(choose(range(input.shape[0]), r))
    return input[flambeau.tensor(rows, dtype=flambeau.int64).reshape(-1, r)]


@op("rot90(Tensor input, int k=1, int[] dims=[0,1]) -> Tensor")
def rot90(input, k=1, dims=(0, 1)):
    """The tensor turned by k quarters in the plane of two dimensions.

    >>> import flambeau as torch
    >>> torch.rot90(torch.tensor([[1, 2], [3, 4]]))
    tensor([[2, 4],
            [1, 3]])
    """
    if len(dims) != 2:
        raise RuntimeError(
            f"rot90(): expected total rotation dims == 2, but got dims = {len(dims)}"
        )
    if input.dim() < 2:
        raise RuntimeError(f"rot90(): expected total dims >= 2, but got total dims = {input.dim()}")
    for d in dims:
        if not -input.dim() <= d < input.dim():
            raise RuntimeError(f"rot90(): Rotation dim{dims} out of range, dim = {d}")
    a, b = (d % input.dim() for d in dims)
    if a == b:
        raise RuntimeError(f"rot90(): expected rotation dims to be different, but got {dims}")
    k %= 4
    if k == 0:
        return input.clone()
    if k == 2:
        return input.flip([a, b])
    return input.flip([b if k == 1 else a]).transpose(a, b)


@op("fliplr(Tensor input) -> Tensor")
def fliplr(input):
    """A copy with the columns in reverse order."""
    if input.dim() < 2:
        raise RuntimeError("fliplr(): Input must be >= 2-d.")
    return input.flip(1)


@op("flipud(Tensor input) -> Tensor")
def flipud(input):
    """A copy with the rows in reverse order."""
    if input.dim() < 1:
        raise RuntimeError("flipud(): Input must be >= 1-d.")
    return input.flip(0)


@op("adjoint(Tensor input) -> Tensor")
def adjoint(input):
    """The last two dimensions exchanged, conjugated where complex."""
    if input.dim() == 1:
        raise RuntimeError(
            "tensor.adjoint() is only supported on matrices or batches of matrices. Got 1-D tensor."
        )
    y = input.transpose(-2, -1) if input.dim() else input
    return y.conj() if y.is_complex() else y


@op("take_along_dim(Tensor input, Tensor indices, int? dim=None) -> Tensor")
def take_along_dim(input, indices, dim=None):
    """gather() with the other dimensions broadcast; without dim, of the flattened tensor.

    >>> import flambeau as torch
    >>> x = torch.tensor([[3, 1], [0, 2]])
    >>> torch.take_along_dim(x, x.argsort(1), 1)
    tensor([[1, 3],
            [0, 2]])
    """
    if indices.dtype != flambeau.int64:
        raise RuntimeError(
            f"take_along_dim(): dtype of indices should be Long but got {indices.dtype}"
        )
    if dim is None:
        return take_along_dim(input.reshape(-1), indices.reshape(-1), 0)
    if input.dim() != indices.dim():
        raise RuntimeError(
            "take_along_dim(): input and indices should have the same number of dimensions, but "
            f"got {input.dim()} dimensions for input, and {indices.dim()} dimensions for indices"
        )
    if not -input.dim() <= dim < input.dim():
        raise IndexError(
            f"take_along_dim(): Dimension out of range (expected to be in range of "
            f"[{-input.dim()}, {input.dim() - 1}], but got {dim})"
        )
    dim %= input.dim()
    a, b = list(input.shape), list(indices.shape)
    a[dim] = b[dim] = 1
    shape = list(flambeau.broadcast_shapes(a, b))
    of_input = shape[:dim] + [input.shape[dim]] + shape[dim + 1 :]
    of_index = shape[:dim] + [indices.shape[dim]] + shape[dim + 1 :]
    indices = flambeau.where(indices < 0, indices + input.shape[dim], indices).expand(of_index)
    return input.expand(of_input).gather(dim, indices)


@op("vander(Tensor x, int? N=None, bool increasing=False) -> Tensor", method=False)
def vander(x, N=None, increasing=False):
    """A matrix of the powers of a vector's elements.

    >>> import flambeau as torch
    >>> torch.vander(torch.tensor([2, 3]), 3)
    tensor([[4, 2, 1],
            [9, 3, 1]])
    """
    if x.dim() != 1:
        raise RuntimeError("vander(): x must be a one-dimensional tensor.")
    n = x.shape[0] if N is None else N
    if n < 0:
        raise RuntimeError("vander(): N must be non-negative.")
    powers = flambeau.arange(n, device=x.device)
    return x.unsqueeze(1) ** (powers if increasing else powers.flip(0))


def _scattered(input, src, view, name):
    if view(input).shape != src.shape:
        raise RuntimeError(
            f"{name}(): expected src to have a size equal to the slice of self. src size = "
            f"{list(src.shape)}, slice size = {list(view(input).shape)}"
        )
    out = _levels.like(input, src).clone()
    view(out).copy_(src)
    return out


@op("select_scatter(Tensor input, Tensor src, int dim, int index) -> Tensor")
def select_scatter(input, src, dim, index):
    """A copy with src written at one position along dim."""
    return _scattered(input, src, lambda x: x.select(dim, index), "select_scatter")


@op("diagonal_scatter(Tensor input, Tensor src, int offset=0, int dim1=0, int dim2=1) -> Tensor")
def diagonal_scatter(input, src, offset=0, dim1=0, dim2=1):
    """A copy with src written on a diagonal."""
    return _scattered(input, src, lambda x: x.diagonal(offset, dim1, dim2), "diagonal_scatter")


@op(
    "slice_scatter(Tensor input, Tensor src, int dim=0, int? start=None, int? end=None, "
    "int step=1) -> Tensor"
)
def slice_scatter(input, src, dim=0, start=None, end=None, step=1):
    """A copy with src written on a slice."""
    take = flambeau._C._internal["slice"]
    return _scattered(input, src, lambda x: take(x, dim, start, end, step), "slice_scatter")


@op(
    "as_strided_scatter(Tensor input, Tensor src, int[] size, int[] stride, "
    "int? storage_offset=None) -> Tensor"
)
def as_strided_scatter(input, src, size, stride, storage_offset=None):
    """A copy with src written through as_strided()."""
    out = _levels.like(input, src).clone()
    out.as_strided(size, stride, storage_offset).copy_(src)
    return out


def _copies():
    """The views of PyTorch that come as copies too: permute_copy and its kin."""
    for name in (
        "alias as_strided detach diagonal expand narrow permute select slice squeeze t transpose "
        "unfold unsqueeze view view_as_complex view_as_real"
    ).split():
        view = flambeau._C._methods.get(name) or flambeau._C._functions.get(name)
        view = view or flambeau._C._internal[name]

        def copied(*args, _view=view, **kwargs):
            return _view(*args, **kwargs).clone(memory_format=flambeau.contiguous_format)

        copied.__name__ = f"{name}_copy"
        copied.__doc__ = f"{name}(), as a copy."
        op(f"{name}_copy(Tensor input) -> Tensor", method=False)(copied)
    # The unsafe_ ones promise no view either.
    for name, new in (
        ("split", "split_copy"),
        ("split_with_sizes", "split_with_sizes_copy"),
        ("unbind", "unbind_copy"),
        ("split", "unsafe_split"),
        ("chunk", "unsafe_chunk"),
    ):
        view = flambeau._C._functions[name]

        def listed(*args, _view=view, **kwargs):
            return tuple(x.clone() for x in _view(*args, **kwargs))

        listed.__name__ = new
        listed.__doc__ = f"{name}(), as copies."
        op(f"{new}(Tensor input) -> Tensor[]", method=new.startswith("unsafe"))(listed)


_copies()
