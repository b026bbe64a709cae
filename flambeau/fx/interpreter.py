"""Running a graph node by node."""

import operator

import flambeau

from ._symbolic_trace import Tracer
from .graph import Graph
from .graph_module import GraphModule
from .node import map_aggregate, map_arg
from .proxy import Proxy

__all__ = ["Interpreter", "Transformer"]


class Interpreter:
    """Runs a GraphModule one node at a time; methods named like the ops may be overridden.

    >>> import flambeau as torch
    >>> traced = torch.fx.symbolic_trace(lambda x: x.relu() + 1)
    >>> torch.fx.Interpreter(traced).run(torch.tensor([-1.0]))
    tensor([1.])
    """

    def __init__(self, module, garbage_collect_values=True, graph=None):
        self.module = module
        self.submodules = dict(module.named_modules())
        self.graph = module.graph if graph is None else graph
        self.env = {}
        self.name = "Interpreter"
        self.garbage_collect_values = garbage_collect_values
        self.extra_traceback = True
        self._drops = self.graph._last_uses() if garbage_collect_values else {}

    def run(self, *args, initial_env=None, enable_io_processing=True):
        """The graph's output for these inputs; initial_env: values of nodes already known."""
        self.env = {} if initial_env is None else initial_env
        self.args_iter = iter(args)
        for node in self.graph.nodes:
            if node in self.env:
                continue
            try:
                self.env[node] = self.run_node(node)
            except Exception as error:
                if self.extra_traceback:
                    error.add_note(f"While executing {node.format_node()}")
                raise
            for done in self._drops.get(node, ()):
                self.env.pop(done, None)
            if node.op == "output":
                return self.env[node]
        return None

    def boxed_run(self, args_list):
        """`run` over a list, which is emptied so that inputs can be let go of."""
        args = list(args_list)
        args_list.clear()
        return self.run(*args)

    def run_node(self, n):
        """One node's value."""
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        return getattr(self, n.op)(n.target, args, kwargs)

    def placeholder(self, target, args, kwargs):
        if target.startswith("*"):
            return list(self.args_iter)
        try:
            return next(self.args_iter)
        except StopIteration:
            if args:
                return args[0]
            raise RuntimeError(
                f"Expected positional argument for parameter {target}, but one was not passed in!"
            ) from None

    def get_attr(self, target, args, kwargs):
        return self.fetch_attr(target)

    def call_function(self, target, args, kwargs):
        return target(*args, **kwargs)

    def call_method(self, target, args, kwargs):
        self_object, *rest = args
        return getattr(self_object, target)(*rest, **kwargs)

    def call_module(self, target, args, kwargs):
        return self.fetch_attr(target)(*args, **kwargs)

    def output(self, target, args, kwargs):
        return args[0]

    def fetch_attr(self, target):
        """The module's attribute of that dotted name."""
        try:
            return operator.attrgetter(target)(self.module)
        except AttributeError as error:
            raise RuntimeError(f"Node referenced nonexistent target {target}") from error

    def fetch_args_kwargs_from_env(self, n):
        """The node's arguments with nodes replaced by their values."""
        return self.map_nodes_to_values(n.args, n), self.map_nodes_to_values(n.kwargs, n)

    def map_nodes_to_values(self, args, n):
        def value(node):
            if node not in self.env:
                raise RuntimeError(
                    f"Node {n} referenced nonexistent value {node}! Run Graph.lint()"
                )
            return self.env[node]

        return map_arg(args, value)


class Transformer(Interpreter):
    """Records a GraphModule anew while running it on proxies; methods overridden change steps."""

    def __init__(self, module):
        super().__init__(module)
        self.new_graph = Graph()

        class Recorder(Tracer):
            def __init__(self, graph):
                super().__init__()
                self.graph = graph
                self.root = module
                self._tensor_names = {}

            def is_leaf_module(self, m, module_qualified_name):
                return True

        self.tracer = Recorder(self.new_graph)

    def placeholder(self, target, args, kwargs):
        made = self.new_graph.placeholder(target, default_value=args[0] if args else ...)
        return Proxy(made, self.tracer)

    def get_attr(self, target, args, kwargs):
        return self.tracer.create_proxy("get_attr", target, args, kwargs)

    def call_module(self, target, args, kwargs):
        return self.tracer.call_module(self.fetch_attr(target), None, args, kwargs)

    def call_function(self, target, args, kwargs):
        return self.tracer.create_proxy("call_function", target, args, kwargs)

    def call_method(self, target, args, kwargs):
        return self.tracer.create_proxy("call_method", target, args, kwargs)

    def transform(self):
        """The module that was recorded."""
        with flambeau.no_grad():
            result = super().run()
        if result is not None:
            self.new_graph.output(
                map_aggregate(result, lambda v: v.node if isinstance(v, Proxy) else v)
            )
        return GraphModule(self.module, self.new_graph)
