"""Averaging gradients over all processes at first, then within groups of them."""

import flambeau
import flambeau.distributed as dist

from .default_hooks import _mean


class PostLocalSGDState:
    """`subgroup` is whom gradients are averaged with from step `start_localSGD_iter` on (the
    processes of one machine without one), nobody where not `post_local_gradient_allreduce`."""

    def __init__(
        self, process_group, subgroup, start_localSGD_iter, post_local_gradient_allreduce=True
    ):
        self.process_group, self.subgroup = process_group, subgroup
        self.start_localSGD_iter = start_localSGD_iter
        self.post_local_gradient_allreduce = post_local_gradient_allreduce
        self.iter = 0

    def maybe_increase_iter(self, bucket):
        """Counts the steps: by the last bucket of each."""
        if bucket.is_last():
            self.iter += 1


def post_localSGD_hook(state, bucket):
    """The mean over all processes, later over the subgroup.

    To be used with a `PeriodicModelAverager`, which averages parameters over all now and then.
    """
    buffer, step = bucket.buffer(), state.iter
    state.maybe_increase_iter(bucket)
    if step < state.start_localSGD_iter:
        return _mean(state.process_group, buffer)
    if not state.post_local_gradient_allreduce:
        done = flambeau.futures.Future()
        done.set_result(buffer)
        return done
    if state.subgroup is None:
        state.subgroup, _ = dist.new_subgroups()
    return _mean(state.subgroup, buffer)
