"""Small questions about tensors, and rarely used forms of indexing, copying and filling."""

import flambeau
from flambeau import _C

from . import functions, op


@op("is_nonzero(Tensor input) -> bool")
def is_nonzero(input):
    """Whether the only element is not zero.

    >>> import flambeau as torch
    >>> torch.is_nonzero(torch.tensor([0.0]))
    False
    """
    if input.numel() != 1:
        few = "no values" if input.numel() == 0 else "more than one value"
        raise RuntimeError(f"Boolean value of Tensor with {few} is ambiguous")
    return bool(input.item())


@op("is_same_size(Tensor input, Tensor other) -> bool")
def is_same_size(input, other):
    """Whether two tensors have the same shape."""
    return input.shape == other.shape


@op("is_signed(Tensor input) -> bool", method=False)
def is_signed(input):
    """Whether the tensor's dtype has negative values."""
    return input.is_signed()


@op("is_conj(Tensor input) -> bool", method=False)
def is_conj(input):
    """False: no operation here leaves a conjugation to be done later."""
    return input.is_conj()


@op("is_neg(Tensor input) -> bool", method=False)
def is_neg(input):
    """False: no operation here leaves a sign to be changed later."""
    return input.is_neg()


@op("resolve_conj(Tensor input) -> Tensor", method=False)
def resolve_conj(input):
    """The tensor itself: no operation here leaves a conjugation to be done later."""
    return input.resolve_conj()


@op("resolve_neg(Tensor input) -> Tensor", method=False)
def resolve_neg(input):
    """The tensor itself: no operation here leaves a sign to be changed later."""
    return input.resolve_neg()


@op("get_device(Tensor input) -> int", method=False)
def get_device(input):
    """The number of the tensor's CUDA device, -1 on the CPU."""
    return input.get_device()


@op("is_distributed(Tensor input) -> bool")
def is_distributed(input):
    """False: a tensor here is never one part of a distributed one."""
    return False


def _stand_in(x):
    """A tensor without data that takes part in type promotion as x does."""
    if isinstance(x, _C.Tensor):
        shape = (1,) if x.dim() else ()
        return flambeau.empty(shape, dtype=x.dtype, device="meta")
    if hasattr(x, "item") and hasattr(x, "ndim") and x.ndim == 0:  # NumPy's numbers
        x = x.item()
    if not isinstance(x, (bool, int, float, complex)):
        raise TypeError(f"result_type(): expected a tensor or a number, got {type(x).__name__}")
    return x


@op("result_type(Tensor tensor1, Tensor tensor2) -> ScalarType", method=False)
def result_type(tensor1, tensor2):
    """The dtype that arithmetic between two tensors or numbers gives.

    >>> import flambeau as torch
    >>> torch.result_type(torch.tensor([1, 2], dtype=torch.int32), 1.0)
    torch.float32
    """
    a, b = _stand_in(tensor1), _stand_in(tensor2)
    if not isinstance(a, _C.Tensor) and not isinstance(b, _C.Tensor):
        a = flambeau.scalar_tensor(a, dtype=_C.tensor(a).dtype, device="meta")
        b = flambeau.scalar_tensor(b, dtype=_C.tensor(b).dtype, device="meta")
    return flambeau.where(flambeau.empty((), dtype=flambeau.bool, device="meta"), a, b).dtype


@op("nonzero_static(Tensor input, *, int size, int fill_value=-1) -> Tensor", out=True)
def nonzero_static(input, *, size, fill_value=-1):
    """nonzero() cut or filled up to `size` rows.

    >>> import flambeau as torch
    >>> torch.nonzero_static(torch.tensor([0, 3]), size=2)
    tensor([[ 1],
            [-1]])
    """
    if size < 0:
        raise RuntimeError("nonzero_static(): 'size' must be an non-negative integer")
    found = input.nonzero()[:size]
    rest = found.new_full((size - found.shape[0], input.dim()), fill_value)
    return flambeau.cat([found, rest])


@op("unravel_index(Tensor indices, int[] shape) -> Tensor[]", method=False)
def unravel_index(indices, shape):
    """The coordinates, one tensor for each dimension, of positions in a flattened tensor.

    >>> import flambeau as torch
    >>> torch.unravel_index(torch.tensor([1, 5]), (2, 3))
    (tensor([0, 1]), tensor([1, 2]))
    """
    if indices.is_floating_point() or indices.is_complex() or indices.dtype == flambeau.bool:
        raise ValueError(f"unravel_index(): expected 'indices' to be integers, got {indices.dtype}")
    if isinstance(shape, int):
        shape = (shape,)
    for n in shape:
        if not isinstance(n, int):
            raise TypeError(f"unravel_index(): expected 'shape' to be ints, got {type(n).__name__}")
        if n < 0:
            raise ValueError(f"unravel_index(): 'shape' cannot have negative values, got {shape}")
    found, rest = [], indices.to(flambeau.int64)
    for n in reversed(shape):
        found.append(rest % n if n else rest)
        rest = rest // n if n else rest
    return tuple(reversed(found))


