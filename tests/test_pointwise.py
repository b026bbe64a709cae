"""Pointwise operators: every dtype, number and broadcast against NumPy, functions against libm."""

import math

import numpy as np
import pytest

import flambeau as torch

RNG = np.random.default_rng(5)
SHAPES = [((67, 33), (67, 33)), ((67, 33), (33,)), ((67, 1), (67, 33)), ((5, 4), (5, 4))]
INTEGERS = ["uint8", "int8", "int16", "int32", "int64"]


def integers(dtype, *shape):
    info = np.iinfo(dtype)
    low, high = max(info.min, -300), min(info.max, 300)
    return RNG.integers(low, high + 1, shape).astype(dtype)


def same(got, wanted):
    wanted = np.asarray(wanted)
    assert got.shape == wanted.shape and got.numpy().dtype == wanted.dtype
    np.testing.assert_array_equal(got.numpy(), wanted)


@pytest.mark.parametrize("dtype", [*INTEGERS, "bool"])
@pytest.mark.parametrize("shapes", SHAPES)
def test_integers_and_bools(dtype, shapes):
    if dtype == "bool":
        x, z = (RNG.random(s) < 0.5 for s in shapes)
        names = ["logical_and", "logical_or", "logical_xor", "bitwise_and", "maximum", "not_equal"]
    else:
        x, z = (integers(dtype, *s) for s in shapes)
        names = ["add", "subtract", "multiply", "maximum", "minimum", "bitwise_and", "bitwise_or"]
        names += ["bitwise_xor", "equal", "less", "greater_equal", "logical_and", "logical_xor"]
    a, b = torch.from_numpy(x), torch.from_numpy(z)
    for name in names:
        f = {"equal": torch.eq, "not_equal": torch.ne, "greater_equal": torch.ge}
        f = f.get(name) or getattr(torch, name)
        same(f(a, b), getattr(np, name)(x, z))
    same(torch.logical_not(a), np.logical_not(x))
    same(~a, ~x)
    if x.shape == (67, 33):
        same(a[:, ::2] == a[:, 1::2][:, :1], x[:, ::2] == x[:, 1:2])
    if dtype != "bool":
        same(a.abs(), np.abs(x))
        same(torch.sign(a), np.sign(x))
        same(-a, -x)
        same(torch.add(a, b, alpha=3), x + np.array(3, dtype) * z)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_numbers_that_the_type_does_not_hold(dtype):
    x = integers(dtype, 100)
    a, wide = torch.from_numpy(x), x.astype("int64")
    same(a + 1000, (wide + 1000).astype(dtype))
    for number in (3, 70000, -70000):
        same(a == number, wide == number)
        same(a < number, wide < number)
    low, high = (20, 60) if dtype == "uint8" else (-20, 60)
    same(a.clamp(low, high), x.clip(low, high))
    same(a.clone().clamp_(low, high), x.clip(low, high))


def test_a_bool_is_compared_with_numbers_as_a_number():
    x = torch.tensor([True, False] * 50)
    assert not (x == 2).any() and (x < 2).all()
    assert (x == 1).tolist() == x.tolist()


def test_bools_of_any_byte():
    x = torch.tensor([0, 1, 2, 255] * 20, dtype=torch.uint8).view(torch.bool)
    y = torch.ones(80, dtype=torch.bool)
    wanted = [False, True, True, True] * 20
    for got in (x & y, x == y, x | x, ~~x, ~(x ^ y)):
        assert got.tolist() == wanted and set(got.view(torch.uint8).tolist()) <= {0, 1}


