"""torch.compiler's names. Nothing is compiled but by backends of the program's own.

>>> import flambeau as torch
>>> torch.compiler.is_compiling()
False
"""

from .._settings import compile

__all__ = """allow_in_graph assume_constant_result compile cudagraph_mark_step_begin disable
is_compiling is_dynamo_compiling is_exporting list_backends nested_compile_region reset set_stance
substitute_in_graph wrap_numpy""".split()


def is_compiling():
    """Whether this code is being compiled: never."""
    return False


is_dynamo_compiling = is_exporting = is_compiling


def allow_in_graph(fn):
    """fn itself: there is no graph to allow it in."""
    return fn


def assume_constant_result(fn):
    """fn itself, which runs each time."""
    return fn


def disable(fn=None, recursive=True, *, reason=None):
    """fn itself, or the decorator that gives it back."""
    return fn if fn is not None else allow_in_graph


def nested_compile_region(fn=None, **options):
    """fn itself, or the decorator that gives it back: nothing is compiled apart from the rest."""
    return fn if fn is not None else allow_in_graph


def substitute_in_graph(
    original_fn, *, can_constant_fold_through=False, skip_signature_check=False
):
    """A decorator that leaves both functions as they are: there is no graph."""
    return allow_in_graph


def list_backends(exclude_tags=("debug", "experimental")):
    """The names that `compile` takes for its backend: those of PyTorch, all of which run the
    program as it is, and those that were registered."""
    from .._dynamo import _NAMED

    return sorted(set(_NAMED) - ({"eager", "aot_eager"} if exclude_tags else set()))


def reset():
    """Forgets what was compiled: there is nothing."""


def cudagraph_mark_step_begin():
    """Marks the begin of a step for CUDA graphs, of which there are none."""


class set_stance:
    """How `compile` behaves, as statement, context or decorator. Every stance runs eagerly."""

    _KNOWN = ("default", "force_eager", "eager_on_recompile", "fail_on_recompile")

    def __init__(self, stance="default", *, skip_guard_eval_unsafe=False, force_backend=None):
        if stance not in self._KNOWN:
            raise RuntimeError(f"invalid torch.compile stance {stance!r}: one of {self._KNOWN}")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        return False

    def __call__(self, fn):
        return fn


def wrap_numpy(fn):
    """fn over NumPy arrays as a function over tensors.

    >>> import flambeau as torch, numpy
    >>> torch.compiler.wrap_numpy(numpy.sqrt)(torch.tensor([4.0]))
    tensor([2.])
    """
    import functools

    import numpy

    import flambeau

    def swap(value, kind, convert):
        if isinstance(value, (tuple, list)):
            return type(value)(swap(item, kind, convert) for item in value)
        return convert(value) if isinstance(value, kind) else value

    @functools.wraps(fn)
    def wrapped(*args, **kwargs):
        args = swap(args, flambeau.Tensor, lambda t: t.numpy())
        kwargs = {k: swap(v, flambeau.Tensor, lambda t: t.numpy()) for k, v in kwargs.items()}
        return swap(fn(*args, **kwargs), (numpy.ndarray, numpy.generic), flambeau.as_tensor)

    return wrapped
