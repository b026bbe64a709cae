"""The steps that a step stands on."""

from .datapipes.datapipe import IterDataPipe, MapDataPipe

__all__ = ["traverse", "traverse_dps"]


def traverse_dps(datapipe):
    """{id: (step, the same of each step that it stands on)}."""
    return _traverse(datapipe, set())


def traverse(datapipe, only_datapipe=None):
    """`traverse_dps`; only_datapipe is taken for programs that pass it."""
    return traverse_dps(datapipe)


def _traverse(pipe, seen):
    if id(pipe) in seen:
        return {}
    seen.add(id(pipe))
    below = {}
    for value in vars(pipe).values():
        for found in _pipes_in(value):
            below.update(_traverse(found, seen))
    return {id(pipe): (pipe, below)}


def _pipes_in(value, depth=0):
    if isinstance(value, (IterDataPipe, MapDataPipe)):
        yield value
    elif depth < 3:
        parts = ()
        if isinstance(value, (list, tuple, set)):
            parts = value
        elif isinstance(value, dict):
            parts = value.values()
        elif type(value).__module__.startswith("flambeau.utils.data.datapipes"):
            parts = vars(value).values()
        for part in parts:
            yield from _pipes_in(part, depth + 1)
