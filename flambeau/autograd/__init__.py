"""Gradients: backward, grad, Function, gradient modes, hooks on the graph, checks."""

from .. import _C, _levels
from .anomaly_mode import detect_anomaly, set_detect_anomaly
from .function import Function, FunctionCtx, NestedIOFunction
from .grad_mode import (
    _unsafe_preserve_version_counter,
    enable_grad,
    enforce_grad_layout_policy,
    inference_mode,
    no_grad,
    set_grad_enabled,
    set_multithreading_enabled,
)
from .gradcheck import gradcheck, gradgradcheck

__all__ = [
    "Function",
    "FunctionCtx",
    "NestedIOFunction",
    "Variable",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "enforce_grad_layout_policy",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "inference_mode",
    "no_grad",
    "set_detect_anomaly",
    "set_grad_enabled",
    "set_multithreading_enabled",
]


def __getattr__(name):
    from importlib import import_module

    if name == "Variable":
        return import_module(".variable", __name__).Variable
    if name == "kineto_available":
        return import_module("..profiler", __name__).kineto_available
    if name == "SavedTensor":
        return import_module(".graph", __name__).SavedTensor
    if name == "DeviceType":
        return import_module("..profiler", __name__).DeviceType
    if name in ("forward_ad", "functional", "graph", "profiler", "profiler_legacy", "variable"):
        return import_module("." + name, __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _tuple(x):
    """A tensor, an edge of the graph, or a sequence of them, as a tuple."""
    if x is None:
        return ()
    if isinstance(x, _C.Tensor) or hasattr(x, "output_nr"):
        return (x,)
    return tuple(x.values() if isinstance(x, dict) else x)


_watchers = []  # of walks through the graph: called with what a walk starts from, give contexts


def _run(roots, *arguments):
    if not _watchers:
        return _C._run_backward(roots, *arguments)
    from contextlib import ExitStack

    with ExitStack() as stack:
        for watch in _watchers:
            stack.enter_context(watch(roots))
        return _C._run_backward(roots, *arguments)


def backward(
    tensors,
    grad_tensors=None,
    retain_graph=None,
    create_graph=False,
    grad_variables=None,
    inputs=None,
):
    """Adds the gradients of `tensors` to the `grad` of the leaves they were computed from.

    Args:
        tensors: a tensor or a sequence of tensors.
        grad_tensors: the gradient with respect to each of them; None for scalars.
        retain_graph: keep what the graph saved, for another backward.
        create_graph: record the gradients themselves, for gradients of gradients.
        grad_variables: an old name of grad_tensors.
        inputs: only these get gradients; a dict stands for its values.

    >>> import flambeau as torch
    >>> x = torch.tensor([1., 2.], requires_grad=True)
    >>> torch.autograd.backward([x.sum(), x * x], [None, torch.ones(2)])
    >>> x.grad
    tensor([3., 5.])
    """
    if grad_variables is not None:
        from warnings import warn

        if grad_tensors is not None:
            raise RuntimeError(
                "`grad_tensors` and `grad_variables` (deprecated) arguments both passed to "
                "`backward()`. Please only use `grad_tensors`."
            )
        warn("`grad_variables` is deprecated. Use `grad_tensors` instead.", FutureWarning, 2)
        grad_tensors = grad_variables
    tensors = _tuple(tensors)
    grads = _tuple(grad_tensors) or (None,) * len(tensors)
    if inputs is not None and len(_tuple(inputs)) == 0:
        raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
    if retain_graph is None:
        retain_graph = create_graph
    if create_graph:
        _C._warn_of_cycle()
    _run(tensors, grads, retain_graph, create_graph, _tuple(inputs), True, True)


def _batched(outputs, grads, retain_graph, create_graph, inputs, allow_unused):
    """Gradients for several grad_outputs at once, which lie along their first dimension."""
    from ..func import vmap

    given = [i for i, g in enumerate(grads) if g is not None]
    there = []
    for i in given:
        y, g = outputs[i], grads[i]
        if isinstance(y, _C.Tensor) and g.shape[1:] != y.shape:
            raise RuntimeError(
                "If `is_grads_batched=True`, we interpret the first dimension of each grad_output "
                "as the batch dimension. The sizes of the remaining dimensions are expected to "
                f"match the shape of corresponding output: grad_output[{i}] has shape {g.shape}, "
                f"output[{i}] {y.shape}."
            )

    def pull(*examples):
        full = list(grads)
        for i, g in zip(given, examples, strict=True):
            full[i] = g
        found = _run(outputs, tuple(full), retain_graph, create_graph, inputs, False, allow_unused)
        there[:] = [g is not None for g in found]
        return tuple(g for g in found if g is not None)

    found = iter(vmap(pull)(*(grads[i] for i in given)))
    out = tuple(next(found) if t else None for t in there)
    return out if create_graph else tuple(g if g is None else _levels.cut(g) for g in out)


def _of_duals(outputs, grads, retain_graph, create_graph, inputs, allow_unused):
    """Gradients with their tangents, where tensors have derivatives in forward mode."""
    from ..func._grad import backward_of_duals

    grads = [y.detach().new_ones(y.shape) if g is None else g for y, g in zip(outputs, grads)]
    leaves = tuple(_levels.innermost(x) for x in inputs)
    found = backward_of_duals(outputs, grads, leaves, create_graph, retain_graph)
    if not allow_unused and any(g is None for g in found):
        raise RuntimeError(
            "One of the differentiated Tensors appears to not have been used in the graph. Set "
            "allow_unused=True if this is the desired behavior."
        )
    return tuple(found)


def grad(
    outputs,
    inputs,
    grad_outputs=None,
    retain_graph=None,
    create_graph=False,
    only_inputs=True,
    allow_unused=None,
    is_grads_batched=False,
    materialize_grads=False,
):
    """The gradients of `outputs` with respect to `inputs`, as a tuple, or a dict if they are one.

    >>> import flambeau as torch
    >>> x = torch.tensor(3., requires_grad=True)
    >>> g, = torch.autograd.grad(x ** 3, x, create_graph=True)
    >>> torch.autograd.grad(g, x)
    (tensor(18.),)
    """
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, "
            "but got: allow_unused=False."
        )
    if isinstance(inputs, dict):
        found = grad(outputs, tuple(inputs.values()), grad_outputs, retain_graph, create_graph,
                     only_inputs, allow_unused, is_grads_batched, materialize_grads)  # fmt: skip
        return dict(zip(inputs, found, strict=True))
    if not only_inputs:
        from warnings import warn

        warn(
            "only_inputs argument is deprecated and is ignored now (defaults to True). To "
            "accumulate gradient for other parts of the graph, please use torch.autograd.backward.",
            FutureWarning,
            stacklevel=2,
        )
    outputs, inputs = _tuple(outputs), _tuple(inputs)
    grads = _tuple(grad_outputs) or (None,) * len(outputs)
    if not inputs:
        raise RuntimeError("`inputs` argument to `grad()` cannot be empty.")
    if retain_graph is None:
        retain_graph = create_graph
    unused = bool(allow_unused) or materialize_grads
    if is_grads_batched:
        found = _batched(outputs, grads, retain_graph, create_graph, inputs, unused)
    elif _C._open_levels(0, 0) and _levels.any_dual((*outputs, *inputs, *grads)):
        found = _of_duals(outputs, grads, retain_graph, create_graph, inputs, unused)
    else:
        found = _run(outputs, grads, retain_graph, create_graph, inputs, False, unused)
    if materialize_grads:
        from .. import zeros_like

        found = tuple(
            zeros_like(x, requires_grad=create_graph) if g is None else g
            for g, x in zip(found, inputs, strict=True)
        )
    return found
