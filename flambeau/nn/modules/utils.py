"""Tuples of sizes, one for each spatial dimension."""

from collections.abc import Iterable


def _ntuple(n):
    def expand(value):
        if isinstance(value, Iterable):
            return tuple(value)
        return (value,) * n

    return expand


_single = _ntuple(1)
_pair = _ntuple(2)
_triple = _ntuple(3)
_quadruple = _ntuple(4)


def consume_prefix_in_state_dict_if_present(state_dict, prefix):
    """Takes a prefix off the keys of a state dict, in place, as of a model that was wrapped.

    >>> from flambeau.nn.modules.utils import consume_prefix_in_state_dict_if_present
    >>> state = {"module.weight": 1}
    >>> consume_prefix_in_state_dict_if_present(state, "module.")
    >>> state
    {'weight': 1}
    """
    for key in [key for key in state_dict if key.startswith(prefix)]:
        state_dict[key[len(prefix) :]] = state_dict.pop(key)
    metadata = getattr(state_dict, "_metadata", None) or {}
    for key in [key for key in metadata if key]:
        # A module's own key has no dot at its end.
        if key == prefix.rstrip(".") or key.startswith(prefix):
            metadata[key[len(prefix) :]] = metadata.pop(key)


def _reverse_repeat_tuple(t, n):
    """The elements from the last to the first, each n times."""
    return tuple(x for x in reversed(t) for _ in range(n))
