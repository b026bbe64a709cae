"""Outputs of a model's inner nodes: the model traced, and cut where it is looked into."""

import re
from collections import OrderedDict

from flambeau import fx, nn
from flambeau.vision import ops

__all__ = ["create_feature_extractor", "get_graph_node_names"]

# the layers of `ops` are one step each
_LEAVES = tuple(
    kind for kind in vars(ops).values() if isinstance(kind, type) and issubclass(kind, nn.Module)
)


class NodePathTracer(fx.Tracer):
    """Names each node by the module that it is computed in: "layer1.0.relu", "layer1.0.add"."""

    def __init__(self, *args, leaf_modules=_LEAVES, **kwargs):
        super().__init__(*args, **kwargs)
        self.node_to_qualname = OrderedDict()
        self._leaf_modules = tuple(leaf_modules)
        self._where = ""

    def is_leaf_module(self, m, module_qualname):
        return isinstance(m, self._leaf_modules) or super().is_leaf_module(m, module_qualname)

    def call_module(self, m, forward, args, kwargs):
        before, self._where = self._where, self.path_of_module(m)
        try:
            return super().call_module(m, forward, args, kwargs)
        finally:
            self._where = before

    def create_proxy(self, kind, target, args, kwargs, *rest, **more):
        proxy = super().create_proxy(kind, target, args, kwargs, *rest, **more)
        self.node_to_qualname[proxy.node] = self._name(proxy.node)
        return proxy

    def _name(self, node):
        name = self._where
        if node.op != "call_module":
            plain = re.sub(r"_[0-9]+$", "", str(node))  # numbers count within the module
            name = f"{name}.{plain}" if name else plain
        pattern = re.compile(re.escape(name) + r"(_[0-9]+)?")
        for known in reversed(self.node_to_qualname.values()):
            found = pattern.fullmatch(known)
            if found:
                return f"{name}_{int(found[1][1:]) + 1 if found[1] else 1}"
        return name


def _trace(model, training, tracer_kwargs, concrete_args):
    """(graph, {name: node}) of the model in one of its modes."""
    tracer = NodePathTracer(**(tracer_kwargs or {}))
    modes = {module: module.training for module in model.modules()}
    try:
        model.train(training)
        graph = tracer.trace(model, concrete_args=concrete_args)
    finally:
        for module, mode in modes.items():
            module.training = mode
    names = OrderedDict((name, node) for node, name in tracer.node_to_qualname.items())
    return graph, names


def get_graph_node_names(
    model, tracer_kwargs=None, suppress_diff_warning=False, concrete_args=None
):
    """(names of the nodes while training, names else), in the order of computation.

    >>> from flambeau.vision import models
    >>> from flambeau.vision.models.feature_extraction import get_graph_node_names
    >>> get_graph_node_names(models.resnet18())[0][-4:]
    ['layer4.1.relu_1', 'avgpool', 'flatten', 'fc']
    """
    found = [list(_trace(model, mode, tracer_kwargs, concrete_args)[1]) for mode in (True, False)]
    if found[0] != found[1] and not suppress_diff_warning:
        _warn()
    return tuple(found)


def _warn():
    import warnings

    warnings.warn(
        "The nodes obtained by tracing the model in eval mode differ from those in train mode. "
        "Give train_return_nodes and eval_return_nodes where they do not have the same names.",
        stacklevel=3,
    )


def _as_dict(nodes):
    if isinstance(nodes, dict):
        return {str(k): str(v) for k, v in nodes.items()}
    return {str(name): str(name) for name in nodes}


def _cut(graph, names, wanted):
    """The graph with the wanted nodes as its output, and without what they do not need."""
    outputs = OrderedDict()
    for name, result in wanted.items():
        within = [n for n in names if n == name or n.startswith(name + ".")]
        if not within:
            known = ", ".join(names)
            raise ValueError(f"node: '{name}' is not present in model. Hint: use one of {known}")
        outputs[result] = names[name] if name in names else names[within[-1]]
    for node in [n for n in graph.nodes if n.op == "output"]:
        graph.erase_node(node)
    graph.output(dict(outputs))
    for node in reversed(list(graph.nodes)):  # layers too, which might have side effects
        if node.op not in ("placeholder", "output") and not node.users:
            graph.erase_node(node)
    return graph


class DualGraphModule(fx.GraphModule):
    """A graph for training and another for the rest."""

    def __init__(self, root, train_graph, eval_graph, class_name="GraphModule"):
        joined = fx.GraphModule(root, eval_graph, class_name)
        super().__init__(root, train_graph, class_name)
        for node in eval_graph.nodes:  # what only evaluation needs
            name = str(node.target).split(".")[0]
            if node.op in ("call_module", "get_attr") and not hasattr(self, name):
                setattr(self, name, getattr(joined, name))
        self.train_graph, self.eval_graph = train_graph, eval_graph
        used = {n.target for g in (train_graph, eval_graph) for n in g.nodes if n.op != "output"}
        _prune(self, {str(target) for target in used})

    def train(self, mode=True):
        if mode != self.training or self.graph is not self._wanted(mode):
            self.graph = self._wanted(mode)
        return super().train(mode)

    def _wanted(self, mode):
        return self.train_graph if mode else self.eval_graph


def _prune(module, used, prefix=""):
    """Removes the layers that no node calls or reads from."""
    for name, child in list(module.named_children()):
        path = prefix + name
        if path in used:
            continue
        if any(target.startswith(path + ".") for target in used):
            _prune(child, used, path + ".")
        else:
            delattr(module, name)


def create_feature_extractor(
    model,
    return_nodes=None,
    train_return_nodes=None,
    eval_return_nodes=None,
    tracer_kwargs=None,
    suppress_diff_warning=False,
    concrete_args=None,
):
    """A module that returns a dictionary of inner outputs of the model.

    `return_nodes` are names of nodes, or maps them to names in the result; the name of a module
    stands for its last node.

    >>> import flambeau as torch
    >>> from flambeau.vision import models
    >>> from flambeau.vision.models.feature_extraction import create_feature_extractor
    >>> net = create_feature_extractor(models.resnet18(), {"layer1": "low", "layer2.0.add": "sum"})
    >>> {name: tuple(x.shape) for name, x in net(torch.zeros(1, 3, 32, 32)).items()}
    {'low': (1, 64, 8, 8), 'sum': (1, 128, 4, 4)}
    """
    if (train_return_nodes is None) != (eval_return_nodes is None):
        raise ValueError(
            "If any of `train_return_nodes` and `eval_return_nodes` are specified, then both "
            "should be specified"
        )
    if (return_nodes is None) == (train_return_nodes is None):
        raise ValueError(
            "Either `return_nodes` or `train_return_nodes` and `eval_return_nodes` together, "
            "should be specified"
        )
    if return_nodes is not None:
        train_return_nodes = eval_return_nodes = return_nodes
    graphs, names = [], []
    for mode, wanted in ((True, train_return_nodes), (False, eval_return_nodes)):
        graph, found = _trace(model, mode, tracer_kwargs, concrete_args)
        graphs.append(_cut(graph, found, _as_dict(wanted)))
        names.append(list(found))
    if names[0] != names[1] and not suppress_diff_warning:
        _warn()
    made = DualGraphModule(model, *graphs, class_name=type(model).__name__)
    nn.Module.train(made, model.training)
    made.graph = made._wanted(model.training)
    return made
