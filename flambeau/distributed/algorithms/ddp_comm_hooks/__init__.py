"""Hooks for DistributedDataParallel.register_comm_hook()."""

import enum

from . import default_hooks, post_localSGD_hook, powerSGD_hook

__all__ = ["DDPCommHookType", "register_ddp_comm_hook"]


class DDPCommHookType(enum.Enum):
    """The hooks by name."""

    ALLREDUCE = "allreduce_hook"
    FP16_COMPRESS = "fp16_compress_hook"
    BF16_COMPRESS = "bf16_compress_hook"
    POWER_SGD = "powerSGD_hook"


def register_ddp_comm_hook(comm_hook_type, model, state=None):
    """Gives a DistributedDataParallel one of the hooks; `state` is the hook's first argument.

    >>> from flambeau.distributed.algorithms.ddp_comm_hooks import DDPCommHookType
    >>> DDPCommHookType.FP16_COMPRESS.value
    'fp16_compress_hook'
    """
    power = comm_hook_type is DDPCommHookType.POWER_SGD
    hook = getattr(powerSGD_hook if power else default_hooks, comm_hook_type.value)
    model.register_comm_hook(state, hook)
