"""Graphs for the backends that programs write: what a function calls, recorded while it runs.

A backend is a function (GraphModule, example inputs) -> callable. The graph has torch's functions
and Tensor's methods; its inputs are the tensors among the arguments, then parameters and other
tensors from outside in the order of their use. Where Python needs a tensor's numbers there is no
graph, and the function runs as it is.
"""

import operator
from contextlib import contextmanager

import flambeau
from flambeau import Tensor, fx, nn
from flambeau.overrides import TorchFunctionMode, resolve_name
from flambeau.utils import _pytree as pytree

from . import config
from .exc import BackendCompilerFailed, Unsupported

_OPERATORS = {  # methods that operators of Python come as
    "__getitem__": operator.getitem,
    "__setitem__": operator.setitem,
    "div": operator.truediv,
    "floor_divide": operator.floordiv,
    "remainder": operator.mod,
} | {
    name: getattr(operator, name) for name in "add sub mul pow matmul eq ne lt le gt ge neg".split()
}
_NUMBERS = "item tolist numpy __bool__ __int__ __float__ __index__ __array__".split()


def _short(func):
    name = resolve_name(func) or ""
    return name.removeprefix("torch.Tensor.") if name.startswith("torch.Tensor.") else None


class _Recorder(TorchFunctionMode):
    """A run under way: `graph`, and the tensors that it takes."""

    def __init__(self):
        self.graph = fx.Graph()
        self.inputs, self._nodes, self._last = [], {}, None

    def input(self, tensor, name):
        """A tensor that the graph is given; its node."""
        with self.graph.inserting_after(self._last):
            self._last = self.graph.placeholder(name)
        self._last.meta["example_value"] = tensor
        self.inputs.append(tensor)
        self._nodes[id(tensor)] = self._last
        return self._last

    def argument(self, value):
        """What a node is given for an argument."""

        def of(leaf):
            if not isinstance(leaf, Tensor):
                return leaf
            found = self._nodes.get(id(leaf))
            return self.input(leaf, f"lifted_{len(self.inputs)}_") if found is None else found

        return fx.node.map_aggregate(value, of)

    def _node(self, func, args, kwargs):
        name = _short(func)
        given = tuple(self.argument(a) for a in args)
        named = {key: self.argument(value) for key, value in kwargs.items()}
        if name == "rsub" and len(given) == 2 and not named:
            return self.graph.call_function(operator.sub, given[::-1])
        if name in _OPERATORS and len(given) < 4 and not named:
            return self.graph.call_function(_OPERATORS[name], given)
        if name is not None and name.endswith(".__get__"):
            return self.graph.call_function(getattr, (given[0], name.removesuffix(".__get__")))
        if name is not None:
            return self.graph.call_method(name, given, named)
        return self.graph.call_function(func, given, named)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        tensors = [leaf for leaf in pytree.tree_leaves(result) if isinstance(leaf, Tensor)]
        if tensors:
            self._results(result, self._node(func, args, kwargs))
        elif _short(func) == "__setitem__":
            self._node(func, args, kwargs)
        return result

    def _results(self, result, node):
        if isinstance(result, Tensor):
            node.meta["example_value"] = result
            self._nodes[id(result)] = node
        elif isinstance(result, (tuple, list)):
            for i, each in enumerate(result):
                if pytree.tree_leaves(each):
                    self._results(each, self.graph.call_function(operator.getitem, (node, i)))


@contextmanager
def _no_numbers():
    """Within it, a tensor's numbers cannot be read."""

    def refuse(self, *args, **kwargs):
        raise Unsupported("the numbers of a tensor are not known in a graph")

    kept = {name: getattr(Tensor, name) for name in _NUMBERS}
    for name in kept:
        setattr(Tensor, name, refuse)
    try:
        yield
    finally:
        for name, method in kept.items():
            setattr(Tensor, name, method)


