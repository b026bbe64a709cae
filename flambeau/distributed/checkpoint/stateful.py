"""What a checkpoint asks for its state, and gives it back to."""

from typing import Protocol, runtime_checkable

__all__ = ["Stateful"]


@runtime_checkable
class Stateful(Protocol):
    """Anything with a state_dict() and a load_state_dict().

    >>> import flambeau as torch
    >>> from flambeau.distributed.checkpoint.stateful import Stateful
    >>> isinstance(torch.nn.Linear(1, 1), Stateful)
    True
    """

    def state_dict(self):
        """The state, as a dictionary."""

    def load_state_dict(self, state_dict):
        """Takes a state over."""
