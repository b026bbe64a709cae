"""The Python text of a graph, as PyTorch writes it."""

import dataclasses
import re
import sys

import flambeau

from .node import Node, qualified_name

_BINARY = {
    "add": "+", "sub": "-", "mul": "*", "truediv": "/", "floordiv": "//", "mod": "%", "pow": "**",
    "matmul": "@", "lshift": "<<", "rshift": ">>", "and_": "&", "or_": "|", "xor": "^", "lt": "<",
    "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!=",
}  # fmt: skip
_UNARY = {"neg": "-", "pos": "+", "invert": "~"}


# The globals that all generated code has.
STANDARD_NAMES = {
    "torch": flambeau,
    "inf": float("inf"),
    "nan": float("nan"),
    "NoneType": type(None),
    "device": flambeau.device,
}


@dataclasses.dataclass
class PythonCode:
    """Source of a `forward` and the globals that it names."""

    src: str
    globals: dict


class _Writer:
    """Names and values as text, and the globals that the text needs."""

    def __init__(self, graph):
        self.graph = graph
        self.names = dict(STANDARD_NAMES)
        self.taken = {node.name for node in graph.nodes}
        self.wrapped = []

    def held(self, wish, value):
        """A global of the value: the wished name, or one like it."""
        name, count = wish, 0
        while name in self.taken or self.names.get(name, value) is not value:
            count += 1
            name = f"{wish}_{count}"
        self.names[name] = value
        return name

    def text(self, value):
        if isinstance(value, Node):
            return value.name
        if isinstance(value, (tuple, list)) and not hasattr(value, "_fields"):
            inner = ", ".join(map(self.text, value))
            if isinstance(value, list):
                return f"[{inner}]"
            return f"({inner},)" if len(value) == 1 else f"({inner})"
        if isinstance(value, dict):
            pairs = (f"{self.text(k)}: {self.text(v)}" for k, v in value.items())
            return "{" + ", ".join(pairs) + "}"
        if isinstance(value, slice):
            return f"slice({', '.join(map(self.text, (value.start, value.stop, value.step)))})"
        if (
            value is None
            or value is ...
            or isinstance(value, (bool, int, float, complex, str, bytes))
        ):
            return repr(value)
        if isinstance(value, flambeau.dtype):
            return f"torch.{str(value).rpartition('.')[2]}"
        if isinstance(value, flambeau.device):
            return repr(value)
        return self.held(re.sub(r"\W", "_", f"_{type(value).__name__}"), value)

    def arguments(self, args, kwargs):
        return ", ".join(
            [*map(self.text, args), *(f"{k} = {self.text(v)}" for k, v in kwargs.items())]
        )

    def function(self, function):
        """The name of a function in the text: PyTorch's path, or that of a global."""
        if hasattr(function, "overloadpacket") and _reached(f"ops.{function}") is function:
            return f"torch.ops.{function}"
        path = qualified_name(function)[0]
        root, _, rest = path.partition(".")
        if root in ("flambeau", "torch") and _reached(rest) is function:
            return f"torch.{rest}"
        return self.held(re.sub(r"\W", "_", path), function)

    def annotation(self, kind):
        """` : type` behind a parameter, where the type has a short name."""
        if not isinstance(kind, type):
            return ""
        root, _, rest = f"{kind.__module__}.{kind.__qualname__}".partition(".")
        if root == "builtins" and kind.__name__ not in self.taken:
            return f" : {rest}"
        if issubclass(kind, flambeau.Tensor) and kind.__qualname__ == "Tensor":
            return " : torch.Tensor"
        return ""

    def call(self, node):
        """The expression that computes a node."""
        args, kwargs = node.args, node.kwargs
        if node.op == "get_attr":
            return path("self", node.target)
        if node.op == "call_module":
            return f"{path('self', node.target)}({self.arguments(args, kwargs)})"
        if node.op == "call_method":
            owner = self.text(args[0])
            return f"{owner}.{node.target}({self.arguments(args[1:], kwargs)})"
        function = node.target
        if getattr(function, "__module__", None) == "_operator" and not kwargs:
            name = function.__name__
            if name in _BINARY and len(args) == 2:
                return f"{self.text(args[0])} {_BINARY[name]} {self.text(args[1])}"
            if name in _UNARY and len(args) == 1:
                return f"{_UNARY[name]}{self.text(args[0])}"
            if name == "getitem" and len(args) == 2:
                return f"{self.text(args[0])}[{self.text(args[1])}]"
        if function is getattr and len(args) == 2 and args[1].isidentifier():
            return f"{self.text(args[0])}.{args[1]}"
        name = self.function(function)
        if node.meta.get("is_wrapped") and name not in self.wrapped:
            self.wrapped.append(name)
        return f"{name}({self.arguments(args, kwargs)})"


