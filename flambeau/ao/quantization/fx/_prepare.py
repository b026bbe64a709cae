"""Networks as graphs with observers: what belongs together is fused, what matters is watched."""

import copy
import re

import flambeau
from flambeau import fx, nn
from flambeau.ao.nn import intrinsic as nni
from flambeau.ao.nn.quantized import FloatFunctional

from .. import quantization_mappings as mappings
from ..fake_quantize import FixedQParamsFakeQuantize
from ..fuse_modules import fuse_known_modules
from ..observer import FixedQParamsObserver
from ..quantize import swap_module
from . import _kinds

_INTEGERS = (flambeau.quint8, flambeau.qint8)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class Tracer(fx.Tracer):
    """Leaves the modules of nn and ao.nn whole, and those that a program names."""

    def __init__(self, names=(), classes=()):
        super().__init__()
        self._names, self._classes = set(names), tuple(classes)

    def is_leaf_module(self, m, module_qualified_name):
        """Whether a module is one node of the graph."""
        whole = isinstance(m, (nni._Fused, FloatFunctional))
        named = module_qualified_name in self._names or isinstance(m, self._classes)
        return whole or named or super().is_leaf_module(m, module_qualified_name)


def traced(model, names=(), classes=(), preserved=()):
    """A copy of the network as a graph."""
    model = copy.deepcopy(model)
    if isinstance(model, fx.GraphModule):
        made = fx.GraphModule(model, copy.deepcopy(model.graph))
    else:
        made = fx.GraphModule(model, Tracer(names, classes).trace(model))
    made.train(model.training)
    for name in preserved:
        setattr(made, name, getattr(model, name))
    return made


# -- fusing ----------------------------------------------------------------------------------------
def _only_user(node):
    return next(iter(node.users)) if len(node.users) == 1 else None


def _chain(node, modules, calls):
    """The nodes from a layer on that are one: its batch norm and its relu."""
    first = _kinds.module_of(node, modules)
    is_norm = isinstance(first, _NORMS[1:])
    if not isinstance(first, _kinds.LAYERS) and not is_norm:
        return [node]
    nodes, follower = [node], _only_user(node)
    if follower and not is_norm and isinstance(_kinds.module_of(follower, modules), _NORMS):
        nodes.append(follower)
        follower = _only_user(follower)
    transposed = isinstance(first, nn.modules.conv._ConvTransposeNd)
    if follower and not transposed and _kinds.is_relu(follower, modules):
        nodes.append(follower)
    kept = [n for n in nodes if not _kinds.is_relu(n, modules)]
    return nodes if all(calls[n.target] == 1 for n in kept) else [node]


def fuse(graph_module, is_qat):
    """Makes one module of each layer with its batch norm and its relu."""
    modules = dict(graph_module.named_modules(remove_duplicate=False))
    calls = count_calls(graph_module.graph)
    for node in list(graph_module.graph.nodes):
        nodes = _chain(node, modules, calls)
        if len(nodes) == 1:
            continue
        if len(nodes) == 3 and isinstance(modules[node.target], nn.Linear):
            nodes = nodes[:2]  # there is no such module of three
        relu = nn.ReLU().train(graph_module.training)
        parts = [_kinds.module_of(n, modules) or relu for n in nodes]
        fused = fuse_known_modules(parts, is_qat)[0]
        graph_module.set_submodule(node.target, fused)
        modules[node.target] = fused
        nodes[-1].replace_all_uses_with(node)
        for n in reversed(nodes[1:]):
            graph_module.graph.erase_node(n)
    tidy(graph_module)
    return graph_module


def count_calls(graph):
    """How often each module is called."""
    counts = {}
    for node in graph.nodes:
        if node.op == "call_module":
            counts[node.target] = counts.get(node.target, 0) + 1
    return counts


def tidy(graph_module):
    """Forgets what the graph does not use any more."""
    graph_module.graph.lint()
    graph_module.recompile()
    graph_module.delete_all_unused_submodules()


# -- qconfigs --------------------------------------------------------------------------------------
def scope_of(node):
    """The name of the module that a node's call stands in; of the module that it calls."""
    if node.op == "call_module":
        return node.target
    return next(reversed(node.meta.get("nn_module_stack", {"": None})))


