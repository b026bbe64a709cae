"""Rules of gathering, scattering and indexing with tensors."""

import flambeau
from flambeau import _C

from . import one_by_one, padded, rule


@rule("gather", "scatter", "scatter_add", "scatter_reduce")
def gather(call):
    tensors = [i for i in call.record.tensors if isinstance(call.args[i], _C.Tensor)]
    number = call.rank() == 0
    changes = {}
    for i in tensors:
        t = call.whole(i)
        changes[call.record.arguments[i][0]] = t.unsqueeze(1) if t.dim() == 1 else t
    found = call.run(dim=call.dim(call["dim"]), **changes)
    flat = call.record.name == "gather" and call.rank(2) == 0
    return found.squeeze(1) if number and (flat or call.record.name != "gather") else found


@rule("index_select")
def index_select(call):
    x, index = call.args[0], call.args[2]
    dim = call.dim(call["dim"])
    if call.rank() == 0:
        if not call.on[0]:
            return x.expand(index.shape[0])
        return x.clone()
    if not call.on[2]:
        return call.run(dim=dim)
    x = call.whole(0).movedim(dim, 1)
    index = index.unsqueeze(1) if index.dim() == 1 else index
    return x[_rows(call, 1, index), index].movedim(1, dim)


@rule("index_add", "index_copy")
def index_add(call):
    if call.rank() == 0:
        return one_by_one(call)
    dim, index = call.dim(call["dim"]), call.args[2]
    x, source = call.whole(0), call.whole(3)
    if not call.on[2]:
        return call.run(input=x, source=source, dim=dim)
    if index.dim() == 1:
        index, source = index.unsqueeze(1), source if source.dim() > 1 else source.unsqueeze(1)
    adds = call.record.name == "index_add"
    source = source.movedim(dim, 1)
    if adds and call["alpha"] != 1:
        source = source * call["alpha"]
    moved = x.movedim(dim, 1)
    out = moved.index_put((_rows(call, 1, index), index), source, adds)
    return out.movedim(1, dim)


@rule("masked_select")
def masked_select(call):
    """With one mask for all the results have one shape."""
    x, mask = call.args
    if call.on[1]:
        return one_by_one(call)
    shape = flambeau.broadcast_shapes(x.shape[1:], mask.shape)
    at = mask.expand(shape).reshape(-1).nonzero().squeeze(1)
    return padded(x, len(shape)).expand(call.size, *shape).flatten(1).index_select(1, at)


@rule("take")
def take(call):
    x, index = call.whole(0), call.whole(1)
    x = x.reshape(call.size, -1)
    index = flambeau.where(index < 0, index + x.shape[1], index)
    return x.gather(1, index.reshape(call.size, -1)).reshape(index.shape)


# -- x[i, :, j] ------------------------------------------------------------------------------------
def _rows(call, rank, like):
    """0, 1, ... for each example, beside indices of `rank` dimensions."""
    rows = flambeau.arange(call.size, device=like.device)
    return rows.reshape(call.size, *(1,) * rank)


def _spread(call, indices, on):
    """Masks as numbers, and all indices with the same dimensions; (indices, their dimensions)."""
    out = []
    for t, batched in zip(indices, on, strict=True):
        if t is not None and t.dtype in (_C.bool, _C.uint8):
            if batched:
                raise RuntimeError(
                    "vmap: It looks like you're indexing with a mask that differs between "
                    "examples: the shape of the result would depend on data. We don't support "
                    "that: use torch.where or masked_fill."
                )
            out += [(n, False) for n in t.nonzero().unbind(1)]
        else:
            out.append((t, batched))
    rank = max(t.dim() - b for t, b in out if t is not None)
    aligned = []
    for t, batched in out:
        if t is not None:
            own = t.dim() - batched
            lead = (call.size,) if batched else (1,)
            t = t.reshape(*lead, *(1,) * (rank - own), *t.shape[batched:])
        aligned.append(t)
    return aligned, rank


def _first(indices):
    """Where the indexed dimensions go in the result: to the first of them, or to the front."""
    at = [i for i, t in enumerate(indices) if t is not None]
    return at[0] if at[-1] - at[0] + 1 == len(at) else 0


@rule("index")
def index(call):
    if not any(call.on[1]):
        return (
            call.run(indices=[None, *call.args[1]]) if _first_free(call.args[1]) else _indexed(call)
        )
    return _indexed(call)


def _first_free(indices):
    """Whether a leading None changes nothing but the position."""
    at = [i for i, t in enumerate(indices) if t is not None]
    return at[-1] - at[0] + 1 == len(at)


def _indexed(call):
    indices, rank = _spread(call, call.args[1], call.on[1])
    x = call.whole(0)
    out = x[(_rows(call, rank, x), *(slice(None) if t is None else t for t in indices))]
    first = _first(indices)
    if first:
        out = out.movedim(tuple(range(1, rank + 1)), tuple(range(first + 1, first + rank + 1)))
    return out


@rule("index_put")
def index_put(call):
    masks = [(t, b) for t, b in zip(call.args[1], call.on[1], strict=True) if t is not None]
    values, whole = call.args[2], call.rank(2) == 0
    if len(masks) == 1 and masks[0][1] and masks[0][0].dtype == _C.bool and whole:
        at = next(i for i, t in enumerate(call.args[1]) if t is not None)
        return _masked(call, masks[0][0], at, values)
    indices, rank = _spread(call, call.args[1], call.on[1])
    x, values = call.whole(0), call.args[2]
    named = sum(t is not None for t in indices)
    total = call.rank() - named + rank  # of what x[indices] has
    batched = call.on[2]
    lead = (call.size,) if batched else (1,)
    own = values.dim() - batched
    values = values.reshape(*lead, *(1,) * (total - own), *values.shape[batched:])
    first = _first(indices)
    if first:
        values = values.movedim(
            tuple(range(first + 1, first + rank + 1)), tuple(range(1, rank + 1))
        )
    rows = _rows(call, rank, x)
    rest = [None if t is None else t for t in indices]
    return x.index_put((rows, *rest), values, call["accumulate"])


def _masked(call, mask, at, value):
    """x[..., mask] = number, a mask for each example: no index is needed."""
    x, rank = call.whole(0), call.rank()
    mask = mask.reshape(
        call.size, *(1,) * at, *mask.shape[1:], *(1,) * (rank - at - mask.dim() + 1)
    )
    value = value.reshape(-1, *(1,) * rank).to(x.dtype)
    return flambeau.where(mask, x + value if call["accumulate"] else value, x)


@rule("embedding")
def embedding(call):
    weight, indices = call.args[0], call.args[1]
    if not call.on[0]:
        return call.run()
    number = call.rank(1)
    count = weight.shape[1]
    shift = _rows(call, number, indices) * count
    return weight.reshape(-1, weight.shape[2])[indices + shift]


@rule("embedding_dense_backward")
def embedding_back(call):
    grad, indices, count = call.whole(0), call.whole(1), call["num_weights"]
    shift = _rows(call, indices.dim() - 1, indices) * count
    padding = call["padding_idx"]
    found = call.run(grad=grad, indices=indices + shift, num_weights=count * call.size,
                     padding_idx=-1)  # fmt: skip
    found = found.reshape(call.size, count, -1)
    if padding >= 0:
        keep = flambeau.ones(count, 1, dtype=found.dtype, device=found.device)
        keep[padding] = 0
        found = found * keep
    return found
