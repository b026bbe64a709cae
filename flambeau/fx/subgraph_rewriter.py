"""Replacing parts of a graph that look like a pattern."""

from typing import NamedTuple

from ._symbolic_trace import symbolic_trace
from .graph import Graph
from .graph_module import GraphModule
from .node import Node

__all__ = ["Match", "replace_pattern"]


class Match(NamedTuple):
    """Where the pattern was found: its last node, and pattern node -> graph node."""

    anchor: Node
    nodes_map: dict


def _graph(of):
    if isinstance(of, GraphModule):
        return of.graph
    return of if isinstance(of, Graph) else symbolic_trace(of).graph


def _same(pattern, value, found):
    """Whether an argument of the pattern stands for this one; fills `found`."""
    if isinstance(pattern, Node):
        if not isinstance(value, Node):
            if pattern.op != "placeholder":
                return False
            return found.setdefault(pattern, value) is value or found[pattern] == value
        if pattern in found:
            return found[pattern] is value
        if pattern.op != "placeholder" and (
            pattern.op != value.op
            or pattern.target != value.target
            or len(pattern.args) != len(value.args)
            or set(pattern.kwargs) != set(value.kwargs)
        ):
            return False
        found[pattern] = value
        if pattern.op == "placeholder":
            return True
        return all(
            _same(a, b, found) for a, b in zip(pattern.args, value.args, strict=True)
        ) and all(_same(pattern.kwargs[k], value.kwargs[k], found) for k in pattern.kwargs)
    if isinstance(pattern, (tuple, list)):
        return (
            isinstance(value, (tuple, list))
            and len(pattern) == len(value)
            and all(_same(a, b, found) for a, b in zip(pattern, value, strict=True))
        )
    return type(pattern) is type(value) and pattern == value


def replace_pattern(gm, pattern, replacement):
    """Replaces every non-overlapping part of gm.graph that matches; returns the Matches.

    pattern, replacement: functions or modules with the same inputs, or GraphModules. A part whose
    inner values are read from outside of it does not match.
    """
    pattern, replacement = _graph(pattern), _graph(replacement)
    result = pattern.output_node().args[0]
    if not isinstance(result, Node):
        raise RuntimeError("replace_pattern(): the pattern must return one value")
    inputs = [n for n in pattern.nodes if n.op == "placeholder"]
    ours = [n for n in replacement.nodes if n.op == "placeholder"]
    graph, matches, used = gm.graph, [], set()
    for node in graph.nodes:
        found = {}
        if not _same(result, node, found):
            continue
        inner = {v for k, v in found.items() if k.op != "placeholder" and isinstance(v, Node)}
        leaks = any(u not in inner for n in inner if n is not node for u in n.users)
        if leaks or inner & used:
            continue
        used |= inner
        matches.append(Match(node, found))
    swapped = {}
    for anchor, found in matches:
        values = {
            mine: swapped.get(found[theirs], found[theirs])
            for mine, theirs in zip(ours, inputs, strict=True)
        }
        with graph.inserting_before(anchor):
            made = graph.graph_copy(replacement, values)
        anchor.replace_all_uses_with(made)
        swapped[anchor] = made
        for key in reversed([n for n in pattern.nodes if n in found and n.op != "placeholder"]):
            graph.erase_node(found[key])
    gm.recompile()
    return matches
