"""assert_close: values compared as deep as they are nested, with an account of what differs."""

import cmath
from collections.abc import Mapping, Sequence

import flambeau
from flambeau import Tensor

_TOLERANCES = {
    flambeau.float16: (1e-3, 1e-5),
    flambeau.bfloat16: (1.6e-2, 1e-5),
    flambeau.float32: (1.3e-6, 1e-5),
    flambeau.float64: (1e-7, 1e-7),
    flambeau.complex64: (1.3e-6, 1e-5),
    flambeau.complex128: (1e-7, 1e-7),
}
_NUMBER_DTYPES = {int: flambeau.int64, float: flambeau.float64, complex: flambeau.complex128}


def default_tolerances(*inputs, dtype_precisions=None):
    """(rtol, atol) of tensors or dtypes: the widest of theirs."""
    table = {**_TOLERANCES, **(dtype_precisions or {})}
    dtypes = [x.dtype if isinstance(x, Tensor) else x for x in inputs]
    pairs = [table.get(d, (0.0, 0.0)) for d in dtypes]
    return max(p[0] for p in pairs), max(p[1] for p in pairs)


class _Options:
    def __init__(self, rtol, atol, equal_nan, **checks):
        if (rtol is None) != (atol is None):
            missing = "rtol" if rtol is None else "atol"
            raise ValueError(
                f"Both 'rtol' and 'atol' must be either specified or omitted, but got no {missing}."
            )
        self.rtol, self.atol, self.equal_nan = rtol, atol, equal_nan
        self.__dict__.update(checks)

    def tolerances(self, *dtypes):
        return default_tolerances(*dtypes) if self.rtol is None else (self.rtol, self.atol)


class _Different(Exception):
    """What differs: the kind of error, the text, the path to the item."""

    def __init__(self, kind, text, path):
        self.kind, self.text, self.path = kind, text, path

    def as_error(self, msg):
        text = self.text
        if self.path:
            text += "\n\nThe failure occurred for item " + "".join(f"[{p!r}]" for p in self.path)
        if callable(msg):
            text = msg(text)
        elif msg:
            text = msg
        return self.kind(text)


# -- numbers ---------------------------------------------------------------------------------------
def _number_text(actual, expected, rtol, atol):
    difference = abs(actual - expected)
    relative = float("inf") if expected == 0 else difference / abs(expected)
    exact = rtol == 0 and atol == 0
    lines = [f"Scalars are not {'equal' if exact else 'close'}!", ""]
    lines.append(f"Expected {expected} but got {actual}.")
    for name, value, limit in (("Absolute", difference, atol), ("Relative", relative, rtol)):
        lines.append(f"{name} difference: {value}" + ("" if exact else f" (up to {limit} allowed)"))
    return "\n".join(lines)


def _close_numbers(actual, expected, rtol, atol, equal_nan):
    if equal_nan and cmath.isnan(actual) and cmath.isnan(expected):
        return True
    if actual == expected:
        return True
    if not cmath.isfinite(actual) or not cmath.isfinite(expected):
        return False
    return abs(actual - expected) <= atol + rtol * abs(expected)


def _plain_number(x):
    """A number of a subclass, NumPy's float64 for one, as the number that it is."""
    return (
        x
        if type(x) in _NUMBER_DTYPES
        else next((k(x) for k in _NUMBER_DTYPES if isinstance(x, k)), x)
    )


def _compare_numbers(actual, expected, options, path):
    actual, expected = (_plain_number(x) for x in (actual, expected))
    if options.check_dtype and type(actual) is not type(expected):
        text = f"The (d)types do not match: {type(actual)} != {type(expected)}."
        raise _Different(AssertionError, text, path)
    rtol, atol = options.tolerances(*(_NUMBER_DTYPES[type(x)] for x in (actual, expected)))
    if not _close_numbers(actual, expected, rtol, atol, options.equal_nan):
        raise _Different(AssertionError, _number_text(actual, expected, rtol, atol), path)


# -- tensors ---------------------------------------------------------------------------------------
def _check_attributes(actual, expected, options, path):
    def check(name, a, b):
        if a != b:
            text = f"The values for attribute '{name}' do not match: {a} != {b}."
            raise _Different(AssertionError, text, path)

    check("shape", actual.shape, expected.shape)
    if options.check_layout:
        check("layout", actual.layout, expected.layout)
    check("is_quantized", actual.is_quantized, expected.is_quantized)
    if actual.is_quantized:
        check("qscheme()", actual.qscheme(), expected.qscheme())
    if options.check_device:
        check("device", actual.device, expected.device)
    if options.check_dtype:
        check("dtype", actual.dtype, expected.dtype)
    if options.check_stride and actual.layout == flambeau.strided:
        check("stride()", actual.stride(), expected.stride())