@pytest.mark.parametrize(
    "dtype", ["uint8", "int16", "int32", "int64", "float16", "float64", "bool"]
)
def test_where_moves_bits(dtype):
    x, z = (RNG.integers(0, 2, (40, 30)).astype(dtype) for _ in range(2))
    m = RNG.random((40, 30)) < 0.5
    a, b, c = map(torch.from_numpy, (x, z, m))
    same(torch.where(c, a, b), np.where(m, x, z))
    same(torch.where(c[:, :1], a, b[:1]), np.where(m[:, :1], x, z[:1]))
    same(torch.where(c[3], a[:, :1], b), np.where(m[3], x[:, :1], z))


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_numbers(dtype):
    x, z = (
        (RNG.standard_normal((50, 21)) + 1j * RNG.standard_normal((50, 21))).astype(dtype)
        for _ in range(2)
    )
    a, b = torch.from_numpy(x), torch.from_numpy(z)
    tolerance = 1e-6 if dtype == "complex64" else 1e-14
    for got, wanted in [
        (a + b, x + z),
        (a - b[0], x - z[0]),
        (a * b, x * z),
        (a * b[:, :1], x * z[:, :1]),
        (a * 2j, x * 2j),
        (a / b, x / z),
        (-a, -x),
        (a.conj().resolve_conj(), x.conj()),
        (a.abs(), np.abs(x)),
        (a.angle(), np.angle(x)),
        (a.sum(0), x.sum(0)),
        (a.sum(), x.sum()),
        (a.mean(1), x.mean(1)),
    ]:
        assert got.numpy().dtype == np.asarray(wanted).dtype
        np.testing.assert_allclose(got.numpy(), wanted, rtol=10 * tolerance, atol=50 * tolerance)
    inf = torch.full((20,), complex(math.inf, 0), dtype=a.dtype)
    assert (inf * complex(1, 1)).abs().isinf().all()


