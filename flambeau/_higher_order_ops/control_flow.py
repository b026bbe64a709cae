"""Choices, loops and running states as functions of functions: cond, while_loop, map, scan.

Nothing is traced here: they call what they are given, so gradients and hooks are as usual.
"""

import flambeau
from flambeau.utils._pytree import tree_flatten, tree_leaves, tree_map, tree_unflatten


def _check_operands(operands, name):
    leaves = tree_leaves(operands) if isinstance(operands, (tuple, list)) else [None]
    if not all(isinstance(x, flambeau.Tensor) for x in leaves):
        raise RuntimeError(
            f"{name}(): Expect operands to be a tuple of possibly nested dict/list/tuple that only "
            f"consists of tensor leaves, but got {operands}."
        )


def _truth(pred, name):
    if not isinstance(pred, (bool, int, float, flambeau.Tensor)):
        raise RuntimeError(f"{name}(): Expected pred to be bool or tensor, but got {pred}.")
    if isinstance(pred, flambeau.Tensor) and pred.numel() != 1:
        raise RuntimeError(
            f"{name}(): Expected pred to be bool or single-element tensor, but got {pred}."
        )
    if isinstance(pred, flambeau.Tensor):
        _check_not_recorded(name)
    return bool(pred)


def _check_not_recorded(name):
    """A trace would hold the branch of the example alone."""
    from ..jit import _trace

    if _trace.active() is not None:
        raise RuntimeError(f"{name}(): what depends on a tensor's numbers cannot be recorded")


def cond(pred, true_fn, false_fn, operands=()):
    """true_fn(*operands) where pred holds, else false_fn(*operands).

    Args:
        pred: a bool or a tensor of one element.
        operands: a tuple of tensors, or of nestings of them.

    >>> import flambeau as torch
    >>> x = torch.ones(2)
    >>> torch.cond(x.sum() > 1, lambda x: x + 1, lambda x: x - 1, (x,))
    tensor([2., 2.])
    """
    chosen = _truth(pred, "cond")
    if not callable(true_fn) or not callable(false_fn):
        raise RuntimeError("cond(): Expect both branches to be callable.")
    _check_operands(operands, "cond")
    return (true_fn if chosen else false_fn)(*operands)


def while_loop(cond_fn, body_fn, carried_inputs):
    """body_fn(*state) gives the next state, from carried_inputs on, while cond_fn(*state) holds.

    >>> import flambeau as torch
    >>> from flambeau._higher_order_ops import while_loop
    >>> while_loop(lambda n: n < 30, lambda n: (n * 2,), (torch.tensor(1),))
    (tensor(32),)
    """
    if not callable(cond_fn) or not callable(body_fn):
        raise RuntimeError("while_loop(): Expect cond_fn and body_fn to be callable.")
    if not isinstance(carried_inputs, (tuple, list)):
        raise RuntimeError(
            f"while_loop(): Expect carried_inputs to be a tuple, got {type(carried_inputs)}."
        )
    state = tuple(carried_inputs)
    while _truth(cond_fn(*state), "while_loop"):
        found = body_fn(*state)
        found = tuple(found) if isinstance(found, (tuple, list)) else (found,)
        if len(found) != len(state):
            raise RuntimeError(
                f"while_loop(): body_fn should return as many values as carried_inputs has, "
                f"{len(state)}, got {len(found)}."
            )
        state = found
    return state


def _rows(xs, name, dim=0):
    leaves = tree_leaves(xs)
    if not leaves or not all(isinstance(x, flambeau.Tensor) and x.dim() for x in leaves):
        raise RuntimeError(f"{name}(): xs must be tensors of at least one dimension, got {xs}.")
    size = leaves[0].shape[dim]
    if size == 0:
        raise RuntimeError(f"{name}(): xs must have at least one element along dim {dim}.")
    if any(x.shape[dim] != size for x in leaves):
        raise RuntimeError(f"{name}(): all xs must have the same size along dim {dim}.")
    return [tree_map(lambda x, i=i: x.select(dim, i), xs) for i in range(size)]


def _stacked(rows, dim=0):
    flat = [tree_flatten(row) for row in rows]
    columns = zip(*(leaves for leaves, _ in flat), strict=True)
    return tree_unflatten([flambeau.stack(column, dim) for column in columns], flat[0][1])


def map(f, xs, *args):
    """f(x, *args) for each x along the first dimension of xs, the results stacked.

    >>> import flambeau as torch
    >>> from flambeau._higher_order_ops.map import map
    >>> map(lambda x, y: x * y, torch.arange(3), torch.tensor(2))
    tensor([0, 2, 4])
    """
    return _stacked([f(x, *args) for x in _rows(xs, "map")])


def scan(combine_fn, init, xs, *, dim=0, reverse=False):
    """(the last state, all results stacked) of combine_fn(state, x) -> (state, result) along dim.

    >>> import flambeau as torch
    >>> from flambeau._higher_order_ops import scan
    >>> scan(lambda total, x: (total + x, total * x), torch.tensor(0), torch.arange(4))
    (tensor(6), tensor([0, 0, 2, 9]))
    """
    rows = _rows(xs, "scan", dim)
    state, results = init, []
    for x in reversed(rows) if reverse else rows:
        state, result = combine_fn(state, x)
        results.append(result)
    if reverse:
        results.reverse()
    return state, _stacked(results, dim)