@op("narrow_copy(Tensor input, int dim, int start, int length) -> Tensor", out=True)
def narrow_copy(input, dim, start, length):
    """narrow(), as a copy."""
    return input.narrow(dim, start, length).clone()


@op("unsafe_split_with_sizes(Tensor input, int[] split_sizes, int dim=0) -> Tensor[]")
def unsafe_split_with_sizes(input, split_sizes, dim=0):
    """split_with_sizes(), as copies."""
    return tuple(x.clone() for x in input.split_with_sizes(split_sizes, dim))


@op(
    "slice_inverse(Tensor input, Tensor src, int dim=0, int? start=None, int? end=None, "
    "int step=1) -> Tensor"
)
def slice_inverse(input, src, dim=0, start=None, end=None, step=1):
    """src with the values of input on a slice: slice_scatter() with the two exchanged."""
    return src.slice_scatter(input, dim, start, end, step)


@op("detach_(Tensor(a!) input) -> Tensor", method=False)
def detach_(input):
    """Cuts a tensor off from the graph that made it."""
    return input.detach_()


@op("range(Scalar start, Scalar end, Scalar step=1) -> Tensor", method=False)
def range_(start=0, end=None, step=1, *, out=None, dtype=None, device=None, requires_grad=False):
    """start, start + step, ... up to end and with it; arange() is the usual form.

    >>> import flambeau as torch
    >>> torch.range(1, 2, 0.5)
    tensor([1.0000, 1.5000, 2.0000])
    """
    if end is None:
        start, end = 0, start
    if step == 0:
        raise RuntimeError("range(): step must be nonzero")
    if (step > 0) != (end >= start) and end != start:
        raise RuntimeError(
            "range(): upper bound and lower bound inconsistent with step sign, got "
            f"start={start}, end={end}, step={step}"
        )
    if dtype is None:
        dtype = flambeau.get_default_dtype() if out is None else out.dtype
    count = int((end - start) / step) + 1
    made = flambeau.arange(count, dtype=flambeau.float64) * step + start
    made = made.to(device=device, dtype=dtype)
    if out is not None:
        return out.resize_(made.shape).copy_(made)
    return made.requires_grad_(requires_grad)


_SEGMENT_REDUCES = {"sum": "sum", "mean": "mean", "max": "amax", "min": "amin", "prod": "prod"}
_SEGMENT_STARTS = {
    "sum": 0, "mean": float("nan"), "max": -float("inf"), "min": float("inf"), "prod": 1,
}  # fmt: skip


def _of_rows(data, reduce, lengths, skipped, axis, first):
    """The segments of rows, each row's segment known by number."""
    segment = flambeau.repeat_interleave(lengths)
    if segment.numel() != data.shape[0]:
        data = data.narrow(0, int(skipped) if lengths.numel() else 0, segment.numel())
    result = data.new_full((lengths.shape[0], *data.shape[1:]), first)
    if reduce in ("sum", "mean"):
        return result.index_add(0, segment, data)
    return result.index_reduce(0, segment, data, _SEGMENT_REDUCES[reduce])


def _along_axis(data, reduce, lengths, skipped, axis, first):
    """The same where each line along the axis has segments of its own."""
    ends = lengths.cumsum(-1) + skipped
    places = flambeau.arange(data.shape[axis]).expand(*lengths.shape[:-1], -1).contiguous()
    segment = flambeau.searchsorted(ends, places, right=True)
    segment = segment.masked_fill(places < skipped, lengths.shape[-1])  # a bin for what is left out
    segment = segment.reshape(*segment.shape, *[1] * (data.dim() - axis - 1)).expand(data.shape)
    shape = list(data.shape)
    shape[axis] = lengths.shape[-1] + 1
    kind = "sum" if reduce == "mean" else _SEGMENT_REDUCES[reduce]
    result = data.new_full(shape, first).scatter_reduce(axis, segment, data, kind)
    return result.narrow(axis, 0, lengths.shape[-1])