def _reached(path):
    value = flambeau
    for part in path.split("."):
        value = getattr(value, part, None)
    return value


def path(root, target):
    """`root.a.b`, with getattr for what is no identifier: names of layers such as 0."""
    made = root
    for part in target.split("."):
        made = f"{made}.{part}" if part.isidentifier() else f'getattr({made}, "{part}")'
    return made


def python_code(graph, root_module="self"):
    """The source of a `forward` that runs the graph, with its globals."""
    writer = _Writer(graph)
    parameters, lines, returns, annotated = [], [], "return None", ""
    last_use = graph._last_uses()
    for node in graph.nodes:
        if node.op == "placeholder":
            default = f" = {writer.text(node.args[0])}" if node.args else ""
            parameters.append(f"{node.target}{writer.annotation(node.type)}{default}")
            if node.target.lstrip("*") != node.name:
                lines.append(f"    {node.name} = {node.target.lstrip('*')}")
            continue
        if node.op == "output":
            annotated = writer.annotation(node.type).replace(" :", " ->", 1)
            returns = f"return {writer.text(node.args[0])}"
            break
        done = [*last_use.get(node, ()), *(() if node.users else (node,))]
        drop = ";  " + " = ".join([*(n.name for n in done), "None"]) if done else ""
        if node.op == "call_method" or node.op == "call_function" or root_module == "self":
            line = writer.call(node)
        else:
            line = writer.call(node).replace("self", root_module, 1)
        lines.append(f"    {node.name} = {line}{drop}")
    wraps = "\n".join(f'torch.fx._symbolic_trace.wrap("{name}")' for name in writer.wrapped)
    head = f"def forward({', '.join([root_module, *parameters])}){annotated}:"
    body = "\n".join([*lines, f"    {returns}", "    "])
    return PythonCode(f"\n{wraps}\n\n{head}\n{body}", writer.names)


def functional_call(function, args, kwargs):
    """The arguments of a function of nn.functional as PyTorch records them.

    Its functions written in Python pass on what has no default by position and all else by name,
    defaults included.
    """
    name = getattr(function, "__name__", "")
    here = sys.modules["flambeau.nn.functional"]
    if name in _COMPILED or getattr(here, name, None) is not function:
        return args, kwargs
    import inspect

    try:
        schemas = getattr(function, "schemas", None)
        named = getattr(function, "if_false", function)  # boolean_dispatch hides the names
        signature = _signature(schemas[0]) if schemas else inspect.signature(named)
        bound = signature.bind(*args, **kwargs)
    except (TypeError, ValueError):
        return args, kwargs
    parameters = signature.parameters
    if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters.values()):
        return args, kwargs
    bound.apply_defaults()
    needed = [n for n, p in parameters.items() if p.default is p.empty]
    rest = {n: v for n, v in bound.arguments.items() if n not in needed}
    return tuple(bound.arguments[n] for n in needed), rest


def _signature(schema):
    """The signature of an operator whose defaults are plain values."""
    import ast
    import inspect

    made, kind = [], inspect.Parameter.POSITIONAL_OR_KEYWORD
    for text in schema[schema.index("(") + 1 : schema.rindex(")")].split(", "):
        if text == "*":
            kind = inspect.Parameter.KEYWORD_ONLY
            continue
        declared, _, default = text.partition("=")
        value = ast.literal_eval(default) if default else inspect.Parameter.empty
        made.append(inspect.Parameter(declared.split()[-1], kind, default=value))
    return inspect.Signature(made)


# Functions of nn.functional that PyTorch has compiled; it records their calls as they are written.
_COMPILED = set(
    """conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d conv_tbc avg_pool1d
    avg_pool2d avg_pool3d adaptive_avg_pool1d linear bilinear pixel_shuffle pixel_unshuffle
    channel_shuffle gelu logsigmoid softplus hardshrink softshrink prelu celu_ elu_ hardtanh_
    leaky_relu_ relu_ rrelu_ selu_ threshold_ pairwise_distance pdist cosine_similarity one_hot
    scaled_dot_product_attention""".split()
)
