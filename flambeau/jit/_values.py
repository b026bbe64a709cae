"""Operators on what is no tensor: numbers, lists, texts, dictionaries, dtypes as numbers."""

import math
import operator
import warnings

import flambeau
from flambeau import Tensor

# The numbers that stand for element types in programs.
DTYPES = dict(
    enumerate(
        "uint8 int8 int16 int32 int64 float16 float32 float64 complex32 complex64 complex128 bool "
        "qint8 quint8 qint32 bfloat16 quint4x2 quint2x4 bits1x8 bits2x4 bits4x2 bits8 bits16 "
        "float8_e5m2 float8_e4m3fn float8_e5m2fnuz float8_e4m3fnuz uint16 uint32 uint64".split()
    )
)
DTYPES = {number: getattr(flambeau, name) for number, name in DTYPES.items()}
NUMBERS = {dtype: number for number, dtype in DTYPES.items()}
FORMATS = [
    flambeau.contiguous_format,
    flambeau.preserve_format,
    flambeau.channels_last,
    flambeau.channels_last_3d,
]
_LAYOUTS = {flambeau.strided: 0, flambeau.sparse_coo: 1}


def as_dtype(number):
    """The element type of a number."""
    if number is None or isinstance(number, flambeau.dtype):
        return number
    if number not in DTYPES:
        raise RuntimeError(f"jit: {number!r} is the number of no element type")
    return DTYPES[number]


def as_memory_format(number):
    """The memory format of a number."""
    if number is None or isinstance(number, flambeau.memory_format):
        return number
    if not 0 <= number < len(FORMATS):
        raise RuntimeError(f"jit: {number!r} is the number of no memory format")
    return FORMATS[number]


def _fill(text, *values):
    """`torch.format`: each {} in turn. str.format would look into its arguments."""
    parts = text.split("{}")
    made = [parts[0]]
    for i, part in enumerate(parts[1:]):
        made.append(_text(values[i]) if i < len(values) else "{}")
        made.append(part)
    return "".join(made)


def _text(value):
    return str(value) if not isinstance(value, flambeau.dtype) else str(NUMBERS[value])


def _percent(text, *values):
    """The operator % of texts, for plain values."""
    return text % tuple(_text(v) if isinstance(v, Tensor) else v for v in values)


def _raise(message, kind=None):
    from . import Error

    raise Error(message if kind is None else f"{kind.rpartition('.')[2]}: {message}")


def _warn(message, stacklevel=2):
    warnings.warn(str(message), stacklevel=3)


def _power(base, exponent):
    if isinstance(base, int) and isinstance(exponent, int):
        return float(base) ** exponent
    return base**exponent


def _quotient(a, b, rounding_mode=None):
    if rounding_mode == "floor":
        return a // b
    return math.trunc(a / b) if rounding_mode == "trunc" else a / b


def _extend(items, more):
    items += more
    return items


def _set(container, key, value):
    container[key] = value


def _delete(container, key):
    del container[key]


def _slice(items, start=None, end=None, step=1):
    return items[start:end:step]


def _pop(container, *args):
    return container.pop(*args)


def _insert(items, index, value):
    items.insert(index, value)


def _reverse(items):
    items.reverse()


def _clear(container):
    container.clear()


def _sort(items, reverse=False):
    items.sort(reverse=reverse)


def _sorted(items, *rest, **named):
    return sorted(items, reverse=bool(rest and rest[-1] is True))


def _range_length(low, high, step):
    return len(range(low, high, step))


def _smallest(*values):
    return min(*values)


def _largest(*values):
    return max(*values)


def _copied(value):
    return value.copy()


def _dictionary(*items):
    return dict(*items)


def _method(name):
    """A method of texts, or of lists and dictionaries, as a function."""
    owners = [kind for kind in (str, list, dict) if hasattr(kind, name)]

    def call(owner, *args):
        if type(owner) not in owners:
            raise RuntimeError(f"jit: {name}() of a {type(owner).__name__}")
        return getattr(owner, name)(*args)

    return call


def _listed(name):
    return lambda owner: list(getattr(owner, name)())


def _popitem(owner):
    return owner.popitem()


_TEXT = (
    "upper lower capitalize title swapcase strip lstrip rstrip split rsplit splitlines replace "
    "find rfind rindex startswith endswith isalnum isalpha isdecimal isdigit isidentifier islower "
    "isnumeric isprintable isspace istitle isupper ljust rjust center zfill expandtabs partition "
    "rpartition join index count append remove get setdefault update"
).split()
_MATH = (
    "sqrt exp log10 log2 log1p expm1 sin cos tan asin acos atan atan2 sinh cosh tanh asinh acosh "
    "atanh erf erfc gamma lgamma isnan isinf isfinite floor ceil trunc fabs degrees radians "
    "copysign fmod gcd factorial frexp ldexp modf hypot"
).split()

