"""The graph itself: edges, hooks on saved tensors and on groups of gradients."""

from collections import namedtuple
from contextlib import contextmanager

from .. import _C

__all__ = [
    "GradientEdge",
    "Node",
    "allow_mutation_on_saved_tensors",
    "disable_saved_tensors_hooks",
    "draw",
    "get_gradient_edge",
    "increment_version",
    "region_activation_memory_budget",
    "register_multi_grad_hook",
    "save_on_cpu",
    "saved_tensors_hooks",
    "set_override_stale_capture_stream",
    "set_warn_on_accumulate_grad_stream_mismatch",
]


class _NodeMeta(type):
    """Nodes are those of operators, and the contexts of Functions."""

    def __instancecheck__(cls, instance):
        return isinstance(instance, (_C.Node, _C._FunctionBase))

    def __subclasscheck__(cls, other):
        return issubclass(other, (_C.Node, _C._FunctionBase))


class Node(metaclass=_NodeMeta):
    """What every grad_fn is an instance of: it has name(), next_functions, metadata,
    register_hook(fn) and register_prehook(fn).

    >>> import flambeau as torch
    >>> isinstance((torch.ones(1, requires_grad=True) * 2).grad_fn, torch.autograd.graph.Node)
    True
    """


_InputMetadata = namedtuple("InputMetadata", ("shape", "dtype", "device"))


class SavedTensor:
    """A tensor that a node keeps, as `grad_fn._raw_saved_self` gives it."""

    def __init__(self):
        raise RuntimeError(
            "Trying to create a SavedTensor object from Python is forbidden: nodes make them"
        )

    @classmethod
    def _of(cls, node, name, at):
        made = object.__new__(cls)
        made._node, made._name, made._at = node, name, at
        return made

    @property
    def data(self):
        """The tensor itself."""
        if self._name == "saved_tensors":
            return self._node.saved_tensors[self._at]
        return getattr(self._node, "_saved_" + self._name)

    def register_hooks(self, pack_hook, unpack_hook):
        """Packs this tensor now; unpack_hook gives it back to the backward."""
        _C._register_saved_hooks(self._node, self._at, pack_hook, unpack_hook)


GradientEdge = namedtuple(
    "GradientEdge", ("node", "output_nr", "ownership_token"), defaults=(None,)
)
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


class _native:
    """What libraries reach for as torch._C._autograd."""

    SavedTensor = SavedTensor

    @staticmethod
    def _saved_tensors_hooks_is_enabled():
        return not _disabled

    @staticmethod
    def _saved_tensors_hooks_get_disabled_error_message():
        return _disabled[-1] if _disabled else None


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


class _Kept:
    """What a node has of a tensor that it saved in allow_mutation_on_saved_tensors()."""

    def __init__(self, version):
        self.version = version


class _Mutations:
    """What allow_mutation_on_saved_tensors() gives: the tensors saved in the block, by the part of
    memory and the version of it that they are, and copies of those that were written since."""

    def __init__(self):
        from weakref import WeakKeyDictionary, WeakValueDictionary

        self.cloned, self.original = WeakKeyDictionary(), WeakKeyDictionary()
        self.tid_to_weakhandle = WeakValueDictionary()
        self.by_memory = {}  # storage: the saved parts of it

    def pack(self, tensor):
        """A handle for the tensor, one for each part of memory in each version."""
        from weakref import WeakSet

        memory = tensor.untyped_storage()._cdata
        part = memory, tensor.storage_offset(), tensor.shape, tensor.stride(), tensor._version
        handle = self.tid_to_weakhandle.get(part)
        if handle is None:
            handle = self.tid_to_weakhandle[part] = _Kept(tensor._version)
            self.original[handle] = tensor
            self.by_memory.setdefault(memory, WeakSet()).add(handle)
        return handle

    def unpack(self, handle):
        """The tensor as it was saved."""
        if not (_mutations and _mutations[-1] is self):
            raise AssertionError(
                "Trying to backward outside of the 'allow_mutation_on_saved_tensors' context in "
                "which the graph was originally recorded."
            )
        if handle in self.cloned:
            return self.cloned[handle]
        if self.original[handle]._version != handle.version:
            raise RuntimeError(
                "one of the variables needed for gradient computation has been modified by an "
                "inplace operation that allow_mutation_on_saved_tensors() does not see: out="
            )
        return self.original[handle]

    def before_write(self, tensor):
        """Copies what is saved of the memory that is about to be written."""
        for handle in list(self.by_memory.get(tensor.untyped_storage()._cdata, ())):
            if handle in self.original:
                self.cloned[handle] = self.original.pop(handle).clone()

    def clear(self):
        """Forgets the copies; backward through what was recorded in the block is over then."""
        for table in (self.cloned, self.original, self.tid_to_weakhandle, self.by_memory):
            table.clear()


