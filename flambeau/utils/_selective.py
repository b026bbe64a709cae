"""Selective checkpointing: which operators' results are kept, and which are computed again."""

import enum

from .. import _C
from .._dispatch import OpOverload, overload_of
from ._python_dispatch import TorchDispatchMode

SAC_IGNORED_OPS = {
    overload_of("aten", name, "default")
    for name in (
        "detach", "is_contiguous", "numel", "size", "stride", "storage_offset", "dim", "alias",
        "is_non_overlapping_and_dense", "is_strides_like_format",
    )
}  # fmt: skip


class CheckpointPolicy(enum.Enum):
    """What happens to an operator's result: kept, kept in main memory, or computed again.

    PREFER_ policies may be overruled, MUST_ policies not; here both are followed.
    """

    MUST_SAVE = 0
    PREFER_SAVE = 1
    MUST_RECOMPUTE = 2
    PREFER_RECOMPUTE = 3
    MUST_CPU_OFFLOAD = 4
    PREFER_CPU_OFFLOAD = 5


_KEPT = {
    CheckpointPolicy.MUST_SAVE,
    CheckpointPolicy.PREFER_SAVE,
    CheckpointPolicy.MUST_CPU_OFFLOAD,
    CheckpointPolicy.PREFER_CPU_OFFLOAD,
}


class SelectiveCheckpointContext:
    """What a policy function is told: whether this is the second run, and the result if known."""

    def __init__(self, *, is_recompute, op_output=None):
        self.is_recompute = is_recompute
        self.op_output = op_output


def _map(value, function):
    if isinstance(value, _C.Tensor):
        return function(value)
    if isinstance(value, (tuple, list)):
        return tuple(_map(v, function) for v in value)
    return value


class _Policy:
    """A policy function, or the list of operators whose results are kept."""

    def __init__(self, policy):
        if isinstance(policy, (list, tuple, set)):
            for op in policy:
                if not isinstance(op, OpOverload):
                    text = getattr(op, "__name__", "")
                    hint = (
                        f"Please update the OpOverloadPacket to a specific OpOverload. For "
                        f"example, if you have `torch.ops.aten.{text}`, change it to "
                        f"`torch.ops.aten.{text}.default`."
                        if type(op).__name__ == "OpOverloadPacket"
                        else ""
                    )
                    raise ValueError(
                        f"Expected op in `op_list` to be an OpOverload but got: {op} of type "
                        f"{type(op)}. {hint}"
                    )
            listed = set(policy)
            self.function = lambda ctx, op, *args, **kwargs: (
                CheckpointPolicy.MUST_SAVE if op in listed else CheckpointPolicy.PREFER_RECOMPUTE
            )
        elif callable(policy):
            self.function = policy
        else:
            raise TypeError(
                "policy_fn_or_list must be either a function or a list of ops, got "
                f"{type(policy).__name__}"
            )

    def keeps(self, again, op, args, kwargs, output=None):
        ctx = SelectiveCheckpointContext(is_recompute=again, op_output=output)
        found = self.function(ctx, op, *args, **kwargs)
        if isinstance(found, bool):
            return found
        return found in _KEPT


class _Keep(TorchDispatchMode):
    """The first run: keeps what the policy wants."""

    def __init__(self, policy, storage):
        super().__init__()
        self.policy, self.storage = policy, storage

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if func not in SAC_IGNORED_OPS and self.policy.keeps(False, func, args, kwargs, out):
            kept = _map(out, lambda t: (t.detach(), t._version))
            self.storage.setdefault(func, []).append(kept)
        return out


class _Replay(TorchDispatchMode):
    """The second run: gives what was kept."""

    def __init__(self, policy, storage, may_change):
        super().__init__()
        self.policy, self.storage, self.may_change = policy, storage, may_change
        self.used = {}

    def __enter__(self):
        self.used = {}
        return super().__enter__()

    def _take(self, kept):
        if isinstance(kept, tuple) and len(kept) == 2 and isinstance(kept[0], _C.Tensor):
            tensor, version = kept
            if tensor._version != version and not self.may_change:
                raise RuntimeError(
                    "Tensor cached during selective activation checkpoint has been mutated"
                )
            return tensor.detach()
        if isinstance(kept, tuple):
            return tuple(map(self._take, kept))
        return kept

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in SAC_IGNORED_OPS or not self.policy.keeps(True, func, args, kwargs):
            return func(*args, **kwargs)
        at = self.used.get(func, 0)
        rows = self.storage.get(func, [])
        if at >= len(rows):
            raise RuntimeError(
                f"{func} encountered during backward, but not found in storage: the two runs of "
                "the checkpointed function differ"
            )
        self.used[func] = at + 1
        return self._take(rows[at])


def create_selective_checkpoint_contexts(policy_fn_or_list, allow_cache_entry_mutation=False):
    """The two contexts of checkpoint(context_fn=...), so that some results are kept.

    Args:
        policy_fn_or_list: policy(ctx, op, *args, **kwargs) gives a CheckpointPolicy, or a list of
            the operators (torch.ops.aten.mm.default) whose results are kept.
        allow_cache_entry_mutation: whether kept results may be written in place.

    >>> import flambeau as torch
    >>> from functools import partial
    >>> from flambeau.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts
    >>> contexts = partial(create_selective_checkpoint_contexts, [torch.ops.aten.mm.default])
    >>> x = torch.ones(2, 2, requires_grad=True)
    >>> y = checkpoint(lambda x: (x @ x).sin(), x, use_reentrant=False, context_fn=contexts)
    >>> y.sum().backward()
    """
    policy, storage = _Policy(policy_fn_or_list), {}
    return _Keep(policy, storage), _Replay(policy, storage, allow_cache_entry_mutation)
