"""Helpers of modes."""

from .. import _C


class no_dispatch(_C._DisableTorchDispatch):
    """A block in which `__torch_dispatch__` of subclasses of Tensor is off."""


def all_same_mode(modes):
    """Whether all are the first one."""
    return all(tuple(mode == modes[0] for mode in modes))
