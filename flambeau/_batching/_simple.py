"""Rules of operators element by element, of reductions and of orders along a dimension."""

import flambeau
from flambeau import _C

from . import padded, rule


def _category(dtype):
    if dtype.is_complex:
        return 3
    return 2 if dtype.is_floating_point else 0 if dtype == _C.bool else 1


def _same_promotion(call, tensors, rank):
    """Numbers of the examples (tensors without dimensions) have one as a batch: their dtype must
    not count for more than it did."""
    args = call.args
    if len({args[i].dtype for i in tensors}) == 1:
        return
    if rank == 0:
        for i in tensors:
            if not call.on[i]:
                args[i] = args[i].reshape(1)
        return
    wide = [args[i].dtype for i in tensors if call.rank(i) > 0]
    dtype = wide[0]
    for other in wide[1:]:
        dtype = flambeau.promote_types(dtype, other)
    for i in tensors:
        if call.on[i] and call.rank(i) == 0 and _category(args[i].dtype) <= _category(dtype):
            args[i] = args[i].to(dtype)


@rule(
    "complex", "polar", "bitwise_not", "floor_divide", "clamp", "clamp_min", "clamp_max", "logit",
    "heaviside",
)  # fmt: skip
def pointwise(call):
    tensors = [i for i in call.record.tensors if isinstance(call.args[i], _C.Tensor)]
    rank = max(call.rank(i) for i in tensors)
    if len(tensors) > 1:
        _same_promotion(call, tensors, rank)
        for i in tensors:
            if call.on[i]:
                call.args[i] = padded(call.args[i], rank)
    return call.record.call(call.args)


@rule(
    "clone", "detach", "alias", "to_copy", "view_as_real", "tril", "triu",
    "nan_to_num", "round", "frexp",
)  # fmt: skip
def unchanged(call):
    if call.has("memory_format") and call["memory_format"] not in (
        None, _C.contiguous_format, _C.preserve_format,
    ):  # fmt: skip
        from . import one_by_one

        return one_by_one(call)
    return call.run()


@rule("view_as_complex")
def view_as_complex(call):
    x = call.args[0]
    return call.run(input=x if x.stride(-1) == 1 else x.contiguous())


@rule("empty_like", "zeros_like", "ones_like", "full_like")
def like(call):
    return call.run(memory_format=None)


@rule("fill")
def fill(call):
    if not isinstance(call["value"], _C.Tensor):
        return call.run()
    x = call.whole(0)
    value = padded(call.args[1], call.rank()) if call.on[1] else call.args[1]
    return value.to(x.dtype).expand(x.shape).clone()


@rule("masked_fill")
def masked_fill(call):
    rank = max(call.rank(0), call.rank(1))
    x, mask, value = call.args
    x = padded(x, rank) if call.on[0] else x
    mask = padded(mask, rank) if call.on[1] else mask
    if not isinstance(value, _C.Tensor):
        return x.masked_fill(mask, value)
    value = padded(value, rank) if call.on[2] else value
    return flambeau.where(mask, value.to(x.dtype), x)


# -- reductions ------------------------------------------------------------------------------------
def _each(found, change):
    if isinstance(found, _C.Tensor):
        return change(found)
    return [change(t) for t in found]


@rule(
    "sum", "mean", "amax", "amin", "any", "all", "count_nonzero", "var", "std", "var_mean",
    "std_mean", "linalg.vector_norm", "logsumexp", "nansum", "nanmean",
)  # fmt: skip
def reduce(call):
    x, rank = call.args[0], call.rank()
    if rank == 0:
        x = x.unsqueeze(1)
    name = call.record.arguments[0][0]
    if not call.has("dim"):  # var(input, unbiased)
        flat = x.flatten(1)
        return call.record.function(flat, 1, *call.args[1:])
    dim = call["dim"]
    dims = (dim,) if isinstance(dim, int) else dim
    if dims is None or len(dims) == 0:
        dims = tuple(range(1, max(rank, 1) + 1))
    else:
        dims = tuple(call.dim(d) for d in dims)
    found = call.run(**{name: x, "dim": dims})
    if rank == 0 and call["keepdim"]:
        return _each(found, lambda t: t.squeeze(1))
    return found


@rule("prod", "argmax", "argmin", "max", "min", "median", "nanmedian", "aminmax")
def reduce_one(call):
    if call.has("other"):
        return pointwise(call)
    x, rank, dim = call.args[0], call.rank(), call["dim"]
    if not call.has("dim"):  # max(input): the value alone
        return getattr(flambeau, call.record.name)(x.flatten(1) if rank else x.unsqueeze(1), 1)[0]
    if dim is not None and rank:
        return call.run(dim=call.dim(dim))
    if dim is not None:
        call.dim(dim)
    flat = x.flatten(1) if rank else x.unsqueeze(1)
    found = call.run(input=flat, dim=1)
    if call["keepdim"]:
        return _each(found, lambda t: t.reshape(call.size, *(1,) * rank))
    return found


@rule("median_flat", "nanmedian_flat")
def flat_median(call):
    x = call.args[0].flatten(1) if call.rank() else call.args[0].unsqueeze(1)
    return list(getattr(flambeau, call.record.name.removesuffix("_flat"))(x, 1))


@rule(
    "cumsum", "cumprod", "logcumsumexp", "cummax", "cummin", "softmax", "log_softmax", "sort",
    "argsort", "topk", "kthvalue", "mode",
)  # fmt: skip
def along(call):
    if call.rank():
        return call.run(dim=call.dim(call["dim"]))
    call.dim(call["dim"])
    found = call.run(input=call.args[0].unsqueeze(1), dim=1)
    keeps = call.record.name in ("kthvalue", "mode") and not call["keepdim"]
    return found if keeps else _each(found, lambda t: t.squeeze(1))


@rule("linalg.cross")
def cross(call):
    return call.record.call([call.whole(0), call.whole(1), call.dim(call["dim"])])


@rule("flip")
def flip(call):
    dims = call["dims"]
    return call.run(dims=tuple(call.dim(d) for d in dims)) if call.rank() else call.args[0].clone()


@rule("roll")
def roll(call):
    x = call.args[0]
    if call["dims"]:
        return call.run(dims=tuple(call.dim(d) for d in call["dims"]))
    return x.reshape(call.size, -1).roll(call["shifts"], (1,)).reshape(x.shape)


@rule(
    "searchsorted", "bucketize", "histc", "bincount", "isin", "nn.functional.one_hot", "linspace",
    "logspace",
)  # fmt: skip
def counted(call):
    from . import one_by_one

    name, on = call.record.name, call.on
    if name == "isin" and isinstance(call.args[0], _C.Tensor) and on[0] and not on[1]:
        return call.run()
    if name == "bucketize" and not on[call.record.position["boundaries"]]:
        return call.run()
    if name == "nn.functional.one_hot":
        if call["num_classes"] < 0:
            raise RuntimeError(
                "vmap: one_hot() needs num_classes: without it the shape of the result depends on "
                "the data, which we don't support"
            )
        return call.run()
    return one_by_one(call)
