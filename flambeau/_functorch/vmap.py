"""vmap: a function of one example as a function of a batch.

Its parts have PyTorch's names and arguments: libraries with containers of tensors of their own put
functions in their place, so that their containers can be arguments and results.
"""

import functools

from .. import _C, _levels
from .._C import Tensor
from ..utils._pytree import (
    _broadcast_to_and_flatten,
    tree_flatten,
    tree_map,
    tree_unflatten,
)

_RANDOMNESS = ("error", "different", "same")


def _get_name(func):
    return getattr(func, "__name__", None) or repr(func)


def _process_batched_inputs(in_dims, args, func):
    """(batch size, a dimension or None for each leaf of the arguments, the leaves, their spec)."""
    where = f"vmap({_get_name(func)}, in_dims={in_dims}, ...)(<inputs>): "
    if not isinstance(in_dims, (int, tuple, list)) or isinstance(in_dims, bool):
        raise ValueError(
            f"{where}expected `in_dims` to be int or a (potentially nested) tuple matching the "
            f"structure of inputs, got: {type(in_dims)}."
        )
    if not args:
        raise ValueError(
            f"vmap({_get_name(func)})(<inputs>): got no inputs. Maybe you forgot to add inputs, or "
            "you are trying to vmap over a function with no inputs. The latter is unsupported."
        )
    flat, spec = tree_flatten(args)
    prefix = tuple(in_dims) if isinstance(in_dims, list) and len(in_dims) == len(args) else in_dims
    dims = _broadcast_to_and_flatten(prefix, spec)
    if dims is None:
        raise ValueError(
            f"{where}in_dims is not compatible with the structure of `inputs`. in_dims has "
            f"structure {tree_flatten(in_dims)[1]} but inputs has structure {spec}."
        )
    for i, (x, dim) in enumerate(zip(flat, dims, strict=True)):
        if dim is None:
            continue
        if not isinstance(dim, int):
            raise ValueError(
                f"{where}Got in_dim={dim} for an input but in_dim must be either an integer "
                "dimension or None."
            )
        if not isinstance(x, Tensor):
            raise ValueError(
                f"{where}Got in_dim={dim} for an input but the input is of type {type(x)}. We "
                "cannot vmap over non-Tensor arguments, please use None as the respective in_dim"
            )
        if not -x.dim() <= dim < x.dim():
            raise ValueError(
                f"{where}Got in_dim={dim} for some input, but that input is a Tensor of "
                f"dimensionality {x.dim()} so expected in_dim to satisfy -{x.dim()} <= in_dim < "
                f"{x.dim()}."
            )
        dims[i] = dim % x.dim()
    return _validate_and_get_batch_size(dims, flat), dims, flat, spec


def _validate_and_get_batch_size(dims, flat):
    """The common size of the tensors along their dimensions; None stands for no dimension."""
    sizes = [x.shape[d] for x, d in zip(flat, dims, strict=True) if d is not None]
    if not sizes:
        raise ValueError("vmap: Expected at least one Tensor to vmap over")
    if any(s != sizes[0] for s in sizes):
        raise ValueError(
            "vmap: Expected all tensors to have the same size in the mapped dimension, got sizes "
            f"{sizes} for the mapped dimension"
        )
    return sizes[0]


def _out_dims(out_dims, spec, func):
    if isinstance(out_dims, list):
        out_dims = tuple(out_dims)
    if spec.is_leaf() and isinstance(out_dims, tuple):
        out_dims = out_dims[0] if len(out_dims) == 1 else out_dims
    dims = (
        None
        if isinstance(out_dims, tuple) and spec.is_leaf()
        else (
            [out_dims] * spec.num_leaves
            if isinstance(out_dims, int) or out_dims is None
            else _broadcast_to_and_flatten(out_dims, spec)
        )
    )
    where = f"vmap({_get_name(func)}, ..., out_dims={out_dims})(<inputs>): "
    if dims is None:
        raise ValueError(
            f"{where}out_dims is not compatible with the structure of `outputs`. out_dims has "
            f"structure {tree_flatten(out_dims)[1]} but outputs has structure {spec}."
        )
    for dim in dims:
        if dim is not None and (not isinstance(dim, int) or isinstance(dim, bool)):
            raise ValueError(
                f"{where}`out_dims` must be an int, None or a (nested) tuple of them, got {dim!r}"
            )
    return dims


