"""Programs as TorchScript archives: `load` runs them, `trace` and `save` write them. `script` gives
back the Python that it was given, which runs as it is.

>>> import flambeau as torch
>>> @torch.jit.script
... def double(x):
...     return 2 * x
>>> double(torch.ones(1))
tensor([2.])
"""

import contextlib
import types
import typing
import warnings
from builtins import isinstance as _is_instance
from typing import Final

from ..futures import Future
from ._modules import RecursiveScriptModule, ScriptModule

__all__ = """Attribute Error Final Future ScriptFunction ScriptModule annotate enable_onednn_fusion
export export_opnames fork freeze ignore interface is_scripting is_tracing isinstance load
onednn_fusion_enabled optimize_for_inference save script script_if_tracing script_method
set_fusion_strategy strict_fusion trace trace_module unused wait""".split()


class Error(RuntimeError):
    """What a script raises; here programs get the exception itself."""


class TracerWarning(Warning):
    """A warning of a trace; none is given here, and programs that filter it find it."""


class ScriptFunction:
    """What `trace` makes of a function: called, it runs the recorded operators."""

    def __init__(self, module, name):
        self._module = module
        self.__name__ = self.name = name

    def __call__(self, *args, **kwargs):
        return self._module.forward(*args, **kwargs)

    @property
    def code(self):
        """The source."""
        return self._module.code

    def save(self, f, _extra_files=None):
        """Writes an archive, as `flambeau.jit.save` does."""
        self._module.save(f, _extra_files)

    def save_to_buffer(self, _extra_files=None):
        """The bytes of the archive that `save` writes."""
        return self._module.save_to_buffer(_extra_files)


class Attribute(typing.NamedTuple):
    """A value with the type that a script should take it for."""

    value: object
    type: object


def is_scripting():
    """Whether a script is being compiled: never."""
    return False


def is_tracing():
    """Whether a trace is being recorded: never."""
    return False


def script(obj, optimize=None, _frames_up=0, _rcb=None, example_inputs=None):
    """obj itself."""
    return obj


def _unchanged(fn):
    return fn


script_method = script_if_tracing = export = interface = _unchanged
_overload = _overload_method = _unchanged  # declarations of signatures, replaced by what follows


def unused(fn):
    """Marks a method as outside of the script; it stays what it is."""
    return fn


def ignore(drop=False, **kwargs):
    """Marks a function as left to Python, where everything is; also `@ignore` without brackets."""
    return drop if callable(drop) else _unchanged


def annotate(the_type, the_value):
    """the_value, which is of that type."""
    return the_value


def isinstance(obj, target_type):
    """Whether obj is of the type, looking into List, Tuple, Dict, Optional and Union.

    >>> import flambeau as torch, typing
    >>> torch.jit.isinstance([1, 2], typing.List[int])
    True
    """
    if type(target_type) is tuple:
        return any(isinstance(obj, t) for t in target_type)
    origin, arguments = typing.get_origin(target_type), typing.get_args(target_type)
    if origin is None:
        return _is_instance(obj, type(None) if target_type is None else target_type)
    if origin in (typing.Union, types.UnionType):
        return any(isinstance(obj, t) for t in arguments)
    if not _is_instance(obj, origin):
        return False
    if origin is dict:
        return all(
            isinstance(k, arguments[0]) and isinstance(v, arguments[1]) for k, v in obj.items()
        )
    if origin is tuple and arguments[-1:] != (...,):
        return len(obj) == len(arguments) and all(map(isinstance, obj, arguments))
    return all(isinstance(item, arguments[0]) for item in obj)


