"""Trading time for memory: parts of a model are run again in backward instead of being kept."""

import warnings
from contextlib import contextmanager, nullcontext
from weakref import ref

from .. import _C
from ..autograd.function import Function
from ..autograd.grad_mode import enable_grad
from ._selective import (
    SAC_IGNORED_OPS,
    CheckpointPolicy,
    SelectiveCheckpointContext,
    create_selective_checkpoint_contexts,
)

__all__ = [
    "CheckpointError",
    "CheckpointFunction",
    "CheckpointPolicy",
    "DefaultDeviceType",
    "GraphExecGroup",
    "SAC_IGNORED_OPS",
    "SelectiveCheckpointContext",
    "check_backward_validity",
    "checkpoint",
    "checkpoint_sequential",
    "create_selective_checkpoint_contexts",
    "detach_variable",
    "get_device_states",
    "noop_context_fn",
    "set_checkpoint_debug_enabled",
    "set_checkpoint_early_stop",
    "set_device_states",
]

# -- settings --------------------------------------------------------------------------------------
_settings = {"early_stop": True, "debug": None}


@contextmanager
def _setting(name, value):
    before, _settings[name] = _settings[name], value
    try:
        yield
    finally:
        _settings[name] = before


def set_checkpoint_early_stop(enable):
    """Within the block: whether the second run ends with the last tensor that is needed."""
    return _setting("early_stop", enable)


def set_checkpoint_debug_enabled(enabled):
    """Within the block: whether errors list the operators of both runs; None: as checkpoint()."""
    return _setting("debug", enabled)


class DefaultDeviceType:
    """The kind of device whose random state is kept where the arguments have none."""

    _type = "cuda"

    @staticmethod
    def set_device_type(device="cuda"):
        DefaultDeviceType._type = device

    @staticmethod
    def get_device_type():
        return DefaultDeviceType._type


def get_device_states(*args):
    """(device numbers, states) of the generators of the arguments' devices, the CPU's not."""
    return [], []


def set_device_states(devices, states, *, device_type=None):
    """Sets what get_device_states() gave."""
    if list(devices):
        raise RuntimeError(f"set_device_states(): there are no devices {list(devices)}")


def detach_variable(inputs):
    """A tuple with its tensors cut off from the graph, requiring a gradient as before."""
    if not isinstance(inputs, tuple):
        raise RuntimeError(
            f"Only tuple of tensors is supported. Got Unsupported input type: "
            f"{type(inputs).__name__}"
        )
    return tuple(
        x.detach().requires_grad_(x.requires_grad) if isinstance(x, _C.Tensor) else x
        for x in inputs
    )


def check_backward_validity(inputs):
    """Warns when no tensor requires a gradient: the reentrant form would give none."""
    if not any(x.requires_grad for x in inputs if isinstance(x, _C.Tensor)):
        warnings.warn(
            "None of the inputs have requires_grad=True. Gradients will be None", stacklevel=2
        )


# -- the reentrant form ----------------------------------------------------------------------------


class CheckpointError(RuntimeError):
    """The second run of a checkpointed function kept other tensors than the first."""


def noop_context_fn():
    """Two contexts that do nothing: for the forward and for the second run."""
    return nullcontext(), nullcontext()


@contextmanager
def _same_draws(state):
    """Within the block, random numbers are those that followed `state`."""
    if state is None:
        yield
        return
    from .. import get_rng_state, set_rng_state

    after = get_rng_state()
    set_rng_state(state)
    try:
        yield
    finally:
        set_rng_state(after)


def _rng_state(preserve):
    if not preserve:
        return None
    from .. import get_rng_state

    return get_rng_state()


def _autocast():
    """Makes contexts with the autocast of now."""
    if not _C._autocasting():
        return nullcontext
    import flambeau

    state = {
        "device_type": "cpu",
        "dtype": flambeau.get_autocast_dtype("cpu"),
        "cache_enabled": flambeau.is_autocast_cache_enabled(),
    }
    return lambda: flambeau.amp.autocast(**state)