def _add_batch_dim(tensor, in_dim, level):
    """The tensor as an example of the batch that lies along a dimension."""
    return _levels.add_batch(tensor, in_dim, level)


def _remove_batch_dim(tensor, level, batch_size, out_dim):
    """The examples of a level side by side along a new dimension, repeated if there is but one."""
    if not -tensor.dim() - 1 <= out_dim <= tensor.dim():
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-tensor.dim() - 1}, "
            f"{tensor.dim()}], but got {out_dim})"
        )
    to = out_dim % (tensor.dim() + 1)
    value, at = _levels.split_batch(tensor, level)
    if at is None:
        value, at = value.unsqueeze(0).expand(batch_size, *value.shape), 0
    return value if at == to else value.movedim(at, to)


def _maybe_remove_batch_dim(name, batched_output, vmap_level, batch_size, out_dim):
    """A result outside of its level; out_dim None: it must be the same for all examples."""
    if not isinstance(batched_output, Tensor):
        if out_dim is None:
            return batched_output
        raise ValueError(
            f"vmap({name}, ...): `{name}` must only return Tensors, got type "
            f"{type(batched_output)}. Did you mean to set out_dims= to None for output?"
        )
    if out_dim is not None:
        return _remove_batch_dim(batched_output, vmap_level, batch_size, out_dim)
    value, at = _levels.split_batch(batched_output, vmap_level)
    if at is not None:
        raise ValueError(
            f"vmap({name}, ...): `{name}` can not return a BatchedTensor when out_dim is None"
        )
    return value


def _unwrap_batched(batched_outputs, out_dims, vmap_level, batch_size, func):
    """The results of func outside of its level."""
    flat, spec = tree_flatten(batched_outputs)
    dims, name = _out_dims(out_dims, spec, func), _get_name(func)
    return tree_unflatten(
        [
            _maybe_remove_batch_dim(name, x, vmap_level, batch_size, dim)
            for x, dim in zip(flat, dims, strict=True)
        ],
        spec,
    )


def _create_batched_inputs(flat_in_dims, flat_args, vmap_level, args_spec):
    """The arguments as func sees them at a level."""
    return tree_unflatten(
        [
            x if d is None else _add_batch_dim(x, d, vmap_level)
            for x, d in zip(flat_args, flat_in_dims, strict=True)
        ],
        args_spec,
    )


def run(func, flat, spec, dims, size, out_dims, randomness, kwargs):
    """func on every example at once."""
    level = _levels.new_level()
    _levels.vmaps.append((level, size, randomness))
    _C._open_levels(1, 1)
    try:
        args = _create_batched_inputs(dims, flat, level, spec)
        outputs = func(*args, **kwargs)
        del args
        found = _unwrap_batched(outputs, out_dims, level, size, func)
        del outputs  # no example outlives the level, unless somebody keeps it
        return found
    finally:
        _C._open_levels(-1, -1)
        _levels.vmaps.pop()


def _in_chunks(func, flat, spec, dims, size, out_dims, randomness, kwargs, chunk_size):
    from .. import cat, get_rng_state, set_rng_state

    pieces, state = [], get_rng_state() if randomness == "same" else None
    for start in range(0, size, chunk_size):
        length = min(chunk_size, size - start)
        part = [
            x if d is None else x.narrow(d, start, length) for x, d in zip(flat, dims, strict=True)
        ]
        if state is not None:
            set_rng_state(state)
        pieces.append(run(func, part, spec, dims, length, out_dims, randomness, kwargs))
    columns = [tree_flatten(p)[0] for p in pieces]
    spec = tree_flatten(pieces[0])[1]
    dims = _out_dims(out_dims, spec, func)
    joined = [
        rows[0] if d is None else cat(rows, d)
        for rows, d in zip(zip(*columns, strict=True), dims, strict=True)
    ]
    return tree_unflatten(joined, spec)


