"""Recording: a module is called on proxies."""

import builtins
import functools
import inspect
import math
import types

import flambeau
from flambeau import nn

from ._compatibility import compatibility  # noqa: F401 (libraries take it from here)
from .graph import Graph
from .graph_module import GraphModule
from .node import map_aggregate
from .proxy import ParameterProxy, Proxy, TracerBase

__all__ = ["PH", "ProxyableClassMeta", "Tracer", "symbolic_trace", "wrap"]


class _Placeholder:
    """Stands in concrete_args for what stays an input."""

    def __repr__(self):
        return "PH"


PH = _Placeholder()
_wrapped = {}  # (id of the globals, name) -> the globals; those of `wrap`


class ProxyableClassMeta(type):
    """A class whose construction from proxies is recorded as a call."""

    def __call__(cls, *args, **kwargs):
        made = cls.__new__(cls)
        found = []
        map_aggregate((args, kwargs), lambda a: found.append(a) if isinstance(a, Proxy) else None)
        if found:
            return found[0].tracer.create_proxy("call_function", cls, args, kwargs)
        cls.__init__(made, *args, **kwargs)
        return made


def wrap(fn_or_name):
    """Calls of this function of the calling module are recorded as they are, not looked into.

    At module scope: `wrap("len")`, `wrap(fn)`, or as a decorator.
    """
    if not callable(fn_or_name) and not isinstance(fn_or_name, str):
        raise RuntimeError(
            "Unsupported type for global function! Must be either a callable or string name"
        )
    name = fn_or_name if isinstance(fn_or_name, str) else fn_or_name.__name__
    frame = inspect.currentframe().f_back
    if frame.f_code.co_name != "<module>":
        raise NotImplementedError("wrap must be called at the top level of a module")
    _wrapped[id(frame.f_globals), name] = frame.f_globals
    return fn_or_name


class _Patches:
    """Names that have another value for a while."""

    def __init__(self):
        self._undo = []

    def set(self, where, name, value):
        if isinstance(where, dict):
            missing = name not in where
            old = where.get(name)
            where[name] = value
            self._undo.append((where.pop, (name,)) if missing else (where.__setitem__, (name, old)))
        else:
            self._undo.append((setattr, (where, name, getattr(where, name))))
            setattr(where, name, value)

    def undo(self):
        while self._undo:
            function, args = self._undo.pop()
            function(*args)


def _wrapped_functions():
    """(globals, name, what stands there while a program is recorded) for each call of wrap()."""
    for (_, name), where in list(_wrapped.items()):
        value = where.get(name, getattr(builtins, name, None))
        if value is not None:
            yield where, name, _recorded(value)


def _recorded(function):
    """The function, recorded as a call when a proxy is among its arguments."""
    if getattr(function, "_fx_recorded", False):
        return function

    @functools.wraps(function)
    def call(*args, **kwargs):
        proxy = _first_proxy(args, kwargs)
        if proxy is not None:
            made = proxy.tracer.create_proxy("call_function", function, args, kwargs)
            made.node.meta["is_wrapped"] = True
            return made
        return function(*args, **kwargs)

    call._fx_recorded = True
    return call


def _first_proxy(args, kwargs):
    for value in (*args, *kwargs.values()):
        if isinstance(value, Proxy):
            return value
        if isinstance(value, (tuple, list)):
            found = _first_proxy(value, {})
            if found is not None:
                return found
    return None


