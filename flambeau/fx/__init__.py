"""Programs as graphs: recorded from modules and functions, changed, and run as Python again.

>>> import flambeau as torch
>>> traced = torch.fx.symbolic_trace(lambda x: torch.relu(x) + 1)
>>> [node.op for node in traced.graph.nodes]
['placeholder', 'call_function', 'call_function', 'output']
>>> traced(torch.tensor([-1.0, 1.0]))
tensor([1., 2.])
"""

from ._symbolic_trace import PH, ProxyableClassMeta, Tracer, symbolic_trace, wrap
from .graph import Graph
from .graph_module import GraphModule
from .interpreter import Interpreter, Transformer
from .node import Node, has_side_effect, map_arg
from .proxy import Proxy, TraceError
from .subgraph_rewriter import replace_pattern

__all__ = """Graph GraphModule Interpreter Node PH Proxy ProxyableClassMeta TraceError Tracer
Transformer has_side_effect map_arg replace_pattern symbolic_trace wrap""".split()
