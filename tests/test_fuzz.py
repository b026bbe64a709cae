"""Random operators on random tensors against NumPy, and random nonsense at every operator.

FLAMBEAU_FUZZ=<n> draws n examples of each kind instead of a few hundred.
"""

import math
import os
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import flambeau as torch
from flambeau import _ops

EXAMPLES = int(os.environ.get("FLAMBEAU_FUZZ", 0))
quiet = settings(
    max_examples=EXAMPLES or 300,
    deadline=None,
    derandomize=not EXAMPLES,
    suppress_health_check=list(HealthCheck),
)

# -- values ----------------------------------------------------------------------------------------
FLOATS = ["float32", "float64"]
INTEGERS = ["uint8", "int8", "int16", "int32", "int64"]
UNARY = {
    "abs": (np.abs, FLOATS + INTEGERS),
    "neg": (np.negative, FLOATS + INTEGERS[1:]),
    "exp": (np.exp, FLOATS),
    "sqrt": (np.sqrt, FLOATS),
    "floor": (np.floor, FLOATS),
    "sin": (np.sin, FLOATS),
    "tanh": (np.tanh, FLOATS),
    "sign": (np.sign, FLOATS + INTEGERS),
    "isnan": (np.isnan, FLOATS),
    "bitwise_not": (np.invert, INTEGERS),
}
BINARY = {
    "add": (np.add, FLOATS + INTEGERS),
    "sub": (np.subtract, FLOATS + INTEGERS),
    "mul": (np.multiply, FLOATS + INTEGERS),
    "div": (np.true_divide, FLOATS),
    "maximum": (np.maximum, FLOATS + INTEGERS),
    "fmin": (np.fmin, FLOATS),
    "lt": (np.less, FLOATS + INTEGERS),
    "eq": (np.equal, FLOATS + INTEGERS),
    "atan2": (np.arctan2, FLOATS),
    "bitwise_xor": (np.bitwise_xor, INTEGERS),
    "logical_and": (np.logical_and, FLOATS + INTEGERS),
}
REDUCTIONS = {
    "sum": (np.sum, FLOATS + INTEGERS),
    "prod": (np.prod, FLOATS),
    "mean": (np.mean, FLOATS),
    "amax": (np.max, FLOATS + INTEGERS),
    "argmin": (np.argmin, FLOATS + INTEGERS),
    "any": (np.any, FLOATS + INTEGERS),
    "cumsum": (np.cumsum, FLOATS),
}
MOVES = {
    "flip": lambda x, d: np.flip(x, d),
    "roll": lambda x, d: np.roll(x, 1, d),
    "unsqueeze": lambda x, d: np.expand_dims(x, d),
    "sort": lambda x, d: np.sort(x, d),
}


@st.composite
def arrays(draw, dtype, shape=None, least=0):
    """An array whose strides are permuted, stepped, reversed or zero."""
    if shape is None:
        shape = tuple(draw(st.lists(st.integers(least, 5), min_size=0, max_size=4)))
    steps = [draw(st.sampled_from([1, 1, 1, 2])) for _ in shape]
    order = draw(st.permutations(range(len(shape))))
    seed = draw(st.integers(0, 2**16))
    rng = np.random.default_rng(seed)
    full = [shape[d] * steps[d] for d in order]
    if np.dtype(dtype).kind == "f":
        data = rng.standard_normal(full).astype(dtype)
        if draw(st.booleans()) and data.size:
            data.reshape(-1)[rng.integers(data.size)] = draw(
                st.sampled_from([math.inf, -math.inf, math.nan, 0.0, -0.0])
            )
    else:
        info = np.iinfo(dtype)
        low, high = draw(st.sampled_from([(info.min, info.max), (max(info.min, -3), 3)]))
        data = rng.integers(low, high, full, dtype=dtype, endpoint=True)
    data = np.transpose(data, np.argsort(order)) if shape else data
    data = data[tuple(slice(None, None, step) for step in steps)]
    data = np.asarray(data)  # an array of no dimensions was indexed into a number
    if shape and draw(st.integers(0, 5)) == 0:
        d = draw(st.integers(0, len(shape) - 1))
        if shape[d]:
            data = np.broadcast_to(np.take(data, [0], axis=d), shape)
    return data


