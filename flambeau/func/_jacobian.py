"""Whole Jacobians: a vmap of vjp over the rows, or of jvp over the columns."""

import functools

from .. import _C, _levels
from .._functorch.vmap import vmap
from ..utils._pytree import tree_flatten, tree_map, tree_unflatten
from ._grad import _chosen, _inputs, replaced, vjp
from ._jvp import jvp


def basis(tensors):
    """For tensors of n elements in all, n tuples of tensors side by side: the unit vectors."""
    from .. import zeros

    count = sum(t.numel() for t in tensors)
    out, at = [], 0
    for t in tensors:
        rows = zeros(count, t.numel(), dtype=t.dtype, device=t.device)
        rows.diagonal(-at).fill_(1)
        at += t.numel()
        out.append(rows.view(count, *t.shape))
    return out


def _refuse_complex(tensors, name, what):
    for t in tensors:
        if t.is_complex():
            raise RuntimeError(
                f"{name}: Expected all {what} to be real but received complex tensor at flattened "
                f"input idx: {next(i for i, x in enumerate(tensors) if x is t)}"
            )


def _outputs(output, name):
    flat, spec = tree_flatten(output)
    for y in flat:
        if not isinstance(y, _C.Tensor):
            raise RuntimeError(
                f"{name}: Expected f to return only Tensors, got unsupported type {type(y)}"
            )
    return flat, spec


def _of_chosen(func, args, kwargs, argnums, name):
    """The tensors of the arguments to differentiate, how they nest, and func of them alone."""
    numbers = _chosen(args, argnums)
    flat, spec = _inputs(tuple(args[n] for n in numbers))
    _refuse_complex(flat, name, "inputs")

    def of_chosen(*leaves):
        return func(*replaced(args, numbers, tree_unflatten(leaves, spec)), **kwargs)

    return flat, spec, of_chosen


def jacrev(func, argnums=0, *, has_aux=False, chunk_size=None, _preallocate_and_copy=False):
    """A function that gives the Jacobian, computed row by row: for results smaller than arguments.

    For a result of shape S and an argument of shape T the Jacobian has shape S + T. `chunk_size`
    is how many rows are computed at a time.

    >>> import flambeau as torch
    >>> torch.func.jacrev(lambda x: x * x)(torch.tensor([1., 2.]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError("jacrev: `chunk_size` should be greater than 0.")

    from .. import stack

    @functools.wraps(func)
    def wrapped(*args, **kwargs):
        flat, spec, of_chosen = _of_chosen(func, args, kwargs, argnums, "jacrev")
        output, pull, *aux = vjp(of_chosen, *flat, has_aux=has_aux)
        ys, out_spec = _outputs(output, "jacrev")
        _refuse_complex(ys, "jacrev", "outputs")

        def row(*cotangents):
            return pull(tree_unflatten(cotangents, out_spec))

        units = basis([y.detach() for y in ys])
        if units[0].shape[0] == 0:
            found = tuple(x.new_zeros((0, *x.shape)) for x in flat)
        elif chunk_size == 1:  # without vmap, for what it does not know
            rows = [row(*unit) for unit in zip(*units, strict=True)]
            found = tuple(stack(rows) for rows in zip(*rows, strict=True))
        else:
            found = vmap(row, chunk_size=chunk_size)(*units)
        blocks, at = [], 0
        for y in ys:
            part = [g[at : at + y.numel()].reshape((*y.shape, *x.shape))
                    for g, x in zip(found, flat, strict=True)]  # fmt: skip
            at += y.numel()
            tree = tree_unflatten(part, spec)
            blocks.append(tree[0] if isinstance(argnums, int) else tree)
        result = tree_unflatten(blocks, out_spec)
        return (result, aux[0]) if has_aux else result

    return wrapped


def _all_columns(column, units, randomness):
    """column(*unit) of all unit vectors side by side."""
    try:
        return vmap(column, randomness=randomness)(*units)
    except _levels.WriteRefused:
        # The function fills tensors of its own, which no tangent was in when they were made.
        found, spec = zip(*(tree_flatten(column(*unit)) for unit in zip(*units, strict=True)))
        return tree_unflatten(
            [_C._functions["stack"](same) for same in zip(*found, strict=True)], spec[0]
        )


def jacfwd(func, argnums=0, has_aux=False, *, randomness="error"):
    """A function that gives the Jacobian, computed column by column in forward mode.

    >>> import flambeau as torch
    >>> torch.func.jacfwd(lambda x: x * x)(torch.tensor([1., 2.]))
    tensor([[2., 0.],
            [0., 4.]])
    """

    @functools.wraps(func)
    def wrapped(*args, **kwargs):
        flat, spec, of_chosen = _of_chosen(func, args, kwargs, argnums, "jacfwd")

        def column(*tangents):
            found = jvp(of_chosen, tuple(flat), tangents, has_aux=has_aux)
            _refuse_complex(_outputs(found[1], "jacfwd")[0], "jacfwd", "outputs")
            return (found[1], found[2]) if has_aux else found[1]

        units = basis([x.detach() for x in flat])
        found = _all_columns(column, units, randomness)
        aux = None
        if has_aux:
            found, aux = found[0], tree_map(lambda t: t[0], found[1])
        columns, out_spec = _outputs(found, "jacfwd")
        blocks = []
        for c in columns:
            part, at = [], 0
            for x in flat:
                own = c[at : at + x.numel()].movedim(0, -1)
                part.append(own.reshape((*c.shape[1:], *x.shape)))
                at += x.numel()
            tree = tree_unflatten(part, spec)
            blocks.append(tree[0] if isinstance(argnums, int) else tree)
        result = tree_unflatten(blocks, out_spec)
        return (result, aux) if has_aux else result

    return wrapped


def hessian(func, argnums=0):
    """A function that gives the matrix of second derivatives: jacfwd(jacrev(func)).

    >>> import flambeau as torch
    >>> torch.func.hessian(lambda x: (x ** 3).sum())(torch.tensor([1., 2.]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    return jacfwd(jacrev(func, argnums), argnums)
