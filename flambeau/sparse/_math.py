"""Arithmetic with sparse tensors: elementwise, sums, softmax."""

import flambeau
from flambeau import Tensor

from ._compressed import compress
from ._create import coalesce, flat_positions, to_coo, to_dense, to_sparse
from ._tensor import CompressedTensor, CooTensor, SparseTensor, compressed, coo, handles


def is_sparse(x):
    return isinstance(x, SparseTensor)


def in_layout_of(x, made):
    """A result in the layout of x."""
    if not isinstance(x, CompressedTensor) or made.layout == x.layout:
        return made
    return compress(coalesce(to_coo(made)), x.layout, x._blocksize, x._c.dtype)


def to_out(result, out):
    if out is None:
        return result
    if is_sparse(out):
        return assign(out, result)
    return out.copy_(to_dense(result))


def become(x, value):
    """Makes x, in place, the tensor of the same dtype, of any shape, that value is."""
    if x.layout != value.layout:
        raise RuntimeError(f"a tensor of layout {x.layout} cannot become one of {value.layout}")
    x.__dict__.update(value.__dict__)
    with flambeau._C.DisableTorchFunctionSubclass():
        Tensor.data.__set__(x, value)
    return x


@handles("assign")
def assign(x, value):
    """Makes x, in place, the tensor that value is."""
    if tuple(x.shape) != tuple(value.shape):
        raise RuntimeError(f"a sparse tensor of shape {tuple(value.shape)} for {tuple(x.shape)}")
    value = to_sparse(value) if isinstance(x, CooTensor) else in_layout_of(x, to_sparse(value))
    if isinstance(x, CooTensor):
        x._i, x._coalesced = value._i, value._coalesced
    else:
        x._c, x._p = value._c, value._p
    x._v = value._v.to(x.dtype)
    return x


# -- one tensor ------------------------------------------------------------------------------------
_UNARY = (
    "neg negative abs absolute sin sinh asin arcsin asinh arcsinh tan tanh atan arctan atanh "
    "arctanh sqrt square ceil floor trunc round sign sgn expm1 log1p erf rad2deg deg2rad relu "
    "isnan isinf positive conj conj_physical real nan_to_num erfinv frac"
).split()
_LINEAR = {"neg", "negative", "rad2deg", "deg2rad", "positive", "conj", "conj_physical", "real"}
_OF_VALUES = (
    "to float double half bfloat16 long int short char byte bool cpu clone type type_as"
).split()


def _unary(name):
    def unary(input, *args, out=None, **kwargs):
        # Values of one position add up first, unless the function is linear.
        x = input if name in _LINEAR or not isinstance(input, CooTensor) else coalesce(input)
        return to_out(x._with_values(getattr(flambeau, name)(x._v, *args, **kwargs)), out)

    def in_place(input, *args, **kwargs):
        return assign(input, unary(input, *args, **kwargs))

    handles(name)(unary)
    handles(name + "_")(in_place)


def _of_values(name):
    def method(input, *args, **kwargs):
        kwargs.pop("memory_format", None)
        if name in ("to", "type_as"):
            args = [a._v if is_sparse(a) else a for a in args]
        values = getattr(input._v, name)(*args, **kwargs)
        if values is input._v:
            return input
        if name != "clone":
            return input._with_values(values)
        if isinstance(input, CooTensor):
            return coo(input._i.clone(), values, input.shape, input._coalesced)
        return compressed(
            input._c.clone(), input._p.clone(), values, tuple(input.shape), input.layout
        )

    handles(name)(method)


for _name in _UNARY:
    _unary(_name)
for _name in _OF_VALUES:
    _of_values(_name)


@handles("pow", "__pow__")
def _pow(input, exponent):
    if is_sparse(exponent) or not is_sparse(input):
        raise NotImplementedError("pow(): the exponent of a sparse tensor must be a number")
    if not isinstance(exponent, Tensor) and exponent <= 0:
        raise RuntimeError("pow(): a sparse tensor needs a positive exponent")
    x = coalesce(input) if isinstance(input, CooTensor) else input
    return x._with_values(x._v**exponent)