def _above(path):
    """A module's name and those of the modules around it."""
    while path:
        yield path
        path = path.rpartition(".")[0]


class _Chooser:
    def __init__(self, mapping, types, modules):
        self.mapping, self.types, self.modules = mapping, types, modules
        self.orders = {}

    def choose(self, node):
        """The qconfig of a node."""
        mapping, path = self.mapping, scope_of(node)
        kind = self.types.get(path) if node.op == "call_module" else node.target
        around = path.rpartition(".")[0] if node.op == "call_module" else path
        index = self.orders[around, kind] = self.orders.get((around, kind), -1) + 1
        if (around, kind, index) in mapping.module_name_object_type_order_qconfigs:
            return mapping.module_name_object_type_order_qconfigs[around, kind, index]
        for name in _above(path):
            if name in mapping.module_name_qconfigs:
                return mapping.module_name_qconfigs[name]
        for pattern, own in mapping.module_name_regex_qconfigs.items():
            if re.match(pattern, path):
                return own
        kinds = [type(self.modules.get(path))] if node.op == "call_module" else []
        for one in (*kinds, kind, *(self.types.get(name) for name in _above(path))):
            if one in mapping.object_type_qconfigs:
                return mapping.object_type_qconfigs[one]
        return mapping.global_qconfig


def choose_qconfigs(graph_module, mapping, types):
    """The qconfig of each node that computes, by its name."""
    chooser = _Chooser(mapping, types, dict(graph_module.named_modules(remove_duplicate=False)))
    return {
        node.name: chooser.choose(node)
        for node in graph_module.graph.nodes
        if node.op.startswith("call")
    }


def mode_of(node, kind, qconfig, modules):
    """How a node is quantized: "static", "dynamic", "weight", or None: not at all."""
    if kind is None or qconfig is None:
        return None
    seen = qconfig.activation()
    dtype, dynamic = getattr(seen, "dtype", None), getattr(seen, "is_dynamic", False)
    if kind == "table":
        return "weight" if dtype == flambeau.float32 else None
    if dynamic:
        module = _kinds.module_of(node, modules)
        linear = node.target in _kinds.LINEARS or isinstance(module, (nn.Linear, nni.LinearReLU))
        return "dynamic" if linear or kind == "recurrent" else None
    if kind == "fixed" and not isinstance(seen, (FixedQParamsObserver, FixedQParamsFakeQuantize)):
        return None
    reuses = kind == "same" and not hasattr(seen, "quant_min")
    return "static" if kind != "recurrent" and (dtype in _INTEGERS or reuses) else None


