"""Levels of function transforms: what is open, and tensors put into levels and taken out.

A tensor inside of a transform may be an example of batches (vmap) and have derivatives (jvp); the
batches lie outside, sorted by level, the dual numbers inside. `push` and `pull` keep that order.
"""

from threading import local

from . import _C

_numbers = 0


class Stack(local):
    """A list that every thread has for itself."""

    def __init__(self):
        self.items = []
        self.append, self.pop = self.items.append, self.items.pop

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


vmaps = Stack()  # open levels of vmap: (level, size, randomness), the innermost last
duals = Stack()  # open levels of forward mode: numbers


class WriteRefused(RuntimeError):
    """An example of a batch was to be written into a tensor that all examples share."""


def new_level():
    """A number that no open or dead level has."""
    global _numbers
    _numbers += 1
    return _numbers


def batch_of(tensor):
    """(level, value, dim) of an example of a batch; None for other tensors."""
    found = _C._transformed(tensor)
    return found[1:] if found and found[0] else None


def dual_of(tensor):
    """(level, primal, tangent) of a dual number; None for other tensors."""
    found = _C._transformed(tensor)
    return found[1:] if found and not found[0] else None


# -- batches ---------------------------------------------------------------------------------------
def add_batch(tensor, dim, level):
    """Takes dimension `dim` of a tensor as the batch of a level."""
    found = batch_of(tensor)
    if found is None or found[0] < level:
        return _C._make_batch(tensor, dim, level)
    outer, value, at = found
    dim = dim % (value.dim() - 1)
    inner = dim if dim < at else dim + 1
    value = add_batch(value, inner, level)
    return _C._make_batch(value, at - (inner < at), outer)


def remove_batch(tensor, level, size):
    """The examples side by side in a new dimension 0; repeated when there is but one."""
    value, dim = split_batch(tensor, level)
    if dim is None:
        return value.expand(size, *value.shape)
    return value if dim == 0 else value.movedim(dim, 0)


def split_batch(tensor, level):
    """(tensor without its level, dimension that the level was); (tensor, None) if it has none."""
    found = batch_of(tensor)
    if found is None or found[0] < level:
        return tensor, None
    outer, value, at = found
    if outer == level:
        return value, at
    value, dim = split_batch(value, level)
    if dim is None:
        return tensor, None
    if dim <= at:
        return _C._make_batch(value, at + 1, outer), dim
    return _C._make_batch(value, at, outer), dim - 1


def holds(mask):
    """Whether a mask is true anywhere; False where nobody can tell."""
    return mask.device.type != "meta" and batch_of(mask) is None and bool(mask.any())


def like(tensor, *others):
    """The tensor as an example of every batch that the others are examples of."""
    for other in others:
        while (found := batch_of(other)) is not None:
            level, value, dim = found
            if size_of(tensor, level) is None:
                size = value.shape[dim]
                tensor = add_batch(tensor.unsqueeze(0).expand(size, *tensor.shape), 0, level)
            other = value
    return tensor


def size_of(tensor, level):
    """How many examples a tensor has at a level; None if it has none there."""
    while (found := batch_of(tensor)) is not None:
        if found[0] == level:
            return found[1].shape[found[2]]
        tensor = found[1]
    return None


def lift(tensor):
    """The tensor as an example of every open vmap: repeated where it was not one."""
    for level, size, _ in vmaps:
        if size_of(tensor, level) is None:
            whole = tensor.unsqueeze(0)
            tensor = add_batch(whole.expand(size, *tensor.shape), 0, level)
    return tensor


def cut(tensor):
    """The tensor without the graph that made it; unlike detach(), with its derivatives."""
    found = _C._transformed(tensor)
    if found is None:
        return tensor.detach()
    batch, level, value, other = found
    if batch:
        return _C._make_batch(cut(value), other, level)
    return _C._make_dual(cut(value), cut(other), level)


def parts(tensor):
    """The plain tensors that a transformed one is made of."""
    found = _C._transformed(tensor)
    if found is None:
        return [tensor]
    return parts(found[2]) + ([] if found[0] else parts(found[3]))


# -- dual numbers ----------------------------------------------------------------------------------
def _common_batches(a, b):
    """(values of both with the same batch dimensions in front, [(level, size)] they stand for)."""
    levels = {}
    for t in (a, b):
        while (found := batch_of(t)) is not None:
            levels[found[0]] = found[1].shape[found[2]]
            t = found[1]
    order = sorted(levels.items())
    for level, size in order:
        a, b = remove_batch(a, level, size), remove_batch(b, level, size)
    return a, b, order


def make_dual(primal, tangent, level):
    """primal + epsilon * tangent, where either may be an example of batches."""
    if batch_of(primal) is None and batch_of(tangent) is None:
        return _C._make_dual(primal, tangent, level)
    primal, tangent, order = _common_batches(primal, tangent)
    dual = _C._make_dual(primal, tangent, level)
    for level, _ in reversed(order):
        dual = add_batch(dual, 0, level)
    return dual


def unpack_dual(tensor, level):
    """(primal, tangent or None) at a level, also of an example of batches."""
    found = batch_of(tensor)
    if found is not None:
        outer, value, dim = found
        primal, tangent = unpack_dual(value, level)
        if tangent is None:
            return tensor, None
        return _C._make_batch(primal, dim, outer), _C._make_batch(tangent, dim, outer)
    found = dual_of(tensor)
    if found is None or found[0] < level:
        return tensor, None
    own, primal, tangent = found
    if own == level:
        return primal, tangent
    # An inner level lies around the one asked for.
    outside, above = unpack_dual(primal, level)
    if above is None and unpack_dual(tangent, level)[1] is None:
        return tensor, None
    inside, below = unpack_dual(tangent, level)
    first = _C._make_dual(outside, inside, own)
    if above is None:
        above = outside.new_zeros(outside.shape)
    return first, above if below is None else _C._make_dual(above, below, own)


def any_dual(tensors):
    """Whether one of several tensors (or edges of the graph, or None) has a derivative."""
    return any(isinstance(t, _C.Tensor) and dual_levels(t) for t in tensors)


def innermost(tensor):
    """The plain tensor whose graph a dual number's value is part of."""
    while (found := dual_of(tensor)) is not None:
        tensor = found[1]
    return tensor


def dual_levels(tensor):
    """The levels at which a tensor has derivatives, as a set."""
    while (found := batch_of(tensor)) is not None:
        tensor = found[1]
    found = dual_of(tensor)
    if found is None:
        return set()
    return {found[0]} | dual_levels(found[1]) | dual_levels(found[2])