def _zeros(x):
    if isinstance(x, CooTensor):
        return coo(x._i[:, :0], x._v[:0].detach(), x.shape, True)
    return x._with_values(x._v.detach() * 0)


@handles("zero_")
def _zero(input):
    return assign(input, _zeros(input))


@handles("zeros_like", "empty_like")
def _zeros_like(input, *, dtype=None, layout=None, device=None, requires_grad=False, **kwargs):
    if layout == flambeau.strided:
        return flambeau.zeros(input.shape, dtype=dtype or input.dtype)
    made = _zeros(input)
    made = made.to(dtype) if dtype is not None else made
    return made.requires_grad_() if requires_grad else made


@handles("copy_")
def _copy(input, src, non_blocking=False):
    if not is_sparse(input):
        raise RuntimeError("copy_() between dense and sparse tensors is not supported")
    return assign(input, src)


# -- two tensors -----------------------------------------------------------------------------------
def same_shape(a, b, name):
    if tuple(a.shape) != tuple(b.shape):
        raise RuntimeError(
            f"{name}(): expected sizes of 'self' and 'other' to match, but {list(a.shape)} != "
            f"{list(b.shape)}"
        )


def joined(a, b, name):
    """The sum of two COO tensors: all values of both."""
    same_shape(a, b, name)
    if a.sparse_dim() != b.sparse_dim():
        raise RuntimeError(f"{name}(): the tensors have different numbers of sparse dimensions")
    dtype = flambeau.promote_types(a.dtype, b.dtype)
    values = flambeau.cat([a._v.to(dtype), b._v.to(dtype)])
    return coo(flambeau.cat([a._i, b._i], 1), values, a.shape, False)


@handles("add", "__add__", "__radd__")
def add(input, other, *, alpha=1, out=None):
    if not is_sparse(input) and is_sparse(other) and isinstance(input, Tensor):
        x = to_coo(other)
        if x.dim() and tuple(input.shape) != tuple(x.shape):
            input = input.expand(x.shape)
        dtype = flambeau.promote_types(input.dtype, x.dtype)
        values = (x._v if alpha == 1 else x._v * alpha).to(dtype)
        dense = input.to(dtype).index_put(tuple(x._i), values, accumulate=True)
        return to_out(dense, out)
    if not is_sparse(other):
        if isinstance(input, CompressedTensor) and isinstance(other, Tensor):
            return add(other if alpha == 1 else other * alpha, input, out=out)
        raise RuntimeError("add(sparse, dense) is not supported. Use add(dense, sparse) instead.")
    if not is_sparse(input):
        raise RuntimeError("add(): a number cannot be added to a sparse tensor")
    other = other if alpha == 1 else other._with_values(other._v * alpha)
    return to_out(in_layout_of(input, coalesce(joined(to_coo(input), to_coo(other), "add"))), out)


@handles("sub", "subtract", "__sub__")
def sub(input, other, *, alpha=1, out=None):
    return add(input, other, alpha=-alpha, out=out)


@handles("rsub", "__rsub__")
def rsub(input, other, *, alpha=1):
    return add(other, input, alpha=-alpha)


@handles("add_")
def _add_(input, other, *, alpha=1):
    if is_sparse(input):
        return assign(input, add(input, other, alpha=alpha))
    x = to_coo(other)
    same_shape(input, x, "add_")
    values = x._v if alpha == 1 else x._v * alpha
    return input.index_put_(tuple(x._i), values.to(input.dtype), accumulate=True)


@handles("sub_")
def _sub_(input, other, *, alpha=1):
    return _add_(input, other, alpha=-alpha)


