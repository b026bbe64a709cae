"""What torch's functions do with nested tensors."""

import flambeau

from ._tensor import NestedInt, NestedTensor, of_parts, of_results

_POINTWISE = frozenset(
    "abs absolute acos add angle asin atan atan2 bitwise_and bitwise_not bitwise_or bitwise_xor "
    "ceil celu clamp clamp_max clamp_min clip cos cosh div divide elu eq erf erfc exp exp2 expm1 "
    "feature_dropout floor floor_divide fmod ge gelu greater gt hardsigmoid hardswish hardtanh "
    "isfinite isinf isnan le leaky_relu lerp log log10 log1p log2 logical_and logical_not "
    "logical_or logical_xor logit logsigmoid lt masked_fill maximum minimum mish mul multiply "
    "nan_to_num ne neg negative pow prelu reciprocal relu relu6 remainder round rsqrt rsub selu "
    "sgn sigmoid sign silu sin sinh softplus softsign sqrt square sub subtract tan tanh "
    "tanhshrink threshold true_divide trunc where xlogy dropout alpha_dropout positive "
    "__add__ __radd__ __sub__ __rsub__ __mul__ __rmul__ __truediv__ __rtruediv__ __div__ "
    "__pow__ __rpow__ __neg__ __abs__ __eq__ __ne__ __lt__ __le__ __gt__ __ge__ __and__ __or__ "
    "__xor__ __invert__ __floordiv__ __mod__ "
    "clone detach contiguous to cpu float double half bfloat16 int long short bool type "
    "ones_like zeros_like empty_like full_like rand_like randn_like alias fill zero "
    "copy uniform normal type_as".split()
)
_OWN = frozenset(
    "unbind to_padded_tensor values offsets lengths size dim numel is_contiguous requires_grad_ "
    "backward tolist __len__ __iter__ __repr__ __format__".split()
)
_HANDLERS = {}


def _handles(*names):
    def register(function):
        for name in names:
            _HANDLERS[name] = function
        return function

    return register


def call(func, name, args, kwargs):
    """func(*args, **kwargs), where one of the arguments is nested."""
    base = name[:-1] if name.endswith("_") and not name.endswith("__") else name
    if name in _OWN:
        return getattr(NestedTensor, name)(*args, **kwargs)
    if name in _HANDLERS:
        return _HANDLERS[name](*args, **kwargs)
    if base in _POINTWISE:
        made = _pointwise(func, args, kwargs)
        if base != name:
            args[0]._data_ = made._data_
            return args[0]
        return made
    if name in ("is_floating_point", "is_complex", "is_signed", "get_device", "element_size"):
        return func(args[0]._leaves()[0])
    raise NotImplementedError(
        f"Could not run 'aten::{name}' with arguments from the 'NestedTensorCPU' backend: "
        "unbind() gives the parts, to_padded_tensor() a tensor that it takes."
    )


def _first(args, kwargs):
    return next(a for a in (*args, *kwargs.values()) if isinstance(a, NestedTensor))


def _same_rows(a, b):
    if len(a) != len(b):
        raise RuntimeError(f"nested tensors of {len(a)} and {len(b)} parts do not go together")
    if a.layout == flambeau.jagged and a._offsets is not b._offsets:
        if a._ragged_idx != b._ragged_idx or not flambeau.equal(a._offsets, b._offsets):
            raise RuntimeError(
                f"cannot call a pointwise function with inputs of shapes {a._sizes()} and "
                f"{b._sizes()}"
            )


def _beside(dense, like):
    """A plain tensor as it goes with the data of a jagged one."""
    if dense.dim() < like.dim():
        return dense
    if like._ragged_idx != 1 or dense.shape[1] != 1:
        raise RuntimeError(
            f"a tensor of shape {tuple(dense.shape)} does not go with {like._sizes()}"
        )
    rows = dense.squeeze(1)
    if rows.shape[0] == 1:
        return rows
    return rows.repeat_interleave(like._row_lengths().to(flambeau.int64), 0)