def _tensor_text(actual, expected, close, rtol, atol, what="Tensor-likes"):
    exact = rtol == 0 and atol == 0
    if actual.dtype == flambeau.bool:
        actual, expected = actual.to(flambeau.int64), expected.to(flambeau.int64)
    wrong = int((~close).sum())
    total = close.numel()
    difference = (actual - expected).abs()
    difference = difference.masked_fill(close, 0)
    relative = (difference / expected.abs()).masked_fill(close, 0)
    lines = [f"{what} are not {'equal' if exact else 'close'}!", ""]
    lines.append(f"Mismatched elements: {wrong} / {total} ({wrong / total:.1%})")
    for name, values, limit in (("absolute", difference, atol), ("relative", relative, rtol)):
        flat = values.flatten()
        at = int(flat.argmax())
        index = tuple(int(i) for i in flambeau.unravel_index(flambeau.tensor(at), values.shape))
        lines.append(
            f"Greatest {name} difference: {flat[at].item()} at index {index}"
            + ("" if exact else f" (up to {limit} allowed)")
        )
    return "\n".join(lines)


def _compare_tensors(actual, expected, options, path):
    _check_attributes(actual, expected, options, path)
    if actual.device.type == "meta" or expected.device.type == "meta":
        return
    rtol, atol = options.tolerances(actual.dtype, expected.dtype)
    a, b = actual.detach(), expected.detach()
    what = "Tensor-likes"
    if a.layout != b.layout:
        a, b = a.to_dense(), b.to_dense()
    elif a.layout != flambeau.strided:
        kind = "sparse " + str(a.layout).rpartition("_")[2].upper()
        a, b = _sparse_values(a, b, kind, path)
        what = f"S{kind[1:]} values"
    if a.is_quantized:
        a, b, what = a.dequantize(), b.dequantize(), "Quantized tensor-likes"
        rtol, atol = options.tolerances(a.dtype, b.dtype)
    _compare_dense(a, b, rtol, atol, options.equal_nan, path, what)


_POSITIONS = {
    "COO": ("indices",),
    "CSR": ("crow_indices", "col_indices"),
    "BSR": ("crow_indices", "col_indices"),
    "CSC": ("ccol_indices", "row_indices"),
    "BSC": ("ccol_indices", "row_indices"),
}


def _sparse_values(a, b, kind, path):
    """The values of two sparse tensors of one layout, whose positions are the same."""

    def check(what, m, n):
        if m != n:
            text = f"The number of {what} in {kind} tensors does not match: {m} != {n}"
            raise _Different(AssertionError, text, path)

    if kind == "sparse COO":
        check("sparse dimensions", a.sparse_dim(), b.sparse_dim())
        a, b = a.coalesce(), b.coalesce()
    check("specified values", a._nnz(), b._nnz())
    for name in _POSITIONS[kind[7:]]:
        pair = getattr(a, name)(), getattr(b, name)()
        _compare_dense(*pair, 0, 0, False, path, f"S{kind[1:]} {name}")
    return a.values(), b.values()


def _compare_dense(a, b, rtol, atol, equal_nan, path, what):
    b = b.to(a.device)
    if a.dtype != b.dtype:
        dtype = flambeau.promote_types(a.dtype, b.dtype)
        a, b = a.to(dtype), b.to(dtype)
    if a.dtype in (flambeau.float8_e4m3fn, flambeau.float8_e5m2):
        a, b = a.to(flambeau.float32), b.to(flambeau.float32)
    close = flambeau.isclose(a, b, rtol=rtol, atol=atol, equal_nan=equal_nan)
    if bool(close.all()):
        return
    if a.dim() == 0 or a.numel() == 0:
        text = _number_text(a.item(), b.item(), rtol, atol)
    else:
        text = _tensor_text(a, b, close, rtol, atol, what)
    raise _Different(AssertionError, text, path)


# -- what to compare how ---------------------------------------------------------------------------
def _is_array(x):
    return type(x).__module__ == "numpy" and hasattr(x, "__array_interface__")