def _watching(state):
    """A mode that tells `state` of tensors that an operator is about to write."""
    from ..utils._python_dispatch import TorchDispatchMode

    class Watching(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            if func._opname.endswith("_") and isinstance(args[0], _C.Tensor):
                state.before_write(args[0])
            return func(*args, **(kwargs or {}))

    return Watching()


@contextmanager
def allow_mutation_on_saved_tensors():
    """Within the block, tensors kept for backward may be written: the graph has copies of its own.

    >>> import flambeau as torch
    >>> x = torch.ones(2, requires_grad=True)
    >>> with torch.autograd.graph.allow_mutation_on_saved_tensors():
    ...     y = x * 2
    ...     z = y.sin().sum()
    ...     _ = y.mul_(0)
    ...     z.backward()
    """
    if _mutations:
        raise RuntimeError("allow_mutation_on_saved_tensors contexts cannot be nested")
    state = _Mutations()
    _mutations.append(state)
    try:
        with _watching(state), saved_tensors_hooks(state.pack, state.unpack):
            yield state
    finally:
        _mutations.pop()
        state.clear()


_mutations = []


@contextmanager
def region_activation_memory_budget(budget):
    """A budget for what a compiled region keeps for backward: an error, as nothing is compiled.

    Use utils.checkpoint to trade time for memory.
    """
    if not 0 <= budget <= 1:
        raise ValueError(
            f"region_activation_memory_budget(): expected 0 <= budget <= 1, got {budget}"
        )
    raise RuntimeError(
        "region_activation_memory_budget can only be used in a region compiled by torch.compile"
    )
    yield


_streams = {"mismatch": True, "stale": False}  # how CUDA streams would be watched


def set_warn_on_accumulate_grad_stream_mismatch(enabled):
    """Whether gradients from another CUDA stream are warned about; the CPU has no streams."""
    _streams["mismatch"] = bool(enabled)


def set_override_stale_capture_stream(enabled):
    """Whether a stale CUDA stream is overridden in a capture; the CPU has no streams."""
    _streams["stale"] = bool(enabled)


def draw(outputs, file=None, *, names=None):
    """A picture of the graph that leads to `outputs`, as SVG text; written to `file` if given.

    Args:
        outputs: a tensor or several.
        file: a path, or something with write().
        names: {name: tensor} for leaves, as dict(model.named_parameters()) has them.

    >>> import flambeau as torch
    >>> x = torch.ones(2, requires_grad=True)
    >>> "SinBackward0" in torch.autograd.graph.draw((x * 2).sin().sum())
    True
    """
    from ._draw import picture

    text = picture(outputs, names)
    if file is not None:
        if hasattr(file, "write"):
            file.write(text)
        else:
            with open(file, "w", encoding="utf-8") as out:
                out.write(text)
    return text


@contextmanager
def disable_saved_tensors_hooks(error_message):
    """Within the block, saved_tensors_hooks raises RuntimeError(error_message)."""
    if _C._has_saved_hooks():
        raise RuntimeError(error_message)
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
        fn: with mode "all", fn(grads) runs when the last of the gradients that the backward
            reaches is known, with None for the others; with mode "any", fn(grad) runs at the first.
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    tensors = tuple(tensors)
    walks = {}  # of each backward under way: the gradients so far, how many are to come

    def hook_of(index):
        def hook(grad):
            number = _C._current_graph_task_id()
            if number not in walks:
                walks[number] = [[None] * len(tensors), sum(map(_C._is_reached, tensors))]
                _C._queue_callback(lambda: walks.pop(number, None))
                if mode == "any":
                    fn(grad)
            walk = walks[number]
            walk[0][index] = grad
            walk[1] -= 1
            if walk[1] == 0 and mode == "all":
                fn(walk[0])

        return hook

    return _Handles(t.register_hook(hook_of(i)) for i, t in enumerate(tensors))