def _pointwise(func, args, kwargs):
    like = _first(args, kwargs)
    nested = [a for a in (*args, *kwargs.values()) if isinstance(a, NestedTensor)]
    for other in nested[1:]:
        _same_rows(like, other)
    if like.layout == flambeau.jagged:

        def data(value):
            if isinstance(value, NestedTensor):
                return value._data_
            return _beside(value, like) if isinstance(value, flambeau.Tensor) else value

        made = func(*map(data, args), **{k: data(v) for k, v in kwargs.items()})
        return like._like(made)

    def part(value, i):
        return value._data_[i] if isinstance(value, NestedTensor) else value

    parts = [
        func(*(part(a, i) for a in args), **{k: part(v, i) for k, v in kwargs.items()})
        for i in range(len(like))
    ]
    return NestedTensor(tuple(parts), flambeau.strided)


def _inner(input, dim, name):
    """A dimension of the whole as one of the parts."""
    d = dim + input.dim() if dim < 0 else dim
    if not 0 <= d < input.dim():
        raise IndexError(f"{name}(): dimension {dim} is out of range")
    if d == 0:
        raise RuntimeError(f"{name}(): not supported for NestedTensor on dim=0")
    return d - 1


def _in_data(input, inner):
    """Whether a dimension of the parts is one of the data of all, in which they do not differ."""
    return input.layout == flambeau.jagged and inner != input._ragged_idx - 1


def _again(input, parts):
    """Parts as a nested tensor of the kind of input."""
    return of_parts(parts, input.layout, input._ragged_idx)


# -- over the last dimensions ----------------------------------------------------------------------
@_handles("linear")
def _linear(input, weight, bias=None):
    return input._map(lambda t: flambeau.nn.functional.linear(t, weight, bias))


def _keeps_last(name):
    def function(input, *args, **kwargs):
        plain = getattr(flambeau.nn.functional, name)
        return input._map(lambda t: plain(t, *args, **kwargs))

    _HANDLERS[name] = function


for _name in ("layer_norm", "rms_norm", "normalize"):
    _keeps_last(_name)


def _along(name):
    def function(input, dim=None, *args, **kwargs):
        inner = _inner(input, dim, name)
        plain = getattr(flambeau, name)
        if _in_data(input, inner):
            return input._map(lambda t: plain(t, inner, *args, **kwargs))
        return _again(input, [plain(t, inner, *args, **kwargs) for t in input.unbind()])

    _HANDLERS[name] = function


for _name in ("softmax", "log_softmax", "cumsum", "flip"):
    _along(_name)


@_handles("embedding")
def _embedding(input, weight, *args, **kwargs):
    embed = flambeau.nn.functional.embedding
    return input._map(lambda t: embed(t, weight, *args, **kwargs))


@_handles("matmul", "__matmul__", "bmm")
def _matmul(input, other):
    if not isinstance(other, NestedTensor):
        if input._ragged_idx != 1 and input.layout == flambeau.jagged:
            return _again(input, [t @ other for t in input.unbind()])
        return input._map(lambda t: t @ other)
    if not isinstance(input, NestedTensor):
        return _again(other, [input @ t for t in other.unbind()])
    parts = [a @ b for a, b in zip(input.unbind(), other.unbind(), strict=True)]
    return NestedTensor(tuple(parts), flambeau.strided)


# -- reductions ------------------------------------------------------------------------------------
def _reduction(name):
    def function(input, dim=None, *args, keepdim=False, **kwargs):
        plain = getattr(flambeau, name)
        if dim is None:
            return plain(input.values(), *args, **kwargs)
        if isinstance(dim, (tuple, list)):
            if len(dim) > 1:
                raise RuntimeError(f"{name}(): one dimension at a time for nested tensors")
            dim = dim[0]
        inner = _inner(input, dim, name)
        ragged = input._ragged_idx - 1
        if _in_data(input, inner):
            moved = input._ragged_idx - (not keepdim and inner < ragged)

            def reduce(t):
                return plain(t, inner, *args, keepdim=keepdim, **kwargs)

            made = reduce(input._data_)
            if isinstance(made, flambeau.Tensor):
                return input._like(made, moved)
            return type(made)([input._like(t, moved) for t in made])
        rows = [plain(t, inner, *args, keepdim=keepdim, **kwargs) for t in input.unbind()]
        if input.layout != flambeau.jagged:
            return of_results(rows)
        if isinstance(rows[0], flambeau.Tensor):
            return flambeau.stack(rows)
        return type(rows[0])([flambeau.stack(r) for r in zip(*rows)])

    _HANDLERS[name] = function