def _is_number(x):
    return isinstance(x, (int, float, complex)) and not isinstance(x, bool)


def _is_list(x):
    return isinstance(x, Sequence) and not isinstance(x, str)


def _is_bool(x):
    return isinstance(x, bool) or type(x).__name__ in ("bool_", "bool")


def _compare_lists(actual, expected, options, path):
    if len(actual) != len(expected):
        text = f"The length of the sequences mismatch: {len(actual)} != {len(expected)}"
        raise _Different(AssertionError, text, path)
    for i, (a, b) in enumerate(zip(actual, expected, strict=True)):
        _compare(a, b, options, (*path, i))


def _compare_mappings(actual, expected, options, path):
    if actual.keys() != expected.keys():
        text = (
            "The keys of the mappings do not match:\n"
            f"Missing keys in the actual mapping: {sorted(expected.keys() - actual.keys())}\n"
            f"Additional keys in the actual mapping: {sorted(actual.keys() - expected.keys())}"
        )
        raise _Different(AssertionError, text, path)
    keys = list(expected)
    try:
        keys = sorted(keys)
    except TypeError:
        pass  # of several types: in their own order
    for key in keys:
        _compare(actual[key], expected[key], options, (*path, key))


def _compare(actual, expected, options, path=()):
    pair = (actual, expected)
    if all(isinstance(x, Tensor) for x in pair):
        if options.allow_subclasses or type(actual) is type(expected):
            return _compare_tensors(actual, expected, options, path)
    elif all(map(_is_array, pair)):
        return _compare_tensors(*map(flambeau.as_tensor, pair), options, path)
    elif all(map(_is_bool, pair)):
        if bool(actual) is not bool(expected):
            text = f"Booleans mismatch: {actual} is not {expected}"
            raise _Different(AssertionError, text, path)
        return None
    elif all(map(_is_number, pair)):
        return _compare_numbers(actual, expected, options, path)
    elif actual is None or expected is None:
        if actual is not expected:
            text = f"None mismatch: {actual} is not {expected}"
            raise _Different(AssertionError, text, path)
        return None
    elif all(isinstance(x, Mapping) for x in pair):
        return _compare_mappings(actual, expected, options, path)
    elif all(map(_is_list, pair)):
        return _compare_lists(actual, expected, options, path)
    raise _Different(
        TypeError,
        f"No comparison pair was able to handle inputs of type {type(actual)} and "
        f"{type(expected)}.",
        path,
    )


def assert_close(
    actual,
    expected,
    *,
    allow_subclasses=True,
    rtol=None,
    atol=None,
    equal_nan=False,
    check_device=True,
    check_dtype=True,
    check_layout=True,
    check_stride=False,
    msg=None,
):
    """An AssertionError unless |actual - expected| <= atol + rtol * |expected| everywhere.

    Tensors, arrays, numbers, None, sequences and mappings of them. Without tolerances those of
    the dtypes are taken: (1.3e-6, 1e-5) for float32, (1e-7, 1e-7) for float64, exact for integers.

    Args:
        equal_nan: whether nan is close to nan.
        check_device, check_dtype, check_layout, check_stride: whether these must agree too.
        allow_subclasses: whether objects of different subclasses of Tensor are compared.
        msg: the error's text, or a function that makes it of the text that there would be.

    >>> import flambeau as torch
    >>> torch.testing.assert_close({"a": torch.ones(2)}, {"a": torch.ones(2) + 1e-7})
    """
    options = _Options(
        rtol,
        atol,
        equal_nan,
        allow_subclasses=allow_subclasses,
        check_device=check_device,
        check_dtype=check_dtype,
        check_layout=check_layout,
        check_stride=check_stride,
    )
    try:
        _compare(actual, expected, options)
    except _Different as found:
        error = found.as_error(msg)
    else:
        return
    raise error


def assert_allclose(actual, expected, rtol=None, atol=None, equal_nan=True, msg=""):
    """The older assert_close, which compares values only."""
    if not isinstance(actual, Tensor):
        actual = flambeau.tensor(actual)
    if not isinstance(expected, Tensor):
        expected = flambeau.tensor(expected, dtype=actual.dtype)
    if rtol is None and atol is None:
        rtol, atol = default_tolerances(actual, expected)
    assert_close(
        actual,
        expected,
        rtol=rtol,
        atol=atol,
        equal_nan=equal_nan,
        check_device=True,
        check_dtype=False,
        check_stride=False,
        msg=msg or None,
    )