def trace(
    func,
    example_inputs=None,
    optimize=None,
    check_trace=True,
    check_inputs=None,
    check_tolerance=1e-5,
    strict=True,
    example_kwarg_inputs=None,
    **internal,
):
    """The operators that func runs on the example inputs, as a module of its own (of a function: a
    ScriptFunction), which `save` writes for PyTorch, too.

    Branches and loops are those of the example; sizes taken from `x.shape` follow other inputs.
    Parameters are shared with func. With `check_trace` the trace is run, on each of `check_inputs`
    (a list of tuples), too, and a TracerWarning tells of results that differ. `optimize` and
    `strict` change nothing: nothing is fused, and lists and dictionaries may be returned. What
    cannot be recorded is given back as it is: it runs, and `save` says why it cannot be written.

    >>> import flambeau as torch
    >>> traced = torch.jit.trace(torch.nn.Linear(2, 1), torch.ones(1, 2))
    >>> traced(torch.ones(3, 2)).shape
    torch.Size([3, 1])
    """
    if example_inputs is None and example_kwarg_inputs is None:
        raise RuntimeError("trace(): example_inputs or example_kwarg_inputs are wanted")
    if _is_instance(example_inputs, dict):
        example_inputs, example_kwarg_inputs = (), example_inputs
    elif example_inputs is None:
        example_inputs = ()
    elif not _is_instance(example_inputs, (tuple, list)):
        example_inputs = (example_inputs,)
    from ._tracing import traced

    arguments = tuple(example_inputs), example_kwarg_inputs or {}
    return traced(func, *arguments, check_trace, check_inputs or (), check_tolerance)


def trace_module(mod, inputs, **options):
    """The trace of mod, where `inputs` (name of a method -> example inputs) names forward alone;
    else mod itself, after one run of each method."""
    if list(inputs) == ["forward"]:
        return trace(mod, inputs["forward"], **options)
    for name, example in inputs.items():
        trace(getattr(mod, name), example)
    return mod


def freeze(mod, preserved_attrs=None, optimize_numerics=True):
    """mod itself, which must be in eval mode.

    >>> import flambeau as torch
    >>> net = torch.nn.Linear(2, 2).eval()
    >>> torch.jit.freeze(net) is net
    True
    """
    if mod.training:
        raise RuntimeError("Freezing is currently only implemented for modules in eval mode.")
    return mod


def optimize_for_inference(mod, other_methods=None):
    """mod itself, in eval mode."""
    return mod.eval()


def fork(func, *args, **kwargs):
    """A Future that holds func(*args, **kwargs), which has run by then.

    >>> import flambeau as torch
    >>> future = torch.jit.fork(torch.add, torch.ones(1), 1)
    >>> torch.jit.wait(future)
    tensor([2.])
    """
    made = Future()
    try:
        made.set_result(func(*args, **kwargs))
    except Exception as error:
        made.set_exception(error)
    return made


def wait(future):
    """What a Future of `fork` holds."""
    return future.wait()


def save(m, f, _extra_files=None):
    """Writes what `trace` or `load` gave to an archive: a path, or anything with `write`.

    PyTorch's `torch.jit.load` reads it. `_extra_files`: name -> content of files to go with it.

    >>> import io
    >>> import flambeau as torch
    >>> file = io.BytesIO()
    >>> torch.jit.save(torch.jit.trace(torch.relu, torch.ones(1)), file)
    >>> _ = file.seek(0)
    >>> torch.jit.load(file)(torch.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    if _is_instance(m, (ScriptFunction, RecursiveScriptModule)):
        return m.save(f, _extra_files)
    from ._tracing import reason

    raise RuntimeError(
        "jit.save(): only what jit.trace recorded or jit.load read can be written" + reason(m)
    )


def load(f, map_location=None, _extra_files=None, _restore_shapes=False):
    """The module that an archive of TorchScript holds: a path, or a file that can seek.

    Archives are those of PyTorch's `torch.jit.save`. Their program is translated to calls of
    flambeau's operators, and nothing else in it can run. `map_location` says where tensors go, as
    in `flambeau.load`; `_extra_files` is a dictionary whose values are replaced by the contents of
    the files that its keys name.
    """
    from ._read import load as read

    return read(f, map_location, _extra_files)


def export_opnames(m):
    """The operators of a script: none, since nothing is compiled."""
    return []


def enable_onednn_fusion(enabled):
    """Takes the switch; there is no such fusion to turn on."""
    if enabled:
        warnings.warn("flambeau has no oneDNN fusion to enable", stacklevel=2)


def onednn_fusion_enabled():
    """Whether oneDNN's fusion is on: never."""
    return False


def set_fusion_strategy(strategy):
    """The strategy until now: an empty list. Nothing is fused by specialisation."""
    return []


@contextlib.contextmanager
def optimized_execution(should_optimize):
    """A block in which scripts would run with or without optimizations; there are none."""
    yield


class strict_fusion:
    """A context that would refuse operators left out of fusion."""

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        return False
