"""Trading time for memory: parts of a model are run again in backward instead of being kept."""

from contextlib import contextmanager, nullcontext

from .. import _C
from ..autograd.function import Function
from ..autograd.grad_mode import enable_grad

__all__ = ["CheckpointError", "checkpoint", "checkpoint_sequential", "noop_context_fn"]


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


class _Reentrant(Function):
    """Runs forward without a graph; backward runs it again with one, and walks that."""

    @staticmethod
    def forward(ctx, run, preserve, *args):
        ctx.run, ctx.state = run, _rng_state(preserve)
        ctx.places = [i for i, a in enumerate(args) if isinstance(a, _C.Tensor)]
        ctx.args = [None if isinstance(a, _C.Tensor) else a for a in args]
        ctx.save_for_backward(*(args[i] for i in ctx.places))
        return run(*args)

    @staticmethod
    def backward(ctx, *grads):
        args = list(ctx.args)
        for i, t in zip(ctx.places, ctx.saved_tensors, strict=True):
            args[i] = t.detach().requires_grad_(t.requires_grad)
        with _same_draws(ctx.state), enable_grad():
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


class _Frame:
    """The tensors that one checkpointed call would have kept: made again when one is asked for."""

    def __init__(self, run, again):
        self.run, self.again = run, again
        self.count = 0
        self.kept = []
        self.shapes = []

    def pack(self, tensor):
        self.shapes.append((tensor.shape, tensor.dtype))
        self.count += 1
        return self.count - 1

    def unpack(self, index):
        if not self.kept:
            self._run_again()
        tensor, self.kept[index] = self.kept[index], None
        if tensor is None:  # a second backward through the graph
            self._run_again()
            tensor, self.kept[index] = self.kept[index], None
        return tensor

    def _run_again(self):
        kept = []

        def pack(tensor):
            if len(kept) >= self.count:
                raise CheckpointError(
                    f"checkpoint(): the second run keeps more than the {self.count} tensors of the "
                    "first"
                )
            kept.append(tensor)
            return len(kept) - 1

        from ..autograd.graph import saved_tensors_hooks

        with saved_tensors_hooks(pack, lambda i: kept[i]), enable_grad():
            self.again()
        found = [(t.shape, t.dtype) for t in kept]
        if found != self.shapes:
            raise CheckpointError(
                "checkpoint(): the second run kept other tensors than the first: "
                f"{len(kept)} of {self.count}"
                + "".join(
                    f"; tensor {i} was {a}, now {b}"
                    for i, (a, b) in enumerate(zip(self.shapes, found, strict=False))
                    if a != b
                )
            )
        self.kept = kept


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
            False (the default) fills saved tensors in as they are asked for.
        context_fn: gives two context managers, for the forward and for the second run.
        determinism_check: "default" compares shapes and dtypes of both runs, "none" is the same.
        debug, early_stop: taken; errors always name the tensors, the second run is always whole.
        preserve_rng_state: in kwargs, True by default: both runs draw the same random numbers.

    >>> import flambeau as torch
    >>> from flambeau.utils.checkpoint import checkpoint
    >>> x = torch.tensor([1., 2.], requires_grad=True)
    >>> checkpoint(lambda x: (x * x).sum(), x, use_reentrant=False).backward()
    >>> x.grad
    tensor([2., 4.])
    """
    preserve = kwargs.pop("preserve_rng_state", True)
    if determinism_check not in ("default", "none"):
        raise ValueError(
            f"determinism_check should be one of ['default', 'none'], got {determinism_check!r}"
        )
    if use_reentrant:
        if kwargs:
            raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
        if context_fn is not noop_context_fn:
            raise ValueError("Passing `context_fn` is only supported when use_reentrant=False.")
        return _Reentrant.apply(function, preserve, *args)
    if not _C.is_grad_enabled():
        return function(*args, **kwargs)
    from ..autograd.graph import saved_tensors_hooks

    first, second = context_fn()
    state = _rng_state(preserve)

    def again():
        with _same_draws(state), second:
            function(*args, **kwargs)

    frame = _Frame(function, again)
    with saved_tensors_hooks(frame.pack, frame.unpack), first:
        return function(*args, **kwargs)


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
