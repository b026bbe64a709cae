"""Nested state under dotted names and back."""

import flambeau


def flat(state, prefix=""):
    """Yields (dotted name, container, key) for the values of nested dictionaries and lists."""
    items = state.items() if isinstance(state, dict) else enumerate(state)
    for key, value in items:
        name = f"{prefix}{key}"
        if isinstance(value, (dict, list)) and value:
            yield from flat(value, f"{name}.")
        else:
            yield name, state, key


def states(state_dict):
    """The dictionary with stateful objects (models, optimizers) replaced by their states."""
    return {
        key: value.state_dict() if hasattr(value, "state_dict") else value
        for key, value in state_dict.items()
    }


def put(target, value):
    """Copies a whole value into a tensor; whether it could."""
    if not isinstance(target, flambeau.Tensor):
        return False
    with flambeau.no_grad():
        if hasattr(target, "take_whole"):
            target.take_whole(value)
        elif hasattr(target, "full_tensor"):
            from ..tensor import distribute_tensor

            made = distribute_tensor(value, target.device_mesh, target.placements)
            target.to_local().copy_(made.to_local())
        else:
            target.copy_(value)
    return True
