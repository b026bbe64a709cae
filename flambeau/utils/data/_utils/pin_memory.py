"""Batches copied to memory that devices read directly."""

from flambeau.utils._pytree import tree_map


def pin_memory(data, device=None):
    """The batch with pinned tensors in it, and whatever has a method `pin_memory`."""
    return tree_map(lambda x: x.pin_memory() if hasattr(x, "pin_memory") else x, data)
