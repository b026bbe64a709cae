"""A context under which tensors index within vmap; here they always do."""

from flambeau.overrides import TorchFunctionMode


class TransformGetItemToIndex(TorchFunctionMode):
    """Passes every call on: indexing by tensors is batched without it."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {}))
