"""A network for evaluation: convolutions with their batch normalizations as one."""

import copy

from flambeau import nn
from flambeau.nn.utils.fusion import fuse_conv_bn_eval

from .._symbolic_trace import symbolic_trace
from ..graph_module import GraphModule

__all__ = ["fuse", "remove_dropout"]

_PAIRS = [
    (nn.Conv1d, nn.BatchNorm1d),
    (nn.Conv2d, nn.BatchNorm2d),
    (nn.Conv3d, nn.BatchNorm3d),
]


def _put(root, path, module):
    parent, _, name = path.rpartition(".")
    setattr(root.get_submodule(parent), name, module)


def _module_of(node, modules):
    """The module that a node calls, or None."""
    return modules.get(node.target) if getattr(node, "op", None) == "call_module" else None


def fuse(model, inplace=False, no_trace=False):
    """The model with each batch normalization that directly follows a convolution folded into it.

    Nothing else may use the convolution's result. `inplace` leaves the model's own convolutions
    changed; `no_trace`: the model is a GraphModule already.

    >>> import flambeau as torch
    >>> from flambeau.fx.experimental.optimization import fuse
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), torch.nn.BatchNorm2d(2)).eval()
    >>> [type(m).__name__ for m in fuse(net).children()]
    ['Conv2d']
    """
    if not inplace:
        model = copy.deepcopy(model)
    traced = model if no_trace and isinstance(model, GraphModule) else symbolic_trace(model)
    graph, modules = traced.graph, dict(traced.named_modules())
    for node in list(graph.nodes):
        norm = _module_of(node, modules)
        if norm is None or not node.args:
            continue
        conv_node = node.args[0]
        conv = _module_of(conv_node, modules)
        if (type(conv), type(norm)) not in _PAIRS or len(conv_node.users) > 1:
            continue
        if not norm.track_running_stats:
            continue
        modules[conv_node.target] = fused = fuse_conv_bn_eval(conv, norm)
        _put(traced, conv_node.target, fused)
        node.replace_all_uses_with(conv_node)
        graph.erase_node(node)
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced


def remove_dropout(model):
    """The model as a graph without its dropouts.

    >>> import flambeau as torch
    >>> from flambeau.fx.experimental.optimization import remove_dropout
    >>> remove_dropout(torch.nn.Sequential(torch.nn.Dropout(), torch.nn.ReLU()))(torch.ones(2))
    tensor([1., 1.])
    """
    traced = symbolic_trace(model)
    modules = dict(traced.named_modules())
    for node in list(traced.graph.nodes):
        if isinstance(_module_of(node, modules), nn.Dropout):
            node.replace_all_uses_with(node.args[0])
            traced.graph.erase_node(node)
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced
