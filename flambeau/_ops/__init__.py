"""The operator table seen from Python: native records, and operators made of other operators.

`functions` holds every operator by its full name (`add`, `nn.functional.relu`), `methods` those of
Tensor by method name. A composite operator is a Python function under `@op("schema")`; a native
record of the same name takes its place, and the composite stays in `composites` as its reference.
"""

import os
from functools import wraps as _wraps

from flambeau import _C

functions = dict(_C._functions)
methods = dict(_C._methods)
internal = dict(_C._internal)
composites = {}


def op(schema, *, method=None, out=False, inplace=False):
    """Enters a Python function into the table, under the name that its schema begins with.

    It becomes a method too when it has no namespace and takes a Tensor first; `method` overrides.
    With `out` it takes out= besides, with `inplace` it has a twin of that name and "_", which
    writes the result into its first argument.

    >>> from flambeau._ops import op
    >>> @op("twice_for_doc(Tensor input) -> Tensor", method=False)
    ... def twice_for_doc(input):
    ...     return input + input
    """
    name, _, arguments = schema.partition("(")
    if method is None:
        method = "." not in name and arguments.startswith("Tensor ")

    def register(function):
        if inplace:
            twin = _in_place(function, name)
            functions.setdefault(name + "_", twin)
            if method:
                methods.setdefault(name + "_", twin)
        if not name.startswith("nn."):
            function = _with_numpy_names(function)
        function = under_autocast(name, function)
        if out:
            function = _with_out(function, name)
        function.schema = schema
        composites[name] = function
        function = _C._overridable(function)
        chosen = functions.setdefault(name, function)
        if method:
            methods.setdefault(name, function)
        return chosen

    return register


_NUMPY_NAMES = {"axis": "dim", "keepdims": "keepdim"}


def _with_numpy_names(function):
    """A function that takes axis= for dim= and keepdims= for keepdim=, as native ones do."""
    code = getattr(function, "__wrapped__", function).__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    if "dim" not in names or "axis" in names:
        return function

    @_wraps(function)
    def named(*args, **kwargs):
        if "axis" in kwargs or "keepdims" in kwargs:
            kwargs = {_NUMPY_NAMES.get(key, key): value for key, value in kwargs.items()}
        return function(*args, **kwargs)

    return named


def shown_as(node):
    """A function made of operators whose result's grad_fn stands for all of it under a name.

    >>> import flambeau as torch
    >>> x = torch.ones(2, requires_grad=True)
    >>> torch.nn.functional.soft_margin_loss(x, torch.ones(2)).grad_fn.name()
    'SoftMarginLossBackward0'
    """

    def register(function):
        @_wraps(function)
        def named(*args, **kwargs):
            since = _C._node_count()
            return _C._name_composite(function(*args, **kwargs), node, since)

        return named

    return register


def under_autocast(name, function):
    """A function made of operators that follows autocast's lists, if it is on one of them."""
    rule = _C._autocast_rules.get(name.removeprefix("nn.functional."))
    if rule is None:
        return function

    @_wraps(function)
    def listed(*args, **kwargs):
        if not _C._autocasting():
            return function(*args, **kwargs)
        from flambeau.amp.autocast_mode import _run_cast

        return _run_cast(rule, function, args, kwargs)

    return listed


def _with_out(function, name):
    @_wraps(function)
    def with_out(*args, out=None, **kwargs):
        if out is None:
            try:
                return function(*args, **kwargs)
            except AttributeError:
                _refuse_others(name, args)
                raise
        needs_grad = (x for x in (*args, *kwargs.values(), out) if isinstance(x, _C.Tensor))
        if _C.is_grad_enabled() and any(x.requires_grad for x in needs_grad):
            raise RuntimeError(
                f"{name}(): functions with out=... arguments don't support automatic "
                "differentiation, but one of the arguments requires grad."
            )
        result = function(*args, **kwargs)
        if isinstance(result, _C.Tensor):
            return write_out(name, result, out)
        written = [write_out(name, x, y) for x, y in zip(result, out, strict=True)]
        return tuple(written) if type(result) is tuple else type(result)(written)

    return with_out


def _refuse_others(name, args):
    """TypeError where something else stands for the first tensor."""
    if args and not isinstance(args[0], _C.Tensor):
        raise TypeError(
            f"{name}(): argument 'input' (position 1) must be Tensor, not {type(args[0]).__name__}"
        ) from None


def _in_place(function, name):
    @_wraps(function)
    def in_place(input, *args, **kwargs):
        return input.copy_(function(input, *args, **kwargs))

    in_place.__name__ = in_place.__qualname__ = name.rpartition(".")[2] + "_"
    in_place.__doc__ = f"{name}(), written into its first argument."
    return in_place


def write_out(name, result, out):
    """Puts a result into the tensor given as out=, which takes its shape, and gives that back."""
    if not isinstance(out, _C.Tensor):
        raise TypeError(f"{name}(): argument 'out' must be Tensor, not {type(out).__name__}")
    if not _C.can_cast(result.dtype, out.dtype):
        raise RuntimeError(
            f"{name}(): result type {result.dtype} can't be cast to the desired output type "
            f"{out.dtype}"
        )
    if result.device != out.device:
        raise RuntimeError(
            f"{name}(): expected out tensor on device {result.device}, got {out.device}"
        )
    if out.shape != result.shape:
        if out.numel():
            from warnings import warn

            warn(
                "An output with one or more elements was resized since it had shape "
                f"{list(out.shape)}, which does not match the required output shape "
                f"{list(result.shape)}. This behavior is deprecated, and in a future PyTorch "
                "release outputs will not be resized unless they have zero elements. You can "
                "explicitly reuse an out tensor t by resizing it, inplace, to zero elements with "
                "t.resize_(0).",
                stacklevel=3,
            )
        out.resize_(result.shape)
    return out.copy_(result.detach())


def result_type_of(name, fields):
    """The named tuple that an operator gives its results in: flambeau.return_types.<name>."""
    return _C._return_type(name, fields)


def namespace(prefix):
    """The operators of one namespace: `namespace("linalg")` gives {"svd": ..., ...}."""
    start = prefix + "."
    return {
        name[len(start) :]: function
        for name, function in functions.items()
        if name.startswith(start) and "." not in name[len(start) :]
    }


def plain():
    """The operators of `flambeau` itself."""
    return {name: function for name, function in functions.items() if "." not in name}


def find(name, kind, inplace):
    """An operator by its full name; what pickled operators are found with."""
    if inplace and not name.endswith("_"):
        name += "_"
    if kind == "method":
        return methods[name]
    return functions[name] if name in functions else internal[name]


def overridable(module, name):
    """A function of flambeau made of operators; what pickled ones are found with."""
    from importlib import import_module

    found = getattr(import_module(module), name)
    if type(found) is type(overridable):  # nn.functional has it under the same name
        found = getattr(import_module("flambeau.nn.functional"), name, found)
    return found


def load_composites():
    """Imports every file of this folder, each of which enters its operators."""
    import importlib

    for file in sorted(os.listdir(os.path.dirname(__file__))):
        name, extension = os.path.splitext(file)
        if extension == ".py" and name != "__init__":
            importlib.import_module(f"{__name__}.{name}")
