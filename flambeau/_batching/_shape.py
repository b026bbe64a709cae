"""Rules of views, of shapes and of tensors put together or taken apart."""

import flambeau
from flambeau import _C

from . import padded, rule


@rule("view", "reshape")
def view(call):
    if call.has("dtype"):
        return call.run()
    name = "size" if call.has("size") else "shape"
    return call.run(**{name: (call.size, *call[name])})


@rule("expand")
def expand(call):
    size = call["size"]
    return call.run(input=padded(call.args[0], len(size)), size=(call.size, *size))


@rule("repeat")
def repeat(call):
    repeats = call["repeats"]
    return call.run(input=padded(call.args[0], len(repeats)), repeats=(1, *repeats))


@rule("permute")
def permute(call):
    return call.run(dims=(0, *(call.dim(d) for d in call["dims"])))


@rule("transpose", "swapdims", "swapaxes")
def transpose(call):
    if call.rank() == 0:
        return (
            call.args[0].alias()
            if hasattr(_C.Tensor, "alias")
            else call.args[0].view_as(call.args[0])
        )
    first, second = call.record.arguments[1][0], call.record.arguments[2][0]
    return call.run(**{first: call.dim(call[first]), second: call.dim(call[second])})


@rule("t")
def t(call):
    rank = call.rank()
    if rank > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {rank}D")
    return call.args[0].transpose(1, 2) if rank == 2 else call.args[0].view(call.args[0].shape)


@rule("squeeze")
def squeeze(call):
    x = call.args[0]
    if not call.has("dim"):
        dims = tuple(d for d in range(1, x.dim()) if x.shape[d] == 1)
    elif call.rank() == 0:
        dims = ()
    else:
        dims = tuple(call.dim(d) for d in call["dim"])
    return x.squeeze(dims) if dims else x.view(x.shape)


@rule("unsqueeze")
def unsqueeze(call):
    return call.run(dim=call.dim(call["dim"], call.rank() + 1))


@rule("select", "slice", "unbind", "split", "split_with_sizes", "chunk", "tensor_split", "narrow")
def one_dim(call):
    if call.rank() == 0:
        raise IndexError(f"{call.record.name}() cannot be applied to a 0-dim tensor.")
    if call.record.name == "narrow" and isinstance(call["start"], _C.Tensor):
        from . import one_by_one

        return one_by_one(call)
    return call.run(dim=call.dim(call["dim"]))


@rule("unfold")
def unfold(call):
    if call.rank() == 0:
        return call.args[0].unsqueeze(1).unfold(1, call["size"], call["step"]).squeeze(1)
    return call.run(dimension=call.dim(call["dimension"]))


@rule("diagonal", "linalg.diagonal")
def diagonal(call):
    return call.run(dim1=call.dim(call["dim1"]), dim2=call.dim(call["dim2"]))


@rule("diag_embed")
def diag_embed(call):
    rank = call.rank() + 1
    return call.run(dim1=call.dim(call["dim1"], rank), dim2=call.dim(call["dim2"], rank))


@rule("as_strided", "as_strided_view")
def as_strided(call):
    x = call.args[0]
    name = "storage_offset" if call.has("storage_offset") else "offset"
    offset = call[name]
    if offset is None:
        offset = x.storage_offset()
    return x.as_strided((call.size, *call["size"]), (x.stride(0), *call["stride"]), offset)


@rule("select_backward", "slice_backward", "unfold_backward", "diagonal_backward")
def put_back(call):
    sizes, names = call["sizes"], ("dim", "dim1", "dim2")
    if len(sizes) == 0:
        from . import one_by_one

        return one_by_one(call)
    dims = {n: call.dim(call[n], len(sizes)) for n in names if call.has(n)}
    return call.run(sizes=(call.size, *sizes), **dims)


@rule("sum_to_size")
def sum_to_size(call):
    x, size = call.args[0], call["size"]
    lead = call.rank() - len(size)
    dims = [d for d in range(1, x.dim()) if d <= lead or (size[d - 1 - lead] == 1 != x.shape[d])]
    if dims:
        x = x.sum(dims, keepdim=True)
    return x.reshape(call.size, *size) if dims or lead else x.view(x.shape)


@rule("new_empty", "new_zeros", "new_ones", "new_full")
def new(call):
    return call.run(size=(call.size, *call["size"]))


@rule("new_empty_strided")
def new_strided(call):
    size, stride = call["size"], call["stride"]
    span = 1 + sum((n - 1) * s for n, s in zip(size, stride, strict=True)) if all(size) else 0
    return call.run(size=(call.size, *size), stride=(span, *stride))


# -- several tensors -------------------------------------------------------------------------------
def _all_whole(call):
    tensors, on = call.args[0], call.on[0]
    return [t if b else t.expand(call.size, *t.shape) for t, b in zip(tensors, on, strict=True)]


@rule("cat", "concat", "concatenate")
def cat(call):
    tensors = _all_whole(call)
    rank = max(t.dim() - 1 for t in tensors)
    kept = [t for t in tensors if t.dim() - 1 == rank or t.shape[1:] != (0,)]
    return flambeau.cat(kept, call.dim(call["dim"], rank))


@rule("stack")
def stack(call):
    tensors = _all_whole(call)
    return flambeau.stack(tensors, call.dim(call["dim"], tensors[0].dim()))


@rule("index_fill")
def index_fill(call):
    from . import one_by_one

    if call.on[2] or (call.on[-1] and isinstance(call["value"], _C.Tensor)) or not call.rank():
        return one_by_one(call)
    return call.run(dim=call.dim(call["dim"]))


@rule("repeat_interleave")
def repeat_interleave(call):
    from . import one_by_one

    if not call.has("input") or not isinstance(call["repeats"], int) or not call.rank():
        return one_by_one(call)
    if call["dim"] is None:
        return call.run(input=call.args[0].flatten(1), dim=1)
    return call.run(dim=call.dim(call["dim"]))
