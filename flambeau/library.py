"""Operators of a program's own, under `torch.ops.<namespace>.<name>`.

>>> import flambeau as torch
>>> @torch.library.custom_op("example::twice", mutates_args=())
... def twice(x: torch.Tensor) -> torch.Tensor:
...     return 2 * x
>>> torch.ops.example.twice(torch.ones(1))
tensor([2.])
"""

import functools
import inspect

import flambeau

__all__ = """CustomOpDef Library custom_op define get_ctx impl impl_abstract infer_schema
opcheck register_autograd register_autocast register_fake register_kernel register_vmap triton_op
wrap_triton""".split()

_operators = {}  # "namespace::name" -> CustomOpDef
_TYPES = {
    flambeau.Tensor: "Tensor",
    int: "SymInt",
    float: "float",
    bool: "bool",
    str: "str",
    complex: "Scalar",
    flambeau.dtype: "ScalarType",
    flambeau.device: "Device",
}


def infer_schema(prototype_function, /, *, mutates_args, op_name=None):
    """The schema that a function's annotations spell; ValueError where there is none.

    >>> from flambeau.library import infer_schema
    >>> def f(x: "Tensor", n: int = 2) -> "Tensor": ...
    >>> infer_schema(f, mutates_args=())
    '(Tensor x, SymInt n=2) -> Tensor'
    """
    signature = inspect.signature(prototype_function)
    hints = _hints(prototype_function)
    parts, star = [], False
    for name, parameter in signature.parameters.items():
        if name not in hints:
            raise ValueError(f"infer_schema(func): Parameter {name} must have a type annotation.")
        text = _type_text(hints[name])
        if mutates_args == "unknown" or name in mutates_args:
            text = text.replace("Tensor", f"Tensor(a{len(parts)}!)", 1)
        default = "" if parameter.default is parameter.empty else f"={parameter.default}"
        if parameter.kind is parameter.KEYWORD_ONLY and not star:
            parts, star = [*parts, "*"], True
        parts.append(f"{text} {name}{default}")
    returned = hints.get("return")
    result = "()" if returned in (None, type(None)) else _type_text(returned)
    return f"{op_name or ''}({', '.join(parts)}) -> {result}"


def _hints(function):
    import typing

    names = {**getattr(function, "__globals__", {}), "Tensor": flambeau.Tensor}
    try:
        return typing.get_type_hints(function, names)
    except NameError as error:
        raise ValueError(f"infer_schema(func): {error}") from None


def _type_text(hint):
    import types
    import typing
    from collections.abc import Sequence

    if hint in _TYPES:
        return _TYPES[hint]
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        rest = [a for a in arguments if a is not type(None)]
        if set(rest) == {int, float, bool} or set(rest) == {int, float}:
            return "Scalar"
        if len(rest) == 1 and len(arguments) == 2:
            return _type_text(rest[0]) + "?"
    if origin in (list, Sequence):
        return _type_text(arguments[0]) + "[]"
    if origin is tuple:
        return "(" + ", ".join(map(_type_text, arguments)) + ")"
    raise ValueError(f"infer_schema(func): unsupported type {hint}")