class Tracer(TracerBase):
    """Records `trace(root)`: calls root on proxies; leaf modules become call_module nodes.

    Override `is_leaf_module`, `call_module`, `create_arg`, `path_of_module` for other granularity.
    """

    def __init__(
        self, autowrap_modules=(math,), autowrap_functions=(), param_shapes_constant=False
    ):
        self._autowrap = [
            (module, name)
            for module in autowrap_modules
            for name, value in vars(module).items()
            if not name.startswith("_") and callable(value)
        ]
        self._autowrap_functions = {id(f) for f in autowrap_functions}
        self._autowrap_functions |= {id(getattr(m, name)) for m, name in self._autowrap}
        self.param_shapes_constant = param_shapes_constant
        self.submodule_paths = None
        self.root = None
        self.module_stack = {}
        self._tensor_names, self._starred = {}, False

    # -- to override --------------------------------------------------------------------------
    def is_leaf_module(self, m, module_qualified_name):
        """Whether the module's inside stays hidden: those of nn, containers aside."""
        home = type(m).__module__
        inside = home.startswith(("flambeau.nn", "torch.nn"))
        return inside and not isinstance(m, nn.Sequential)

    def path_of_module(self, mod):
        """The dotted name of a submodule of the root; NameError if it is none."""
        if self.submodule_paths is not None:
            path = self.submodule_paths.get(mod)
            if path is None:
                raise NameError("module is not installed as a submodule")
            return path
        for name, module in self.root.named_modules():
            if module is mod:
                return name
        raise NameError("module is not installed as a submodule")

    def call_module(self, m, forward, args, kwargs):
        """What a call of a submodule is recorded as."""
        path = self.path_of_module(m)
        if self.is_leaf_module(m, path):
            return self.create_proxy("call_module", path, args, kwargs)
        before = self.module_stack
        self.module_stack = {**before, path: (path, type(m))}
        try:
            return forward(*args, **kwargs)
        finally:
            self.module_stack = before

    def getattr(self, attr, attr_val, parameter_proxy_cache):
        """What reading a parameter of a module gives."""
        if isinstance(attr_val, nn.Parameter):
            known = self.root.named_parameters()
        elif isinstance(attr_val, flambeau.Tensor) and self.proxy_buffer_attributes:
            known = self.root.named_buffers()
        else:
            return attr_val
        for name, value in known:
            if value is attr_val:
                if name not in parameter_proxy_cache:
                    proxy = self.create_proxy("get_attr", name, (), {})
                    if self.param_shapes_constant and isinstance(attr_val, nn.Parameter):
                        proxy = ParameterProxy(self, proxy.node, name, attr_val)
                    parameter_proxy_cache[name] = proxy
                return parameter_proxy_cache[name]
        return attr_val

    def create_node(self, kind, target, args, kwargs, name=None, type_expr=None):
        node = super().create_node(kind, target, args, kwargs, name, type_expr)
        if self.module_stack:
            node.meta["nn_module_stack"] = self.module_stack
        return node

    def _leaf(self, a):
        if isinstance(a, nn.Parameter):
            for name, value in self.root.named_parameters():
                if a is value:
                    return self.create_node("get_attr", name, (), {})
            raise NameError("parameter is not a member of this module")
        if isinstance(a, flambeau.Tensor):
            return self.create_node("get_attr", self._tensor_name(a), (), {})
        if isinstance(a, nn.Module):
            return self.create_node("get_attr", self.path_of_module(a), (), {})
        return super()._leaf(a)

    def _tensor_name(self, tensor):
        name = self._tensor_names.get(id(tensor))
        if name is None:
            count = 0
            while hasattr(self.root, f"_tensor_constant{count}"):
                count += 1
            name = f"_tensor_constant{count}"
            setattr(self.root, name, tensor)
            self._tensor_names[id(tensor)] = name
        return name

    def _names_of_tensors(self, module, prefix):
        for name, value in {**vars(module), **module._buffers}.items():
            if isinstance(value, flambeau.Tensor):
                self._tensor_names[id(value)] = prefix + name
        for name, child in module.named_children():
            self._names_of_tensors(child, f"{prefix}{name}.")

    # -- recording ----------------------------------------------------------------------------
    def _inputs(self, function, is_module, concrete_args):
        """A proxy for each parameter of the function, or its concrete value."""
        code = inspect.unwrap(function)
        code = getattr(code, "__func__", code).__code__
        names = list(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])
        signature = inspect.signature(inspect.unwrap(function)).parameters
        positional, keywords = [], {}
        if is_module:
            positional.append(self.root)
            names = names[1:]
        concrete_args = concrete_args or {}
        if isinstance(concrete_args, tuple):
            if len(names) != len(concrete_args):
                raise RuntimeError(
                    f"Tracing expected {len(names)} arguments but got {len(concrete_args)}"
                )
            concrete_args = dict(zip(names, concrete_args, strict=True))
        self._input_names = []
        for i, name in enumerate(names):
            if name in concrete_args and concrete_args[name] is not PH:
                value = concrete_args[name]
            else:
                parameter = signature.get(name)
                default = (
                    ()
                    if parameter is None or parameter.default is parameter.empty
                    else (parameter.default,)
                )
                annotation = None if parameter is None else parameter.annotation
                annotation = None if annotation is inspect.Parameter.empty else annotation
                value = self.create_proxy("placeholder", name, default, {}, type_expr=annotation)
                self._input_names.append(name)
            if i < code.co_argcount - is_module:
                positional.append(value)
            else:
                keywords[name] = value
        rest = list(code.co_varnames[len(names) + is_module :])
        if code.co_flags & inspect.CO_VARARGS:
            positional.append(self.create_proxy("placeholder", "*" + rest.pop(0), (), {}))
            self._starred = True
        if code.co_flags & inspect.CO_VARKEYWORDS:
            keywords["**"] = self.create_proxy("placeholder", "**" + rest.pop(0), (), {})
        return positional, keywords

    def trace(self, root, concrete_args=None):
        """The Graph of a module's `forward`, or of a function."""
        if isinstance(root, nn.Module):
            self.root = root
            function = getattr(type(root), self.traced_func_name)
            self.root_module_name = type(root).__name__
            self.submodule_paths = {m: n for n, m in root.named_modules()}
        else:
            self.root, function = nn.Module(), root
        is_module = isinstance(root, nn.Module)
        self.graph = Graph(tracer_cls=type(self))
        self._tensor_names = {}
        self._names_of_tensors(self.root, "")
        self._starred = False
        patches = _Patches()
        try:
            self._patch(patches, function)
            args, keywords = self._inputs(function, is_module, concrete_args)
            result = self._call(function, args, keywords)
            self.create_node("output", "output", (self.create_arg(result),), {})
        finally:
            patches.undo()
            self.submodule_paths = None
        return self.graph

    def create_args_for_root(self, root_fn, is_module, concrete_args=None):
        """A function to call, and what to call it with: proxies of root_fn's parameters."""
        self._starred = False
        args, keywords = self._inputs(root_fn, is_module, concrete_args)

        def call(*args):
            return self._call(root_fn, list(args), dict(keywords))

        return call, args

    @property
    def _autowrap_function_ids(self):
        return self._autowrap_functions

    @property
    def _autowrap_search(self):
        return list(dict.fromkeys(module for module, _ in self._autowrap))

    def _call(self, function, args, keywords):
        extra = keywords.pop("**", None)
        if not self._starred and extra is None:
            return function(*args, **keywords)
        # Starred parameters are bound to the proxy itself, which calling could not do.
        plain = inspect.unwrap(function)
        plain = getattr(plain, "__func__", plain)
        code = plain.__code__
        flags = code.co_flags & ~(inspect.CO_VARARGS | inspect.CO_VARKEYWORDS)
        values = [*args[: code.co_argcount], *keywords.values()]
        values += args[code.co_argcount :] + ([] if extra is None else [extra])
        flat = types.FunctionType(
            code.replace(co_flags=flags, co_argcount=len(values), co_kwonlyargcount=0),
            plain.__globals__, plain.__name__, None, plain.__closure__,
        )  # fmt: skip
        return flat(*values)

    def _patch(self, patches, function):
        tracer, cache = self, {}
        module_call, module_getattr = nn.Module.__call__, nn.Module.__getattr__

        def call(module, *args, **kwargs):
            def forward(*args, **kwargs):
                return module_call(module, *args, **kwargs)

            tracer._wrap_in(patches, getattr(type(module).forward, "__globals__", {}))
            return tracer.call_module(module, forward, args, kwargs)

        def read(module, name):
            return tracer.getattr(name, module_getattr(module, name), cache)

        patches.set(nn.Module, "__call__", call)
        patches.set(nn.Module, "__getattr__", read)
        for where, name, value in _wrapped_functions():
            patches.set(where, name, value)
        for module, name in self._autowrap:
            patches.set(module, name, _recorded(getattr(module, name)))
        self._wrap_in(patches, getattr(inspect.unwrap(function), "__globals__", {}))

    def _wrap_in(self, patches, names):
        for name, value in list(names.items()):
            if id(value) in self._autowrap_functions and not name.startswith("_"):
                patches.set(names, name, _recorded(value))