class CheckpointFunction(Function):
    """Runs forward without a graph; backward runs it again with one, and walks that."""

    @staticmethod
    def forward(ctx, run, preserve, *args):
        check_backward_validity(args)
        ctx.run, ctx.state, ctx.autocast = run, _rng_state(preserve), _autocast()
        ctx.places = [i for i, a in enumerate(args) if isinstance(a, _C.Tensor)]
        ctx.args = [None if isinstance(a, _C.Tensor) else a for a in args]
        ctx.save_for_backward(*(args[i] for i in ctx.places))
        return run(*args)

    @staticmethod
    def backward(ctx, *grads):
        args = list(ctx.args)
        for i, t in zip(ctx.places, ctx.saved_tensors, strict=True):
            args[i] = t.detach().requires_grad_(t.requires_grad)
        with _same_draws(ctx.state), enable_grad(), ctx.autocast():
            outputs = ctx.run(*args)
        if isinstance(outputs, _C.Tensor):
            outputs = (outputs,)
        live = [
            (o, g)
            for o, g in zip(outputs, grads, strict=True)
            if isinstance(o, _C.Tensor) and o.requires_grad
        ]
        if not live:
            raise RuntimeError(
                "none of output has requires_grad=True, this checkpoint() is not necessary"
            )
        from ..autograd import backward

        backward([o for o, _ in live], [g for _, g in live])
        return (None, None, *(a.grad if isinstance(a, _C.Tensor) else None for a in args))


# -- the other form --------------------------------------------------------------------------------
class _Stop(Exception):
    """The second run has kept all that is needed."""


class GraphExecGroup:
    """Within the block, a checkpointed call runs again at most once, for several backwards.

    >>> import flambeau as torch
    >>> from flambeau.utils.checkpoint import GraphExecGroup, checkpoint
    >>> x = torch.ones(2, requires_grad=True)
    >>> y = checkpoint(torch.exp, x, use_reentrant=False)
    >>> with GraphExecGroup():
    ...     y.sum().backward(retain_graph=True)
    ...     y.sum().backward()
    """

    _current = None

    def __enter__(self):
        if GraphExecGroup._current is not None:
            raise RuntimeError("GraphExecGroup contexts cannot be nested")
        GraphExecGroup._current = self
        return self

    def __exit__(self, *exc):
        GraphExecGroup._current = None


class _Inputs(Function):
    """A node that keeps a call's arguments as any node keeps tensors: within another checkpoint,
    that one's hooks make them again too."""

    @staticmethod
    def forward(ctx, anchor, *args):
        ctx.places = [i for i, a in enumerate(args) if isinstance(a, _C.Tensor)]
        ctx.others = [None if isinstance(a, _C.Tensor) else a for a in args]
        ctx.save_for_backward(*(args[i] for i in ctx.places))
        return anchor.detach()

    @staticmethod
    def backward(ctx, grad):
        raise RuntimeError("utils.checkpoint: no gradient comes here")


def _keeper(args):
    """A function that gives the arguments back."""
    from .. import empty

    if any(isinstance(a, _C.Tensor) and _C._transformed(a) for a in args):
        return lambda: args
    kept = _Inputs.apply(empty(0, requires_grad=True), *args)

    def give():
        ctx = kept.grad_fn
        found = list(ctx.others)
        for i, t in zip(ctx.places, ctx.saved_tensors, strict=True):
            found[i] = t
        return found

    return give


class _Holder:
    """What a node keeps instead of a tensor: the tensor itself, once each backward made it."""

    __slots__ = ("__weakref__", "made")

    def __init__(self):
        self.made = {}


