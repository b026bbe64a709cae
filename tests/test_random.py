"""Random numbers: PyTorch's, from the same seed; moments, states, independence of threads."""

import copy
import hashlib
import math
import pickle

import numpy
import pytest

import flambeau as torch

SEED = 1234

# Drawn by PyTorch 2.13 after manual_seed(1234).
EXACT = {
    "rand": (
        lambda: torch.rand(3),
        [0.028979241847991943, 0.4018985629081726, 0.25984418392181396],
    ),
    "rand float64": (
        lambda: torch.rand(3, dtype=torch.float64),
        [0.2318341720884639, 0.07875386135027063, 0.46640616040796923],
    ),
    "rand bfloat16": (
        lambda: torch.rand(3, dtype=torch.bfloat16),
        [0.0289306640625, 0.40234375, 0.259765625],
    ),
    "rand float16": (
        lambda: torch.rand(3, dtype=torch.float16),
        [0.0289764404296875, 0.40185546875, 0.259765625],
    ),
    "rand_like": (
        lambda: torch.rand_like(torch.zeros(2)),
        [0.028979241847991943, 0.4018985629081726],
    ),
    "strided": (
        lambda: torch.empty(2, 3).t().uniform_(),
        [
            [0.028979241847991943, 0.3666413426399231],
            [0.4018985629081726, 0.05830073356628418],
            [0.25984418392181396, 0.7006447315216064],
        ],
    ),
    "randint": (lambda: torch.randint(0, 10, (12,)), [5, 1, 6, 5, 6, 4, 2, 5, 5, 9, 3, 1]),
    "randint large": (
        lambda: torch.randint(-5, 1 << 40, (3,)),
        [203984846263, 166669160343, 878765609683],
    ),
    "random_ int64": (
        lambda: torch.empty(3, dtype=torch.int64).random_(),
        [3532910284440527571, 2252509165406510133, 8074651545468362100],
    ),
    "random_ all bits": (
        lambda: torch.empty(2, dtype=torch.int64).random_(-(2**63), None),
        [3532910284440527571, -6970862871448265675],
    ),
    "random_ int32": (
        lambda: torch.empty(3, dtype=torch.int32).random_(),
        [822569775, 2137449171, 524453158],
    ),
    "random_ float32": (lambda: torch.empty(3).random_(), [486142.0, 6742612.0, 4359303.0]),
    "random_ uint8": (lambda: torch.empty(4, dtype=torch.uint8).random_(), [47, 211, 38, 53]),
    "random_ bool": (
        lambda: torch.empty(8, dtype=torch.bool).random_().int(),
        [1, 1, 0, 1, 0, 0, 0, 1],
    ),
    "randperm": (lambda: torch.randperm(10), [5, 4, 8, 2, 6, 9, 1, 7, 0, 3]),
    "randperm 100000": (lambda: torch.randperm(100000)[:5], [69775, 70546, 90246, 94746, 1524]),
    "randperm 1000000": (
        lambda: torch.randperm(1000000)[-5:],
        [779936, 484409, 892568, 581820, 737163],
    ),
    "bernoulli of p": (
        lambda: torch.bernoulli(torch.full((10,), 0.3)),
        [1, 0, 1, 0, 1, 0, 1, 0, 0, 0],
    ),
    "bernoulli_": (
        lambda: torch.empty(12).bernoulli_(0.3),
        [1, 1, 0, 0, 0, 1, 1, 1, 1, 0, 0, 1],
    ),
    "geometric_": (lambda: torch.empty(8).geometric_(0.3), [5, 8, 3, 3, 3, 4, 5, 5]),
    "multinomial": (
        lambda: torch.multinomial(torch.tensor([0.1, 0.5, 0.2, 0.2]), 10, replacement=True),
        [1, 0, 1, 1, 1, 1, 1, 1, 1, 3],
    ),
    "multinomial distinct": (
        lambda: torch.multinomial(torch.tensor([[0.1, 0.5, 0.2, 0.2], [1, 1, 1, 1]]), 3),
        [[1, 0, 3], [2, 3, 1]],
    ),
    "poisson": (
        lambda: torch.poisson(torch.tensor([0.5, 4.0, 9.0, 20.0, 100.0])),
        [0, 2, 7, 23, 93],
    ),
    "binomial": (
        lambda: torch.binomial(torch.tensor([10.0, 100.0, 100.0]), torch.tensor([0.3, 0.4, 0.9])),
        [1, 40, 91],
    ),
    "dropout": (
        lambda: torch.nn.functional.dropout(torch.ones(12), 0.5),
        [2, 2, 2, 2, 2, 2, 2, 2, 2, 0, 0, 2],
    ),
    "Generator": (
        lambda: torch.rand(3, generator=torch.Generator().manual_seed(7)),
        [0.5349225401878357, 0.19880318641662598, 0.6592116951942444],
    ),
}

