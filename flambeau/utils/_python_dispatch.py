"""What operators go through before they run: TorchDispatchMode, and Tensor.__torch_dispatch__.

Both see operators below autograd and vmap, on plain tensors, with functions made of others already
taken apart. Functions with out= are not among them.
"""

from contextlib import contextmanager

from .. import _C, _dispatch
from .._levels import Stack

_modes = Stack()


def _dispatch_call(record, args, inplace):
    """What the operator's entry calls while a mode is on, or for tensors of a class with a
    __torch_dispatch__; NotImplemented: it runs as ever."""
    classes = _classes(record, args)
    if not _modes and not classes:
        return NotImplemented
    if record.name.endswith("linear"):
        return _linear(*args)
    operator = _dispatch.operator_of(record, args, inplace)
    positional, named = _arguments(record, args)
    if _modes:
        mode = _modes.pop()
        before = _C._exchange_dispatch(bool(_modes))
        try:
            found = mode.__torch_dispatch__(operator, classes, positional, named)
        finally:
            _modes.append(mode)
            _C._exchange_dispatch(before)
        if found is not NotImplemented or not classes:
            return found
    before = _C._exchange_grad_enabled(False)
    try:
        for cls in classes:
            found = cls.__torch_dispatch__(operator, classes, positional, named)
            if found is not NotImplemented:
                return found
    finally:
        _C._exchange_grad_enabled(before)
    raise TypeError(
        f"Multiple dispatch failed for '{operator}'; all __torch_dispatch__ handlers returned "
        f"NotImplemented: {', '.join(map(str, classes))}"
    )


def _classes(record, args):
    """The classes with a __torch_dispatch__ among the arguments: subclasses before their bases."""
    tensors = [args[i] for i in record.tensors]
    for i in record.lists:
        tensors += args[i] or ()
    found = []
    for t in tensors:
        cls = type(t)
        if cls is _C.Tensor or cls in found or not _dispatches(cls):
            continue
        at = next((i for i, other in enumerate(found) if issubclass(cls, other)), len(found))
        found.insert(at, cls)
    return tuple(found)


def _dispatches(cls):
    owners = (c.__dict__ for c in cls.__mro__ if "__torch_dispatch__" in c.__dict__)
    own = next(owners, {}).get("__torch_dispatch__")
    return own is not None and own is not _C._disabled_torch_dispatch_impl


def _linear(input, weight, bias=None):
    """linear() as the products that classes know."""
    from .. import addmm

    rows = input if input.dim() == 2 else input.reshape(-1, input.shape[-1])
    out = rows.mm(weight.t()) if bias is None else addmm(bias, rows, weight.t())
    return out if input.dim() == 2 else out.view(*input.shape[:-1], out.shape[-1])


def make_wrapper_subclass(
    cls, size, *, strides=None, storage_offset=None, memory_format=None, dtype=None, layout=None,
    device=None, pin_memory=False, requires_grad=False, dispatch_sizes_strides_policy=None,
    dispatch_device=False, dispatch_layout=False,
):  # fmt: skip
    """An object of `cls` that looks like a tensor and has no elements of its own.

    What is computed with it is the business of the class's `__torch_dispatch__`.
    """
    import flambeau

    size = tuple(size)
    if strides is None:
        empty = flambeau.empty(size, device="meta")
        if memory_format is not None:
            empty = empty.contiguous(memory_format=memory_format)
        strides = empty.stride()
    dtype = flambeau.get_default_dtype() if dtype is None else dtype
    device = flambeau.device("cpu" if device is None else device)
    return _C.Tensor._make_wrapper(cls, size, tuple(strides), dtype, device, bool(requires_grad))


def _arguments(record, args):
    """As the caller would have given them: without defaults at the end."""
    n = record.positional
    positional = list(args[:n])
    while positional:
        default = record.arguments[len(positional) - 1][3]
        last = positional[-1]
        if default is ... or isinstance(last, _C.Tensor) or last != default:
            break
        positional.pop()
    named = {
        a[0]: x for a, x in zip(record.arguments[n:], args[n:], strict=True)
        if x is not None and (isinstance(x, _C.Tensor) or x != a[3])
    }  # fmt: skip
    return tuple(positional), named


class TorchDispatchMode:
    """Base of modes: `__torch_dispatch__(self, func, types, args, kwargs)` gets every operator.

    >>> import flambeau as torch
    >>> from flambeau.utils._python_dispatch import TorchDispatchMode
    >>> class Names(TorchDispatchMode):
    ...     def __torch_dispatch__(self, func, types, args=(), kwargs=None):
    ...         print(func)
    ...         return func(*args, **(kwargs or {}))
    >>> with Names():
    ...     y = torch.ones(2, 2) @ torch.ones(2, 2)
    aten.ones.default
    aten.ones.default
    aten.mm.default
    """

    def __init__(self, _dispatch_key=None):
        self._dispatch_key = _dispatch_key

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        raise NotImplementedError

    def __enter__(self):
        _modes.append(self)
        _C._exchange_dispatch(True)
        return self

    def __exit__(self, *exc):
        if not _modes or _modes[-1] is not self:
            raise RuntimeError("the modes must end in the reverse order of their beginnings")
        _modes.pop()
        _C._exchange_dispatch(bool(_modes))

    @classmethod
    def push(cls, *args, **kwargs):
        return cls(*args, **kwargs)


class BaseTorchDispatchMode(TorchDispatchMode):
    """A mode that changes nothing."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {}))


def _get_current_dispatch_mode():
    return _modes[-1] if _modes else None


def _get_current_dispatch_mode_stack():
    return list(_modes)


def is_in_torch_dispatch_mode(include_infra_modes=True):
    return bool(_modes)


_C._set_rules(None, _dispatch_call)


@contextmanager
def _disable_current_modes():
    """Within the block no mode is on."""
    kept, _modes.items[:] = list(_modes), []
    before = _C._exchange_dispatch(False)
    try:
        yield kept
    finally:
        _modes.items[:] = kept
        _C._exchange_dispatch(before)


@contextmanager
def _reentrant():
    """Within a mode's own code, the mode sees operators again."""
    before = _C._exchange_dispatch(bool(_modes))
    try:
        yield
    finally:
        _C._exchange_dispatch(before)


def is_traceable_wrapper_subclass(t):
    """Whether an object says how to take its tensors out and put them back."""
    return isinstance(t, _C.Tensor) and is_traceable_wrapper_subclass_type(type(t))


def is_traceable_wrapper_subclass_type(t):
    return (
        isinstance(t, type)
        and issubclass(t, _C.Tensor)
        and t is not _C.Tensor
        and hasattr(t, "__tensor_flatten__")
        and hasattr(t, "__tensor_unflatten__")
    )


def return_and_correct_aliasing(func, args, kwargs, out):
    """The result of an operator on a wrapper; aliasing is the storages' own business here."""
    return out
