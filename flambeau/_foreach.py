"""Operators on lists of tensors: `_foreach_add(tensors, 1)` is an add of each of them.

Made on first use from the operator of the name. A list among the arguments goes along with the
tensors, anything else to each.
"""

from functools import partial
from itertools import repeat

import flambeau

# Names that each tensor's operator does not have, or has with other arguments.
_SPECIAL = {
    "clone": lambda t, memory_format=None: t.clone(),
    "norm": lambda t, ord=2, dtype=None: flambeau.linalg.vector_norm(t, ord, dtype=dtype),
    "powsum": lambda t, ord=2, dtype=None: t.abs().pow(ord).sum(dtype=dtype),
    "maximum": lambda t, other: t.clamp(min=other),
    "minimum": lambda t, other: t.clamp(max=other),
    "clamp_min": lambda t, other: t.clamp(min=other),
    "clamp_max": lambda t, other: t.clamp(max=other),
    "max": lambda t: t.max(),
    "addcmul": lambda t, a, b, value=1: t + value * a * b,
    "addcdiv": lambda t, a, b, value=1: t + value * a / b,
}
# The same in place, where it is not the operator's name with a line behind it.
_SPECIAL_IN_PLACE = {
    "copy": lambda t, source, non_blocking=False: t.copy_(source, non_blocking),
    "maximum": lambda t, other: t.clamp_(min=other),
    "minimum": lambda t, other: t.clamp_(max=other),
    "clamp_min": lambda t, other: t.clamp_(min=other),
    "clamp_max": lambda t, other: t.clamp_(max=other),
    "addcmul": lambda t, a, b, value=1: t.addcmul_(a, b, value=value),
    "addcdiv": lambda t, a, b, value=1: t.addcdiv_(a, b, value=value),
}
_UNARY = (
    "abs acos asin atan ceil cos cosh erf erfc exp expm1 floor frac lgamma log log10 log1p log2 "
    "neg reciprocal round rsqrt sigmoid sign sin sinh sqrt tan tanh trunc"
).split()
_BINARY = "add sub mul div pow mm lerp zero".split()
_OUT_OF_PLACE_ONLY = ("norm", "powsum", "max", "clone", "mm")


def _function(name, inplace):
    if inplace and name in _SPECIAL_IN_PLACE:
        return _SPECIAL_IN_PLACE[name]
    if name in _SPECIAL or name in _UNARY or name in _BINARY:
        if inplace:
            return getattr(flambeau.Tensor, name + "_", None)
        return _SPECIAL.get(name) or getattr(flambeau, name, None)
    return None


def _each(function, tensors, args, kwargs):
    """The results for each tensor of the lists."""
    lists = [arg for arg in (*args, *kwargs.values()) if isinstance(arg, (list, tuple))]
    if isinstance(tensors, (list, tuple)):
        lists.append(tensors)
    count = len(lists[0])
    for each in lists:
        if len(each) != count:
            raise RuntimeError(f"Tensor lists must be as long, got {count} and {len(each)}")
    if not count:
        raise RuntimeError("Tensor list must have at least one tensor.")

    def row(value):
        return value if isinstance(value, (list, tuple)) else repeat(value, count)

    columns = [row(value) for value in (tensors, *args)]
    if not any(isinstance(value, (list, tuple)) for value in kwargs.values()):
        return tuple(map(partial(function, **kwargs) if kwargs else function, *columns))
    names = tuple(kwargs)
    options = zip(*(row(value) for value in kwargs.values()), strict=True)
    return tuple(
        function(*each, **dict(zip(names, values, strict=True)))
        for *each, values in zip(*columns, options, strict=True)
    )


def find(name):
    """The function of a name such as `_foreach_add_`; None if there is no such one."""
    short = name[len("_foreach_") :]
    inplace = short.endswith("_")
    short = short.removesuffix("_")
    function = None if inplace and short in _OUT_OF_PLACE_ONLY else _function(short, inplace)
    if function is None:
        return None

    def foreach(tensors, *args, **kwargs):
        made = _each(function, tensors, *_scalars(args, kwargs))
        return tensors if inplace else made

    foreach.__name__ = foreach.__qualname__ = name
    foreach.__doc__ = f"{short}() of each tensor of a list{', in place' if inplace else ''}."
    return foreach


_POSITIONAL = frozenset(
    "other scalar scalars tensor1 tensor2 tensors1 tensors2 weights exponent src".split()
)


def _scalars(args, kwargs):
    """Arguments by place where the operator of one tensor calls them otherwise."""
    args = [*args, *(value for key, value in kwargs.items() if key in _POSITIONAL)]
    return args, {key: value for key, value in kwargs.items() if key not in _POSITIONAL}
