"""A module whose `forward` is generated from a graph."""

import copy
import linecache
import operator
import re

import flambeau
from flambeau import nn

from ._code import STANDARD_NAMES, PythonCode
from .graph import Graph

__all__ = ["GraphModule", "reduce_graph_module"]

_sources = 0


def _home(root, path):
    """The module at the end of a path; those on the way are made where they are missing."""
    for part in path:
        child = getattr(root, part, None)
        if child is None:
            child = nn.Module()
            root.add_module(part, child)
        root = child
    return root


def _assign(value, root, target):
    """Sets root's dotted attribute."""
    *path, name = target.split(".")
    root = _home(root, path)
    if isinstance(value, flambeau.Tensor) and not isinstance(value, nn.Parameter):
        if name not in root._buffers and not hasattr(root, name):
            root.register_buffer(name, value)
            return
    setattr(root, name, value)


def _compiled(code):
    """The function that the source defines, with its lines where tracebacks look for them."""
    global _sources
    _sources += 1
    file = f"<flambeau.fx {_sources}>"
    linecache.cache[file] = len(code.src), None, code.src.splitlines(keepends=True), file
    names = dict(code.globals)
    exec(compile(code.src, file, "exec"), names)  # the source is made by Graph.python_code
    return names["forward"]


class GraphModule(nn.Module):
    """A module that runs a graph; what its nodes name comes from root, a module or a dict.

    Change `graph`, then call `recompile()`; `code` is the Python that runs.
    """

    def __new__(cls, *args, **kwargs):
        # A class of its own: `forward` is looked up on the class when the module is called.
        own = type(cls.__name__, (cls,), {"__module__": cls.__module__, "_graph_module": True})
        return super().__new__(cls if "_graph_module" in vars(cls) else own)

    def __init__(self, root, graph, class_name="GraphModule"):
        super().__init__()
        type(self).__name__ = class_name
        if isinstance(root, nn.Module):
            self.training = getattr(root, "training", True)
        for node in graph.nodes:
            if node.op in ("get_attr", "call_module"):
                if isinstance(root, nn.Module):
                    value = operator.attrgetter(node.target)(root)
                elif node.target in root:
                    value = root[node.target]
                else:
                    raise RuntimeError(
                        f"Node {node} referenced target {node.target} but that target was not "
                        "provided in root!"
                    )
                self._copy_path(root, node.target, value)
        self.meta = dict(getattr(root, "meta", None) or {})
        self.graph = graph

    def _copy_path(self, root, target, value):
        _assign(value, self, target)
        if not isinstance(root, nn.Module):
            return
        *path, name = target.split(".")
        home = root.get_submodule(".".join(path))
        mine = self.get_submodule(".".join(path))
        mine.training = home.training
        if name in home._buffers and name in home._non_persistent_buffers_set:
            mine._non_persistent_buffers_set.add(name)

    @property
    def graph(self):
        return self._graph

    @graph.setter
    def graph(self, graph):
        if not isinstance(graph, Graph):
            raise AssertionError(f"Expected a Graph instance, but got {type(graph)}")
        self._graph = graph
        graph.owning_module = self
        self.recompile()

    @property
    def code(self):
        """The Python source of `forward`."""
        return self._code

    def recompile(self):
        """Generates `forward` from the graph again; returns the code."""
        code = self._graph.python_code("self")
        self._code = code.src
        type(self).forward = _compiled(code)
        return code

    def __str__(self):
        more = "# To see more debug info, please use `graph_module.print_readable()`"
        return "\n".join([super().__str__(), self._code, more])

    def print_readable(self, print_output=True, **options):
        """The class as source text, printed unless told otherwise."""
        body = re.sub("^", "    ", self.code.lstrip("\n"), flags=re.M).rstrip()
        text = f"class {type(self).__name__}(torch.nn.Module):\n{body}\n"
        if print_output:
            print(text)
        return text

    def add_submodule(self, target, m):
        """Puts module m at the dotted name; False if something else stands in the way."""
        *path, name = target.split(".")
        home = _home(self, path)
        if isinstance(home, nn.Module):
            home.add_module(name, m)
        return isinstance(home, nn.Module)

    def delete_submodule(self, target):
        """Takes the module at the dotted name out; False if there is none."""
        root = self
        *path, name = target.split(".")
        for part in path:
            root = getattr(root, part, None)
            if not isinstance(root, nn.Module):
                return False
        if not isinstance(getattr(root, name, None), nn.Module):
            return False
        delattr(root, name)
        return True

    def delete_all_unused_submodules(self):
        """Takes out the modules that no node uses."""
        used = set()
        for node in self.graph.nodes:
            if node.op in ("call_module", "get_attr"):
                parts = node.target.split(".")
                used.update(".".join(parts[:i]) for i in range(1, len(parts) + 1))
                if node.op == "call_module":
                    called = self.get_submodule(node.target)
                    inner = called.named_modules(remove_duplicate=False)
                    used.update(f"{node.target}.{name}" for name, _ in inner if name)
        for name, _ in list(self.named_modules(remove_duplicate=False)):
            if name and name not in used:
                self.delete_submodule(name)

    def __deepcopy__(self, memo):
        holder = nn.Module()
        holder.__dict__ = copy.deepcopy(
            {k: v for k, v in self.__dict__.items() if k not in ("_graph", "_code")}, memo
        )
        made = GraphModule(holder, copy.deepcopy(self._graph), type(self).__name__)
        made.__dict__.update({k: v for k, v in holder.__dict__.items() if k != "_modules"})
        made._modules = holder._modules
        memo[id(self)] = made
        return made

    def __copy__(self):
        made = GraphModule(self, copy.deepcopy(self._graph), type(self).__name__)
        made.meta = dict(self.meta)
        return made

    def __reduce__(self):
        state = {k: v for k, v in self.__dict__.items() if k not in ("_graph", "_code")}
        return reduce_graph_module, (state, self.code, type(self).__name__)


def reduce_graph_module(state, code, class_name):
    """A pickled GraphModule again: its code is recorded once more."""
    from ._symbolic_trace import Tracer

    holder = type("Holder", (nn.Module,), {})()
    holder.__dict__ = state
    type(holder).forward = _compiled(_with_imports(code, dict(STANDARD_NAMES)))

    class EveryModule(Tracer):
        def is_leaf_module(self, m, module_qualified_name):
            return True

    return GraphModule(holder, EveryModule().trace(holder), class_name)


def _with_imports(code, names):
    import importlib

    for name in set(re.findall(r"\b([a-zA-Z_]\w*)\(", code)) - {"forward", "getattr"}:
        parts = name.split("_")
        for i in range(len(parts) - 1, 0, -1):
            module, attribute = ".".join(p for p in parts[:i] if p), "_".join(parts[i:])
            home = operator if module == "operator" else None
            try:
                home = home or importlib.import_module(module)
                names.setdefault(name, getattr(home, attribute))
            except (ImportError, AttributeError, ValueError):
                continue
    return PythonCode(code, names)
