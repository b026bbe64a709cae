"""Random numbers under vmap: refused, the same for all examples, or different for each."""

from flambeau import _C, empty_like, ones_like, stack, where

from . import _below, _front, _innermost, open_vmaps, padded, take_apart, wrap_up
from ._inplace import _refuse as _refuse_larger

_LIKE = {"rand_like", "randn_like", "randint_like"}


def _refuse(name):
    raise RuntimeError(
        "vmap: called random operation while in randomness error mode. Please either use the "
        "'same' or 'different' randomness flags on vmap or perform the randomness operation out "
        f"of vmap ({name})"
    )


def _refuse_same(name):
    raise RuntimeError(
        "Vmap does not currently support same randomness with a batched tensor input: "
        f"{name}() needs arguments that are the same for all examples"
    )


def draw(record, args, inplace):
    vmaps = open_vmaps()
    if not vmaps:  # below every level
        level, size = _innermost(record, args)
        if level is None:
            return NotImplemented
        mode = "different"
    else:
        level, size, mode = vmaps[-1]
    if mode == "error":
        _refuse(record.name)
    if inplace:
        return _below(level, _inplace, record, args, level, size, mode)
    call = take_apart(record, args, level, size)
    if mode == "different":
        return wrap_up(_below(level, _different, call), level)
    return _below(level, _same, call)


def _different(call):
    record, size = call.record, call.size
    if call.has("size"):
        return call.run(size=(size, *call["size"]))
    if record.name == "randperm":
        return stack([call.run() for _ in range(size)])
    tensors = [i for i in record.tensors if isinstance(call.args[i], _C.Tensor)]
    if record.name in _LIKE:
        return call.run(input=call.whole(0), memory_format=None)
    if len(tensors) == 1 and record.name != "multinomial":
        return call.run(**{record.arguments[tensors[0]][0]: call.whole(tensors[0])})
    if record.name in ("normal", "binomial"):  # element by element
        rank = max(call.rank(i) for i in tensors)
        whole = {record.arguments[i][0]: padded(call.whole(i), rank) for i in tensors}
        return call.run(**whole)
    return _rows(call)


def _rows(call):
    """Each example alone, one after another."""
    from . import one_by_one

    for i in call.record.tensors:
        if isinstance(call.args[i], _C.Tensor):
            call.args[i], call.on[i] = call.whole(i), True
    return one_by_one(call)


def _same(call):
    """One draw for all: only where no example's numbers take part in it."""
    record = call.record
    batched = [i for i in record.tensors if call.on[i]]
    if not batched:
        return record.call(call.args)
    if record.name in _LIKE:
        return call.run(input=call.args[0][0], memory_format=None)
    if record.name == "bernoulli" and call.has("p"):  # the tensor gives the shape alone
        return call.run(input=call.args[0][0])
    # The result is of each example, the draw of one.
    x = call.args[0]
    if record.name == "_dropout":
        kept, mask = call.run(input=ones_like(x[0]))
        return [wrap_up(x * kept, call.level), mask]
    if record.name == "_rrelu":
        slope = empty_like(x[0]).uniform_(call["lower"], call["upper"], generator=call["generator"])
        return [wrap_up(where(x < 0, x * slope, x), call.level), slope]
    _refuse_same(record.name)


def _inplace(record, args, level, size, mode):
    target, batched = _front(args[0], level)
    others = any(_front(a, level)[1] for a in args[1:] if isinstance(a, _C.Tensor))
    if mode == "same" and others:
        _refuse_same(record.name)
    if others and not batched:
        _refuse_larger(record, level)
    if mode == "different" and not batched:
        raise RuntimeError(
            "vmap: Cannot ask for different inplace randomness on an unbatched tensor. This will "
            "appear like same randomness. If this is necessary for your usage, please file an "
            "issue with functorch."
        )
    rest = [_front(a, level)[0] if isinstance(a, _C.Tensor) else a for a in args[1:]]
    if mode == "different" or not batched:
        if others and rest[0].dim() < target.dim():
            rest[0] = rest[0].reshape(size, *(1,) * (target.dim() - rest[0].dim()),
                                      *rest[0].shape[1:])  # fmt: skip
        record.call([target, *rest])
        return None
    one = target[0].clone()
    record.call([one, *rest])
    target.copy_(one)
    return None