def tensor(array):
    """A tensor over the array's own strides where there is one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an array that was broadcast cannot be written to
        return torch.from_numpy(array)


def check(got, want):
    want = np.asarray(want)
    got = got.numpy()
    assert got.shape == want.shape, (got.shape, want.shape)
    if got.dtype.kind == "f":
        tolerance = 1e-5 if got.dtype == np.float32 else 1e-10
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)
    else:
        np.testing.assert_array_equal(got, want)


@given(st.data())
@quiet
@np.errstate(all="ignore")
def test_unary(data):
    name = data.draw(st.sampled_from(sorted(UNARY)))
    reference, dtypes = UNARY[name]
    x = data.draw(arrays(data.draw(st.sampled_from(dtypes))))
    check(getattr(torch, name)(tensor(x)), reference(x))


@given(st.data())
@quiet
@np.errstate(all="ignore")
def test_binary(data):
    name = data.draw(st.sampled_from(sorted(BINARY)))
    reference, dtypes = BINARY[name]
    dtype = data.draw(st.sampled_from(dtypes))
    x = data.draw(arrays(dtype))
    shape = list(x.shape[data.draw(st.integers(0, x.ndim)) :])
    for d in range(len(shape)):
        if data.draw(st.integers(0, 3)) == 0:
            shape[d] = 1
    y = data.draw(arrays(dtype, tuple(shape)))
    if data.draw(st.booleans()):
        x, y = y, x
    check(getattr(torch, name)(tensor(x), tensor(y)), reference(x, y))


@given(st.data())
@quiet
@np.errstate(all="ignore")
def test_reductions(data):
    name = data.draw(st.sampled_from(sorted(REDUCTIONS)))
    reference, dtypes = REDUCTIONS[name]
    x = data.draw(arrays(data.draw(st.sampled_from(dtypes)), least=1))
    if x.ndim == 0:
        return
    d = data.draw(st.integers(-x.ndim, x.ndim - 1))
    want = reference(x.astype(np.int64) if name == "sum" and x.dtype.kind in "iu" else x, axis=d)
    finite = x[np.isfinite(x)]
    if name in ("sum", "mean", "cumsum", "prod") and finite.size != x.size:
        return  # the order of infinities and nans is each library's own
    if name == "argmin" and np.isnan(x.astype(float)).any():
        return
    got = getattr(torch, name)(tensor(x), dim=d)
    if name == "argmin":  # of equal values either may be named
        picked = np.take_along_axis(x, np.expand_dims(got.numpy(), d), d)
        np.testing.assert_array_equal(picked, np.take_along_axis(x, np.expand_dims(want, d), d))
    else:
        check(got, want)


@given(st.data())
@quiet
def test_moves(data):
    name = data.draw(st.sampled_from(sorted(MOVES)))
    x = data.draw(arrays(data.draw(st.sampled_from(FLOATS + INTEGERS)), least=0))
    if x.ndim == 0:
        return
    d = data.draw(st.integers(-x.ndim, x.ndim - 1))
    t = tensor(x)
    arguments = {"flip": ([d],), "roll": (1, d), "unsqueeze": (d,), "sort": (d,)}[name]
    got = getattr(torch, name)(t, *arguments)
    check(got[0] if name == "sort" else got, MOVES[name](x, d))


@given(st.data())
@quiet
def test_products(data):
    dtype = data.draw(st.sampled_from(FLOATS))
    m, k, n = (data.draw(st.integers(0, 6)) for _ in range(3))
    batch = data.draw(st.sampled_from([(), (2,), (3, 2)]))
    x = np.nan_to_num(data.draw(arrays(dtype, (*batch, m, k))), posinf=1, neginf=1)
    y = np.nan_to_num(data.draw(arrays(dtype, (*batch[-1:], k, n))), posinf=1, neginf=1)
    check(torch.matmul(tensor(x), tensor(y)), np.matmul(x, y))


@given(st.data())
@quiet
def test_indexing(data):
    x = data.draw(arrays(data.draw(st.sampled_from(["float32", "int16", "uint8"])), least=1))
    index = []
    for n in x.shape:
        kind = data.draw(st.sampled_from(["slice", "int", "all", "none", "list"]))
        if kind == "slice":
            start, stop = (data.draw(st.none() | st.integers(-n - 1, n + 1)) for _ in range(2))
            index.append(slice(start, stop, data.draw(st.sampled_from([None, 1, 2, 3]))))
        elif kind == "int":
            index.append(data.draw(st.integers(-n, n - 1)))
        elif kind == "none":
            index += [None, slice(None)]
        elif kind == "list" and not any(isinstance(i, np.ndarray) for i in index):
            at = st.lists(st.integers(-n, n - 1), min_size=1, max_size=4)
            index.append(np.array(data.draw(at)))
        else:
            index.append(slice(None))
    if any(isinstance(i, np.ndarray) for i in index) and any(isinstance(i, int) for i in index):
        index = [slice(i, i + 1 or None) if isinstance(i, int) else i for i in index]
    key = tuple(torch.from_numpy(i) if isinstance(i, np.ndarray) else i for i in index)
    check(tensor(x)[key], x[tuple(index)])


# -- nonsense --------------------------------------------------------------------------------------
# What waits, reads files, or changes settings of the process.
LEFT_OUT = {"from_file", "set_num_threads", "manual_seed", "seed"}
OPERATORS = sorted(
    [("f", n) for n in _ops.functions if n.split(".")[-1] not in LEFT_OUT]
    + [("m", n) for n in _ops.methods if n not in LEFT_OUT]
)


def some_tensor(draw):
    shape = draw(st.lists(st.integers(0, 3), max_size=5))
    dtype = draw(
        st.sampled_from(
            [torch.float32, torch.float64, torch.int64, torch.int32, torch.uint8, torch.bool]
            + [torch.float16, torch.bfloat16, torch.complex64, torch.complex128, torch.int8]
        )
    )
    device = draw(st.sampled_from(["cpu"] * 6 + ["meta"]))
    x = torch.empty(shape, dtype=dtype, device=device)
    if device == "cpu":
        x.fill_(draw(st.sampled_from([0, 1, 2])))
    if x.dim() > 1 and draw(st.booleans()):
        x = x.transpose(0, draw(st.integers(0, x.dim() - 1)))
    if x.dim() and draw(st.integers(0, 3)) == 0:
        x = x[..., ::2]
    if (x.is_floating_point() or x.is_complex()) and draw(st.integers(0, 3)) == 0:
        x = x.detach().requires_grad_()
    return x


@st.composite
def anything(draw, depth=0):
    """A tensor, number, text, dtype, device or a sequence of such."""
    kind = draw(st.integers(0, 12))
    if kind < 5:
        return some_tensor(draw)
    if kind < 8:
        return draw(st.sampled_from([0, 1, 2, 3, -1, -2, -7, 2**63 - 1, -(2**63), 2**70]))
    if kind == 8:
        return draw(st.sampled_from([0.0, 1.5, -2.5, math.inf, math.nan, 1e300, 1j, True, False]))
    if kind == 9:
        return draw(
            st.sampled_from(
                [None, "", "mean", "sum", "nope", "\ud800", "float32", torch.float32, torch.int64]
                + [torch.device("meta"), torch.strided, ..., object(), b"x", slice(1, 2), {}]
            )
        )
    if depth > 1:
        return 1
    items = draw(st.lists(anything(depth + 1), max_size=3))
    return draw(st.sampled_from([list, tuple]))(items)


@given(st.data())
@settings(quiet, max_examples=EXAMPLES or 1500)
def test_nonsense_is_an_exception(data):
    kind, name = data.draw(st.sampled_from(OPERATORS))
    function = (_ops.functions if kind == "f" else _ops.methods)[name]
    args = data.draw(st.lists(anything(), min_size=kind == "m", max_size=5))
    names = sorted({a for s in getattr(function, "schemas", []) for a in _argument_names(s)})
    kwargs = {}
    if names and data.draw(st.booleans()):
        for key in data.draw(st.lists(st.sampled_from([*names, "out", "nope"]), max_size=2)):
            kwargs[key] = data.draw(anything())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            result = function(*args, **kwargs)
            for r in result if isinstance(result, (tuple, list)) else [result]:
                if isinstance(r, torch.Tensor) and r.requires_grad and r.numel():
                    r.sum().backward() if not r.is_complex() else r.real.sum().backward()
        except (MemoryError, Exception) as error:
            assert not isinstance(error, (SystemError, AssertionError)), (name, args, kwargs)


def _argument_names(schema):
    inside = schema[schema.index("(") + 1 : schema.rindex("->")]
    for part in inside.split(","):
        word = part.split("=")[0].split()
        if len(word) > 1:
            yield word[-1].strip(")")


def test_every_operator_takes_nothing_badly():
    for kind, name in OPERATORS:
        function = (_ops.functions if kind == "f" else _ops.methods)[name]
        for args in ((), (None,), (object(),) * 3):
            try:
                function(*args)
            except Exception as error:
                assert not isinstance(error, SystemError), name
    with pytest.raises(TypeError):
        torch.add()


def test_found_by_nonsense():
    one, meta = torch.ones(2), torch.zeros(1, dtype=torch.int32, device="meta")
    with pytest.raises(TypeError):
        torch.log1p(one, out=[])
    with pytest.raises(TypeError):
        torch.nonzero(one, as_tuple=True, out=torch.ones(1))
    with pytest.raises(RuntimeError, match="meta"):
        torch.take_along_dim(one, meta.long())
    with pytest.raises(RuntimeError, match="meta"):
        torch.remainder(one.int(), meta[0])