FUNCTIONS = {
    "tan": (-30, 30), "asin": (-1, 1), "acos": (-1, 1), "atan": (-9, 9), "sinh": (-80, 80),
    "cosh": (-80, 80), "asinh": (-99, 99), "acosh": (1, 99), "atanh": (-0.99, 0.99),
    "erfc": (-3, 9), "exp": (-80, 80), "expm1": (-9, 80), "lgamma": (0.1, 90),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name):
    x = RNG.uniform(*FUNCTIONS[name], 3000)
    f = getattr(math, name)
    got = getattr(torch, name)(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(got, [f(v) for v in x], rtol=2e-15, atol=2e-15)
    x = x.astype("float32")
    got = getattr(torch, name)(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(got, [f(v) for v in x.tolist()], rtol=2e-7, atol=1e-44)


def test_nothing_is_lost_near_one():
    """1 - tanh(x)^2 and the like are taken of results next to 1."""
    for name, x in {"tanh": RNG.uniform(1.5, 9, 3000), "erf": RNG.uniform(0.01, 4, 3000)}.items():
        x = x.astype("float32")
        wanted = np.array([getattr(math, name)(v) for v in x.tolist()])
        for sign in (1, -1):
            got = getattr(torch, name)(torch.from_numpy(sign * x)).double().numpy()
            ulp = np.spacing(wanted.astype("float32")).astype(float)
            assert (np.abs(got - sign * wanted) / ulp).max() <= 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_edges_of_functions(dtype):
    inf, nan = math.inf, math.nan
    x = torch.tensor([0.0, -0.0, inf, -inf, nan], dtype=dtype)
    half = math.pi / 2
    for name, wanted in {
        "atan": [0.0, -0.0, half, -half, nan],
        "sinh": [0.0, -0.0, inf, -inf, nan],
        "cosh": [1.0, 1.0, inf, inf, nan],
        "asinh": [0.0, -0.0, inf, -inf, nan],
        "asin": [0.0, -0.0, nan, nan, nan],
        "erfc": [1.0, 1.0, 0.0, 2.0, nan],
        "atanh": [0.0, -0.0, nan, nan, nan],
    }.items():
        got = getattr(torch, name)(x)
        np.testing.assert_allclose(got.numpy(), wanted, rtol=1e-7)
        assert got.signbit()[:2].tolist() == [math.copysign(1, w) < 0 for w in wanted[:2]]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["atan2", "hypot", "fmod", "pow", "nextafter"])
def test_functions_of_two(name, dtype):
    edges = np.array([0, -0.0, 1, -1, 2, -3, 0.5, np.inf, -np.inf, np.nan, 1e30, 1e-30, 7.5])
    x, z = (np.concatenate([RNG.standard_normal(2000) * 8, e]) for e in
            (np.repeat(edges, edges.size), np.tile(edges, edges.size)))  # fmt: skip
    x, z = x.astype(dtype), z.astype(dtype)
    f = {"atan2": np.arctan2, "pow": np.power}.get(name) or getattr(np, name)
    with np.errstate(all="ignore"):
        wanted = f(x, z) if name == "nextafter" else f(x.astype("float64"), z.astype("float64"))
        wanted = wanted.astype(dtype)
    got = getattr(torch, name)(torch.from_numpy(x), torch.from_numpy(z)).numpy()
    rtol = {"fmod": 0, "nextafter": 0}.get(name, 2e-7 if dtype == "float32" else 2e-15)
    np.testing.assert_allclose(got, wanted, rtol=rtol)


def test_powers_of_one_change_nothing():
    x = torch.tensor([-2.0, -0.0, 3.5])
    assert torch.equal(x**1, x) and torch.equal(x.clone().pow_(1), x)


def test_clamp_and_round_in_place():
    x = torch.linspace(-2, 2, 9)
    y, data = x.clone(), x.data_ptr()
    assert y.clamp_(-1, 1) is y and torch.equal(y, x.clamp(-1, 1))
    assert torch.equal(x.clone().clamp_min_(0.5), x.clamp(min=0.5))
    assert torch.equal(x.clone().clamp_max_(0.5), x.clamp(max=0.5))
    assert torch.equal(x.clone().clip_(min=x.flip(0)), x.clip(min=x.flip(0)))
    assert torch.equal(x.clone().round_(), x.round()) and x.data_ptr() == data
    assert torch.equal((x * 0.3).round_(decimals=1), (x * 0.3).round(decimals=1))
    with pytest.raises(RuntimeError, match="can't be cast"):
        torch.arange(3).clamp_(0.5, 1.5)
    w = x.clone().requires_grad_()
    (w * 1).clamp_(-1, 1).sum().backward()
    assert w.grad.tolist() == [0, 0, 1, 1, 1, 1, 1, 0, 0]
    with pytest.raises(RuntimeError, match="leaf"):
        w.clamp_(0, 1)


def test_copies_across():
    for shape in [(40, 56), (9, 13), (64, 8), (3, 33, 41)]:
        for dtype in ("float32", "int32", "int64", "uint8"):
            x = RNG.integers(0, 200, shape).astype(dtype)
            same(torch.from_numpy(x).mT.contiguous(), x.swapaxes(-1, -2))
    for n in (2, 3, 4):
        x = RNG.standard_normal((5, n, 37)).astype("float32")
        same(torch.from_numpy(x).mT.contiguous(), x.swapaxes(1, 2))


# -- short rows: broadcast, strided and converted in every way -------------------------------------


def laid_out(rng, shape, dtype):
    """A tensor of this shape in some layout: parts, permuted dimensions, dimensions expanded."""
    own = [1 if rng.random() < 0.3 else s for s in shape]
    whole = [s + int(rng.integers(0, 3)) for s in own]
    order = rng.permutation(len(own))
    x = torch.from_numpy(rng.integers(0, 5, [whole[d] for d in order])).to(dtype)
    x = x.permute([int(d) for d in np.argsort(order)])
    return x[tuple(slice(w - s, w) for w, s in zip(whole, own))].expand(shape)


def numbers(x):
    return x.to(torch.complex128).numpy()


@pytest.mark.parametrize("seed", range(60))
def test_short_rows(seed):
    rng = np.random.default_rng(seed)
    kinds = "float32 float64 bfloat16 int64 uint8 int16 bool complex64".split()
    one, other, target = (getattr(torch, kinds[i]) for i in rng.integers(0, len(kinds), 3))
    shape = [int(n) for n in rng.choice([1, 2, 3, 5, 8, 17, 40], rng.integers(1, 5))]
    a, b = laid_out(rng, shape, one), laid_out(rng, shape, other)
    total, either = a + b, one == other == torch.bool
    wanted = numbers(a) + numbers(b)
    np.testing.assert_array_equal(numbers(total), wanted != 0 if either else wanted)
    np.testing.assert_array_equal((a == b).numpy(), numbers(a) == numbers(b))
    out = torch.zeros([2 * n for n in shape], dtype=target)[(slice(0, None, 2),) * len(shape)]
    out.copy_(a)
    kept = numbers(a).real
    np.testing.assert_array_equal(numbers(out).real, kept != 0 if target == torch.bool else kept)
    assert (numbers(out.fill_(1)) == 1).all() and numbers(out._base).sum() == a.numel()
    if len(shape) > 1:
        at = torch.from_numpy(rng.integers(0, shape[-1], [*shape[:-1], 3]))
        taken = np.take_along_axis(numbers(a), at.numpy(), -1)
        np.testing.assert_array_equal(numbers(a.gather(-1, at)), taken)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "int64"])