# -- observers -------------------------------------------------------------------------------------
class Observing:
    """Puts observers into a graph."""

    def __init__(self, graph_module, qconfigs, default, custom, quantized_inputs):
        self.graph_module, self.graph = graph_module, graph_module.graph
        self.default, self.custom = default, custom
        self.qconfigs = qconfigs
        self.modules = dict(graph_module.named_modules(remove_duplicate=False))
        self.calls = count_calls(self.graph)
        self.observers = {}  # by node
        inputs = [n for n in self.graph.nodes if n.op == "placeholder"]
        self.quantized = {inputs[i] for i in quantized_inputs}
        self.modes = {}  # by name
        self.count = 0

    def run(self):
        """Goes through the graph once; gives how each node is to be quantized."""
        for node in list(self.graph.nodes):
            kind = _kinds.kind_of(node, self.modules)
            if isinstance(_kinds.module_of(node, self.modules), self.custom):
                kind = "own"
            if kind in ("layer", "own") and self.calls.get(node.target, 1) > 1:
                continue  # one module, several ranges of results
            mode = mode_of(node, kind, self.qconfigs.get(node.name), self.modules)
            if mode and node.name not in self.modes:
                self.modes[node.name] = (kind, mode)
                getattr(self, f"_{mode}")(node, kind)
        return self.modes

    def _insert(self, observer, source, after):
        name = f"activation_post_process_{self.count}"
        self.count += 1
        self.graph_module.add_module(name, observer)
        with self.graph.inserting_after(after):
            node = self.graph.call_module(name, (source,))
        self.observers[node] = observer
        return node

    def _observed_input(self, node, source, make):
        """Has a node read a tensor through an observer."""
        if source in self.observers or source in self.quantized:
            return source
        known = [u for u in source.users if u in self.observers and not u.meta.get("output")]
        seen = known[0] if known else self._insert(make(), source, source)
        node.replace_input_with(source, seen)
        return seen

    def _weight(self, node, kind):
        """Nothing to watch: the weight alone is quantized."""

    def _dynamic(self, node, kind):
        if kind == "recurrent":
            return
        qconfig = self.qconfigs[node.name]
        seen = self._insert(qconfig.activation(), node.args[0], node.args[0])
        node.replace_input_with(node.args[0], seen)
        self._watch_weight(node, qconfig)
        self._relu_after(node, "dynamic")

    def _watch_weight(self, node, qconfig):
        if node.op != "call_module":
            weight = node.args[1] if len(node.args) > 1 else node.kwargs["weight"]
            self._observed_input(node, weight, qconfig.weight)

    def _relu_after(self, node, mode):
        """The relu that is computed with a node, or the node itself."""
        user = _only_user(node)
        if user and _kinds.is_relu(user, self.modules) and self.qconfigs.get(user.name):
            self.modes[user.name] = ("relu", mode)
            return user
        return node

    def _static(self, node, kind):
        qconfig = self.qconfigs[node.name]
        sources = _kinds.tensors_of(node, kind)
        make = qconfig.activation
        if kind == "fixed" or (kind == "same" and not hasattr(make(), "quant_min")):
            make = self.default  # what comes in has another range
        if not sources or not all(isinstance(s, fx.Node) for s in sources) or make is None:
            del self.modes[node.name]
            return
        seen = [self._observed_input(node, s, make) for s in sources]
        last = node
        if kind == "layer":
            self._watch_weight(node, qconfig)
        binary = _kinds.binary_of(node)
        if (kind == "layer" and node.op != "call_module") or (binary and binary[1]):
            last = self._relu_after(node, "static")
        if kind in ("same", "number", "join") and seen[0] in self.observers:
            observer = self._shared(seen)
        else:
            observer = qconfig.activation()
        users = list(last.users)
        output = self._insert(observer, last, last)
        output.meta["output"] = True
        for user in users:
            user.replace_input_with(last, output)

    def _shared(self, seen):
        """One observer for all that a node reads and for what it gives."""
        first = self.observers[seen[0]]
        for other in seen[1:]:
            old = self.observers.get(other)
            for node, observer in self.observers.items():
                if observer is old and old is not None:
                    self.observers[node] = first
                    setattr(self.graph_module, node.target, first)
        return first


def prepare(model, mapping, is_qat, config):
    """The network as a graph that is fused and has observers; what it is told of stays in meta."""
    types = {name: type(module) for name, module in model.named_modules()}
    custom = config.static_mapping()
    classes = (*config.non_traceable_module_classes, *custom)
    names = config.non_traceable_module_names
    graph_module = traced(model, names, classes, config.preserved_attributes)
    fuse(graph_module, is_qat)
    qconfigs = choose_qconfigs(graph_module, mapping, types)
    left_alone = (*config.non_traceable_module_classes,)
    for node in graph_module.graph.nodes:
        if node.op != "call_module":
            continue
        module, qconfig = graph_module.get_submodule(node.target), qconfigs[node.name]
        if node.target in names or isinstance(module, left_alone):
            qconfigs[node.name] = None
            continue
        module.qconfig = qconfig
        chosen = custom or {}
        if is_qat:
            chosen = {**mappings.get_default_qat_module_mappings(), **custom}
        if qconfig and type(module) in chosen:
            made = swap_module(module, chosen)
            made.qconfig = qconfig
            graph_module.set_submodule(node.target, made)
    default = mapping.global_qconfig and mapping.global_qconfig.activation
    inputs = config.input_quantized_indexes
    modes = Observing(graph_module, qconfigs, default, tuple(custom.values()), inputs).run()
    tidy(graph_module)
    graph_module.meta["quantization"] = {
        "modes": modes,
        "qconfigs": qconfigs,
        "types": types,
        "outputs": list(config.output_quantized_indexes),
        "inputs": list(inputs),
        "preserved": list(config.preserved_attributes),
    }
    return graph_module