# The same where a logarithm or a sine enters: equal to rounding.
CLOSE = {
    "randn": (
        lambda: torch.randn(3),
        [0.0461304634809494, 0.4024028182029724, -1.0115290880203247],
    ),
    "randn 17": (
        lambda: torch.randn(17),
        [
            *(-0.1117185652256012, -0.09228753298521042, -0.704919695854187, -1.6023621559143066),
            *(0.2890971899032593, 0.4898708462715149, -0.38527461886405945, -0.7120345830917358),
            *(0.6369126439094543, -1.459438681602478, 0.220659077167511, 0.24625207483768463),
            *(-1.3248119354248047, 0.6969805359840393, -0.6630538702011108, 1.215756893157959),
            -2.5273351669311523,
        ],
    ),
    "randn float64": (
        lambda: torch.randn(16, dtype=torch.float64)[:4],
        [-0.0883100793877292, 0.34204875400356316, 0.41116805645419313, 1.005114995835244],
    ),
    "an odd randn before": (
        lambda: (torch.randn(3), torch.randn(4))[1],
        [0.2167382389307022, -0.612273097038269, 0.5036107301712036, 0.23096680641174316],
    ),
    "randn complex": (
        lambda: torch.view_as_real(torch.randn(2, dtype=torch.complex64)),
        [[0.032619163393974304, 0.2845417559146881], [-0.7152590751647949, 0.1532570719718933]],
    ),
    "uniform_": (
        lambda: torch.empty(3).uniform_(-2, 3),
        [-1.8551037311553955, 0.009492814540863037, -0.7007790803909302],
    ),
    "normal_": (
        lambda: torch.empty(3).normal_(1, 2),
        [1.0922609567642212, 1.8048056364059448, -1.0230581760406494],
    ),
    "normal_ strided": (
        lambda: torch.empty(4, 5).t().normal_()[0],
        [0.0461304634809494, 0.5036107301712036, 0.10213729739189148, 0.8848397731781006],
    ),
    "normal of tensors": (
        lambda: torch.normal(torch.tensor([0.0, 1.0, 2.0]), torch.tensor([1.0, 2.0, 3.0])),
        [0.0461304634809494, 1.8048056364059448, -1.0345873832702637],
    ),
    "exponential_": (
        lambda: torch.empty(3).exponential_(2.0),
        [0.13187482953071594, 0.041014011949300766, 0.31406015157699585],
    ),
    "cauchy_": (
        lambda: torch.empty(3).cauchy_(1, 2),
        [-1.2423739433288574, -6.918045520782471, 0.7881364822387695],
    ),
    "log_normal_": (
        lambda: torch.empty(3).log_normal_(0.5, 0.25),
        [1.667845368385315, 1.8232136964797974, 1.2803298234939575],
    ),
    "gamma": (
        lambda: torch._standard_gamma(torch.tensor([0.3, 1.0, 5.0])),
        [0.9535252451896667, 1.2025203704833984, 4.49164342880249],
    ),
    "rrelu": (
        lambda: torch.nn.functional.rrelu(torch.tensor([-1.0, 2.0, -3.0]), training=True),
        [-0.17329879105091095, 2.0, -0.4242211580276489],
    ),
}

DIGESTS = {  # SHA-1 of the numbers' bytes
    "rand": (lambda: torch.rand(100000), "3ca37371092a43b0dff7d593aa70957c8d82617c"),
    "randperm": (lambda: torch.randperm(100000), "e6615f2920898cdf21db0f8bbed2c23e49592925"),
    "bernoulli_": (
        lambda: torch.empty(1000).bernoulli_(0.3),
        "05f1767d2dd4c0dd1bf9a434591737dd841df33f",
    ),
}