def test_quotients_of_integers_of_any_size(dtype):
    rng, kind = np.random.default_rng(0), np.iinfo(dtype)
    a = rng.integers(kind.min, kind.max, 3000, dtype=dtype, endpoint=True)
    a[1000:] >>= kind.bits // 3  # some blocks of 64-bit numbers are exact as doubles, some not
    a[0], b = kind.min, rng.integers(2, 100, 3000).astype(dtype)
    if kind.min:
        b[::3] *= -1
    b[1], b[2] = kind.max, 1
    x, y = torch.from_numpy(a), torch.from_numpy(b)
    for divisor, d in ((y, b), (7, np.array(7, dtype))):
        np.testing.assert_array_equal((x // divisor).numpy(), a // d)
        np.testing.assert_array_equal((x % divisor).numpy(), a % d)
        np.testing.assert_array_equal(torch.fmod(x, divisor).numpy(), np.fmod(a, d))
        towards_zero = [int(p) // int(q) + (int(p) % int(q) != 0 and (p < 0) != (q < 0))
                        for p, q in zip(a, np.broadcast_to(d, a.shape), strict=True)]  # fmt: skip
        assert torch.div(x, divisor, rounding_mode="trunc").tolist() == towards_zero
    with pytest.raises(RuntimeError, match="ZeroDivision"):
        x // torch.cat([y[1:], y[:1] * 0])


def test_powers_of_special_numbers():
    inf, nan = float("inf"), float("nan")
    x = torch.tensor([0.0, -0.0, inf, -inf, nan, 4.0])
    for exponent in (1, 2, 3, -1, -2):
        one_by_one = torch.tensor([torch.pow(v, torch.tensor(exponent)) for v in x])
        assert torch.equal((x**exponent).nan_to_num(7.0), one_by_one.nan_to_num(7.0))
        assert torch.equal(x.clone().pow_(exponent).nan_to_num(7.0), one_by_one.nan_to_num(7.0))


def test_powers_of_a_half_are_square_roots():
    inf = float("inf")
    x = torch.tensor([0.0, -0.0, inf, -inf, -1.0, 4.0])
    for t in (x, x.double()):
        assert str(t**0.5) == str(t.sqrt()) and str(t**-0.5) == str(t.rsqrt())
    power = torch.tensor([0.0, 0.0, inf, inf])  # of half precision, and by a tensor: C's pow
    assert torch.equal(x[:4].half() ** 0.5, power.half())
    assert torch.equal(x[:4] ** torch.tensor(0.5), power)


@pytest.mark.parametrize("exponent", [3, -2, 0.5, -0.5])
def test_gradients_of_simple_powers(exponent):
    x = torch.rand(37, dtype=torch.float64) + 0.5
    x.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: x**exponent, x)
    assert torch.autograd.gradgradcheck(lambda x: x**exponent, x)
    slope = torch.autograd.grad((x**exponent).sum(), x)[0]
    assert torch.allclose(slope, exponent * torch.exp((exponent - 1) * x.detach().log()))


def test_powers_of_whole_numbers():
    for dtype in (torch.uint8, torch.int16, torch.int64):
        x = torch.tensor([0, 1, 2, 5, 100], dtype=dtype)
        assert torch.equal(x**3, x * x * x)


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
@pytest.mark.parametrize("n", [1, 3, 4, 8, 37])
def test_complex_products_and_quotients(dtype, n):
    torch.manual_seed(n)
    x, z = torch.randn(n, dtype=dtype), torch.randn(n, dtype=dtype) + 0.5
    a, b, c, d = (t.double() for t in (x.real, x.imag, z.real, z.imag))
    size, eps = c * c + d * d, 1e-6 if dtype == torch.complex64 else 1e-14

    def near(r, re, im):
        return torch.allclose(r, torch.complex(re, im).to(dtype), eps, 4 * eps)

    assert near(x * z, a * c - b * d, a * d + b * c)
    assert near(x / z, (a * c + b * d) / size, (b * c - a * d) / size)
    assert near(x.square(), a * a - b * b, 2 * a * b)
    assert near(z.reciprocal(), c / size, -d / size)
    assert near(x * z.real, a * c, b * c) and near(x / z.real, a / c, b / c)
    assert near(x * (2 - 1j), 2 * a + b, 2 * b - a) and near(1 / z, c / size, -d / size)


def test_complex_quotients_do_not_overflow():
    for scale in (1e-300, 1e-160, 1e160, 1e300):
        x = torch.tensor([[scale, scale], [-scale, 0], [0, scale]], dtype=torch.float64)
        x = torch.view_as_complex(x)
        assert torch.allclose(x / x, torch.ones(3, dtype=torch.complex128))
    one = torch.ones(1, dtype=torch.complex128)
    assert torch.isinf((one / torch.zeros(1, dtype=torch.complex128)).abs()).all()


def test_gradients_of_complex_products():
    x = torch.randn(5, dtype=torch.complex128, requires_grad=True)
    z = torch.randn(5, dtype=torch.complex128, requires_grad=True)
    r = (torch.rand(5, dtype=torch.float64) + 0.5).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, z, r: x * z / (z + 3) * r + x / r, (x, z, r))