# What libraries with a trace() of their own take from here.
FunctionType = types.FunctionType
_orig_module_call, _orig_module_getattr = nn.Module.__call__, nn.Module.__getattr__


class _Patcher:
    """A block within which names have other values."""

    def __enter__(self):
        self._patches, self._done = _Patches(), set()
        return self

    def __exit__(self, *exc):
        self._patches.undo()

    def _set(self, where, name, value, deduplicate):
        if deduplicate and (id(where), name) in self._done:
            return
        self._done.add((id(where), name))
        self._patches.set(where, name, value)

    def patch(self, frame_dict, name, new_fn, deduplicate=True):
        """Another value for a name among globals."""
        self._set(frame_dict, name, new_fn, deduplicate)

    def patch_method(self, cls, name, new_fn, deduplicate=True):
        """Another method of a class."""
        self._set(cls, name, new_fn, deduplicate)


def _autowrap_check(patcher, frame_dict, function_ids):
    """Functions among globals that are recorded as calls."""
    for name, value in list(frame_dict.items()):
        if not name.startswith("_") and callable(value) and id(value) in function_ids:
            patcher.patch(frame_dict, name, _recorded(value))


def _patch_wrapped_functions(patcher):
    """Has the functions that wrap() has named recorded as calls."""
    for where, name, value in _wrapped_functions():
        patcher.patch(where, name, value)


def __getattr__(name):
    if name == "ScriptObject":  # jit is imported when it is asked for
        from flambeau.jit._modules import ScriptObject

        return ScriptObject
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def symbolic_trace(root, concrete_args=None):
    """A GraphModule recorded from a module or function, which is called once, on proxies.

    concrete_args: values for parameters that should not stay inputs, by name. Control flow that
    depends on a value raises TraceError.
    """
    tracer = Tracer()
    graph = tracer.trace(root, concrete_args)
    name = type(root).__name__ if isinstance(root, nn.Module) else root.__name__
    return GraphModule(tracer.root, graph, name)
