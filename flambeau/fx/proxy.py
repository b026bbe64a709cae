"""What stands for a value while a program is recorded."""

import copy
import dis
import inspect
import operator
import sys
import traceback

import flambeau

from ._code import functional_call
from .node import map_aggregate

__all__ = [
    "Attribute",
    "GraphAppendingTracer",
    "ParameterProxy",
    "Proxy",
    "TraceError",
    "TracerBase",
]


class TraceError(ValueError):
    """The program did what only a value, not its stand-in, can answer."""


class TracerBase:
    """What turns calls on proxies into nodes of `self.graph`."""

    record_stack_traces = False
    check_mutable_operations = False
    trace_asserts = False
    proxy_buffer_attributes = False
    traced_func_name = "forward"

    def create_node(self, kind, target, args, kwargs, name=None, type_expr=None):
        return self.graph.create_node(kind, target, args, kwargs, name, type_expr)

    def proxy(self, node):
        return Proxy(node, self)

    def create_proxy(
        self, kind, target, args, kwargs, name=None, type_expr=None, proxy_factory_fn=None
    ):
        """A node for the call, and the proxy of its value."""
        args, kwargs = self.create_arg(args), self.create_arg(kwargs)
        node = self.create_node(kind, target, args, kwargs, name, type_expr)
        if self.record_stack_traces:
            node.stack_trace = "".join(traceback.format_stack(sys._getframe(1)))
        return proxy_factory_fn(node) if proxy_factory_fn else self.proxy(node)

    def create_arg(self, a):
        """A value as it may stand in a node: proxies become their nodes."""
        return map_aggregate(a, self._leaf)

    def _leaf(self, a):
        if isinstance(a, Proxy):
            return a.node
        if hasattr(a, "__fx_create_arg__"):
            return a.__fx_create_arg__(self)
        if isinstance(a, range):
            return range(*map(self.create_arg, (a.start, a.stop, a.step)))
        return a

    def to_bool(self, obj):
        raise TraceError("symbolically traced variables cannot be used as inputs to control flow")

    def iter(self, obj):
        """Unpacking into a known number of names works; anything else is a TraceError."""
        frame = inspect.currentframe().f_back.f_back
        instructions = dis.get_instructions(frame.f_code)
        here = next((i for i in instructions if i.offset == frame.f_lasti), None)
        if here is not None and here.opname == "UNPACK_SEQUENCE":
            return iter([obj[i] for i in range(here.argval)])
        raise TraceError(
            "Proxy object cannot be iterated. This can be attempted when the Proxy is used in a "
            "loop or as a *args or **kwargs function argument."
        )

    def keys(self, obj):
        return Attribute(obj, "keys")()


class GraphAppendingTracer(TracerBase):
    """Adds to a graph that exists."""

    def __init__(self, graph):
        self.graph = graph


class Proxy:
    """A value that is not there yet: what is done with it is recorded as nodes."""

    def __init__(self, node, tracer=None):
        self.tracer = GraphAppendingTracer(node.graph) if tracer is None else tracer
        self.node = node

    def __repr__(self):
        return f"Proxy({self.node.name})"

    def __getattr__(self, name):
        if name.startswith("__") and name.endswith("__") and name not in ("__call__",):
            raise AttributeError(name)
        return Attribute(self, name)

    def __call__(self, *args, **kwargs):
        return self.tracer.create_proxy("call_method", "__call__", (self, *args), kwargs)

    def __iter__(self):
        return self.tracer.iter(self)

    def __bool__(self):
        return self.tracer.to_bool(self)

    def __len__(self):
        raise RuntimeError(
            "'len' is not supported in symbolic tracing by default. If you want this call to be "
            "recorded, please call torch.fx.wrap('len') at module scope"
        )

    def __index__(self):
        return self.tracer.to_bool(self)

    def keys(self):
        return self.tracer.keys(self)

    def __deepcopy__(self, memo):
        return self.tracer.create_proxy("call_function", copy.deepcopy, (self,), {})

    @classmethod
    def __torch_function__(cls, orig_method, types, args=None, kwargs=None):
        args, kwargs = args or (), kwargs or {}
        tracers = []

        def note(leaf):
            if isinstance(leaf, Proxy) and leaf.tracer not in tracers:
                tracers.append(leaf.tracer)

        map_aggregate((args, kwargs), note)
        if len(tracers) > 1:
            raise RuntimeError(
                f"Found multiple different tracers {tracers} while recording one call"
            )
        name = getattr(orig_method, "__name__", None)
        if getattr(flambeau.Tensor, name or "", None) is orig_method:
            return tracers[0].create_proxy("call_method", name, args, kwargs)
        args, kwargs = functional_call(orig_method, args, kwargs)
        return tracers[0].create_proxy("call_function", orig_method, args, kwargs)


class Attribute(Proxy):
    """An attribute of a proxy: a method call if it is called, otherwise a fetch."""

    def __init__(self, root, attr):
        self.root = root
        self.attr = attr
        self.tracer = root.tracer
        self._node = None

    @property
    def node(self):
        if self._node is None:  # methods are called, and need no fetch
            self._node = self.tracer.create_proxy(
                "call_function", getattr, (self.root, self.attr), {}
            ).node
        return self._node

    def __call__(self, *args, **kwargs):
        return self.tracer.create_proxy("call_method", self.attr, (self.root, *args), kwargs)


class ParameterProxy(Proxy):
    """A parameter while it is traced: shape and sizes are its real ones."""

    def __init__(self, tracer, node, name, param):
        super().__init__(node, tracer)
        self.param = param
        self.name = name

    def __repr__(self):
        return f"ParameterProxy({self.name})"

    @property
    def shape(self):
        return self.param.shape

    def size(self, *dim):
        return self.param.size(*dim)

    def dim(self):
        return self.param.dim()

    @property
    def ndim(self):
        return self.param.ndim

    def numel(self):
        return self.param.numel()

    def nelement(self):
        return self.param.numel()


def _define():
    def method(function, swapped=False):
        def recorded(self, *rest):
            tracer = self.tracer
            args = (rest[0], self) if swapped else (self, *rest)
            return tracer.create_proxy("call_function", function, args, {})

        return recorded

    plain = """add sub mul truediv floordiv mod pow matmul lshift rshift and_ or_ xor lt le gt ge eq
    ne getitem neg pos invert abs""".split()
    for name in plain:
        setattr(Proxy, f"__{name.strip('_')}__", method(getattr(operator, name)))
    for name in "add sub mul truediv floordiv mod pow matmul lshift rshift and_ or_ xor".split():
        function = getattr(operator, name)
        setattr(Proxy, f"__r{name.strip('_')}__", method(function, swapped=True))
    Proxy.__hash__ = object.__hash__


_define()