@op(
    "segment_reduce(Tensor data, str reduce, *, Tensor? lengths=None, Tensor? indices=None, "
    "Tensor? offsets=None, int axis=0, bool unsafe=False, Scalar? initial=None) -> Tensor",
    method=False,
)
def segment_reduce(
    data, reduce, *, lengths=None, indices=None, offsets=None, axis=0, unsafe=False, initial=None
):
    """Sums (or means, extremes, products) of consecutive segments along an axis.

    The segments are given by their lengths [..., S] or by offsets [..., S + 1].

    >>> import flambeau as torch
    >>> torch.segment_reduce(torch.tensor([1.0, 2.0, 3.0]), "sum", lengths=torch.tensor([1, 2]))
    tensor([1., 5.])
    """
    reduce = {"amax": "max", "amin": "min"}.get(reduce, reduce)
    if reduce not in _SEGMENT_REDUCES:
        raise RuntimeError(
            f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}"
        )
    if indices is not None:
        raise RuntimeError("segment_reduce(): indices based reduction is not supported yet.")
    if (lengths is None) == (offsets is None):
        raise RuntimeError("segment_reduce(): one of lengths and offsets has to be given")
    axis %= data.dim()
    if lengths is None:
        lengths = offsets.diff(dim=-1)
        skipped = offsets[..., :1]
    else:
        skipped = flambeau.zeros_like(lengths[..., :1])
    if lengths.dim() != axis + 1:
        raise RuntimeError("segment_reduce(): expected the segments to end at the axis of data")
    if not unsafe and lengths.numel():
        if bool((lengths < 0).any()):
            raise RuntimeError("segment_reduce(): lengths contains negative value!")
        if offsets is None and not bool((lengths.sum(-1) == data.shape[axis]).all()):
            raise RuntimeError(
                "segment_reduce(): Expected all rows of lengths along axis to sum to the size of "
                f"data along it, {data.shape[axis]}, when !unsafe."
            )
    start = _SEGMENT_STARTS[reduce] if initial is None else initial
    first = 0 if reduce == "mean" and initial is None else start
    total = _of_rows if lengths.dim() == 1 else _along_axis
    result = total(data, reduce, lengths, skipped, axis, first)
    if reduce == "mean":
        counts = lengths.reshape(*lengths.shape, *[1] * (data.dim() - axis - 1))
        result = flambeau.where(counts == 0, result.new_full((), start), result / counts)
    return result


@op(
    "hash_tensor(Tensor input, int[1] dim=[], *, bool keepdim=False, int mode=0) -> Tensor",
    out=True,
)
def hash_tensor(input, dim=(), *, keepdim=False, mode=0):
    """The exclusive or of the elements' bits, as uint64, over the given dimensions or all.

    >>> import flambeau as torch
    >>> torch.hash_tensor(torch.tensor([1, 3])).item()
    2
    """
    if mode != 0:
        raise RuntimeError(f"hash_tensor(): unknown mode {mode}")
    if input.is_complex():
        raise RuntimeError("hash_tensor(): not implemented for complex tensors")
    bits = input.double() if input.is_floating_point() else input.long()
    bits = bits.view(flambeau.int64) if bits.is_floating_point() else bits
    dims = [dim] if isinstance(dim, int) else list(dim)
    dims = sorted({d % max(bits.dim(), 1) for d in dims} or range(bits.dim()), reverse=True)
    for d in dims if bits.dim() else ():
        n = bits.shape[d]
        while n > 1:
            half = (n + 1) // 2
            tail = bits.narrow(d, half, n - half)
            head = bits.narrow(d, 0, n - half) ^ tail
            bits = flambeau.cat([head, bits.narrow(d, n - half, 2 * half - n)], d)
            n = half
        if n == 0:
            shape = list(bits.shape)
            shape[d] = 1
            bits = bits.new_zeros(shape)
        bits = bits if keepdim else bits.squeeze(d)
    return bits.view(flambeau.uint64)


@op("from_file(str filename, bool? shared=None, int? size=0) -> Tensor", method=False)
def from_file(
    filename, shared=None, size=0, *, dtype=None, layout=None, device=None, requires_grad=False,
    pin_memory=False,
):  # fmt: skip
    """A vector over the contents of a file; writes reach the file when it is shared.

    >>> import flambeau as torch, tempfile
    >>> with tempfile.NamedTemporaryFile() as f:
    ...     _ = f.write(bytes([1, 2])), f.flush()
    ...     torch.from_file(f.name, size=2, dtype=torch.uint8)
    tensor([1, 2], dtype=torch.uint8)
    """
    import mmap

    dtype = dtype or flambeau.get_default_dtype()
    count = (size or 0) * dtype.itemsize
    if count == 0:
        return flambeau.empty(0, dtype=dtype, requires_grad=requires_grad)
    with open(filename, "a+b" if shared else "rb") as file:
        if shared and file.seek(0, 2) < count:
            file.truncate(count)
        access = mmap.ACCESS_WRITE if shared else mmap.ACCESS_COPY
        data = mmap.mmap(file.fileno(), count, access=access)
    made = _C.frombuffer(data, dtype=dtype)
    return made.to(device) if device is not None else made.requires_grad_(requires_grad)


def _variadic(name):
    """Tensors one by one besides a list of them."""
    several = functions[name]

    def at_least(*tensors):
        return several(tensors[0] if len(tensors) == 1 else list(tensors))

    at_least.__name__ = at_least.__qualname__ = name
    at_least.__doc__ = several.__doc__
    functions[name] = at_least


for _name in ("atleast_1d", "atleast_2d", "atleast_3d"):
    _variadic(_name)


def _copies():
    """Copies of the parts of sparse tensors."""
    for part in ("values", "indices", "crow_indices", "col_indices", "ccol_indices", "row_indices"):

        def copied(input, _part=part):
            return getattr(input, _part)().clone()

        copied.__name__ = copied.__qualname__ = f"{part}_copy"
        copied.__doc__ = f"{part}() of a sparse tensor, as a copy."
        op(f"{part}_copy(Tensor input) -> Tensor", method=False)(copied)


_copies()
