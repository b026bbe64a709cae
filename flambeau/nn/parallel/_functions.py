"""Ways between GPUs that gradients go too: AssertionError on the CPU, as in PyTorch."""

from flambeau.autograd import Function


class _BetweenDevices(Function):
    @classmethod
    def apply(cls, *args):
        raise AssertionError(f"{cls.__name__} function not implemented for CPU tensors")


class Broadcast(_BetweenDevices):
    """A copy of each tensor on each device."""


class ReduceAddCoalesced(_BetweenDevices):
    """The sums of what devices have, on one of them."""


class Gather(_BetweenDevices):
    """Parts of a batch from all devices, on one of them."""


class Scatter(_BetweenDevices):
    """A part of a batch on each device."""