def vmap(func, in_dims=0, out_dims=0, randomness="error", *, chunk_size=None):
    """A function that applies `func` to every example of a batch, all of them at once.

    Args:
        in_dims: the dimension of each argument along which the examples lie, None for an argument
            that all share; an int for all, or a nested structure like that of the arguments.
        out_dims: where the examples lie in the results.
        randomness: "error", or whether random numbers are "different" or the "same" for examples.
        chunk_size: how many examples are computed at a time; None: all.

    >>> import flambeau as torch
    >>> torch.vmap(torch.dot)(torch.ones(3, 2), torch.tensor([[1., 2.], [3., 4.], [5., 6.]]))
    tensor([ 3.,  7., 11.])
    """
    if randomness not in _RANDOMNESS:
        raise RuntimeError(
            "Only allowed values for vmap randomness are 'error', 'different', or 'same'. Got "
            f"{randomness}"
        )
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")

    @functools.wraps(func)
    def wrapped(*args, **kwargs):
        size, dims, flat, spec = _process_batched_inputs(in_dims, args, func)
        if kwargs:
            kwargs_flat, kwargs_spec = tree_flatten(kwargs)
            named = [0 if isinstance(x, Tensor) and x.dim() else None for x in kwargs_flat]
            count = len(flat)

            def with_kwargs(*args):
                leaves = tree_flatten(args)[0]
                rest = tree_unflatten(leaves[count:], kwargs_spec)
                return func(*tree_unflatten(leaves[:count], spec), **rest)

            flat, dims = flat + kwargs_flat, dims + named
            _validate_and_get_batch_size(dims, flat)
            return _start(with_kwargs, flat, tree_flatten(tuple(flat))[1], dims, size)
        return _start(func, flat, spec, dims, size)

    def _start(function, flat, spec, dims, size):
        if chunk_size is not None and size > chunk_size:
            return _in_chunks(
                function, flat, spec, dims, size, out_dims, randomness, {}, chunk_size
            )
        return run(function, flat, spec, dims, size, out_dims, randomness, {})

    return wrapped


def debug_unwrap(tensor, *, recurse=True):
    """What a tensor inside of a transform is made of: all examples, without derivatives.

    >>> import flambeau as torch
    >>> seen = []
    >>> _ = torch.vmap(lambda x: seen.append(torch.func.debug_unwrap(x).shape) or x)(torch.ones(3))
    >>> seen
    [torch.Size([3])]
    """
    found = _C._transformed(tensor)
    if found is None:
        return tensor
    return debug_unwrap(found[2]) if recurse else found[2]


def functionalize(func, *, remove="mutations"):
    """func with its writes in place kept from its arguments.

    >>> import flambeau as torch
    >>> x = torch.zeros(2)
    >>> torch.func.functionalize(lambda x: x.add_(1))(x), x
    (tensor([1., 1.]), tensor([1., 1.]))
    """
    if remove not in ("mutations", "mutations_and_views"):
        raise RuntimeError(
            "functionalize(f, remove=...) expects remove to be 'mutations' or "
            f"'mutations_and_views', got {remove!r}"
        )

    @functools.wraps(func)
    def wrapped(*args, **kwargs):
        leaves, spec = tree_flatten((args, kwargs))
        own = [x.clone() if isinstance(x, Tensor) else x for x in leaves]
        before = {id(x): x._version for x in own if isinstance(x, Tensor)}
        new_args, new_kwargs = tree_unflatten(own, spec)
        out = func(*new_args, **new_kwargs)
        written = {
            id(mine): theirs
            for mine, theirs in zip(own, leaves, strict=True)
            if isinstance(mine, Tensor) and mine._version != before[id(mine)]
        }
        for mine in own:
            if id(mine) in written:
                written[id(mine)].copy_(mine)
        return tree_map(lambda x: written.get(id(x), x), out)

    return wrapped
