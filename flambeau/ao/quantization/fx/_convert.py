"""From a graph with observers to one of integers."""

import flambeau
from flambeau import fx, nn
from flambeau.ao.nn import quantized
from flambeau.ao.nn.quantized import _operators
from flambeau.ao.nn.quantized._packed import quantized_weight

from .. import quantization_mappings as mappings
from ..fake_quantize import FakeQuantizeBase
from ..observer import ObserverBase
from ..quantize import swap_module
from . import _kinds
from ._prepare import scope_of, tidy


class PackedWeight(nn.Module):
    """A packed weight within a graph: calling it gives the weight."""

    def __init__(self, packed):
        super().__init__()
        self.packed = packed

    def forward(self):
        """The packed weight."""
        return self.packed

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        destination[prefix + "weight"], destination[prefix + "bias"] = self.packed.unpack()

    def _load_from_state_dict(self, state_dict, prefix, *rest):
        if prefix + "weight" in state_dict:
            state = list(self.packed.__getstate__())
            state[:2] = state_dict.pop(prefix + "weight"), state_dict.pop(prefix + "bias")
            self.packed.__setstate__(tuple(state))


class Converting:
    """Writes the graph anew; every tensor is there as numbers, as integers, or both."""

    def __init__(self, graph_module, told, custom):
        self.graph_module, self.graph = graph_module, fx.Graph(graph_module)
        self.modules = dict(graph_module.named_modules(remove_duplicate=False))
        self.modes, self.qconfigs = told["modes"], told["qconfigs"]
        self.told, self.custom = told, custom
        self.floats, self.integers = {}, {}
        self.observers = {
            node: self.modules[node.target]
            for node in graph_module.graph.nodes
            if isinstance(_kinds.module_of(node, self.modules), (ObserverBase, FakeQuantizeBase))
        }
        self.names, counts = {}, {}
        for node in self.observers:
            prefix = self._prefix(node)
            counts[prefix] = count = counts.get(prefix, -1) + 1
            self.names[node] = (f"{prefix}_scale_{count}", f"{prefix}_zero_point_{count}")
        self.packed = {}

    def _prefix(self, observer):
        """Where an observer stands, in the names of its scale and its zero point."""
        source = observer.args[0]
        if source.op.startswith("call") and self.qconfigs.get(source.name):
            return scope_of(source).replace(".", "_")
        user = next(iter(observer.users), None)
        end = "" if source.op == "get_attr" else "_input"
        return (scope_of(user).replace(".", "_") if user else "") + end

    def run(self):
        """The new graph."""
        inputs = 0
        for node in self.graph_module.graph.nodes:
            kind, mode = self.modes.get(node.name, (None, None))
            if node.op == "placeholder":
                made = self.graph.node_copy(node)
                here = self.integers if inputs in self.told["inputs"] else self.floats
                here[node] = made
                inputs += 1
            elif node.op == "output":
                self._output(node)
            elif node in self.observers:
                self._observed(node)
            elif mode:
                getattr(self, f"_{mode}")(node, kind)
            else:
                read = self.number if _kinds.is_tensor(node) else self._either
                self.floats[node] = self.graph.node_copy(node, read)
        return self.graph

    # -- values ------------------------------------------------------------------------------------
    def number(self, node):
        """A value as numbers."""
        if node not in self.floats:
            self.floats[node] = self.graph.call_method("dequantize", (self.integer(node),))
        return self.floats[node]

    def _either(self, node):
        """A value as it is already: for what asks of its shape alone."""
        return self.integers[node] if node in self.integers else self.number(node)

    def integer(self, node):
        """A value as a quantized tensor."""
        if node not in self.integers:
            observer = self.observers[node]
            source = self.number(node.args[0])
            scale, zero = self._scale(node)
            args = (source, scale, zero, observer.dtype)
            self.integers[node] = self.graph.call_function(flambeau.quantize_per_tensor, args)
        return self.integers[node]

    def _scale(self, node):
        scale, zero_point = self.observers[node].calculate_qparams()
        values = (scale.detach().reshape(()), zero_point.detach().reshape(()).to(flambeau.int64))
        found = []
        for name, value in zip(self.names[node], values, strict=True):
            self.graph_module.register_buffer(name, value.clone())
            found.append(self.graph.get_attr(name))
        return found

    def _observed(self, node):
        source = node.args[0]
        if source in self.integers:
            self.integers[node] = self.integers[source]
        elif not node.meta.get("output") or source.name not in self.modes:
            self.floats[node] = self.number(source)  # who reads numbers reads what was observed

    def _output(self, node):
        wanted, results = self.told["outputs"], node.args[0]
        if isinstance(results, (tuple, list)) and wanted:
            made = tuple(
                self.integer(r) if i in wanted else fx.node.map_arg(r, self.number)
                for i, r in enumerate(results)
            )
        elif wanted and wanted[0] == 0 and isinstance(results, fx.Node):
            made = self.integer(results)
        else:
            made = fx.node.map_arg(results, self.number)
        self.graph.output(made)

    # -- nodes -------------------------------------------------------------------------------------
    def _after(self, node):
        """The observer that watches what a node gives."""
        return next((u for u in node.users if u in self.observers and u.meta.get("output")), None)

    def _last(self, node):
        """The relu that is computed with a node, or the node; and the observer after it."""
        after = self._after(node)
        if after is not None:
            return node, after, False
        relu = next((u for u in node.users if self.modes.get(u.name, ("",))[0] == "relu"), None)
        return (node, None, False) if relu is None else (relu, self._after(relu), True)

    def _swap(self, node, mapping, observer=None):
        module = self.modules[node.target]
        if observer is not None:
            module.activation_post_process = self.observers[observer]
        custom = {own: kind for kinds in self.custom.values() for own, kind in kinds.items()}
        self.graph_module.set_submodule(node.target, swap_module(module, mapping, custom))

    def _weight(self, node, kind):
        """Tables of rows: the weight is quantized, what they give is numbers."""
        self._swap(node, mappings.get_default_static_quant_module_mappings())
        self.floats[node] = self.graph.node_copy(node, self.number)

    def _dynamic(self, node, kind):
        if kind == "relu":
            return
        last, _, relu = self._last(node)
        if node.op == "call_module":
            self._swap(node, mappings.get_default_dynamic_quant_module_mappings())
            self.floats[node] = self.graph.node_copy(node, self.number)
            if relu:
                self.floats[last] = self.graph.node_copy(last, self.number)
            return
        half = self.observers[node.args[0]].dtype == flambeau.float16
        name = "linear" + ("_relu" if relu else "") + "_dynamic" + ("_fp16" if half else "")
        args = (self.number(node.args[0]), self._pack(node), *(() if half else (True,)))
        made = self.graph.call_function(getattr(_operators, name), args)
        self.floats[last] = made

    def _static(self, node, kind):
        if kind != "relu":
            getattr(self, f"_{kind}")(node)

    def _read(self, node, kind):
        """Copies a node that reads integers where they are to be had."""
        sources = _kinds.tensors_of(node, kind)
        self.integers[node] = self.graph.node_copy(
            node, lambda n: self.integer(n) if n in sources else self.number(n)
        )

    def _layer(self, node):
        last, after, relu = self._last(node)
        if node.op == "call_module":
            self._swap(node, mappings.get_default_static_quant_module_mappings(), after)
            self._read(node, "layer")
            return
        base = node.target.__name__ + ("_relu" if relu else "")
        args = (self.integer(node.args[0]), self._pack(node), *self._scale(after))
        self.integers[last] = self.graph.call_function(getattr(_operators, base), args)

    def _own(self, node):
        if node.op == "call_module":
            self._swap(node, mappings.get_default_static_quant_module_mappings(), self._after(node))
            self._read(node, "own")
            return
        function, defaults = _kinds.OWN[node.target]
        given = {**defaults, **_kinds.arguments_of(node)}
        rest = {name: fx.node.map_arg(given[name], self.number) for name in defaults}
        scale = dict(zip(("output_scale", "output_zero_point"), self._scale(self._after(node))))
        args = (self.integer(node.args[0]),)
        self.integers[node] = self.graph.call_function(function, args, {**rest, **scale})

    def _fixed(self, node):
        if node.op == "call_module" and isinstance(self.modules[node.target], nn.Softmax):
            self._swap(node, {nn.Softmax: quantized.Softmax}, self._after(node))
        self._read(node, "fixed")

    def _same(self, node):
        self._read(node, "same")

    def _join(self, node):
        self._read(node, "join")

    def _number(self, node):
        self._binary(node)

    def _binary(self, node):
        last, after, relu = self._last(node)
        function, with_relu, tensors = _kinds.binary_of(node)
        scale = self._scale(after) if tensors == 2 else ()
        reads = _kinds.tensors_of(node, "binary")
        args = [
            fx.node.map_arg(a, lambda n: self.integer(n) if n in reads else self.number(n))
            for a in node.args
        ]
        made = self.graph.call_function(with_relu if relu else function, (*args, *scale))
        self.integers[last] = made

    def _pack(self, node):
        """The node that gives a function's packed weight."""
        given = _kinds.arguments_of(node)
        observer = self.observers[given["weight"]]
        value = _attribute(self.graph_module, given["weight"].args[0].target)
        weight = quantized_weight(value, observer)
        bias = given.get("bias")
        bias = None if bias is None else _attribute(self.graph_module, bias.target).detach()
        prefix = scope_of(node).replace(".", "_")
        count = self.packed[prefix] = self.packed.get(prefix, -1) + 1
        if node.target in _kinds.LINEARS:
            packed = _kinds.WEIGHTED[node.target](weight, bias)
        else:
            form = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
            form = [given.get(name, value) for name, value in form.items()]
            packed = _kinds.WEIGHTED[node.target](weight, bias, *form)
        name = f"{prefix}_packed_weight_{count}"
        self.graph_module.add_module(name, PackedWeight(packed))
        return self.graph.call_module(name)


def _attribute(module, path):
    parent, _, name = path.rpartition(".")
    return getattr(module.get_submodule(parent), name)


def convert(graph_module, told, custom):
    """A graph of integers of a prepared one."""
    graph = Converting(graph_module, told, custom).run()
    graph_module.graph = graph
    for _ in range(2):  # dequantized values that nobody reads, then what made them
        graph.eliminate_dead_code()
    tidy(graph_module)
    for name in [n for n, _ in graph_module.named_buffers(recurse=False)]:
        if "_scale_" in name or "_zero_point_" in name:
            used = any(n.op == "get_attr" and n.target == name for n in graph.nodes)
            if not used:
                delattr(graph_module, name)
    return graph_module
