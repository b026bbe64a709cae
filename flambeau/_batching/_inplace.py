"""Writing in place under vmap."""

import flambeau
from flambeau import _C, _levels

from . import _front, padded, take_apart


def _refuse(record, level):
    raise _levels.WriteRefused(
        f"vmap: inplace arithmetic(self, *extra_args) is not possible because there exists a "
        "Tensor `other` in extra_args that has more elements than `self`. This happened due to "
        f"`other` being vmapped over but `self` not being vmapped over at level {level}. Please "
        f"try to use out-of-place operators instead of {record.name}."
    )


def write(record, target, level, source, on):
    """Copies a batch into the examples."""
    values, batched = _front(target, level)
    if not batched:
        if on:
            _refuse(record, level)
        values.copy_(source)
        return
    rank = values.dim() - 1
    if on:
        source = (
            source.reshape(source.shape[0], *source.shape[source.dim() - rank :])
            if (source.dim() - 1 > rank)
            else padded(source, rank)
        )
    values.copy_(source)


def _is_recorded(args):
    tensors = (a for a in args if isinstance(a, _C.Tensor))
    return any(part.requires_grad for t in tensors for part in _levels.parts(t))


def run(record, args, level, size):
    call = take_apart(record, args, level, size)
    target = args[0]
    if record.name == "copy_":
        write(record, target, level, call.args[1], call.on[1])
        return None
    if not call.on[0] and any(b if isinstance(b, bool) else any(b) for b in call.on):
        _refuse(record, level)
    if record.name == "zero_" or (record.name == "fill" and not call.on[1]):
        call.args[0].zero_() if record.name == "zero_" else call.args[0].fill_(call.args[1])
        return None
    name = record.name.rstrip("_")
    if record.view or name in ("squeeze", "unsqueeze", "transpose", "t", "swapdims", "swapaxes"):
        view = getattr(flambeau, name)(*args)
        _C._set_geometry(target, view)
        return None
    if _C.is_grad_enabled() and _is_recorded(args):  # what is saved is not what is overwritten
        args = (target.clone(), *args[1:])
    if record.name.endswith("_"):
        function = getattr(flambeau, name, None)
        if function is None:
            raise RuntimeError(f"vmap: {record.name}() is not supported on examples of a batch")
        n = record.positional
        found = function(
            *args[:n], **{a[0]: x for a, x in zip(record.arguments[n:], args[n:], strict=True)}
        )
    else:
        found = record.call(args)  # the entry finds the out-of-place rule
    found = found[0] if isinstance(found, (tuple, list)) else found
    value, on = _front(found, level)
    if value.dim() - on != target.dim() or found.shape != target.shape:
        raise RuntimeError(
            f"{record.name}_(): output with shape {list(target.shape)} doesn't match the broadcast "
            f"shape {list(found.shape)}"
        )
    if not _C.can_cast(value.dtype, target.dtype):
        raise RuntimeError(
            f"{record.name}_(): result type {value.dtype} can't be cast to the desired output type "
            f"{target.dtype}"
        )
    write(record, target, level, value, on)
    return None
