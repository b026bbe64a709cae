"""What a node of a graph is to quantization."""

import math
import operator

import flambeau
from flambeau import nn
from flambeau.ao.nn import intrinsic as nni
from flambeau.ao.nn import qat
from flambeau.ao.nn.quantized import _operators
from flambeau.nn import functional as F

from .. import quantization_mappings as mappings

_CONVS = tuple(getattr(nn, f"{kind}{n}d") for kind in ("Conv", "ConvTranspose") for n in (1, 2, 3))
LAYERS = (nn.Linear, *_CONVS)
_WITH_WEIGHT = (nn.Linear, nni._Fused, qat._Rounding, *_CONVS)
_FIXED_MODULES = (nn.Sigmoid, nn.Hardsigmoid, nn.Tanh, nn.Softmax)
_FIXED = {flambeau.sigmoid, flambeau.tanh, F.sigmoid, F.tanh, F.hardsigmoid}
_FIXED |= {"sigmoid", "sigmoid_", "tanh", "tanh_", "hardsigmoid", "hardsigmoid_"}

_SAME_MODULES = (
    *(nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d),
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d, nn.Hardtanh, nn.ReLU),
    *(nn.ReLU6, nn.Identity, nn.Flatten, nn.Unflatten, nn.PixelShuffle, nn.PixelUnshuffle),
    nn.Upsample,
)
_SAME_NAMES = (
    "adaptive_avg_pool2d adaptive_avg_pool3d avg_pool2d avg_pool3d max_pool1d max_pool2d "
    "max_pool3d hardtanh hardtanh_ relu relu_ relu6 interpolate pixel_shuffle"
).split()
_SAME_TENSOR_NAMES = (
    "clamp clamp_ mean relu relu_ flatten reshape view permute transpose contiguous squeeze "
    "squeeze_ unsqueeze unsqueeze_ repeat detach detach_ movedim swapaxes swapdims t"
).split()
_SAME = {getattr(F, name) for name in _SAME_NAMES}
_SAME |= {getattr(flambeau, name) for name in _SAME_TENSOR_NAMES if hasattr(flambeau, name)}
_SAME |= set(_SAME_TENSOR_NAMES)

_ADD = {operator.add, operator.iadd, flambeau.add, "add", "add_"}
_MUL = {operator.mul, operator.imul, flambeau.mul, "mul", "mul_"}
_MATMUL = {operator.matmul, flambeau.matmul, "matmul"}
_JOINS = {flambeau.cat, flambeau.concat}
_RELUS = {F.relu, F.relu_, flambeau.relu, flambeau.relu_, "relu", "relu_"}

_LAYER = ("input", "weight", "bias")
LINEARS = {F.linear: _operators.linear_prepack}
_CONV_FUNCTIONS = {
    getattr(F, f"conv{n}d"): getattr(_operators, f"conv{n}d_prepack") for n in (1, 2, 3)
}
WEIGHTED = {**LINEARS, **_CONV_FUNCTIONS}
# What these functions take, in order.
ARGUMENTS = {
    **dict.fromkeys(LINEARS, _LAYER),
    **dict.fromkeys(_CONV_FUNCTIONS, (*_LAYER, "stride", "padding", "dilation", "groups")),
    F.hardswish: ("input", "inplace"),
    F.elu: ("input", "alpha", "inplace"),
    F.celu: ("input", "alpha", "inplace"),
    F.leaky_relu: ("input", "negative_slope", "inplace"),
    F.layer_norm: ("input", "normalized_shape", "weight", "bias", "eps"),
    F.group_norm: ("input", "num_groups", "weight", "bias", "eps"),
    F.instance_norm: (
        *("input", "running_mean", "running_var", "weight", "bias"),
        *("use_input_stats", "momentum", "eps"),
    ),
}
_AFFINE = {"weight": None, "bias": None, "eps": 1e-5}
# Functions that need a scale of their own: the quantized one, what it takes and else would.
OWN = {
    F.hardswish: (_operators.hardswish, {}),
    F.elu: (_operators.elu, {"alpha": 1.0}),
    F.celu: (_operators.celu, {"alpha": 1.0}),
    F.leaky_relu: (_operators.leaky_relu, {"negative_slope": 0.01, "inplace": False}),
    F.layer_norm: (_operators.layer_norm, {"normalized_shape": None, **_AFFINE}),
    F.group_norm: (_operators.group_norm, {"num_groups": None, **_AFFINE}),
    F.instance_norm: (_operators.instance_norm, _AFFINE),
}