# aten operators for arguments without a tensor among them.
MIXED = {
    **{name: getattr(math, name) for name in _MATH},
    **{name: _method(name) for name in _TEXT},
    "log": math.log,
    "mathremainder": math.remainder,
    "add": lambda a, b, alpha=1: a + b if alpha == 1 else a + alpha * b,
    "add_": _extend,
    "sub": lambda a, b, alpha=1: a - b if alpha == 1 else a - alpha * b,
    "rsub": lambda a, b, alpha=1: b - a * alpha,
    "mul": operator.mul,
    "div": _quotient,
    "floordiv": operator.floordiv,
    "floor_divide": operator.floordiv,
    "remainder": operator.mod,
    "pow": _power,
    "neg": operator.neg,
    "abs": abs,
    "round": lambda x: float(round(x)),
    "divmod": divmod,
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    "__and__": operator.and_,
    "__or__": operator.or_,
    "__xor__": operator.xor,
    "bitwise_and": operator.and_,
    "bitwise_or": operator.or_,
    "bitwise_xor": operator.xor,
    "bitwise_not": operator.invert,
    "__lshift__": operator.lshift,
    "__rshift__": operator.rshift,
    "__not__": operator.not_,
    "__is__": operator.is_,
    "__isnot__": operator.is_not,
    "__contains__": lambda container, item: item in container,
    "__getitem__": operator.getitem,
    "__range_length": _range_length,
    "__derive_index": lambda index, start, step: start + index * step,
    "__round_to_zero_floordiv": lambda a, b: math.trunc(a / b),
    "max": _largest,
    "min": _smallest,
    "sum": sum,
    "any": any,
    "all": all,
    "len": len,
    "list": list,
    "dict": _dictionary,
    "copy": _copied,
    "slice": _slice,
    "extend": _extend,
    "pop": _pop,
    "popitem": _popitem,
    "insert": _insert,
    "reverse": _reverse,
    "clear": _clear,
    "sort": _sort,
    "sorted": _sorted,
    "keys": _listed("keys"),
    "values": _listed("values"),
    "items": _listed("items"),
    "_set_item": _set,
    "Delete": _delete,
    "format": _fill,
    "percentFormat": _percent,
    "warn": _warn,
    "ord": ord,
    "chr": chr,
    "hex": hex,
    "oct": oct,
    "bin": bin,
    "str": _text,
    "hash": hash,
    "device": flambeau.device,
    "wait": lambda future: future.wait(),
    "Int": int,
    "Float": float,
    "Bool": bool,
    "Complex": complex,
    "manual_seed": flambeau.manual_seed,
    "is_grad_enabled": flambeau.is_grad_enabled,
    "set_grad_enabled": lambda on: flambeau._C._exchange_grad_enabled(on) and None,
    "is_autocast_enabled": lambda: flambeau.is_autocast_enabled("cpu"),
    "is_autocast_cpu_enabled": lambda: flambeau.is_autocast_enabled("cpu"),
    "is_scripting": lambda: True,
    "is_tracing": lambda: False,
    "promote_types": lambda a, b: NUMBERS[flambeau.promote_types(as_dtype(a), as_dtype(b))],
    "can_cast": lambda a, b: flambeau.can_cast(as_dtype(a), as_dtype(b)),
}


def _as(kind):
    """`annotate(int, x)`, where x may be a tensor of one element."""
    return lambda value: kind(value) if isinstance(value, Tensor) else value


def _number(value):
    return value.item() if isinstance(value, Tensor) else value


def _to_int(value):
    return int(value)


def _to_text(value):
    return _text(value)


def _print(*values):
    print(*values)


def _to_list(value, *types):
    return value.tolist()


# What `ops.prim.x` and the bare names of calls are.
PRIM = {
    "int": _to_int,
    "float": lambda value: float(value),
    "bool": lambda value: bool(value),
    "complex": lambda *values: complex(*values),
    "str": _to_text,
    "sorted": _sorted,
    "print": _print,
    "Print": _print,
    "hash": lambda value: hash(value),
    "range": range,
    "as int": _as(int),
    "as float": _as(float),
    "as bool": _as(bool),
    "as number": _number,
    "NumToTensor": flambeau.tensor,
    "ImplicitTensorToNum": _number,
    "RaiseException": _raise,
    "dtype": lambda x: NUMBERS[x.dtype],
    "device": lambda x: x.device,
    "layout": lambda x: _LAYOUTS.get(x.layout, 0),
    "type": lambda x: x.type,
    "index": lambda x: x.index,
    "requires_grad": lambda x: x.requires_grad,
    "data": lambda x: x.data,
    "grad": lambda x: x.grad,
    "is_cuda": lambda x: x.is_cuda,
    "is_cpu": lambda x: x.is_cpu,
    "is_meta": lambda x: x.is_meta,
    "is_sparse": lambda x: x.is_sparse,
    "is_quantized": lambda x: False,
    "is_mkldnn": lambda x: False,
    "is_mps": lambda x: False,
    "is_xpu": lambda x: False,
    "is_ipu": lambda x: False,
    "is_nested": lambda x: False,
    "itemsize": lambda x: x.itemsize,
    "nbytes": lambda x: x.nbytes,
    "shape": lambda x: list(x.shape),
    "name": lambda x: None,
    "min": _smallest,
    "max": _largest,
    "abs": abs,
    "rangelist": lambda n: list(range(n)),
    "tolist": _to_list,
    "unchecked_unwrap_optional": lambda x: x,
}
