"""Settings for all steps that a step stands on: shares, shuffling, seeds."""

import warnings

from .graph import traverse_dps
from .sampler import draw_seed

__all__ = [
    "apply_random_seed",
    "apply_sharding",
    "apply_shuffle_seed",
    "apply_shuffle_settings",
    "get_all_graph_pipes",
]


def get_all_graph_pipes(graph):
    """All steps of `traverse_dps`, the last one first."""
    found = []
    for pipe, below in graph.values():
        found += [pipe, *get_all_graph_pipes(below)]
    return found


def _all_with(datapipe, *methods):
    pipes = get_all_graph_pipes(traverse_dps(datapipe))
    return [pipe for pipe in pipes if all(callable(getattr(type(pipe), m, None)) for m in methods)]


def apply_sharding(datapipe, num_of_instances, instance_id, sharding_group=None):
    """Tells the steps that share samples out how many workers there are, and which this is."""
    for pipe in _all_with(datapipe, "apply_sharding"):
        pipe.apply_sharding(num_of_instances, instance_id)
    return datapipe


def apply_shuffle_settings(datapipe, shuffle=None):
    """Turns shuffling on or off; where there is none to turn on, a shuffler is put at the end."""
    if shuffle is None:
        return datapipe
    shufflers = _all_with(datapipe, "set_shuffle", "set_seed")
    if not shufflers and shuffle:
        warnings.warn(
            "`shuffle=True` was set, but the datapipe does not contain a `Shuffler`. Adding one at "
            "the end. Be aware that the default buffer size might not be sufficient for your task.",
            stacklevel=3,
        )
        datapipe = datapipe.shuffle()
        shufflers = [datapipe]
    for pipe in shufflers:
        pipe.set_shuffle(shuffle)
    return datapipe


def apply_shuffle_seed(datapipe, rng):
    """The older name of `apply_random_seed`."""
    return apply_random_seed(datapipe, rng)


def apply_random_seed(datapipe, rng):
    """Gives each step that draws random numbers a seed drawn from the generator."""
    for pipe in _all_with(datapipe, "set_seed"):
        pipe.set_seed(draw_seed(rng))
    return datapipe