_NO_TENSORS = frozenset("size dim numel nelement ndimension item tolist type stride".split())
_FACTS = frozenset("shape dtype device ndim layout requires_grad is_cuda itemsize".split())


def arguments_of(node):
    """The arguments of a call of one of these functions by their names."""
    return {**dict(zip(ARGUMENTS[node.target], node.args)), **node.kwargs}


def is_tensor(node):
    """Whether a node gives a tensor, as far as the graph tells."""
    if node.op in ("placeholder", "get_attr", "call_module"):
        return True
    if node.op == "call_method":
        return node.target not in _NO_TENSORS
    if node.op != "call_function":
        return False
    if node.target is getattr:
        return node.args[1] not in _FACTS and is_tensor(node.args[0])
    if getattr(node.target, "__module__", "") in ("_operator", "operator", "builtins", "math"):
        inputs = node.all_input_nodes
        return node.target not in (len, int, float, bool, math.prod) and any(map(is_tensor, inputs))
    return True


def module_of(node, modules):
    """The module that a node calls, or None."""
    return modules.get(node.target) if node.op == "call_module" else None


def is_relu(node, modules):
    """Whether a node is a relu."""
    if node.op == "call_module":
        return type(module_of(node, modules)) is nn.ReLU
    return node.op in ("call_function", "call_method") and node.target in _RELUS


def _of_module(module):
    if isinstance(module, _WITH_WEIGHT):
        return "layer"
    if type(module) in _FIXED_MODULES:
        return "fixed"
    if type(module) in _SAME_MODULES:
        return "same"
    if isinstance(module, (nn.Embedding, nn.EmbeddingBag)):
        return "table"
    if isinstance(module, (nn.RNNBase, nn.RNNCellBase)):
        return "recurrent"
    return "own" if type(module) in mappings.get_default_static_quant_module_mappings() else None


def binary_of(node):
    """(quantized function, the same with relu, how many tensors it takes), or None."""
    if node.op not in ("call_function", "call_method"):
        return None
    for targets, name in ((_ADD, "add"), (_MUL, "mul"), (_MATMUL, "matmul")):
        if node.target in targets and len(node.args) == 2:
            if node.kwargs:
                return None
            tensors = sum(isinstance(a, flambeau.fx.Node) and is_tensor(a) for a in node.args)
            with_relu = getattr(_operators, f"{name}_relu", None)
            return getattr(_operators, name), with_relu, tensors
    return None


def kind_of(node, modules):
    """What to do with a node, or None: it stays with floats.

    "layer": products with a weight; "binary": two tensors; "number": a tensor and a number;
    "own": a scale of its own for the result; "fixed": a scale that is known before; "same": the
    input's scale; "join": one scale for all; "table": rows by index; "recurrent".
    """
    if node.op == "call_module":
        return _of_module(module_of(node, modules))
    if node.op not in ("call_function", "call_method"):
        return None
    binary = binary_of(node)
    if binary:
        return {1: "number", 2: "binary"}.get(binary[2])
    if node.target in WEIGHTED:
        weight = node.args[1] if len(node.args) > 1 else node.kwargs.get("weight")
        return "layer" if getattr(weight, "op", None) == "get_attr" else None
    if node.target in _FIXED:
        return "fixed"
    if node.target in _JOINS:
        return "join"
    if node.target in OWN:
        return "own"
    if node.target in _SAME and node.args and getattr(node.args[0], "op", None):
        return "same"
    return None


def tensors_of(node, kind):
    """The inputs of a node that are to be quantized."""
    first = node.args[0] if node.args else node.kwargs.get("input", node.kwargs.get("tensors"))
    if kind == "join":
        return list(first) if isinstance(first, (list, tuple)) else []
    if kind in ("binary", "number"):
        return [a for a in node.args if isinstance(a, flambeau.fx.Node) and is_tensor(a)]
    return [first]