class _Frame:
    """The tensors that one checkpointed call would have kept: made again when one is asked for."""

    def __init__(self, again, inputs, check, early_stop):
        self.again, self.inputs = again, inputs
        self.check, self.early_stop = check, early_stop
        self.holders, self.shapes = [], []
        self.done = set()  # the backwards that the call ran again for
        self.complete = False  # the forward has ended
        self.logs = (None, None)  # of the operators of both runs

    def pack(self, tensor):
        self.shapes.append((tuple(tensor.shape), tensor.dtype, tensor.device))
        holder = _Holder()
        self.holders.append(ref(holder))
        return holder

    def unpack(self, holder):
        group = GraphExecGroup._current
        number = _C._current_graph_task_id() if group is None else group
        if number == -1:
            number = object()  # outside of a backward nothing is kept for another time
        if number not in self.done:
            self._run_again(number)
            self.done.add(number)
        if number not in holder.made:
            raise self._error(
                "Unpack is being triggered for a tensor that was either never recomputed, or "
                "already unpacked once. If you are calling ctx.saved_tensors in backward, make "
                "sure to do so only once. Otherwise please open an issue with details on your use "
                "case."
            )
        return holder.made.pop(number) if group is None else holder.made[number]

    def _run_again(self, number):
        shapes = []
        extra = False

        def pack(tensor):
            nonlocal extra
            tensor = tensor.detach() if tensor.requires_grad else tensor
            if len(shapes) >= len(self.holders):
                if self.complete:
                    raise self._error(
                        "trying to save more tensors during recomputation than during the "
                        "original forward pass."
                    )
                extra = True  # a gradient was taken within the call, which has not come so far
                return tensor
            holder = self.holders[len(shapes)]()
            if holder is not None:
                holder.made[number] = tensor
            shapes.append((tuple(tensor.shape), tensor.dtype, tensor.device))
            if self.early_stop and len(shapes) == len(self.holders):
                raise _Stop
            return tensor

        from ..autograd.graph import saved_tensors_hooks

        try:
            with enable_grad():
                args = self.inputs()
                with saved_tensors_hooks(pack, lambda tensor: tensor):
                    self.again(*args)
        except _Stop:
            pass
        if not extra:
            self._compare(shapes)

    def _compare(self, found):
        count = len(self.holders)
        if len(found) != count:
            raise self._error(
                "A different number of tensors was saved during the original forward and "
                f"recomputation.\nNumber of tensors saved during forward: {count}\n"
                f"Number of tensors saved during recomputation: {len(found)}."
            )
        if not self.check or found == self.shapes:
            return
        names = ("shape", "dtype", "device")
        lines = [
            f"tensor at position {i}:\n"
            f"saved metadata: {dict(zip(names, a, strict=True))}\n"
            f"recomputed metadata: {dict(zip(names, b, strict=True))}"
            for i, (a, b) in enumerate(zip(self.shapes, found, strict=True))
            if a != b
        ]
        raise self._error(
            "Recomputed values for the following tensors have different metadata than during the "
            "forward pass.\n" + "\n".join(lines)
        )

    def _error(self, text):
        text = "torch.utils.checkpoint: " + text
        if self.logs[0] is None:
            return CheckpointError(
                text + "\n\nTip: To see a more detailed error message, either pass `debug=True` to "
                "`torch.utils.checkpoint.checkpoint(...)` or wrap the code block with `with "
                "torch.utils.checkpoint.set_checkpoint_debug_enabled(True):` to enable "
                "checkpoint-debug mode globally."
            )
        first, second = ("\n".join(log or ()) for log in self.logs)
        return CheckpointError(
            f"{text}\n\nOperations executed during the original forward:\n\n{first}\n\n"
            f"Operations executed during recomputation:\n\n{second}"
        )


