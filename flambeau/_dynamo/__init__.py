"""torch._dynamo's names, which libraries import: nothing is traced or compiled here."""

from flambeau.compiler import (
    allow_in_graph,
    assume_constant_result,
    disable,
    is_compiling,
    list_backends,
    reset,
    substitute_in_graph,
)

from . import config, eval_frame

OptimizedModule = eval_frame.OptimizedModule


def mark_dynamic(t, index, **bounds):
    """Marks a dimension as one that changes: all may."""


maybe_mark_dynamic = mark_unbacked = mark_dynamic


def mark_static(t, index=None):
    """Marks dimensions as ones that stay: nothing depends on it."""


def mark_static_address(t, guard=False):
    """Marks a tensor's memory as staying where it is: nothing depends on it."""


def is_dynamo_supported():
    """Whether programs can be compiled: no."""
    return False


def graph_break(msg=""):
    """Splits the graph, of which there is none."""


def optimize(backend="eager", **options):
    """A decorator that gives the function back."""
    return allow_in_graph


def explain(f, *args, **kwargs):
    """Raises RuntimeError: there are no graphs to explain."""
    raise RuntimeError("explain(): flambeau does not compile programs")
