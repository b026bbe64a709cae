"""A recorded program: a list of nodes, and the Python that runs it."""

import builtins
import copy
import keyword
import operator
import re

from ._code import STANDARD_NAMES, PythonCode, python_code
from .node import Node, map_arg

__all__ = ["Graph", "PythonCode"]

_GLOBALS = {*STANDARD_NAMES, "fx_pytree", "pytree"}


def _snake_case(text):
    """layerNorm as layer_norm."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", text).lower()


class _Names:
    """Identifiers that are taken, and fresh ones like a wish."""

    def __init__(self):
        self._taken = set()

    def fresh(self, wish):
        base = re.sub(r"\W", "_", wish) or "_"
        if base[0].isdigit():
            base = "_" + base
        stem, _, number = base.rpartition("_")
        stem, count = (stem, int(number)) if stem and number.isdecimal() else (base, None)
        name = base
        while (
            name in self._taken
            or keyword.iskeyword(name)
            or hasattr(builtins, name)
            or name in _GLOBALS
        ):
            count = 1 if count is None else count + 1
            name = f"{stem}_{count}"
        self._taken.add(name)
        return name


class _Nodes:
    """The nodes of a graph in order."""

    def __init__(self, graph, backwards=False):
        self._graph = graph
        self._backwards = backwards

    def __len__(self):
        return self._graph._count

    def __iter__(self):
        root = self._graph._root
        node = root._prev if self._backwards else root._next
        while node is not root:
            following = node._prev if self._backwards else node._next
            if not node._erased:
                yield node
                if not node._erased:
                    following = node._prev if self._backwards else node._next
            node = following

    def __reversed__(self):
        return iter(_Nodes(self._graph, not self._backwards))


class Graph:
    """A program as nodes. New nodes go to the end, or where `inserting_before` points.

    >>> import flambeau as torch
    >>> graph = torch.fx.Graph()
    >>> x = graph.placeholder("x")
    >>> y = graph.call_function(torch.relu, (x,))
    >>> _ = graph.output(y)
    >>> torch.fx.GraphModule(torch.nn.Module(), graph)(torch.tensor([-1.0, 1.0]))
    tensor([0., 1.])
    """

    def __init__(self, owning_module=None, tracer_cls=None, tracer_extras=None):
        self._root = Node(self, "", "root", "", (), {})
        self._insert_before = self._root
        self._count = 0
        self._names = _Names()
        self._tracer_cls = tracer_cls
        self._tracer_extras = tracer_extras
        self.owning_module = owning_module

    @property
    def nodes(self):
        return _Nodes(self)

    def find_nodes(self, *, op, target=None, sort=True):
        """The nodes of one kind, and target if given."""
        return [node for node in self.nodes if node.op == op and target in (None, node.target)]

    def output_node(self):
        """The output node."""
        return next(node for node in reversed(self.nodes) if node.op == "output")

    # -- building -----------------------------------------------------------------------------
    def create_node(self, op, target, args=None, kwargs=None, name=None, type_expr=None):
        """A new node at the insertion point."""
        if op not in _KINDS:
            raise AssertionError(f"unknown op {op!r}: one of {_KINDS}")
        wish = name or self._wish(op, target)
        node = Node(self, self._names.fresh(wish), op, target, args or (), kwargs or {}, type_expr)
        self._insert_before.prepend(node)
        self._count += 1
        return node

    def _wish(self, op, target):
        if isinstance(target, str):
            text = target.replace(".", "_")
            return text.strip("*") if op == "placeholder" else _snake_case(text)
        name = getattr(target, "__name__", None) or type(target).__name__
        if hasattr(target, "overloadpacket"):  # aten.add_.Tensor as add_
            return name.partition(".")[0].lstrip("_")
        return _snake_case(name.strip("_"))

    def placeholder(self, name, type_expr=None, default_value=...):
        """An input; `name` may start with * or **."""
        args = () if default_value is ... else (default_value,)
        return self.create_node("placeholder", name, args, type_expr=type_expr)

    def get_attr(self, qualified_name, type_expr=None):
        """An attribute of the root module, by its dotted name."""
        return self.create_node("get_attr", qualified_name, type_expr=type_expr)

    def call_function(self, the_function, args=None, kwargs=None, type_expr=None, name=None):
        """A call of a function."""
        return self.create_node("call_function", the_function, args, kwargs, name, type_expr)

    def call_method(self, method_name, args=None, kwargs=None, type_expr=None):
        """A call of a method of the first argument."""
        return self.create_node("call_method", method_name, args, kwargs, type_expr=type_expr)

    def call_module(self, module_name, args=None, kwargs=None, type_expr=None):
        """A call of a submodule of the root."""
        return self.create_node("call_module", module_name, args, kwargs, type_expr=type_expr)

    def output(self, result, type_expr=None):
        """What the program returns."""
        return self.create_node("output", "output", (result,), type_expr=type_expr)

    def node_copy(self, node, arg_transform=lambda node: node):
        """A copy of another graph's node, its arguments mapped."""
        args = map_arg(node.args, arg_transform)
        kwargs = map_arg(node.kwargs, arg_transform)
        made = self.create_node(node.op, node.target, args, kwargs, node.name, node.type)
        made.meta = copy.copy(node.meta)
        return made

    def graph_copy(self, g, val_map, return_output_node=False):
        """Copies all nodes of g; fills val_map (old -> new) and returns the mapped output."""
        for node in g.nodes:
            if node in val_map:
                continue
            if node.op == "output":
                result = map_arg(node.args[0], val_map.__getitem__)
                return (result, node) if return_output_node else result
            val_map[node] = self.node_copy(node, val_map.__getitem__)
        return None

    def __deepcopy__(self, memo=None):
        made = Graph(tracer_cls=self._tracer_cls, tracer_extras=self._tracer_extras)
        found = {}
        output = made.graph_copy(self, found, return_output_node=True)
        if output is not None:
            node = made.output(output[0], output[1].type)
            node.meta = copy.copy(output[1].meta)
        return made

    # -- changing -----------------------------------------------------------------------------
    def inserting_before(self, n=None):
        """A context in which new nodes go in front of n (the start of the graph without one).

        The insertion point moves at once, as statement and as context."""
        return self._inserting(self._root._next if n is None else n)

    def inserting_after(self, n=None):
        """A context in which new nodes go behind n (the start of the graph without one)."""
        return self._inserting((self._root if n is None else n)._next)

    def _inserting(self, at):
        if at.graph is not self:
            raise AssertionError("Node to insert at is not in graph")
        graph, before, self._insert_before = self, self._insert_before, at

        class Inserting:
            def __enter__(self):
                return self

            def __exit__(self, *exc):
                graph._insert_before = before

        return Inserting()

    def erase_node(self, to_erase):
        """Takes out a node that nobody reads; RuntimeError if somebody does."""
        if to_erase.users:
            raise RuntimeError(
                f"Tried to erase Node {to_erase} but it still had {len(to_erase.users)} users in "
                f"the graph: {to_erase.users}!"
            )
        if to_erase.graph is not self:
            raise RuntimeError(f"Attempting to remove {to_erase} from the wrong graph!")
        if to_erase._erased:
            return
        if self._insert_before is to_erase:
            self._insert_before = to_erase._next
        to_erase._unlink()
        to_erase._erased = True
        to_erase.args, to_erase.kwargs = (), {}
        self._count -= 1

    def eliminate_dead_code(self, is_impure_node=None):
        """Takes out what nobody reads and has no effect; whether anything went."""
        impure = is_impure_node or (lambda node: node.is_impure())
        before = self._count
        for node in reversed(self.nodes):
            if not node.users and not impure(node):
                self.erase_node(node)
        return self._count < before

    def lint(self):
        """RuntimeError unless names are unique, arguments come first and targets exist."""
        seen, names = set(), set()
        for node in self.nodes:
            if node.op not in _KINDS:
                raise RuntimeError(f"Node {node} had unknown opcode {node.op}!")
            for argument in node.all_input_nodes:
                if argument.graph is not self:
                    raise RuntimeError(
                        f"Argument '{argument}' of Node '{node}' does not belong to this Graph"
                    )
                if argument not in seen:
                    raise RuntimeError(
                        f"Argument '{argument}' of Node '{node}' was used before it has been "
                        "defined!"
                    )
            if node.name in names:
                raise RuntimeError(f"Node redefined name {node.name}!")
            seen.add(node)
            names.add(node.name)
            if self.owning_module is not None and node.op in ("get_attr", "call_module"):
                try:
                    operator.attrgetter(node.target)(self.owning_module)
                except AttributeError as error:
                    message = f"Node {node} target {node.target} does not exist"
                    raise RuntimeError(message) from error

    # -- code ---------------------------------------------------------------------------------
    def python_code(self, root_module="self", **options):
        """The source of a `forward` that runs the graph, with its globals."""
        return python_code(self, root_module)

    def _last_uses(self):
        """node -> what is read for the last time by it: let go of there, to save memory."""
        seen, found = set(), {}
        for node in reversed(self.nodes):
            for argument in node.all_input_nodes:
                if argument not in seen:
                    seen.add(argument)
                    if node.op != "output":
                        found.setdefault(node, []).append(argument)
        return found

    def set_codegen(self, codegen):
        """RuntimeError: the generated code has one form here."""
        raise RuntimeError("Graph.set_codegen(): other forms of code are not supported")

    def on_generate_code(self, make_transformer):
        """RuntimeError: the generated code has one form here."""
        raise RuntimeError("Graph.on_generate_code(): other forms of code are not supported")

    def print_tabular(self):
        """Prints the nodes as a table."""
        rows = [("opcode", "name", "target", "args", "kwargs")]
        rows += [
            (n.op, n.name, str(n._pretty_print_target(n.target)), str(n.args), str(n.kwargs))
            for n in self.nodes
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        rows.insert(1, tuple("-" * width for width in widths))
        for row in rows:
            print(
                "  ".join(
                    cell.ljust(width) for cell, width in zip(row, widths, strict=True)
                ).rstrip()
            )

    def __str__(self):
        return "\n    ".join(["graph():", *(n.format_node() for n in self.nodes)])


_KINDS = ("placeholder", "get_attr", "call_function", "call_module", "call_method", "output")
