"""Saving a state of several processes."""

import threading

import flambeau
import flambeau.distributed as dist

from ..fsdp._shards import whole
from ._names import flat, states
from .filesystem import FileSystemWriter

__all__ = ["async_save", "save", "save_state_dict"]


def _first(group, no_dist):
    return no_dist or not dist.is_initialized() or dist.get_rank(group) == 0


def _values(state_dict, planner, caller):
    if planner is not None:
        raise ValueError(f"{caller}(): a planner has no say here")
    return {n: _plain(whole(box[key])) for n, box, key in flat(states(state_dict))}


def _plain(value):
    return value.detach() if isinstance(value, flambeau.Tensor) else value


def save(
    state_dict,
    *,
    checkpoint_id=None,
    storage_writer=None,
    planner=None,
    process_group=None,
    no_dist=False,
    use_collectives=True,
):
    """Writes nested state; tensors in parts are put together, the rest is that of rank 0.

    Values that have a state_dict() (models, optimizers) are saved as that.
    """
    values = _values(state_dict, planner, "save")
    if _first(process_group, no_dist):
        (storage_writer or FileSystemWriter(checkpoint_id)).write(values)
    if not no_dist and dist.is_initialized():
        dist.barrier(process_group)


def save_state_dict(state_dict, storage_writer, process_group=None, coordinator_rank=0,
                    no_dist=False, planner=None):  # fmt: skip
    """The old form of save()."""
    save(state_dict, storage_writer=storage_writer, planner=planner, process_group=process_group,
         no_dist=no_dist)  # fmt: skip


def async_save(state_dict, *, checkpoint_id=None, storage_writer=None, planner=None,
               process_group=None, no_dist=False):  # fmt: skip
    """save() whose file is written in the background: a concurrent.futures.Future."""
    import concurrent.futures

    values = _values(state_dict, planner, "async_save")
    values = {n: v.clone() if hasattr(v, "clone") else v for n, v in values.items()}
    future = concurrent.futures.Future()
    if not _first(process_group, no_dist):
        future.set_result(None)
        return future

    def write():
        try:
            (storage_writer or FileSystemWriter(checkpoint_id)).write(values)
            future.set_result(None)
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=write).start()
    return future