# What a gradient reads may not be written over before it runs; these leave input or result alone.
LEAVES_ALONE = {
    "logaddexp": (lambda x: torch.logaddexp(x, 2 * x), "result"),
    "logaddexp2": (lambda x: torch.logaddexp2(x, 2 * x), "result"),
    "sinc": (torch.sinc, "result"),
    "erfinv": (torch.erfinv, "result"),
    "tanhshrink": (torch.nn.functional.tanhshrink, "both"),
    "1 / x": (lambda x: 1 / x, "both"),
    "2 / x": (lambda x: 2 / x, "both"),
    "product with a constant": (lambda x: x @ torch.ones(3, 3), "both"),
    "linear with a constant": (lambda x: torch.nn.functional.linear(x, torch.ones(3, 3)), "both"),
    "products with constants": (lambda x: x[None].bmm(torch.ones(1, 3, 3)), "both"),
}


@pytest.mark.parametrize("name", LEAVES_ALONE)
def test_written_over_before_the_gradient(name):
    f, which = LEAVES_ALONE[name]
    grads = []
    for write in (None, "input", "result"):
        leaf = torch.linspace(0.1, 0.9, 9).reshape(3, 3).requires_grad_()
        x = leaf * 1
        y = f(x)
        loss = y.sum()
        if write == which or (which == "both" and write):
            (x if write == "input" else y).mul_(2)
        loss.backward()
        grads.append(leaf.grad)
    assert torch.equal(grads[0], grads[1]) and torch.equal(grads[0], grads[2])