class CustomOpDef:
    """An operator: its kernels by device type, what it does on meta tensors, its gradient."""

    def __init__(self, name, schema, function=None, device_types=None, tags=()):
        self._qualname = name
        self._namespace, _, self._name = name.partition("::")
        self.__name__ = self._name
        self._schema = schema
        self._kernels = {}
        self._fake = self._backward = self._setup_context = self._vmap = None
        self._autocast = {}
        self.tags = list(tags) if isinstance(tags, (list, tuple)) else [tags]
        self.default = self  # torch.ops.namespace.name.default
        if function is not None:
            self.register_kernel(device_types, function)

    def __repr__(self):
        return f"<CustomOpDef({self._qualname})>"

    def register_kernel(self, device_types, func=None, /):
        """Sets what runs for tensors of these device types (None: of all); also a decorator."""
        if func is None:
            return lambda func: self.register_kernel(device_types, func)
        kinds = (
            [device_types]
            if device_types is None or isinstance(device_types, str)
            else device_types
        )
        for kind in kinds:
            self._kernels[kind] = func
        return func

    def register_fake(self, fn, /):
        """Sets what runs for meta tensors, which have shapes alone."""
        self._fake = fn
        return fn

    def register_autograd(self, backward, /, *, setup_context=None):
        """Sets the gradient: backward(ctx, *grads); setup_context(ctx, inputs, output)."""
        self._backward, self._setup_context = backward, setup_context

    def register_vmap(self, func=None, /):
        """Sets what vmap does: func(info, in_dims, *args) gives (output, out_dims)."""
        if func is None:
            return self.register_vmap
        self._vmap = func
        return func

    def register_autocast(self, device_type, cast_inputs):
        """Tensors are cast to this dtype under autocast."""
        self._autocast[device_type] = cast_inputs

    def set_kernel_enabled(self, device_type, enabled=True):
        """RuntimeError: kernels are always on."""
        raise RuntimeError("set_kernel_enabled(): kernels cannot be turned off")

    def _run(self, *args, **kwargs):
        leaves = flambeau.utils._pytree.tree_leaves((args, kwargs))
        kinds = [a.device.type for a in leaves if isinstance(a, flambeau.Tensor)]
        kind = "meta" if "meta" in kinds else kinds[0] if kinds else "cpu"
        if kind == "meta" and self._fake is not None:
            return self._fake(*args, **kwargs)
        kernel = self._kernels.get(kind) or self._kernels.get(None)
        if kernel is None:
            raise NotImplementedError(
                f"Could not run '{self._qualname}' with arguments from the '{kind}' backend"
            )
        return kernel(*args, **kwargs)

    def __call__(self, *args, **kwargs):
        dtype = self._autocast.get("cpu")
        if dtype is not None and flambeau.is_autocast_enabled("cpu"):
            with flambeau.autocast("cpu", enabled=False):
                cast = flambeau.utils._pytree.tree_map_only(
                    flambeau.Tensor,
                    lambda t: t.to(dtype) if t.is_floating_point() else t,
                    (args, kwargs),
                )
                return self(*cast[0], **cast[1])
        if self._backward is None or not flambeau.is_grad_enabled():
            return self._run(*args, **kwargs)
        return _with_gradient(self).apply(*self._positional(args, kwargs))

    def _positional(self, args, kwargs):
        function = next(iter(self._kernels.values()))
        bound = inspect.signature(function).bind(*args, **kwargs)
        bound.apply_defaults()
        return (*bound.args, *bound.kwargs.values())


def _with_gradient(operator):
    """The autograd Function of an operator with a registered gradient."""
    made = getattr(operator, "_function", None)
    if made is None or made.operator_backward is not operator._backward:

        class Function(flambeau.autograd.Function):
            operator_backward = operator._backward
            generate_vmap_rule = True

            @staticmethod
            def forward(*args):
                return operator._run(*args)

            @staticmethod
            def setup_context(ctx, inputs, output):
                if operator._setup_context is not None:
                    operator._setup_context(ctx=ctx, inputs=inputs, output=output)

            @staticmethod
            def backward(ctx, *grads):
                return operator._backward(ctx, *grads)

        Function.__name__ = operator._name
        made = operator._function = Function
    return made


def _find(op):
    if isinstance(op, CustomOpDef):
        return op
    if op not in _operators:
        raise RuntimeError(f"operator {op} does not exist")
    return _operators[op]


def _enter(name, schema, function=None, device_types=None, tags=()):
    namespace, colons, rest = name.partition("::")
    if not colons or not namespace.isidentifier() or not rest:
        raise ValueError(f"an operator's name is namespace::name, not {name!r}")
    _operators[name] = CustomOpDef(name, schema, function, device_types, tags)
    return _operators[name]


def custom_op(name, fn=None, /, *, mutates_args, device_types=None, schema=None, tags=None):
    """Makes a function the operator `name` ("namespace::name"); also a decorator.

    mutates_args: the names of arguments that it writes to, or "unknown".

    >>> import flambeau as torch
    >>> @torch.library.custom_op("example::halve", mutates_args=())
    ... def halve(x: torch.Tensor) -> torch.Tensor:
    ...     return x / 2
    >>> halve.register_autograd(lambda ctx, grad: grad / 2)
    >>> x = torch.ones(1, requires_grad=True)
    >>> halve(x).backward()
    >>> x.grad
    tensor([0.5000])
    """
    if fn is None:
        return lambda fn: custom_op(
            name, fn, mutates_args=mutates_args, device_types=device_types, schema=schema, tags=tags
        )
    schema = schema or infer_schema(fn, mutates_args=mutates_args)
    return _enter(name, schema, fn, device_types, tags or ())


triton_op = custom_op


def wrap_triton(triton_kernel, /):
    """The kernel itself."""
    return triton_kernel


def define(qualname, schema, *, lib=None, tags=()):
    """Enters an operator by its schema, to be given kernels by `impl`."""
    _enter(qualname, schema, tags=tags)


