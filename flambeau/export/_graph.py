"""From a trace to a graph of aten operators whose parameters are arguments."""

import operator

from flambeau import fx, nn
from flambeau._dispatch import overload_of

from ..jit._trace import SizeNumber, Value
from .graph_signature import (
    ConstantArgument,
    ExportGraphSignature,
    InputKind,
    InputSpec,
    OutputKind,
    OutputSpec,
    TensorArgument,
)

_NUMBERS = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "floordiv": operator.floordiv,
    "remainder": operator.mod,
    "neg": operator.neg,
}
_TENSOR = ("add", "sub", "mul", "div", "add_", "sub_", "mul_", "div_")


class _Builder:
    """The nodes of a graph, by the values that they stand for."""

    def __init__(self, dynamic):
        self.graph, self.dynamic = fx.Graph(), dynamic
        self.nodes, self.specs, self.state = {}, [], {}

    def placeholder(self, value, name, kind, target=None):
        node = self.graph.placeholder(name)
        node.meta["val"] = value.example
        self.nodes[id(value)] = node
        persistent = True if kind is InputKind.BUFFER else None
        self.specs.append(InputSpec(kind, TensorArgument(node.name), target, persistent))

    def argument(self, value):
        """What a node is given."""
        if isinstance(value, Value):
            return self.nodes[id(value)]
        if isinstance(value, SizeNumber):
            return self.number(value)
        if isinstance(value, (list, tuple)):
            return type(value)(self.argument(each) for each in value)
        if isinstance(value, dict):
            return {key: self.argument(each) for key, each in value.items()}
        return value

    def number(self, value):
        if not self.dynamic:
            return int(value)
        name, operands = value.source
        if name == "size":
            target = overload_of("aten", "sym_size", "int")
        else:
            target = _NUMBERS[name]
        node = self.graph.call_function(target, tuple(self.argument(each) for each in operands))
        node.meta["val"] = int(value)
        return node

    def call(self, call):
        overload = "Tensor" if call.name in _TENSOR else "default"
        node = self.graph.call_function(
            overload_of("aten", call.name, overload),
            tuple(self.argument(each) for each in call.args),
            {key: self.argument(each) for key, each in call.kwargs.items()},
        )
        if len(call.results) == 1 and not call.listed:
            node.meta["val"] = call.results[0].example
            self.nodes[id(call.results[0])] = node
            return
        for i, value in enumerate(call.results):
            part = self.graph.call_function(operator.getitem, (node, i))
            part.meta["val"] = value.example
            self.nodes[id(value)] = part


def leaves(tree):
    """The values of nested results, in their order."""
    if isinstance(tree, dict):
        tree = list(tree.values())
    if isinstance(tree, (list, tuple)):
        return [leaf for each in tree for leaf in leaves(each)]
    return [tree]


def build(recorded, dynamic):
    """(GraphModule, ExportGraphSignature, constants by name) of a trace."""
    trace, inputs, outputs = recorded
    made = _Builder(dynamic)
    for value in trace.state:
        parameter = isinstance(value.example, nn.Parameter)
        kind = InputKind.PARAMETER if parameter else InputKind.BUFFER
        name = ("p_" if parameter else "b_") + value.path.replace(".", "_")
        made.placeholder(value, name, kind, value.path)
    constants = {}
    for i, value in enumerate(trace.constants):
        constants[f"lifted_tensor_{i}"] = value.example
        made.placeholder(
            value, f"c_lifted_tensor_{i}", InputKind.CONSTANT_TENSOR, f"lifted_tensor_{i}"
        )
    for value in trace.inputs:
        made.placeholder(value, value.path, InputKind.USER_INPUT)
    for call in trace.calls:
        made.call(call)
    results = tuple(made.argument(leaf) for leaf in leaves(outputs))
    made.graph.output(results)
    specs = [
        OutputSpec(
            OutputKind.USER_OUTPUT,
            TensorArgument(each.name) if isinstance(each, fx.Node) else ConstantArgument("", each),
        )
        for each in results
    ]
    signature = ExportGraphSignature(made.specs, specs)
    return fx.GraphModule(nn.Module(), made.graph), signature, constants