def _times_sparse(a, b):
    """Products at the positions that both have."""
    if a.shape != b.shape:
        return (
            _times_dense(a, b.to_dense()) if a.dim() >= b.dim() else _times_dense(b, a.to_dense())
        )
    a, b = coalesce(to_coo(a)), coalesce(to_coo(b))
    fa, fb = flat_positions(a), flat_positions(b)
    if not (fa.numel() and fb.numel()):
        return a._with_values(a._v * 0)
    at = flambeau.searchsorted(fb, fa).clamp(max=fb.numel() - 1)
    both = (fb[at] == fa).nonzero().squeeze(1)
    values = a._v[both] * b._v[at[both]]
    return coo(a._i[:, both], values, a.shape, True)


def _times_dense(a, b):
    """Products at the positions of a, if that has the shape of the product."""
    shape = flambeau.broadcast_shapes(a.shape, b.shape)
    x = to_coo(a)
    if shape != x.shape:
        return (x.to_dense() * b).to_sparse()
    values = x._v * b.expand(shape)[tuple(x._i)] if x.sparse_dim() else x._v * b
    return x._with_values(values)


@handles("mul", "multiply", "__mul__", "__rmul__")
def mul(input, other, *, out=None):
    if not is_sparse(input):
        input, other = other, input
    if is_sparse(other):
        return to_out(in_layout_of(input, _times_sparse(input, other)), out)
    if isinstance(other, Tensor) and other.dim():
        return to_out(in_layout_of(input, _times_dense(input, other)), out)
    return to_out(input._with_values(input._v * other), out)


@handles("div", "divide", "true_divide", "__truediv__")
def div(input, other, *, rounding_mode=None, out=None):
    if not is_sparse(input) or is_sparse(other):
        raise RuntimeError("div(): a sparse tensor is divided by a dense one or a number only")
    if isinstance(other, Tensor) and other.dim():
        x = coalesce(to_coo(input))
        values = flambeau.div(x._v, other.expand(x.shape)[tuple(x._i)], rounding_mode=rounding_mode)
        return to_out(in_layout_of(input, x._with_values(values)), out)
    x = coalesce(input) if rounding_mode and isinstance(input, CooTensor) else input
    return to_out(x._with_values(flambeau.div(x._v, other, rounding_mode=rounding_mode)), out)


@handles("floor_divide", "__floordiv__")
def floor_divide(input, other, *, out=None):
    return div(input, other, rounding_mode="floor", out=out)


def _in_place(name, function):
    def in_place(input, *args, **kwargs):
        if not is_sparse(input):
            return input.copy_(to_dense(function(input, *args, **kwargs)))
        return assign(input, function(input, *args, **kwargs))

    handles(name)(in_place)


for _function, _names in (
    (mul, "mul_ multiply_"),
    (div, "div_ divide_"),
    (floor_divide, "floor_divide_"),
    (_pow, "pow_"),
):
    for _name in _names.split():
        _in_place(_name, _function)


@handles("any")
def _any(input):
    return to_coo(input)._v.any()


@handles("new_zeros", "new_empty")
def _new_zeros(input, *size, dtype=None, **options):
    options.setdefault("layout", input.layout)
    size = options.pop("size", size[0] if size and not isinstance(size[0], int) else size)
    return flambeau.zeros(size, dtype=dtype or input.dtype, **options)


@handles("equal")
def _equal(input, other):
    return flambeau.equal(to_dense(input), to_dense(other))


@handles("is_same_size")
def _is_same_size(input, other):
    return input.shape == other.shape


# -- sums ------------------------------------------------------------------------------------------
def dims_of(x, dim, n=None):
    """Dimensions of x, or of a tensor of n, counted from the first."""
    n = x.dim() if n is None else n
    dims = [dim] if isinstance(dim, int) else list(dim)
    for d in dims:
        if not -n <= d < n:
            raise IndexError(
                f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {d})"
            )
    return sorted({d % n for d in dims})


