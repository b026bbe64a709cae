"""Batching rules: how an operator runs on all examples of a vmap at once.

Operators on examples (tensors made by `_C._make_batch`) come here from the operator's entry. The
tensors' batch dimension is brought to the front and the operator's rule runs it on the whole batch;
what has no rule runs on one example after another. The innermost level goes first, so that the
rules' own operators meet the next one.
"""

from threading import local

import flambeau
from flambeau import _C, _levels

RULES = {}


def rule(*names):
    """Enters a function of a Call under the operators' names."""

    def enter(function):
        for name in names:
            RULES[name] = function
        return function

    return enter


class Call:
    """One operator on a batch: `args` as in its schema, with the batch in dimension 0 of those
    tensors for which `on` is true (for a list of tensors, a list of flags)."""

    __slots__ = ("args", "level", "on", "record", "size")

    def __init__(self, record, args, on, size, level):
        self.record, self.args, self.on = record, args, on
        self.size, self.level = size, level

    def __getitem__(self, name):
        at = self.record.position.get(name)
        return None if at is None else self.args[at]

    def has(self, name):
        return name in self.record.position

    def rank(self, i=0):
        """Dimensions of a tensor argument, not counting the batch."""
        return self.args[i].dim() - self.on[i]

    def whole(self, i):
        """A tensor argument with a batch dimension in front in any case."""
        t = self.args[i]
        return t if self.on[i] else t.expand(self.size, *t.shape)

    def run(self, **changes):
        """The operator itself, with some of the arguments changed."""
        args = list(self.args)
        for name, value in changes.items():
            args[self.record.position[name]] = value
        return self.record.call(args)

    def dim(self, d, rank=None):
        """A dimension of the example as one of the batch."""
        rank = self.rank() if rank is None else rank
        n = max(rank, 1)
        if not -n <= d < n:
            raise IndexError(
                f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {d})"
            )
        return d % n + 1


def padded(t, rank):
    """A batch of tensors with dimensions of size 1 behind the batch's, to have `rank` of them."""
    missing = rank - (t.dim() - 1)
    if missing <= 0:
        return t
    return t.reshape(t.shape[0], *(1,) * missing, *t.shape[1:])


def fold(t, dim):
    """Dimension 0 multiplied into `dim` of the example."""
    t = t.movedim(0, dim)
    return t.reshape(*t.shape[:dim], t.shape[dim] * t.shape[dim + 1], *t.shape[dim + 2 :])


def unfold(t, dim, size):
    """The reverse of fold: the batch in dimension 0."""
    t = t.reshape(*t.shape[:dim], size, t.shape[dim] // size, *t.shape[dim + 1 :])
    return t.movedim(dim, 0)


# -- the entry -------------------------------------------------------------------------------------
class _Limit(local):
    """Rules run below a level: only vmaps outside of it exist."""

    level = None


limit = _Limit()


def open_vmaps():
    return [v for v in _levels.vmaps if limit.level is None or v[0] < limit.level]


def _tensors(record, args):
    for i in record.tensors:
        if isinstance(args[i], _C.Tensor):
            yield args[i]
    for i in record.lists:
        yield from (t for t in args[i] or () if t is not None)


def _innermost(record, args):
    level = size = None
    for t in _tensors(record, args):
        found = _levels.batch_of(t)
        if found is not None and (level is None or found[0] > level):
            level, size = found[0], found[1].shape[found[2]]
    if level is not None and all(level != v[0] for v in _levels.vmaps):
        raise RuntimeError(
            "an example of a batch is used after the vmap that it belongs to has ended: it may "
            "have escaped from inside a function being vmapped. Return it instead."
        )
    return level, size


def _front(t, level):
    """(tensor with the level's batch in dimension 0, True), or (tensor, False)."""
    found = _levels.batch_of(t) if isinstance(t, _C.Tensor) else None
    if found is None or found[0] != level:
        return t, False
    _, value, dim = found
    return (value if dim == 0 else value.movedim(dim, 0)), True


def take_apart(record, args, level, size):
    values, on = list(args), [False] * len(args)
    for i in record.tensors:
        values[i], on[i] = _front(args[i], level)
    for i in record.lists:
        pairs = [_front(t, level) for t in args[i] or ()]
        values[i], on[i] = [t for t, _ in pairs], [b for _, b in pairs]
    return Call(record, values, on, size, level)


def wrap_up(found, level):
    """Results with the batch in dimension 0 as examples again."""
    if isinstance(found, _C.Tensor):
        return _C._make_batch(found, 0, level)
    if isinstance(found, (tuple, list)):
        return [wrap_up(t, level) for t in found]
    return found


def _below(level, function, *args):
    before, limit.level = limit.level, level
    try:
        return function(*args)
    finally:
        limit.level = before


def choose(record):
    found = RULES.get(record.name)
    if found is None and record.pointwise:
        from ._simple import pointwise as found
    if found is None and record.name.startswith("linalg."):
        from ._matrix import leading as found
    return found


def batch_rule(record, args, inplace):
    """What the operator's entry calls; NotImplemented lets the call go on unchanged."""
    if record.generator is not None:
        from ._draw import draw

        return draw(record, args, inplace)
    chosen = choose(record)
    if chosen is None and record.composite and not inplace:
        return NotImplemented
    level, size = _innermost(record, args)
    if inplace:
        from ._inplace import run

        return _below(level, run, record, args, level, size)
    call = take_apart(record, args, level, size)
    return wrap_up(_below(level, chosen or one_by_one, call), level)


_DYNAMIC = {"nonzero", "argwhere", "masked_select", "unique", "unique_consecutive"}


def one_by_one(call):
    """The operator on each example alone, the results stacked."""
    record = call.record
    if record.name in _DYNAMIC:
        raise RuntimeError(
            f"vmap: It looks like you're calling {record.name}(), whose result has a shape that "
            "depends on the data of each example. We don't support vmap over such operations."
        )
    if call.size == 0:
        raise RuntimeError(f"vmap: {record.name}() has no batching rule for a batch of size 0")
    rows = []
    for k in range(call.size):
        args = list(call.args)
        for i in record.tensors:
            if call.on[i]:
                args[i] = args[i].select(0, k)
        for i in record.lists:
            args[i] = [t.select(0, k) if b else t for t, b in zip(args[i], call.on[i], strict=True)]
        rows.append(record.call(args))
    if isinstance(rows[0], _C.Tensor):
        return flambeau.stack(rows)
    if isinstance(rows[0], (tuple, list)):
        return [
            flambeau.stack(column) if isinstance(column[0], _C.Tensor) else column[0]
            for column in zip(*rows, strict=True)
        ]
    raise RuntimeError(f"vmap: {record.name}() gives no tensor, and its examples may differ")


_C._set_rules(batch_rule, None)

from . import _index, _linalg, _matrix, _networks, _shape, _simple  # noqa: E402 (they enter rules)
