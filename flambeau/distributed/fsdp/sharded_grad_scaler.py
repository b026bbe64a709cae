"""A gradient scaler whose processes agree on whether a step is left out."""

from flambeau.amp import GradScaler

from .. import distributed_c10d as c10d


class ShardedGradScaler(GradScaler):
    """GradScaler for gradients that lie in parts."""

    def __init__(self, device="cpu", *args, process_group=None, **kwargs):
        super().__init__(device, *args, **kwargs)
        self.process_group = process_group

    def unscale_(self, optimizer):
        super().unscale_(optimizer)
        state = self._per_optimizer_states[id(optimizer)]
        for found in state["found_inf_per_device"].values():
            c10d.all_reduce(found, c10d.ReduceOp.MAX, self.process_group)