class Captured:
    """A function of which a backend makes one callable for every kind of arguments."""

    def __init__(self, fn, backend, fullgraph=False, options=None):
        self._fn, self._backend, self._fullgraph = fn, backend, fullgraph
        self._options = {"options": options} if options else {}
        self._made = {}

    def _modules(self):
        owner = getattr(self._fn, "__self__", self._fn)
        return owner.modules() if isinstance(owner, nn.Module) else ()

    def _kind(self, leaves, spec):
        def of(leaf):
            if isinstance(leaf, Tensor):
                return leaf.shape, leaf.stride(), leaf.dtype, leaf.device, leaf.requires_grad
            return leaf if isinstance(leaf, (int, float, str, bool, type(None))) else id(leaf)

        modes = flambeau.is_grad_enabled(), flambeau.is_autocast_enabled("cpu")
        training = tuple(module.training for module in self._modules())
        return str(spec), tuple(map(of, leaves)), training, modes

    def __call__(self, *args, **kwargs):
        leaves, spec = pytree.tree_flatten((args, kwargs))
        kind = self._kind(leaves, spec)
        if kind not in self._made:
            if len(self._made) >= config.recompile_limit:
                return self._fn(*args, **kwargs)
            self._made[kind] = self._make(leaves, args, kwargs)
        run = self._made[kind]
        return self._fn(*args, **kwargs) if run is None else run(leaves)

    def record(self, leaves, args, kwargs):
        """(GraphModule, its inputs, the results) of one run, after which all is as before."""
        before = _Before(self._modules())
        try:
            return self._recorded(leaves, args, kwargs)
        finally:
            before.restore()

    def _recorded(self, leaves, args, kwargs):
        recorder = _Recorder()
        given = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        for i, tensor in enumerate(given):
            recorder.input(tensor, f"l_args_{i}_")
        with recorder, _no_numbers():
            result = self._fn(*args, **kwargs)
        outputs, structure = pytree.tree_flatten(result)
        tensors = [leaf for leaf in outputs if isinstance(leaf, Tensor)]
        recorder.graph.output(tuple(recorder.argument(leaf) for leaf in tensors))
        module = fx.GraphModule(nn.Module(), recorder.graph)
        return module, recorder.inputs, (outputs, structure)

    def _make(self, leaves, args, kwargs):
        try:
            module, inputs, (outputs, structure) = self.record(leaves, args, kwargs)
        except Unsupported:
            if self._fullgraph:
                raise
            return None
        try:
            made = self._backend(module, inputs, **self._options)
        except Exception as error:
            raise BackendCompilerFailed(self._backend, error) from error
        if not callable(made):
            raise TypeError(f"a backend must give a callable, got {type(made).__name__}")
        lifted = inputs[sum(isinstance(leaf, Tensor) for leaf in leaves) :]
        places = [isinstance(leaf, Tensor) for leaf in outputs]

        def run(leaves):
            found = made(*(leaf for leaf in leaves if isinstance(leaf, Tensor)), *lifted)
            found = iter([found] if isinstance(found, Tensor) else found)
            merged = [next(found) if at else each for at, each in zip(places, outputs)]
            return pytree.tree_unflatten(merged, structure)

        return run


class _Before:
    """Buffers and the generator, to be brought back: recording runs the function once more."""

    def __init__(self, modules):
        self._random = flambeau.get_rng_state()
        buffers = [b for m in modules for b in m._buffers.values() if b is not None]
        self._kept = [(b, b.detach().clone()) for b in buffers]

    def restore(self):
        """Brings them back."""
        flambeau.set_rng_state(self._random)
        with flambeau.no_grad():
            for buffer, before in self._kept:
                buffer.copy_(before)


class ExplainOutput:
    """What `explain` tells."""

    def __init__(self, graphs, break_reasons):
        self.graphs, self.break_reasons = graphs, break_reasons
        self.graph_count, self.graph_break_count = len(graphs), len(break_reasons)
        self.ops_per_graph = [
            [n.target for n in g.graph.nodes if n.op.startswith("call_")] for g in graphs
        ]
        self.op_count = sum(map(len, self.ops_per_graph))

    def __str__(self):
        return (
            f"Graph Count: {self.graph_count}\nGraph Break Count: {self.graph_break_count}\n"
            f"Op Count: {self.op_count}\nBreak Reasons:\n"
            + "".join(f"  {reason}\n" for reason in self.break_reasons)
        )


def explained(fn, args, kwargs):
    """The ExplainOutput of one run of fn."""
    try:
        leaves = pytree.tree_leaves((args, kwargs))
        return ExplainOutput([Captured(fn, None).record(leaves, args, kwargs)[0]], [])
    except Unsupported as reason:
        return ExplainOutput([], [str(reason)])