def _logging(log):
    """A mode that notes the operators, their arguments' shapes and where they were called."""
    import traceback

    from ._python_dispatch import TorchDispatchMode

    class Log(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            shapes = ", ".join(
                f"{a.dtype}{list(a.shape)}" if isinstance(a, _C.Tensor) else repr(a) for a in args
            )
            where = next(
                (f"{f.filename}:{f.lineno}" for f in reversed(traceback.extract_stack())
                 if "/flambeau/" not in f.filename),
                "?",
            )  # fmt: skip
            log.append(f"{func}({shapes})  at {where}")
            return out

    return Log()


def checkpoint(
    function,
    *args,
    use_reentrant=None,
    context_fn=noop_context_fn,
    determinism_check="default",
    debug=False,
    early_stop=True,
    **kwargs,
):
    """function(*args, **kwargs), keeping nothing for backward but the arguments.

    Args:
        use_reentrant: True runs a backward inside of the backward, over tensors in `args` only;
            False, which is better, fills saved tensors in as they are asked for. It should be
            given: without it a warning says so, and the reentrant form runs.
        context_fn: gives two context managers, for the forward and for the second run.
        determinism_check: "default" compares shapes, dtypes and devices of both runs, "none" not.
        debug: errors list the operators of both runs.
        early_stop: the second run ends with the last tensor that is needed.
        preserve_rng_state: in kwargs, True by default: both runs draw the same random numbers.

    >>> import flambeau as torch
    >>> from flambeau.utils.checkpoint import checkpoint
    >>> x = torch.tensor([1., 2.], requires_grad=True)
    >>> checkpoint(lambda x: (x * x).sum(), x, use_reentrant=False).backward()
    >>> x.grad
    tensor([2., 4.])
    """
    if use_reentrant is None:
        warnings.warn(
            "torch.utils.checkpoint: the use_reentrant parameter should be passed explicitly. "
            "use_reentrant=False is recommended, but if you need to preserve the current default "
            "behavior, you can pass use_reentrant=True.",
            stacklevel=2,
        )
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if determinism_check not in ("default", "none"):
        raise ValueError(
            f"determinism_check should be one of ['default', 'none'], but got {determinism_check}"
        )
    if use_reentrant:
        if kwargs:
            raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
        if context_fn is not noop_context_fn or debug is not False:
            raise ValueError(
                "Passing `context_fn` or `debug` is only supported when use_reentrant=False."
            )
        return CheckpointFunction.apply(function, preserve, *args)
    first, second = context_fn()
    if not _C.is_grad_enabled():
        with first:
            return function(*args, **kwargs)
    from ..autograd.graph import saved_tensors_hooks

    state, autocast = _rng_state(preserve), _autocast()
    if _settings["debug"] is not None:
        debug = _settings["debug"]

    logs = [None, None]

    def again(*args):
        log = nullcontext()
        if debug:
            logs[1] = []
            log = _logging(logs[1])
        with _same_draws(state), autocast(), second, log:
            function(*args, **kwargs)

    early_stop = early_stop and _settings["early_stop"]
    frame = _Frame(again, _keeper(args), determinism_check == "default", early_stop)
    frame.logs = logs
    log = nullcontext()
    if debug:
        logs[0] = []
        log = _logging(logs[0])
    with saved_tensors_hooks(frame.pack, frame.unpack), first, log:
        out = function(*args, **kwargs)
    frame.complete = True
    return out


def checkpoint_sequential(functions, segments, input, use_reentrant=None, **kwargs):
    """Runs a Sequential, or a list of functions, in `segments` checkpointed parts.

    >>> import flambeau as torch
    >>> from flambeau.utils.checkpoint import checkpoint_sequential
    >>> x = torch.tensor([1., 2.], requires_grad=True)
    >>> y = checkpoint_sequential([torch.exp, torch.log, torch.sin], 2, x, use_reentrant=False)
    >>> y.shape
    torch.Size([2])
    """
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    children = getattr(functions, "children", None)
    functions = list(children()) if children is not None else list(functions)

    def part(start, end):
        def run(x):
            for f in functions[start:end]:
                x = f(x)
            return x

        return run

    size = len(functions) // segments
    end = 0
    for start in range(0, size * (segments - 1), size):
        end = start + size
        input = checkpoint(
            part(start, end), input, use_reentrant=use_reentrant, preserve_rng_state=preserve
        )
    return part(end, len(functions))(input)
