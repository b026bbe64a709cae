"""make_fx: the graph of the operators that a function runs, gradients and batches among them."""

import functools
import inspect
import operator

import flambeau
from flambeau import Tensor, nn
from flambeau.utils import _pytree as pytree
from flambeau.utils._python_dispatch import (
    TorchDispatchMode,
    _get_current_dispatch_mode_stack,
    _reentrant,
)

from ..graph import Graph
from ..graph_module import GraphModule
from ..node import Node

__all__ = ["ProxyTorchDispatchMode", "get_proxy_mode", "make_fx", "maybe_handle_decomp"]


def _place(tensor):
    """What two objects for the same elements have in common; None where there is no memory."""
    if tensor.device.type == "meta" or tensor.layout is not flambeau.strided:
        return None
    return tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype


class ProxyTorchDispatchMode(TorchDispatchMode):
    """The mode of a trace under way: a node for each operator."""

    def __init__(self, graph, decompositions=None):
        super().__init__()
        self.graph, self.decompositions = graph, decompositions or {}
        self.constants = {}
        self._nodes, self._places = {}, {}
        self._alive = []  # so that no id and no memory is given out twice

    def track(self, tensor, node):
        """From now on the tensor is what the node gives."""
        self._nodes[id(tensor)] = node
        self._alive.append(tensor)
        if type(tensor) is Tensor and (place := _place(tensor)) is not None:
            self._places[place] = node

    def node_of(self, tensor):
        """The node of a tensor. One that was never seen is a constant."""
        found = self._nodes.get(id(tensor))
        if found is None and type(tensor) is Tensor:  # saved for a gradient: another object
            found = self._places.get(_place(tensor))
        if found is None:
            name = f"_tensor_constant{len(self.constants)}"
            found = self.graph.create_node("get_attr", name)
            self.constants[name] = tensor
            self.track(tensor, found)
        return found

    def argument(self, value):
        """What a node is given for an argument."""
        if isinstance(value, Tensor):
            return self.node_of(value)
        if isinstance(value, (tuple, list)):
            return type(value)(self.argument(item) for item in value)
        return value

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        decomposed = maybe_handle_decomp(self, func, args, kwargs)
        if decomposed is not NotImplemented:
            return decomposed
        given = tuple(self.argument(a) for a in args)
        named = {key: self.argument(a) for key, a in kwargs.items()}
        out = func(*args, **kwargs)
        if func is flambeau.ops.aten.detach.default:  # graphs say nothing of histories
            self.track(out, given[0])
            return out
        node = self.graph.call_function(func, given, named)
        self._results(out, node)
        return out

    def _results(self, out, node):
        if isinstance(out, Tensor):
            node.meta["val"] = out
            self.track(out, node)
        elif isinstance(out, (tuple, list)):
            node.meta["val"] = out
            for i, item in enumerate(out):
                if isinstance(item, Tensor):
                    part = self.graph.call_function(operator.getitem, (node, i))
                    part.meta["val"] = item
                    self.track(item, part)


def maybe_handle_decomp(mode, func, args, kwargs):
    """What the mode's table of decompositions makes of a call; NotImplemented: nothing."""
    rule = mode.decompositions.get(func, mode.decompositions.get(str(func)))
    if rule is None:
        return NotImplemented
    with mode, _reentrant():
        return rule(*args, **kwargs)


def get_proxy_mode():
    """The mode of the trace under way, or None."""
    for mode in reversed(_get_current_dispatch_mode_stack()):
        if isinstance(mode, ProxyTorchDispatchMode):
            return mode
    return None


def _enter(mode, value, node):
    """Tells the mode where in an argument its tensors are."""
    if isinstance(value, Tensor):
        node.meta["val"] = value
        mode.track(value, node)
    elif isinstance(value, (tuple, list)):
        for i, item in enumerate(value):
            if pytree.tree_any(lambda x: isinstance(x, Tensor), item):
                _enter(mode, item, mode.graph.call_function(operator.getitem, (node, i)))
    elif isinstance(value, dict):
        for key, item in value.items():
            if pytree.tree_any(lambda x: isinstance(x, Tensor), item):
                _enter(mode, item, mode.graph.call_function(operator.getitem, (node, key)))
    elif pytree.tree_any(lambda x: isinstance(x, Tensor), value):
        leaves = mode.graph.call_function(pytree.tree_leaves, (node,))
        _enter(mode, pytree.tree_leaves(value), leaves)


def _names(function, count):
    """The names of the positional parameters."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return [f"arg{i}" for i in range(count)]
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return names[:count] + [f"arg{i}" for i in range(len(names), count)]


def make_fx(
    f, decomposition_table=None, tracing_mode="real", _allow_non_fake_inputs=False, *,
    pre_dispatch=False, record_module_stack=False, _allow_fake_constant=False,
    _error_on_data_dependent_ops=True,
):  # fmt: skip
    """A function that runs f on its arguments and returns a GraphModule of the operators it ran.

    Gradients, batches and functions made of others are taken apart. The operators run on the
    tensors given, whatever the tracing mode; sizes, numbers and branches are those of the example.

    >>> import flambeau as torch
    >>> from flambeau.fx.experimental.proxy_tensor import make_fx
    >>> graph = make_fx(torch.func.grad(lambda x: x.sin().sum()))(torch.zeros(3))
    >>> graph(torch.zeros(3))
    tensor([1., 1., 1.])
    """
    if tracing_mode not in ("real", "fake", "symbolic"):
        raise AssertionError(f"Unexpected tracing type: {tracing_mode}")

    @functools.wraps(f)
    def wrapped(*args):
        graph = Graph()
        mode = ProxyTorchDispatchMode(graph, decomposition_table)
        given = [graph.placeholder(f"{name}_1") for name in _names(f, len(args))]
        for value, node in zip(args, given, strict=True):
            _enter(mode, value, node)
        with mode:
            out = f(*args)
        leaves, spec = pytree.tree_flatten(out)
        found = [mode.argument(leaf) for leaf in leaves]
        graph.output(_result(graph, pytree.tree_unflatten(found, spec), found, spec))
        graph.eliminate_dead_code()
        return GraphModule(_Root(mode.constants), graph, getattr(f, "__name__", "GraphModule"))

    return wrapped


def _result(graph, tree, leaves, spec):
    """The results as an output node can hold them: other containers are put together by a call."""

    def visible(value):
        if isinstance(value, (tuple, list)):
            return sum(visible(item) for item in value)
        if isinstance(value, dict):
            return sum(visible(item) for item in value.values())
        return isinstance(value, Node)

    if visible(tree) == sum(isinstance(leaf, Node) for leaf in leaves):
        return tree
    return graph.call_function(pytree.tree_unflatten, (leaves, spec))


class _Root(nn.Module):
    """Holds the constants of a trace."""

    def __init__(self, constants):
        super().__init__()
        for name, tensor in constants.items():
            setattr(self, name, tensor)
