"""Variable: the old name of a tensor, and the engine that some programs reach through it."""

from .. import _C

__all__ = ["Variable"]


class _Engine:
    @staticmethod
    def queue_callback(callback):
        """Calls `callback` when the backward under way ends."""
        _C._queue_callback(callback)


class _Meta(type):
    def __instancecheck__(cls, other):
        return isinstance(other, _C.Tensor)


class Variable(metaclass=_Meta):
    """Variable(tensor, requires_grad=False): the tensor itself, detached.

    >>> import flambeau as torch
    >>> torch.autograd.Variable(torch.ones(2), requires_grad=True)
    tensor([1., 1.], requires_grad=True)
    """

    _execution_engine = _Engine

    def __new__(cls, data, requires_grad=False):
        return data.detach().requires_grad_(requires_grad)