def digest(t):
    return hashlib.sha1(t.numpy().tobytes()).hexdigest()


@pytest.mark.parametrize("name", EXACT)
def test_exact_numbers(name):
    draw, expected = EXACT[name]
    torch.manual_seed(SEED)
    assert draw().tolist() == expected


@pytest.mark.parametrize("name", CLOSE)
def test_close_numbers(name):
    draw, expected = CLOSE[name]
    torch.manual_seed(SEED)
    numpy.testing.assert_allclose(draw().numpy(), expected, rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("name", DIGESTS)
def test_many_numbers(name):
    draw, expected = DIGESTS[name]
    torch.manual_seed(SEED)
    assert digest(draw()) == expected


@pytest.mark.parametrize(
    ("seed", "first", "initial"),
    [
        (2**40 + 5, 0.8302518725395203, 2**40 + 5),
        (-3, 0.6248647570610046, 2**64 - 3),
        (2**64 - 3, 0.6248647570610046, 2**64 - 3),
    ],
)
def test_seeds(seed, first, initial):
    assert torch.manual_seed(seed) is torch.default_generator
    assert torch.rand(1).item() == first
    assert torch.initial_seed() == initial


def test_seeds_that_are_none():
    with pytest.raises(ValueError, match="Overflow"):
        torch.manual_seed(2**64)
    with pytest.raises(RuntimeError, match="expected a long"):
        torch.Generator().manual_seed(1.5)
    assert torch.Generator().initial_seed() == 67280421310721
    assert torch.seed() == torch.initial_seed()


# -- states ----------------------------------------------------------------------------------------
def test_state_is_laid_out_as_pytorch_does():
    torch.manual_seed(SEED)
    torch.randn(5)  # an odd number: the state holds the sixth
    state = torch.get_rng_state()
    assert state.dtype == torch.uint8 and tuple(state.shape) == (5056,)
    assert digest(state) == "4e6cc67519e7c45110390a0d1aa2f246e161f689"


@pytest.mark.parametrize("before", [0, 3, 623, 624, 625])
def test_state_is_restored(before):
    torch.rand(before)
    torch.randn(3)
    state = torch.get_rng_state()
    expected = [torch.randn(3).tolist(), torch.rand(1000).tolist()]
    torch.set_rng_state(state)
    assert [torch.randn(3).tolist(), torch.rand(1000).tolist()] == expected


def test_states_that_are_none():
    g = torch.Generator()
    with pytest.raises(TypeError, match="ByteTensor"):
        g.set_state(torch.zeros(5056))
    with pytest.raises(RuntimeError, match="5056"):
        g.set_state(torch.zeros(10, dtype=torch.uint8))
    for byte, value in ((8, 0), (8, 200), (12, 0), (17, 255), (23, 255)):  # left, seeded, next
        state = g.get_state()
        state[byte] = value
        with pytest.raises(RuntimeError, match="not the state"):
            g.set_state(state)


def test_generators_are_independent():
    a, b = torch.Generator().manual_seed(1), torch.Generator("cpu").manual_seed(1)
    before = torch.get_rng_state()
    assert torch.rand(5, generator=a).tolist() == torch.rand(5, generator=b).tolist()
    assert digest(torch.get_rng_state()) == digest(before)
    c = a.clone_state()
    d, e = copy.deepcopy(a), pickle.loads(pickle.dumps(a))
    draws = [torch.randn(7, generator=g).tolist() for g in (a, c, d, e)]
    assert draws[1:] == draws[:1] * 3
    assert a.device == torch.device("cpu")
    seed, offset, state = a.__reduce__()[2]  # as PyTorch pickles it
    assert (seed, offset) == (1, None) and digest(state) == digest(a.get_state())


def test_fork_rng():
    state = torch.get_rng_state()
    with torch.random.fork_rng():
        torch.rand(3)
    assert digest(torch.get_rng_state()) == digest(state)
    with torch.random.fork_rng(enabled=False):
        torch.rand(3)
    assert digest(torch.get_rng_state()) != digest(state)


# -- laws ------------------------------------------------------------------------------------------
N = 200_000
MOMENTS = {  # mean, standard deviation
    "rand": (lambda: torch.rand(N), 0.5, 12**-0.5),
    "rand bfloat16": (lambda: torch.rand(N, dtype=torch.bfloat16), 0.5, 12**-0.5),
    "randn": (lambda: torch.randn(N), 0.0, 1.0),
    "randn float64": (lambda: torch.randn(N, dtype=torch.float64), 0.0, 1.0),
    "normal_ strided": (lambda: torch.empty(N // 2, 4)[:, ::2].normal_(3, 2), 3.0, 2.0),
    "exponential_": (lambda: torch.empty(N).exponential_(2), 0.5, 0.5),
    "geometric_": (lambda: torch.empty(N).geometric_(0.25), 4.0, 12**0.5),
    "bernoulli_": (lambda: torch.empty(N).bernoulli_(0.2), 0.2, 0.4),
    "randint": (lambda: torch.randint(-10, 11, (N,)), 0.0, (440 / 12) ** 0.5),
    "poisson": (lambda: torch.poisson(torch.full((N,), 4.0)), 4.0, 2.0),
    "poisson large": (lambda: torch.poisson(torch.full((N,), 50.0)), 50.0, 50**0.5),
    "binomial": (
        lambda: torch.binomial(torch.full((N,), 40.0), torch.full((N,), 0.6)),
        24.0,
        9.6**0.5,
    ),
    "gamma": (lambda: torch._standard_gamma(torch.full((N,), 2.5)), 2.5, 2.5**0.5),
    "log_normal_": (
        lambda: torch.empty(N).log_normal_(0, 0.5),
        math.exp(0.125),
        (math.expm1(0.25) * math.exp(0.25)) ** 0.5,
    ),
}


@pytest.mark.parametrize("name", MOMENTS)
def test_moments(name):
    draw, mean, std = MOMENTS[name]
    x = draw().double().numpy()
    assert abs(x.mean() - mean) < 5 * std / N**0.5
    assert abs(x.std() - std) < 0.03 * std


def test_bounds():
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        x = torch.empty(N, dtype=dtype).uniform_(1, 1.5)
        values = x.double().numpy()
        assert values.min() >= 1 and values.max() < 1.5
    assert set(torch.randint(3, 7, (1000,)).tolist()) == {3, 4, 5, 6}
    assert sorted(torch.randperm(5000).tolist()) == list(range(5000))
    weights = torch.tensor([0.0, 1.0, 0.0, 2.0])
    assert set(torch.multinomial(weights, 500, replacement=True).tolist()) == {1, 3}


def test_threads_change_nothing():
    draws = [
        lambda: torch.rand(300001),
        lambda: torch.randn(300001),
        lambda: torch.randn(300001, dtype=torch.float64),
        lambda: torch.randint(0, 7, (300001,)),
        lambda: torch.empty(300001).exponential_(),
        lambda: torch.empty(300001).bernoulli_(0.3),
        lambda: torch.nn.functional.dropout(torch.ones(300001), 0.2),
    ]
    seen = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        torch.manual_seed(SEED)
        seen.append([digest(draw()) for draw in draws])
    assert seen[0] == seen[1] == seen[2]


# -- arguments -------------------------------------------------------------------------------------
def test_factory_arguments():
    x = torch.rand(2, 3, dtype=torch.float64, requires_grad=True, pin_memory=False)
    assert x.dtype == torch.float64 and x.requires_grad
    state = torch.get_rng_state()
    for make in (torch.rand, torch.randn, torch.randperm):
        assert make(4, device="meta").device.type == "meta"
    assert digest(torch.get_rng_state()) == digest(state)
    out = torch.empty(0, dtype=torch.float64)
    assert torch.rand(3, out=out) is out and tuple(out.shape) == (3,)
    assert torch.randint(5, (2,), dtype=torch.float32).dtype == torch.float32
    assert set(torch.randint_like(torch.zeros(9), 3, 5).tolist()) == {3, 4}
    assert tuple(torch.rand(()).shape) == () and tuple(torch.randn(0, 3).shape) == (0, 3)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: torch.rand(3, dtype=torch.int64), NotImplementedError, "int64"),
        (lambda: torch.rand(-3), RuntimeError, "negative dimension"),
        (lambda: torch.empty(3).uniform_(2, 1), RuntimeError, "from=2"),
        (lambda: torch.empty(3).normal_(0, -1), RuntimeError, "std"),
        (lambda: torch.empty(3).exponential_(0), RuntimeError, "lambda"),
        (lambda: torch.empty(3).geometric_(1), RuntimeError, "p=1"),
        (lambda: torch.empty(3).bernoulli_(1.5), RuntimeError, "p=1.5"),
        (lambda: torch.bernoulli(torch.tensor([0.5, 2.0])), RuntimeError, "p=2"),
        (lambda: torch.randint(5, 5, (2,)), RuntimeError, "from=5"),
        (lambda: torch.randint(0, 10, 3), TypeError, "randint"),
        (lambda: torch.empty(3, dtype=torch.uint8).random_(0, 300), RuntimeError, "uint8"),
        (lambda: torch.randperm(-1), RuntimeError, "negative"),
        (lambda: torch.randperm(300, dtype=torch.uint8), RuntimeError, "300"),
        (lambda: torch.multinomial(torch.ones(3), 4), RuntimeError, "n_sample"),
        (lambda: torch.multinomial(torch.tensor([-1.0]), 1), RuntimeError, "element < 0"),
        (lambda: torch.multinomial(torch.zeros(2), 1), RuntimeError, "sum of probabilities"),
        (lambda: torch.multinomial(torch.ones(3), 2, out=torch.ones(2)), RuntimeError, "Long"),
        (lambda: torch.poisson(torch.tensor([-1.0])), RuntimeError, "rate"),
        (lambda: torch.ones(1).expand(3).uniform_(), RuntimeError, "single memory location"),
        (lambda: torch.nn.functional.dropout(torch.ones(3), 1.5), ValueError, "1.5"),
        (lambda: torch.rand(3, out=torch.empty(3), dtype=torch.float64), RuntimeError, "out"),
        (lambda: torch.Generator("meta"), RuntimeError, "meta"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


# -- dropout ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("shape", [(1,), (63,), (64,), (65,), (40, 33)])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("inplace", [False, True])
def test_dropout_gradient_has_its_mask(shape, transposed, inplace):
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    z = x * 1
    if transposed:
        z = z.t() if len(shape) == 2 else z
    y = torch.nn.functional.dropout(z, 0.4, inplace=inplace)
    weight = torch.randn(z.shape, dtype=torch.float64)
    y.backward(weight)
    kept = (y != 0).double() / 0.6
    expected = kept * weight
    expected = expected.t() if transposed and len(shape) == 2 else expected
    numpy.testing.assert_allclose(x.grad.numpy(), expected.numpy())


def test_dropout_twice_differentiable():
    x = torch.randn(100, dtype=torch.float64, requires_grad=True)
    y = torch.nn.functional.dropout(x, 0.25)
    ones = torch.ones(100, dtype=torch.float64)
    (g,) = torch.autograd.grad(y * y, x, ones, create_graph=True)
    (gg,) = torch.autograd.grad(g, x, ones)
    numpy.testing.assert_allclose(gg.numpy(), 2 * (y != 0).double().numpy() / 0.75**2)


def test_dropout_edges():
    x = torch.ones(10)
    assert torch.nn.functional.dropout(x, 0.5, training=False) is x
    assert torch.nn.functional.dropout(x, 0.0) is x
    assert torch.nn.functional.dropout(x, 1.0).tolist() == [0.0] * 10
    assert torch.nn.functional.dropout(x, 0.3).dtype == torch.float32
    kept = torch.nn.functional.dropout(torch.ones(N), 0.3).numpy() != 0
    assert abs(kept.mean() - 0.7) < 0.01


def test_dropout_of_channels():
    x = torch.ones(4, 8, 5)
    y = torch.feature_dropout(x, 0.5, True).numpy()
    assert (y == y[:, :, :1]).all() and set(y.ravel()) == {0.0, 2.0}
    assert torch.alpha_dropout(x, 0.5, False) is x
    assert len(set(torch.feature_alpha_dropout(x, 0.5, True).numpy().ravel())) == 2
    with pytest.raises(RuntimeError, match="between 0 and 1"):
        torch.alpha_dropout(x, -1.0, True)


def test_drawing_in_place_ends_a_gradient():
    x = torch.ones(3, requires_grad=True)
    y = x * 2
    y.uniform_()
    (y * 3).backward(torch.ones(3))
    assert x.grad.tolist() == [0, 0, 0]
    with pytest.raises(RuntimeError, match="leaf"):
        x.normal_()


def test_rrelu():
    x = torch.tensor([-1.0, 2.0, -3.0], requires_grad=True)
    y = torch.nn.functional.rrelu(x, training=True)
    y.backward(torch.ones(3))
    numpy.testing.assert_allclose(x.grad.numpy(), (y / x).detach().numpy(), rtol=1e-6)
    assert torch.rrelu(torch.tensor([-2.0]), 0.1, 0.3).item() == pytest.approx(-0.4)


def test_sobol_points_fill_the_cube_evenly():
    engine = torch.quasirandom.SobolEngine(3)
    points = engine.draw(4)
    assert points.tolist() == [[0, 0, 0], [0.5, 0.5, 0.5], [0.75, 0.25, 0.25], [0.25, 0.75, 0.75]]
    assert engine.num_generated == 4
    # Every interval of length 1/16 has one of the first 16 points, in every dimension.
    many = torch.quasirandom.SobolEngine(1111).draw_base2(4)
    assert (many.mul(16).floor().sort(0).values == torch.arange(16).unsqueeze(1)).all()


def test_scrambled_sobol_points_follow_the_seed():
    def engine():
        return torch.quasirandom.SobolEngine(5, scramble=True, seed=7)

    points = engine().draw(16, dtype=torch.float64)
    assert (points.mul(16).floor().sort(0).values == torch.arange(16).unsqueeze(1)).all()
    again = engine()
    parts = torch.cat([again.draw(3, dtype=torch.float64), again.draw(5, dtype=torch.float64)])
    assert torch.equal(parts, points[:8])
    assert torch.equal(again.reset().fast_forward(15).draw(dtype=torch.float64), points[15:])
    assert not torch.equal(torch.quasirandom.SobolEngine(5, True, 8).draw(16), points.float())


def test_sobol_engines_say_what_they_refuse():
    for dimension in (0, torch.quasirandom.SobolEngine.MAXDIM + 1):
        with pytest.raises(ValueError, match="dimensionality"):
            torch.quasirandom.SobolEngine(dimension)
    engine = torch.quasirandom.SobolEngine(2)
    engine.draw(3)
    with pytest.raises(ValueError, match="power of 2"):
        engine.draw_base2(1)
    out = torch.empty(0)
    assert engine.draw(2, out=out) is out and out.shape == (2, 2)
    assert repr(engine) == "SobolEngine(dimension=2)"


def test_coins_fall_into_tensors_of_any_type():
    p = torch.full((1000,), 0.25, dtype=torch.float64)
    for dtype in (torch.bool, torch.uint8, torch.int16, torch.float32):
        out = torch.empty(0, dtype=dtype)
        assert torch.bernoulli(p, out=out) is out and out.shape == (1000,)
        assert set(out.tolist()) == {0, 1} and 150 < out.sum() < 350
    assert torch.bernoulli(p, 1.0).all()


def test_coins_and_places_of_tensors_out_of_order():
    p = torch.rand(5, 7).t()

    def drawn(function, *args):
        torch.manual_seed(3)
        return function(*args)

    rows = drawn(torch.bernoulli, p.contiguous())
    assert (
        torch.equal(drawn(torch.bernoulli, p), rows) and drawn(torch.bernoulli, p).is_contiguous()
    )
    rows = drawn(torch.nn.functional.gumbel_softmax, p.contiguous())
    torch.testing.assert_close(drawn(torch.nn.functional.gumbel_softmax, p), rows)
    # Without replacement the noise lies as the weights do.
    torch.manual_seed(3)
    noise = torch.empty_like(p).exponential_()
    places = (p / noise).argsort(1, descending=True)[:, :2]
    assert torch.equal(drawn(torch.multinomial, p, 2), places)
