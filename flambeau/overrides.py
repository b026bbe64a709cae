"""__torch_function__: which functions can be taken over, and by whom.

A class with a `__torch_function__` gets the calls of torch's functions, of Tensor's methods and
attributes, when one of its objects is among the arguments; a TorchFunctionMode gets all of them.
"""

from contextlib import contextmanager
from functools import lru_cache, wraps

import flambeau

from . import _C
from ._levels import Stack as _Stack

__all__ = [
    "enable_reentrant_dispatch",
    "get_ignored_functions",
    "get_overridable_functions",
    "get_testing_overrides",
    "handle_torch_function",
    "has_torch_function",
    "is_tensor_like",
    "is_tensor_method_or_property",
    "redispatch_function",
    "resolve_name",
    "wrap_torch_function",
]

Tensor = _C.Tensor


# -- for functions that want to be overridable -----------------------------------------------------
def has_torch_function(relevant_args):
    """Whether one of the arguments, or a mode, wants the call."""
    return _C._has_torch_function(*relevant_args)


def has_torch_function_unary(x):
    return _C._has_torch_function(x)


def has_torch_function_variadic(*args):
    return _C._has_torch_function(*args)


def handle_torch_function(public_api, relevant_args, *args, **kwargs):
    """Calls `__torch_function__` of the arguments in their order, subclasses before their bases.

    >>> import flambeau as torch
    >>> class Logged(torch.Tensor):
    ...     @classmethod
    ...     def __torch_function__(cls, func, types, args=(), kwargs=None):
    ...         return "taken over"
    >>> def double(x):
    ...     if torch.overrides.has_torch_function((x,)):
    ...         return torch.overrides.handle_torch_function(double, (x,), x)
    ...     return 2 * x
    >>> double(torch.ones(1).as_subclass(Logged))
    'taken over'
    """
    found = _C._handle_torch_function(public_api, args, kwargs)
    if found is NotImplemented:
        raise TypeError(
            f"no implementation found for '{resolve_name(public_api) or public_api}' on types that "
            "implement __torch_function__: "
            f"{[type(a) for a in relevant_args]}"
        )
    return found


def wrap_torch_function(dispatcher):
    """Decorates a function: dispatcher(*args, **kwargs) gives the arguments that may take it over.

    >>> import flambeau as torch
    >>> @torch.overrides.wrap_torch_function(lambda x: (x,))
    ... def double(x):
    ...     return 2 * x
    """

    def decorate(function):
        @wraps(function)
        def wrapped(*args, **kwargs):
            relevant = tuple(dispatcher(*args, **kwargs))
            if has_torch_function(relevant):
                return handle_torch_function(wrapped, relevant, *args, **kwargs)
            return function(*args, **kwargs)

        return wrapped

    return decorate


def redispatch_function(func, types, args, kwargs):
    """func itself, as on plain tensors; the calls that it makes are taken over as ever."""
    _C._disable_torch_function(1)
    try:
        inner = getattr(func, "__wrapped__", func)
        if inner is not func:  # made of other operators
            with _enabled():
                return inner(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))
    finally:
        _C._disable_torch_function(-1)


@contextmanager
def _enabled():
    _C._disable_torch_function(-1)
    try:
        yield
    finally:
        _C._disable_torch_function(1)


@contextmanager
def enable_reentrant_dispatch():
    """Within the block, operators reach `__torch_dispatch__` again from inside of it."""
    from .utils import _python_dispatch

    with _python_dispatch._reentrant():
        yield


# -- modes -----------------------------------------------------------------------------------------
_modes = _Stack()


def _among_classes(func, types, args, kwargs):
    """What the first of the classes that knows the function makes of the call."""
    for cls in types:
        found = cls.__torch_function__(func, types, args, kwargs)
        if found is not NotImplemented:
            return found
    return NotImplemented


def _in_mode(func, types, args, kwargs):
    """What every call comes to while a mode is on: the innermost one's, and off in there."""
    mode = _modes.pop()
    _C._count_function_modes(-1, _in_mode)
    try:
        found = mode.__torch_function__(func, types, args, kwargs)
        if found is NotImplemented:
            found = _among_classes(func, types, args, kwargs)
    finally:
        _modes.append(mode)
        _C._count_function_modes(1, _in_mode)
    if found is NotImplemented:
        raise TypeError(
            f"no implementation found for '{resolve_name(func) or func}' in {type(mode).__name__}"
            + "".join(f", {cls.__name__}" for cls in types)
        )
    return found