@handles("sum")
def sum_(input, dim=None, keepdim=False, *, dtype=None):
    """Sums over dimensions, or all: a dense tensor when no sparse dimension is left."""
    x = to_coo(input)
    if dtype is None and not (x.dtype.is_floating_point or x.dtype.is_complex):
        dtype = flambeau.int64
    x = x if dtype is None else x.to(dtype)
    dims = dims_of(x, dim) if dim is not None and dim != () else list(range(x.dim()))
    if len(dims) == x.dim():
        total = x._v.sum()
        return total.reshape([1] * x.dim()) if keepdim and dim is not None else total
    depth = x.sparse_dim()
    inner = [d - depth + 1 for d in dims if d >= depth]
    values = x._v.sum(inner, keepdim) if inner else x._v
    gone = [d for d in dims if d < depth]
    left = [d for d in range(depth) if d not in gone]
    if not left:
        total = values.sum(0)
        return total.reshape([1] * depth + list(total.shape)) if keepdim else total
    if keepdim:
        rows = [x._i[d] if d in left else flambeau.zeros_like(x._i[d]) for d in range(depth)]
        lead = [x.shape[d] if d in left else 1 for d in range(depth)]
    else:
        rows, lead = [x._i[d] for d in left], [x.shape[d] for d in left]
    made = coo(flambeau.stack(rows), values, (*lead, *values.shape[1:]), x._coalesced and not gone)
    return in_layout_of(input, coalesce(made)) if len(made.shape) == 2 else coalesce(made)


@handles("norm")
def _norm(input, p="fro", dim=None, keepdim=False, dtype=None):
    if dim is not None:
        raise RuntimeError("norm(): only over all dimensions of a sparse tensor")
    x = coalesce(to_coo(input))
    found = flambeau.norm(x._v.reshape(-1), 2 if p in ("fro", None) else p, dtype=dtype)
    return found.reshape([1] * x.dim()) if keepdim else found


def softmax(input, dim, *, dtype=None):
    """Softmax along a dimension over the elements that are there; the others count as -inf.

    >>> import flambeau as torch
    >>> x = torch.sparse_coo_tensor([[0, 1, 1], [2, 0, 1]], [3.0, 4.0, 4.0], (2, 3))
    >>> torch.sparse.softmax(x, 1).to_dense()
    tensor([[0.0000, 0.0000, 1.0000],
            [0.5000, 0.5000, 0.0000]])
    """
    return _softmax(input, dim, dtype, False)


def log_softmax(input, dim, *, dtype=None):
    """The logarithm of softmax() at the elements that are there.

    >>> import flambeau as torch
    >>> x = torch.sparse_coo_tensor([[0], [2]], [3.0], (1, 3))
    >>> torch.sparse.log_softmax(x, 1).values()
    tensor([0.])
    """
    return _softmax(input, dim, dtype, True)


@handles("softmax")
def _softmax_of(input, dim=None, dtype=None, **kwargs):
    return _softmax(input, dim, dtype, False)


@handles("log_softmax")
def _log_softmax_of(input, dim=None, dtype=None, **kwargs):
    return _softmax(input, dim, dtype, True)


def _softmax(input, dim, dtype, logarithm):
    x = to_coo(input) if dtype is None else to_coo(input).to(dtype)
    x = coalesce(x)
    (dim,) = dims_of(x, dim)
    if dim >= x.sparse_dim():
        function = flambeau.log_softmax if logarithm else flambeau.softmax
        return x._with_values(function(x._v, dim - x.sparse_dim() + 1))
    others = [d for d in range(x.sparse_dim()) if d != dim]
    group, count = x._i.new_zeros(x._nnz()), 1
    if others:
        kept, group = flat_positions(x, others).unique(return_inverse=True)
        count = kept.shape[0]
    shape = (count, *x._v.shape[1:])
    spread = group.reshape(-1, *[1] * (x._v.dim() - 1)).expand(x._v.shape)
    top = x._v.new_full(shape, -float("inf"))
    top = top.scatter_reduce(0, spread, x._v.detach(), "amax")[group]
    shifted = x._v - top
    powers = shifted.exp()
    totals = x._v.new_zeros(shape).index_add(0, group, powers)[group]
    made = shifted - totals.log() if logarithm else powers / totals
    return in_layout_of(input, x._with_values(made))
