"""Loading a state into several processes."""

from ._names import flat, put
from .filesystem import FileSystemReader

__all__ = ["load", "load_state_dict"]


def load(
    state_dict,
    *,
    checkpoint_id=None,
    storage_reader=None,
    planner=None,
    process_group=None,
    no_dist=False,
):
    """Fills nested state in place: tensors are copied into, whole or in parts; the rest replaced.

    Values that have a load_state_dict() get their state by it. RuntimeError for a missing name.
    """
    if planner is not None:
        raise ValueError("load(): a planner has no say here")
    values = (storage_reader or FileSystemReader(checkpoint_id)).read()
    for key, value in state_dict.items():
        stateful = hasattr(value, "state_dict")
        state = {key: value.state_dict() if stateful else value}
        for name, box, place in list(flat(state)):
            if name not in values:
                raise RuntimeError(f"Missing key in checkpoint state_dict: {name}.")
            if not put(box[place], values[name]):
                box[place] = values[name]
        if stateful:
            value.load_state_dict(state[key])
        else:
            state_dict[key] = state[key]


def load_state_dict(state_dict, storage_reader, process_group=None, coordinator_rank=0,
                    no_dist=False, planner=None):  # fmt: skip
    """The old form of load()."""
    load(state_dict, storage_reader=storage_reader, planner=planner, process_group=process_group,
         no_dist=no_dist)  # fmt: skip
