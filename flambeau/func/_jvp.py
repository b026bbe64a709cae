"""Forward mode: jvp."""

from .. import _C, _levels
from ..utils._pytree import tree_flatten, tree_map, tree_unflatten
from ._grad import _with_aux

_HERE = "jvp(f, primals, tangents): "


def _flatten(tree, what):
    flat = tree_flatten(tree)[0]
    for x in flat:
        if not isinstance(x, _C.Tensor):
            raise RuntimeError(f"{_HERE}Expected {what} to only contain Tensors, got {type(x)}")
    if not flat:
        raise RuntimeError(f"{_HERE}Expected {what} to contain at least one Tensor.")
    return flat


def _outside(tensor, level):
    if not isinstance(tensor, _C.Tensor):
        return tensor
    return _levels.unpack_dual(tensor, level)[0]


def jvp(func, primals, tangents, *, strict=False, has_aux=False):
    """(func(*primals), its derivative in the direction of `tangents`).

    >>> import flambeau as torch
    >>> torch.func.jvp(torch.sin, (torch.tensor(0.),), (torch.tensor(2.),))
    (tensor(0.), tensor(2.))
    """
    if not isinstance(primals, tuple):
        raise RuntimeError(
            f"{_HERE}Expected primals to be a tuple. E.g. it should be valid to call f(*primals)."
        )
    spec, t_spec = tree_flatten(primals)[1], tree_flatten(tangents)[1]
    if spec != t_spec:
        raise RuntimeError(
            f"{_HERE}Expected primals and tangents to have the same python structure. For example, "
            "if primals is a tuple of 3 tensors, tangents also must be. Got primals with structure "
            f"{spec} and tangents with structure {t_spec}"
        )
    flat, directions = _flatten(primals, "primals"), _flatten(tangents, "tangents")
    from ..autograd.forward_ad import _check_pair

    for x, t in zip(flat, directions, strict=True):
        _check_pair(x, t)
    level = _levels.new_level()
    _levels.duals.append(level)
    _C._open_levels(1, 0)
    enabled = _C._set_fwd_grad_enabled(True)
    try:
        duals = [_levels.make_dual(x, t, level) for x, t in zip(flat, directions, strict=True)]
        output, aux = func(*tree_unflatten(duals, spec)), None
        if has_aux:
            output, aux = _with_aux(output, _HERE[:-2])
            aux = tree_map(lambda x: _outside(x, level), aux)
        ys, out_spec = tree_flatten(output)
        if not ys or output is None:
            raise RuntimeError(f"{_HERE}Expected f to be a function that has non-empty output.")
        values, changes = [], []
        for y in ys:
            if not isinstance(y, _C.Tensor):
                raise RuntimeError(
                    f"{_HERE}expected f(*primals) to return only tensors, got unsupported type "
                    f"{type(y)}"
                )
            value, change = _levels.unpack_dual(y, level)
            if change is None:
                if strict:
                    raise RuntimeError(
                        "jvp(f, primals, tangents, strict=True): The output of f is independent of "
                        "the inputs. This is not allowed with strict=True."
                    )
                change = value.detach().new_zeros(value.shape)
            values.append(value)
            changes.append(change)
    finally:
        _C._set_fwd_grad_enabled(enabled)
        _levels.duals.pop()
        _C._open_levels(-1, 0)
    found = tree_unflatten(values, out_spec), tree_unflatten(changes, out_spec)
    return (*found, aux) if has_aux else found
