"""Values of one process given to all."""

import flambeau

from . import distributed_c10d as c10d


def _sync_module_states(module, process_group, broadcast_bucket_size, src, names=(), buffers=True):
    """Gives all processes the parameters and buffers of the process `src`, one after the other:
    there are no buckets."""
    states = [p.detach() for n, p in module.named_parameters() if n not in names]
    if buffers:
        states += [b.detach() for n, b in module.named_buffers() if n not in names]
    with flambeau.no_grad():
        for state in states:
            c10d.broadcast(state, src, process_group)
