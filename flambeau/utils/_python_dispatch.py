"""TorchDispatchMode: a block in which every operator that runs comes to Python first.

It sees operators below autograd and vmap, on plain tensors, with functions made of others already
taken apart. Writes in place and out= are not among them.
"""

from contextlib import contextmanager

from .. import _C, _dispatch
from .._levels import Stack

_modes = Stack()


def _dispatch_call(record, args):
    """What the operator's entry calls while a mode is on; NotImplemented: it runs as ever."""
    if not _modes:
        return NotImplemented
    mode = _modes.pop()
    before = _C._exchange_dispatch(bool(_modes))
    try:
        operator = _dispatch.operator_of(record, args)
        positional, named = _arguments(record, args)
        return mode.__torch_dispatch__(operator, (), positional, named)
    finally:
        _modes.append(mode)
        _C._exchange_dispatch(before)


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
        _C._set_rules(None, _dispatch_call)
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
