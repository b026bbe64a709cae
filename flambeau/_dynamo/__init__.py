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

from . import config, eval_frame, exc, utils

OptimizedModule = eval_frame.OptimizedModule
is_dynamo_supported = is_inductor_supported = eval_frame.is_dynamo_supported
_NAMED = dict.fromkeys("aot_eager cudagraphs eager inductor onnxrt openxla tvm".split())


def register_backend(compiler_fn=None, name=None, tags=()):
    """Names a backend, for `compile(model, backend=name)`; also a decorator."""
    if compiler_fn is None:
        return lambda compiler_fn: register_backend(compiler_fn, name, tags)
    _NAMED[name or compiler_fn.__name__] = compiler_fn
    return compiler_fn


def make(model, backend, fullgraph=False, options=None):
    """What `compile` gives."""
    if isinstance(backend, str):
        if backend not in _NAMED:
            raise exc.InvalidBackend(backend)
        backend = _NAMED[backend]
    if backend is None or isinstance(model, OptimizedModule):
        return eval_frame.compiled(model)
    from ._capture import Captured

    return eval_frame.compiled(model, Captured(model, backend, fullgraph, options))


def mark_dynamic(t, index, **bounds):
    """Marks a dimension as one that changes: all may."""


maybe_mark_dynamic = mark_unbacked = mark_dynamic


def mark_static(t, index=None):
    """Marks dimensions as ones that stay: nothing depends on it."""


def mark_static_address(t, guard=False):
    """Marks a tensor's memory as staying where it is: nothing depends on it."""


def graph_break(msg=""):
    """Splits the graph, of which there is none."""


def optimize(backend="inductor", *, nopython=False, dynamic=None):
    """A decorator: `compile` with that backend."""
    return lambda model: make(model, backend, nopython)


def explain(f, *extra_args, **extra_kwargs):
    """A function of example arguments that tells of the graph of f: `graphs`, `graph_count`,
    `graph_break_count`, `op_count`, `break_reasons`."""

    def told(*args, **kwargs):
        from ._capture import explained

        return explained(f, args, kwargs)

    return told(*extra_args, **extra_kwargs) if extra_args or extra_kwargs else told