def test_the_result_of_logsumexp_may_be_written_to():
    weight = torch.ones(3, requires_grad=True)
    torch.zeros(2, 3).logsumexp(0).mul_(weight).sum().backward()
    assert torch.allclose(weight.grad, torch.full((3,), math.log(2)))


def test_a_number_over_a_tensor():
    x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = 3 / x
    assert y.grad_fn.name() == "MulBackward0" and torch.allclose(y, torch.tensor([3.0, 1.5, 1.0]))
    y.sum().backward()
    assert torch.allclose(x.grad, torch.tensor([-3.0, -0.75, -1 / 3]))
    assert torch.equal(2 / torch.tensor([1, 4]), torch.tensor([2.0, 0.5]))
    assert (1 / torch.ones(2, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_bounds_that_are_no_numbers():
    x = torch.tensor([1.0, float("nan"), -2.0])
    assert x.clamp(min=float("nan")).isnan().all()
    assert x.clone().clamp_(0, float("nan")).isnan().all()
    assert x.clamp(-1, 0.5).nan_to_num(9.0).tolist() == [0.5, 9.0, -1.0]


def test_numbers_are_rounded_to_half_precision_where_it_tells():
    x = torch.tensor([5.0, 100.0, 0.3], dtype=torch.float16)
    number = torch.tensor(0.3, dtype=torch.float16)
    for function in torch.fmod, torch.remainder, torch.pow:
        assert torch.equal(function(x, 0.3), function(x, number))
    assert torch.nn.functional.hardshrink(x, 0.3).tolist() == [5.0, 100.0, 0.0]


def test_numbers_of_integers_lose_their_fractions():
    x = torch.arange(-2, 3)
    assert torch.nn.functional.threshold(x, 0.7, 7).tolist() == [7, 7, 7, 1, 2]
    assert torch.addcmul(x, x, x, value=1.5).tolist() == [2, 0, 0, 2, 6]
    with pytest.raises(RuntimeError, match="alpha"):
        x.add(x, alpha=0.5)


def test_decimals_without_end():
    x = torch.tensor([1.25, 0.0, float("inf")], dtype=torch.float64)
    for decimals in (400, -400, 2**63 - 1, -(2**63)):
        assert x.round(decimals=decimals).isnan().all()


def test_the_angle_of_nothing_has_no_slope():
    x, y = torch.zeros(2, requires_grad=True), torch.tensor([0.0, 2.0], requires_grad=True)
    torch.atan2(x, y).sum().backward()
    assert x.grad.tolist() == [0.0, 0.5] and y.grad.tolist() == [0.0, 0.0]


def test_nan_to_num_in_place():
    nan, inf = float("nan"), float("inf")
    for dtype in (torch.float32, torch.bfloat16, torch.float64):
        x = torch.tensor([nan, inf, -inf, 2.0], dtype=dtype)
        wanted, same = x.nan_to_num(1.0), x
        assert x.nan_to_num_(1.0) is same and torch.equal(x, wanted)
    z = torch.tensor([complex(nan, inf), 1j])
    assert torch.equal(z.clone().nan_to_num_(), z.nan_to_num())
    whole = torch.tensor([1, 2])
    assert whole.nan_to_num_() is whole and whole.tolist() == [1, 2]
    leaf = torch.tensor([nan, 2.0], requires_grad=True)
    (leaf * 1).nan_to_num_().sum().backward()
    assert leaf.grad.tolist() == [0, 1]
    out = torch.empty(2)
    assert torch.nan_to_num(leaf.detach(), out=out) is out and out.tolist() == [0, 2]