def impl(qualname, types, func=None, *, lib=None):
    """Gives an operator a kernel for device types ("default": all); also a decorator."""
    if func is None:
        return lambda func: impl(qualname, types, func)
    kinds = None if types == "default" else types
    return _find(qualname).register_kernel(kinds, func)


def register_kernel(op, device_types, func=None, /, *, lib=None):
    """`CustomOpDef.register_kernel` by name."""
    return _find(op).register_kernel(device_types, func)


def register_fake(op, func=None, /, *, lib=None, _stacklevel=1, allow_override=False):
    """`CustomOpDef.register_fake` by name; also a decorator."""
    if func is None:
        return _find(op).register_fake
    return _find(op).register_fake(func)


impl_abstract = register_fake


def register_autograd(op, backward, /, *, setup_context=None, lib=None):
    """`CustomOpDef.register_autograd` by name."""
    _find(op).register_autograd(backward, setup_context=setup_context)


def register_vmap(op, func=None, /, *, lib=None):
    """`CustomOpDef.register_vmap` by name; also a decorator."""
    return _find(op).register_vmap(func)


def register_autocast(op, device_type, cast_inputs, /, *, lib=None):
    """`CustomOpDef.register_autocast` by name."""
    _find(op).register_autocast(device_type, cast_inputs)


def get_ctx():
    """What a fake function may ask for sizes that depend on data: a RuntimeError here."""
    raise RuntimeError("get_ctx(): sizes that depend on data are not known for meta tensors")


def opcheck(op, args, kwargs=None, *, test_utils=None, raise_exception=True, atol=None, rtol=None):
    """Runs the operator on a sample; what became of each test, "SUCCESS" or the exception.

    "test_schema" runs it as it is, "test_faketensor" on meta tensors, whose results must have the
    shapes and dtypes of the real ones; test_utils names those to run. Nothing is compared that
    atol and rtol could bear on.
    """
    kwargs, results = kwargs or {}, {}
    operator = _find(op)
    wanted = (test_utils,) if isinstance(test_utils, str) else test_utils

    def attempt(name, check):
        if wanted is not None and name not in wanted:
            return
        try:
            check()
            results[name] = "SUCCESS"
        except Exception as error:
            if raise_exception:
                raise
            results[name] = error

    def fake():
        to_meta = lambda t: t.detach().to("meta")  # noqa: E731
        tree = flambeau.utils._pytree.tree_map_only(flambeau.Tensor, to_meta, (args, kwargs))
        want, got = operator._run(*args, **kwargs), operator._run(*tree[0], **tree[1])
        pairs = zip(*map(flambeau.utils._pytree.tree_leaves, (want, got)), strict=True)
        for one, other in pairs:
            if isinstance(one, flambeau.Tensor):
                if (one.shape, one.dtype) != (other.shape, other.dtype):
                    raise AssertionError(f"opcheck: {other} on meta tensors for {one}")

    attempt("test_schema", lambda: operator(*args, **kwargs))
    if operator._fake is not None:
        attempt("test_faketensor", fake)
    return results


class Library:
    """Operators of one namespace: kind "DEF" or "FRAGMENT" to define them, "IMPL" for kernels."""

    def __init__(self, ns, kind, dispatch_key=""):
        if kind not in ("DEF", "IMPL", "FRAGMENT"):
            raise ValueError("Unsupported kind: ", kind)
        self.ns, self.kind, self.dispatch_key = ns, kind, dispatch_key

    def define(self, schema, alias_analysis="", *, tags=()):
        """Enters an operator by its schema, "name(Tensor x) -> Tensor"; returns its name."""
        name = schema.partition("(")[0].strip()
        _enter(f"{self.ns}::{name}", schema[len(name) :], tags=tags)
        return name

    def impl(self, op_name, fn, dispatch_key="", *, with_keyset=False, allow_override=False):
        """Gives an operator a kernel for a dispatch key: CPU, CUDA, Meta, Autograd or Composite.

        It takes the place of one that was there, whatever `allow_override` says. `with_keyset`
        gives the kernel an empty set of dispatch keys as its first argument.
        """
        if with_keyset:
            fn = functools.partial(fn, frozenset())
        name = getattr(op_name, "_name", op_name)
        key = dispatch_key or self.dispatch_key or "CompositeImplicitAutograd"
        operator = _find(name if "::" in name else f"{self.ns}::{name}")
        if key == "Meta":
            operator.register_fake(fn)
        else:
            kind = key.lower()
            operator.register_kernel(kind if kind in ("cpu", "cuda") else None, fn)

    def __repr__(self):
        return f"Library(kind={self.kind}, ns={self.ns})"