for _name in (
    "sum mean amax amin max min prod var std argmax argmin any all logsumexp norm median"
).split():
    _reduction(_name)


@_handles("equal", "allclose")
def _equal(input, other, *args, **kwargs):
    check = flambeau.allclose if args or kwargs else flambeau.equal
    pairs = zip(input.unbind(), other.unbind(), strict=True)
    return all(check(a, b, *args, **kwargs) for a, b in pairs)


# -- shapes ----------------------------------------------------------------------------------------
@_handles("transpose", "swapaxes", "swapdims")
def _transpose(input, dim0, dim1):
    a, b = (_inner(input, d, "transpose") for d in (dim0, dim1))
    at = {a: b, b: a}.get(input._ragged_idx - 1, input._ragged_idx - 1)
    return input._map(lambda t: t.transpose(a, b), at + 1)


@_handles("permute")
def _permute(input, *dims):
    dims = dims[0] if len(dims) == 1 and not isinstance(dims[0], int) else dims
    dims = [d % input.dim() for d in dims]
    if dims[0] != 0:
        raise RuntimeError("permute(): the batch of a nested tensor stays the first dimension")
    order = [d - 1 for d in dims[1:]]
    return input._map(lambda t: t.permute(order), dims.index(input._ragged_idx))


@_handles("unsqueeze")
def _unsqueeze(input, dim):
    d = dim + input.dim() + 1 if dim < 0 else dim
    if d == 0:
        raise RuntimeError("unsqueeze(): not supported for NestedTensor on dim=0")
    moved = input._ragged_idx + (d <= input._ragged_idx)
    return input._map(lambda t: t.unsqueeze(d - 1), moved)


@_handles("squeeze")
def _squeeze(input, dim=None):
    if dim is None:
        raise RuntimeError("squeeze(): a nested tensor needs the dimension")
    inner = _inner(input, dim, "squeeze")
    moved = input._ragged_idx - (inner < input._ragged_idx - 1)
    return input._map(lambda t: t.squeeze(inner), moved)


@_handles("unflatten")
def _unflatten(input, dim, sizes):
    inner = _inner(input, dim, "unflatten")
    moved = input._ragged_idx + (len(sizes) - 1 if inner < input._ragged_idx - 1 else 0)
    return input._map(lambda t: t.unflatten(inner, sizes), moved)


@_handles("flatten")
def _flatten(input, start_dim=0, end_dim=-1):
    first, last = (_inner(input, d, "flatten") for d in (start_dim, end_dim))
    ragged = input._ragged_idx - 1
    if input.layout == flambeau.jagged and first <= ragged <= last and first != last:
        raise RuntimeError("flatten(): not supported for NestedTensor on ragged dim")
    moved = input._ragged_idx - (last - first if last < ragged else 0)
    return input._map(lambda t: t.flatten(first, last), moved)


@_handles("view", "reshape")
def view(input, *sizes):
    sizes = sizes[0] if len(sizes) == 1 and not isinstance(sizes[0], int) else sizes
    if not sizes or sizes[0] not in (-1, len(input)):
        raise RuntimeError("view(): the batch of a nested tensor keeps its size")
    inner = list(sizes[1:])
    if input.layout == flambeau.jagged:
        marks = [i for i, n in enumerate(inner) if isinstance(n, NestedInt)] or [
            i for i, n in enumerate(inner) if n == -1
        ]
        if not marks:
            raise RuntimeError("view(): -1 or the nested size says where the parts differ")
        inner[marks[0]] = input._data_.shape[input._ragged_idx - 1]
        return input._map(lambda t: t.reshape(inner), marks[0] + 1)

    def shaped(t):
        known = [t.shape[i] if n == -1 and i < t.dim() else n for i, n in enumerate(inner)]
        return t.reshape(known if inner.count(-1) > 1 else inner)

    return input._map(shaped)


@_handles("expand_as", "view_as", "reshape_as")
def _as_other(input, other):
    return input


def _pieces(name):
    def function(input, count, dim=0):
        inner = _inner(input, dim, name)
        if _in_data(input, inner):
            return tuple(input._like(t) for t in getattr(input._data_, name)(count, inner))
        rows = zip(*(getattr(t, name)(count, inner) for t in input.unbind()), strict=True)
        return tuple(_again(input, r) for r in rows)

    _HANDLERS[name] = function


