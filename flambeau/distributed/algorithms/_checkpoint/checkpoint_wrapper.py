"""Modules that keep nothing for backward but their arguments: `utils.checkpoint` as a wrapper."""

import enum
from functools import partial

from flambeau.nn import Module
from flambeau.utils.checkpoint import checkpoint

__all__ = """CheckpointImpl CheckpointWrapper apply_activation_checkpointing
checkpoint_wrapper""".split()

_PREFIX = "_checkpoint_wrapped_module."


class CheckpointImpl(enum.Enum):
    """The two ways of utils.checkpoint."""

    REENTRANT = 0
    NO_REENTRANT = 1


class CheckpointWrapper(Module):
    """A module that runs again in backward; its parameters keep their names.

    >>> import flambeau as torch
    >>> from flambeau.distributed.algorithms._checkpoint import checkpoint_wrapper as c
    >>> layer = c.checkpoint_wrapper(torch.nn.Linear(2, 1))
    >>> list(layer.state_dict()), layer.in_features
    (['weight', 'bias'], 2)
    """

    def __init__(
        self,
        mod,
        checkpoint_impl=CheckpointImpl.NO_REENTRANT,
        checkpoint_fn=None,
        **checkpoint_fn_kwargs,
    ):
        super().__init__()
        self._checkpoint_wrapped_module = mod
        if checkpoint_fn is None:
            reentrant = checkpoint_impl is CheckpointImpl.REENTRANT
            checkpoint_fn_kwargs.setdefault("use_reentrant", reentrant)
            checkpoint_fn = checkpoint
        self.checkpoint_fn = partial(checkpoint_fn, **checkpoint_fn_kwargs)
        self.register_state_dict_post_hook(self._short_names)
        self.register_load_state_dict_pre_hook(self._long_names)

    @staticmethod
    def _short_names(module, state_dict, prefix, *args):
        for key in [key for key in state_dict if key.startswith(prefix + _PREFIX)]:
            state_dict[prefix + key[len(prefix + _PREFIX) :]] = state_dict.pop(key)

    @staticmethod
    def _long_names(module, state_dict, prefix, *args):
        for key in [key for key in state_dict if key.startswith(prefix)]:
            state_dict[prefix + _PREFIX + key[len(prefix) :]] = state_dict.pop(key)

    def __getattr__(self, name):
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self._checkpoint_wrapped_module, name)

    def __getitem__(self, key):
        return self._checkpoint_wrapped_module[key]

    def named_parameters(self, *args, **kwargs):
        for name, parameter in super().named_parameters(*args, **kwargs):
            yield name.replace(_PREFIX, ""), parameter

    def forward(self, *args, **kwargs):
        """The module's, run again in backward."""
        return self.checkpoint_fn(self._checkpoint_wrapped_module, *args, **kwargs)


def checkpoint_wrapper(
    module, checkpoint_impl=CheckpointImpl.NO_REENTRANT, checkpoint_fn=None, **checkpoint_fn_kwargs
):
    """The module in a CheckpointWrapper; `checkpoint_fn` may stand for utils.checkpoint's."""
    return CheckpointWrapper(module, checkpoint_impl, checkpoint_fn, **checkpoint_fn_kwargs)


def apply_activation_checkpointing(
    model, checkpoint_wrapper_fn=checkpoint_wrapper, check_fn=lambda _: True, auto_wrap_policy=None
):
    """Wraps, in place, the modules inside of a model of which check_fn(module) is true."""
    from flambeau.distributed.fsdp.wrap import chosen

    if auto_wrap_policy is not None:
        picked = set(map(id, chosen(model, auto_wrap_policy)))
        check_fn = lambda module: id(module) in picked  # noqa: E731
    for parent in [m for m in model.modules() if not isinstance(m, CheckpointWrapper)]:
        for name, child in list(parent.named_children()):
            if check_fn(child) and not isinstance(child, CheckpointWrapper):
                setattr(parent, name, checkpoint_wrapper_fn(child))
