"""The operators of TorchScript by name: what `torch.add`, `ops.prim.dtype` in an archive run.

An operator that has the arguments of flambeau's function of its name is that function. Those that
differ are in `_aten`, those of numbers, lists, texts and dictionaries in `_values`.
"""

import flambeau
from flambeau import Tensor, _dispatch

from . import _aten, _values

# Operators that reach beyond tensors: files, pickles, arrays of other libraries.
_CLOSED = frozenset(
    "from_file save load numpy from_dlpack from_numpy frombuffer share_memory_ register_hook "
    "backward requires_grad_ set_".split()
)
_PREFIXES = ("linalg_", "special_", "fft_")


def unknown(name):
    """What stands for an operator that is not here: it fails when it is run."""

    def missing(*args, **kwargs):
        raise RuntimeError(f"jit: the program uses {name}, which flambeau does not have")

    return missing


def find(namespace, name):
    """The function of an operator, or None."""
    if namespace == "prim":
        return _values.PRIM.get(name)
    if namespace == "torchvision":
        return _vision(name)
    if namespace != "aten":
        return _custom(namespace, name)
    either = _values.MIXED.get(name)
    if either is not None:
        tensors = _on_tensors(name)
        return either if tensors in (None, either) else _either(either, tensors)
    return _on_tensors(name)


def _vision(name):
    """The operators of torchvision's extension: the pooled size comes as two numbers."""
    from flambeau.vision import ops

    if name == "nms":
        return ops.nms
    if name == "deform_conv2d":
        return lambda x, w, offset, mask, bias, sy, sx, py, px, dy, dx, groups, spread, masked: (
            ops.deform_conv2d(
                x, offset, w, bias, (sy, sx), (py, px), (dy, dx), mask if masked else None
            )
        )
    if name == "roi_align":
        return lambda x, boxes, scale, h, w, ratio, aligned: ops.roi_align(
            x, boxes, (h, w), scale, ratio, aligned
        )
    if name == "ps_roi_align":
        return lambda x, boxes, scale, h, w, ratio: (
            ops.ps_roi_align(x, boxes, (h, w), scale, ratio),
            None,
        )
    if name in ("roi_pool", "ps_roi_pool"):
        return lambda x, boxes, scale, h, w: (getattr(ops, name)(x, boxes, (h, w), scale), None)
    return None


def _custom(namespace, name):
    """Operators that the running program has defined with flambeau.library."""
    from flambeau.library import _operators

    return _operators.get(f"{namespace}::{name}")


def _either(plain, tensors):
    """One function of two: for arguments with a tensor among them, and for those without."""

    def run(*args, **kwargs):
        for argument in args:
            if isinstance(argument, Tensor):
                return tensors(*args, **kwargs)
        return plain(*args, **kwargs)

    return run


def _on_tensors(name):
    if name in _CLOSED or name.startswith("__"):
        return _aten.TABLE.get(name)
    found = _aten.TABLE.get(name)
    if found is not None:
        return found
    for prefix in _PREFIXES:
        if name.startswith(prefix):
            name = f"{prefix[:-1]}.{name[len(prefix) :]}"
            return flambeau._ops.functions.get(name)
    if name.startswith("_"):  # flambeau's own helpers are others than PyTorch's
        return None
    found = _dispatch._function(name)
    if found is None and name.endswith("_") and not name.endswith("__"):
        return _in_place(_on_tensors(name[:-1]))
    return found


def _in_place(function):
    """An operator that writes its result into its first argument."""
    if function is None:
        return None
    return lambda input, *args, **kwargs: input.copy_(function(input, *args, **kwargs))


class _Context:
    """A script's object as a context manager."""

    def __init__(self, owner):
        self._owner = owner

    def __enter__(self):
        return getattr(self._owner, "()__enter__")()

    def __exit__(self, kind, value, trace):
        getattr(self._owner, "()__exit__")(None, None, None)


def _is_instance(value, *checks):
    return any(check(value) for check in checks)


def _fork(function):
    from . import fork

    return fork(function)


BASE = {
    "as dtype": _values.as_dtype,
    "as memory format": _values.as_memory_format,
    "as context": _Context,
    "is instance": _is_instance,
    "fork": _fork,
}
