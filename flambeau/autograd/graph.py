"""The graph itself: edges, hooks on saved tensors and on groups of gradients."""

from collections import namedtuple
from contextlib import contextmanager

from .. import _C

__all__ = [
    "GradientEdge",
    "Node",
    "disable_saved_tensors_hooks",
    "get_gradient_edge",
    "increment_version",
    "register_multi_grad_hook",
    "save_on_cpu",
    "saved_tensors_hooks",
]

Node = _C.Node
GradientEdge = namedtuple("GradientEdge", ("node", "output_nr"))
GradientEdge.__doc__ = "Where a gradient enters the graph: result `output_nr` of `node`."


def get_gradient_edge(tensor):
    """The edge through which the gradient of `tensor` flows.

    >>> import flambeau as torch
    >>> x = torch.ones(2, requires_grad=True)
    >>> torch.autograd.graph.get_gradient_edge(x * 2).node.name()
    'MulBackward0'
    """
    return GradientEdge(*_C._gradient_edge(tensor))


def increment_version(tensor):
    """Counts a write in place that flambeau did not see: of a tensor or several."""
    for t in (tensor,) if isinstance(tensor, _C.Tensor) else tensor:
        _C._increment_version(t)


_disabled = []  # the messages of disable_saved_tensors_hooks, the innermost last


class saved_tensors_hooks:
    """Within the block, tensors kept for backward are packed by one function, unpacked by another.

    >>> import flambeau as torch
    >>> x = torch.ones(2, requires_grad=True)
    >>> with torch.autograd.graph.saved_tensors_hooks(lambda t: t.numpy(), torch.from_numpy):
    ...     y = (x * x).sum()
    >>> y.backward()
    >>> x.grad
    tensor([2., 2.])
    """

    def __init__(self, pack_hook, unpack_hook):
        self.pack_hook = pack_hook
        self.unpack_hook = unpack_hook

    def __enter__(self):
        if _disabled:
            raise RuntimeError(_disabled[-1])
        _C._push_saved_hooks(self.pack_hook, self.unpack_hook)

    def __exit__(self, *exc):
        _C._pop_saved_hooks()


class save_on_cpu(saved_tensors_hooks):
    """Within the block, tensors kept for backward wait in main memory.

    Args:
        pin_memory: taken for programs that pass it; it matters to CUDA devices only.
        device_type: whose tensors are moved.
    """

    def __init__(self, pin_memory=False, device_type="cuda"):
        def pack(tensor):
            return tensor.device, tensor if tensor.device.type == "cpu" else tensor.cpu()

        def unpack(packed):
            device, tensor = packed
            return tensor.to(device)

        super().__init__(pack, unpack)


@contextmanager
def disable_saved_tensors_hooks(error_message):
    """Within the block, saved_tensors_hooks raises RuntimeError(error_message)."""
    _disabled.append(error_message)
    try:
        yield
    finally:
        _disabled.pop()


class _Handles:
    """Takes several hooks off together."""

    def __init__(self, handles):
        self.handles = tuple(handles)

    def remove(self):
        for handle in self.handles:
            handle.remove()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.remove()


def register_multi_grad_hook(tensors, fn, *, mode="all"):
    """Calls fn when gradients of several tensors are known in a backward.

    Args:
        tensors: those that require a gradient are watched.
        fn: with mode "all", fn(grads) runs at the end of the backward, with None for gradients that
            did not come; with mode "any", fn(grad) runs at the first.
    """
    if mode not in ("all", "any"):
        raise ValueError(f"register_multi_grad_hook(): mode must be 'all' or 'any', got {mode!r}")
    state = {"grads": None}
    tensors = tuple(tensors)

    def finish():
        grads, state["grads"] = state["grads"], None
        if mode == "all" and grads is not None:
            fn(grads)

    def hook_of(index):
        def hook(grad):
            first = state["grads"] is None
            if first:
                state["grads"] = [None] * len(tensors)
                _C._queue_callback(finish)
            if mode == "any" and first:
                fn(grad)
            state["grads"][index] = grad

        return hook

    return _Handles(t.register_hook(hook_of(i)) for i, t in enumerate(tensors))
