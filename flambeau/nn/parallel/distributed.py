"""A module trained by several processes."""

from flambeau.nn import Module


class DistributedDataParallel(Module):
    """Averages gradients over a process group, without which it cannot be made."""

    def __init__(self, module, *args, **kwargs):
        raise ValueError(
            "DistributedDataParallel: the default process group has not been initialized"
        )
