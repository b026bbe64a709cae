"""Pieces that data loading and serialization share: the bytes of tensors and how to put them back."""

import flambeau


def _bytes_of(tensor):
    """A writable view of the bytes of a contiguous CPU tensor, in the tensor's own memory."""
    flat = tensor.detach().reshape(-1).view(flambeau.uint8)
    return memoryview(flat.numpy())