for _name in ("chunk", "split", "tensor_split"):
    _pieces(_name)


@_handles("cat", "concat", "concatenate")
def _cat(tensors, dim=0):
    like = next(t for t in tensors if isinstance(t, NestedTensor))
    if dim == 0:
        return _again(like, [p for t in tensors for p in t.unbind(0)])
    inner = _inner(like, dim, "cat")
    rows = zip(*(t.unbind(0) for t in tensors), strict=True)
    if _in_data(like, inner):
        return like._like(flambeau.cat([t._data_ for t in tensors], inner))
    return _again(like, [flambeau.cat(r, inner) for r in rows])


@_handles("narrow")
def _narrow(input, dim, start, length):
    if dim in (0, -input.dim()):
        return _again(input, input.unbind()[start : start + length])
    inner = _inner(input, dim, "narrow")
    if input.layout == flambeau.strided or _in_data(input, inner):
        return input._map(lambda t: t.narrow(inner, start, length))
    return _again(input, [t.narrow(inner, start, length) for t in input.unbind()])


@_handles("select")
def _select(input, dim, index):
    if dim in (0, -input.dim()):
        return input.unbind()[index]
    inner = _inner(input, dim, "select")
    if input.layout == flambeau.strided or _in_data(input, inner):
        moved = input._ragged_idx - (inner < input._ragged_idx - 1)
        return input._map(lambda t: t.select(inner, index), moved)
    return flambeau.stack([t.select(inner, index) for t in input.unbind()])


@_handles("__getitem__")
def _getitem(input, index):
    if isinstance(index, int):
        return input.unbind()[index]
    if isinstance(index, slice):
        return _again(input, input.unbind()[index])
    if index is Ellipsis:
        return input
    if isinstance(index, tuple) and isinstance(index[0], int):
        return input.unbind()[index[0]][index[1:]]
    if isinstance(index, tuple) and index[0] in (Ellipsis, slice(None)):
        rest = index if index[0] is Ellipsis else index[1:]
        whole = [i for i in rest if i not in (Ellipsis, slice(None))]
        if all(isinstance(i, slice) for i in whole):
            return input._map(lambda t: t[rest])
    raise NotImplementedError("nested tensors take a number, a slice, or slices of the last ones")


# -- attention -------------------------------------------------------------------------------------
@_handles("scaled_dot_product_attention")
def _attention(
    query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False
):
    if attn_mask is not None:
        raise RuntimeError("scaled_dot_product_attention(): no attn_mask with nested tensors")
    attend = flambeau.nn.functional.scaled_dot_product_attention
    rows = zip(query.unbind(), key.unbind(), value.unbind(), strict=True)
    parts = [
        attend(
            q, k, v, dropout_p=dropout_p, is_causal=is_causal, scale=scale, enable_gqa=enable_gqa
        )
        for q, k, v in rows
    ]
    made = _again(query, parts)
    if query.layout == flambeau.jagged:
        made._offsets, made._size = query._offsets, query._size
    return made


@_handles("multi_head_attention_forward")
def _multi_head(
    query,
    key,
    value,
    embed_dim_to_check,
    num_heads,
    in_proj_weight,
    in_proj_bias,
    bias_k,
    bias_v,
    add_zero_attn,
    dropout_p,
    out_proj_weight,
    out_proj_bias,
    training=True,
    key_padding_mask=None,
    need_weights=True,
    attn_mask=None,
    *rest,
    **more,
):
    if not query.dim() == key.dim() == value.dim() == 3 or in_proj_weight is None:
        raise AssertionError("MultiheadAttention: expected nested batches of sequences")
    if need_weights or attn_mask is not None or key_padding_mask is not None:
        raise AssertionError(
            "MultiheadAttention does not support NestedTensor with masks or need_weights=True"
        )
    weights = in_proj_weight.chunk(3)
    biases = (None,) * 3 if in_proj_bias is None else in_proj_bias.chunk(3)
    heads = [
        _linear(t, w, b).unflatten(-1, [num_heads, -1]).transpose(1, 2)
        for t, w, b in zip((query, key, value), weights, biases)
    ]
    made = _attention(*heads, dropout_p=dropout_p if training else 0.0)
    return _linear(made.transpose(1, 2).flatten(-2), out_proj_weight, out_proj_bias), None
