"""What jit.trace does around a recording: the module that it makes, and whether that is right."""

import warnings
import weakref

import flambeau
from flambeau import Tensor, nn

from . import ScriptFunction, TracerWarning, _print, _trace
from ._modules import RecursiveScriptModule

_reasons = weakref.WeakKeyDictionary()  # what could not be recorded -> why


def traced(func, args, kwargs, check, more_inputs, tolerance):
    """The recorded program; func itself where it cannot be recorded."""
    if isinstance(func, (RecursiveScriptModule, ScriptFunction)):
        func(*args, **kwargs)
        return func
    module = func if isinstance(func, nn.Module) else getattr(func, "__self__", None)
    module = module if isinstance(module, nn.Module) else None
    try:
        recorded = _trace.record(func, args, kwargs)
        made = _print.program(*recorded, module)
    except RuntimeError as error:
        if not str(error).startswith("trace():"):
            raise
        _reasons[func] = str(error)
        return func
    if check:
        _compare(made, _tensors(recorded[2]), args, kwargs, tolerance)
        for inputs in more_inputs:
            inputs = inputs if isinstance(inputs, (tuple, list)) else (inputs,)
            with flambeau.no_grad():
                wanted = _tensors(func(*inputs))
            _compare(made, wanted, inputs, {}, tolerance)
    if isinstance(func, nn.Module):
        return made
    return ScriptFunction(made, getattr(func, "__name__", "forward"))


def reason(func):
    """Why an object could not be recorded, as the end of a sentence."""
    try:
        return f": {_reasons[func]}" if func in _reasons else "; trace it first"
    except TypeError:
        return "; trace it first"


def _compare(made, wanted, args, kwargs, tolerance):
    """Runs the program on an example and warns where it gives something else."""
    with flambeau.no_grad():
        found = _tensors(made.forward(*args, **kwargs))
    for one, other in zip(found, wanted, strict=True):
        if not flambeau.allclose(one, other, rtol=tolerance, atol=tolerance, equal_nan=True):
            off = (one - other).abs().max().item()
            warnings.warn(
                f"Output of the traced function does not match that of the Python function: it is "
                f"off by {off}. Does it draw random numbers, or change its state?",
                TracerWarning,
                stacklevel=4,
            )
            return


def _tensors(tree):
    """All tensors of nested outputs, those of values being their examples."""
    if isinstance(tree, _trace.Value):
        return [tree.example]
    if isinstance(tree, Tensor):
        return [tree]
    if isinstance(tree, dict):
        tree = list(tree.values())
    if isinstance(tree, (tuple, list)):
        return [found for each in tree for found in _tensors(each)]
    return []