class TorchFunctionMode:
    """A block in which every call of torch's functions comes to `__torch_function__` first.

    >>> import flambeau as torch
    >>> class Names(torch.overrides.TorchFunctionMode):
    ...     def __torch_function__(self, func, types, args=(), kwargs=None):
    ...         print(torch.overrides.resolve_name(func))
    ...         return func(*args, **(kwargs or {}))
    >>> with Names():
    ...     x = torch.zeros(2).sin()
    torch.zeros
    torch.Tensor.sin
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        raise NotImplementedError

    def __enter__(self):
        _modes.append(self)
        _C._count_function_modes(1, _in_mode)
        return self

    def __exit__(self, *exc):
        if not _modes or _modes[-1] is not self:
            raise RuntimeError("the modes must end in the reverse order of their beginnings")
        _modes.pop()
        _C._count_function_modes(-1, _in_mode)

    @classmethod
    def push(cls, *args, **kwargs):
        return cls(*args, **kwargs)


class BaseTorchFunctionMode(TorchFunctionMode):
    """A mode that changes nothing."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {}))


def _get_current_function_mode():
    return _modes[-1] if _modes else None


def _get_current_function_mode_stack():
    return list(_modes)


# -- what there is ---------------------------------------------------------------------------------
_NAMESPACES = ("", "nn.functional", "linalg", "fft", "special")
_IGNORED = (
    "arange as_tensor asarray empty empty_permuted empty_strided eye from_dlpack frombuffer "
    "from_numpy full linspace logspace ones rand randn randint randperm scalar_tensor tensor zeros "
    "tril_indices triu_indices set_default_dtype get_default_dtype set_default_device "
    "get_default_device set_num_threads get_num_threads is_tensor is_storage is_grad_enabled "
    "is_inference_mode_enabled is_anomaly_enabled manual_seed seed initial_seed get_rng_state "
    "set_rng_state save load promote_types can_cast result_type compile no_grad enable_grad"
).split()


_KINDS = (type(_C._functions["sin"]), type(_C._overridable(len)))  # operators, and made of them


def _callables(module):
    for name in sorted(vars(module)):
        value = getattr(module, name)
        if not name.startswith("_") and isinstance(value, _KINDS):
            yield name, value


def _module(space):
    from importlib import import_module

    return import_module("flambeau." + space) if space else flambeau


def get_ignored_functions():
    """Functions that no `__torch_function__` takes over: most make tensors from nothing.

    >>> import flambeau as torch
    >>> torch.zeros in torch.overrides.get_ignored_functions()
    True
    """
    names = {n for n in _IGNORED if hasattr(flambeau, n)}
    return {getattr(flambeau, n) for n in names}


@lru_cache(None)
def _overridable():
    """({namespace: [functions]}, {function: name})."""
    ignored = get_ignored_functions()
    found, names = {}, {}
    for space in _NAMESPACES:
        module = _module(space)
        functions = []
        for name, value in _callables(module):
            if value in ignored:
                continue
            functions.append(value)
            names.setdefault(value, f"torch.{space}.{name}" if space else f"torch.{name}")
        found[module] = functions
    methods = []
    for name in dir(Tensor):
        value = getattr(Tensor, name)
        if name in _NO_METHODS or isinstance(value, type):
            continue
        if hasattr(value, "__get__") and not callable(value):
            getter = value.__get__
            found[value] = [getter]
            names.setdefault(getter, f"torch.Tensor.{name}.__get__")
        elif callable(value):
            methods.append(value)
            names.setdefault(value, f"torch.Tensor.{name}")
    found[Tensor] = methods
    return found, names


_NO_METHODS = {
    "__class__", "__dict__", "__dir__", "__doc__", "__delattr__", "__getattribute__",
    "__init__", "__init_subclass__", "__module__", "__new__", "__reduce__", "__setattr__",
    "__sizeof__", "__str__", "__subclasshook__", "__torch_function__", "__weakref__",
    "__getstate__", "_make_subclass", "as_subclass", "__array_priority__",
}  # fmt: skip


def get_overridable_functions():
    """{namespace: its functions that can be taken over}.

    >>> import flambeau as torch
    >>> torch.add in torch.overrides.get_overridable_functions()[torch]
    True
    """
    return {space: list(functions) for space, functions in _overridable()[0].items()}


