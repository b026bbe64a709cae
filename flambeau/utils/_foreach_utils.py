"""Tensors in groups that operators on lists can take together."""


def _group_tensors_by_device_and_dtype(tensorlistlist, with_indices=False):
    """{(device, dtype) of the first list: (lists of these places, the places)}.

    >>> import flambeau as torch
    >>> from flambeau.utils._foreach_utils import _group_tensors_by_device_and_dtype as group
    >>> [places for _, places in group([[torch.ones(1), torch.ones(2)]], True).values()]
    [[0, 1]]
    """
    places = {}
    for i, tensor in enumerate(tensorlistlist[0]):
        places.setdefault((tensor.device, tensor.dtype), []).append(i)
    return {
        key: (
            [[each[i] for i in chosen] if each else [] for each in tensorlistlist],
            chosen if with_indices else [],
        )
        for key, chosen in places.items()
    }


def _get_foreach_kernels_supported_devices():
    """The devices on which lists of tensors are worked on together."""
    return ["cpu", "cuda"]


def _get_fused_kernels_supported_devices():
    """The devices with optimizers in one pass."""
    return ["cpu", "cuda"]