def resolve_name(f):
    """The name under which a function is known, or None.

    >>> import flambeau as torch
    >>> torch.overrides.resolve_name(torch.Tensor.add)
    'torch.Tensor.add'
    """
    if isinstance(f, str):
        return f
    known = _overridable()[1].get(f)
    if known is not None:
        return known
    for name in _IGNORED:
        if getattr(flambeau, name, None) is f:
            return f"torch.{name}"
    return None


def is_tensor_method_or_property(func):
    """Whether a function is a method or an attribute's getter of Tensor."""
    if getattr(func, "__name__", "") in ("__get__", "__set__"):
        return True
    found = _overridable()[0]
    return func in found[Tensor]


def is_tensor_like(inp):
    """Whether an object is a tensor or has a `__torch_function__`."""
    return hasattr(inp, "__torch_function__") and not isinstance(inp, _C.dtype)


def _signature_of(function):
    """ "x, y=None, *, z=None" as a lambda with these parameters needs it."""
    schemas = getattr(function, "schemas", None)
    schemas = schemas or ([function.schema] if hasattr(function, "schema") else None)
    if not schemas:
        return None
    inside = schemas[0][
        schemas[0].index("(") + 1 : schemas[0].rindex(")", 0, (schemas[0] + "->").index("->"))
    ]
    out, depth, piece = [], 0, ""
    for c in inside + ",":
        depth += (c in "([") - (c in ")]")
        if c == "," and depth == 0:
            piece = piece.strip()
            name, equals, _ = piece.partition("=")
            name = name.split()[-1] if name.split() else ""
            out.append(name + ("=None" if equals else ""))
            piece = ""
        else:
            piece += c
    return ", ".join(p for p in out if p)


@lru_cache(None)
def _testing_overrides():
    import inspect

    found = {}
    for functions in _overridable()[0].values():
        for function in functions:
            text = _signature_of(function)
            if text is None:
                try:
                    named = getattr(function, "if_false", function)
                    parameters = inspect.signature(named).parameters.values()
                except (TypeError, ValueError):
                    found[function] = lambda *args, **kwargs: -1
                    continue
                text = ", ".join(
                    f"*{p.name}" if p.kind is p.VAR_POSITIONAL
                    else f"**{p.name}" if p.kind is p.VAR_KEYWORD
                    else p.name + ("" if p.default is p.empty else "=None")
                    for p in parameters
                    if p.kind is not p.KEYWORD_ONLY
                )  # fmt: skip
            text = text.replace("from", "from_").replace("from__", "from_")
            if "**" not in text:
                text += ", **kwargs" if text else "**kwargs"
            try:
                found[function] = eval(f"lambda {text}: -1")  # of names in our own table
            except SyntaxError:
                found[function] = lambda *args, **kwargs: -1
    return found


def get_testing_overrides():
    """{function: a lambda with its parameters that gives -1}, for tests of `__torch_function__`.

    >>> import flambeau as torch
    >>> torch.overrides.get_testing_overrides()[torch.sin](torch.ones(1))
    -1
    """
    return dict(_testing_overrides())


# -- methods of subclasses that are no operators ---------------------------------------------------
_PLAIN_METHODS = (
    "size", "stride", "dim", "ndimension", "numel", "nelement", "item", "tolist", "is_contiguous",
    "data_ptr", "storage_offset", "element_size", "get_device", "is_floating_point", "is_complex",
    "is_signed", "requires_grad_", "detach_", "backward", "register_hook", "retain_grad",
    "numpy", "type", "new_tensor", "cuda", "is_pinned", "pin_memory", "untyped_storage",
    "__len__", "__bool__", "__int__", "__float__", "__complex__", "__index__", "__iter__",
    "__repr__", "__format__", "__reversed__", "__contains__", "__array__",
)  # fmt: skip


def _asking(name):
    plain = getattr(Tensor, name)

    def method(self, *args, **kwargs):
        if not _C._has_torch_function(self):
            return plain(self, *args, **kwargs)
        found = _C._handle_torch_function(plain, (self, *args), kwargs)
        return plain(self, *args, **kwargs) if found is NotImplemented else found

    method.__name__ = method.__qualname__ = name
    method.__doc__ = getattr(plain, "__doc__", None)
    return method


def _prepare_subclass(cls):
    """Gives a class with a __torch_function__ of its own the methods that ask it."""
    own = cls.__dict__.get("__torch_function__")
    if own is None or own is _C._disabled_torch_function_impl:
        return
    for name in _PLAIN_METHODS:
        if hasattr(Tensor, name) and getattr(cls, name) is getattr(Tensor, name):
            setattr(cls, name, _asking(name))
