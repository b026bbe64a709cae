"""Special functions: values from mpmath (40 digits, rounded), gradients, dtypes, errors."""

import math

import pytest

import flambeau as torch
from flambeau import _ops
from flambeau.autograd import gradcheck, gradgradcheck

# (arguments..., value)
UNARY = {
    "digamma": [
        (0.1, -10.423754940411076),
        (1.5, 0.03648997397857652),
        (12.3, 2.468398400301138),
        (-2.7, -1.1153471291406896),
        (1000000.0, 13.815510057964191),
    ],
    "_trigamma": [
        (0.1, 101.43329915079275),
        (1.5, 0.9348022005446793),
        (12.3, 0.0846951702459164),
        (-2.7, 14.769375845132314),
    ],
    "erfinv": [
        (1e-08, 8.86226925452758e-09),
        (0.3, 0.2724627147267543),
        (-0.7, -0.7328690779592167),
        (0.95, 1.3859038243496777),
        (0.9999999, 3.7665625816384707),
    ],
    "special.erfcx": [
        (-8.7, 1.4886045116746997e33),
        (-3.0, 16205.988853999586),
        (0.0, 1.0),
        (0.5, 0.6156903441929259),
        (4.0, 0.13699945762506138),
        (24.0, 0.02348754606368264),
        (30.0, 0.01879588886141675),
        (1000000.0, 5.641895835474742e-07),
    ],
    "special.ndtr": [
        (-20.0, 2.7536241186062337e-89),
        (-9.3, 7.022284240441625e-21),
        (-3.0, 0.0013498980316300946),
        (0.0, 0.5),
        (0.7, 0.758036347776927),
        (5.0, 0.9999997133484281),
    ],
    "special.ndtri": [
        (1e-200, -30.20559417957964),
        (1e-10, -6.361340902404057),
        (0.02, -2.053748910631823),
        (0.3, -0.5244005127080408),
        (0.5, 0.0),
        (0.9, 1.2815515655446006),
        (0.999, 3.090232306167813),
    ],
    "special.log_ndtr": [
        (-60.0, -1805.0135606805673),
        (-2.0, -3.783184333682032),
        (-0.5, -1.1759117615936185),
        (0.5, -0.3689464152886564),
        (3.0, -0.0013508099647481938),
    ],
    "special.entr": [
        (0.1, 0.23025850929940458),
        (1.0, 0.0),
        (3.0, -3.295836866004329),
    ],
    "special.i0": [
        (0.0, 1.0),
        (0.5, 1.0634833707413236),
        (-3.0, 4.8807925858650245),
        (7.9, 389.406283282158),
        (8.1, 469.5006067101215),
        (50.0, 2.9325537838493362e20),
        (700.0, 1.5295933476718737e302),
    ],
    "special.i1": [
        (0.0, 0.0),
        (0.5, 0.2578943053908963),
        (-3.0, -3.9533702174026093),
        (7.9, 363.8539440845084),
        (8.1, 439.48430891035844),
        (50.0, 2.903078590103557e20),
        (700.0, 1.5285003902339006e302),
    ],
    "special.i0e": [
        (0.0, 1.0),
        (0.5, 0.6450352704491501),
        (-3.0, 0.2430003541618254),
        (7.9, 0.14436986414104191),
        (8.1, 0.14251180948829528),
        (1000.0, 0.012617240455891257),
    ],
    "special.i1e": [
        (0.0, 0.0),
        (0.5, 0.1564208031848717),
        (-3.0, -0.19682671329730086),
        (7.9, 0.13489649943989376),
        (8.1, 0.13340068832583662),
        (1000.0, 0.012610930256928629),
    ],
    "special.modified_bessel_i0": [
        (0.5, 1.0634833707413236),
        (20.0, 43558282.559553534),
    ],
    "special.modified_bessel_k0": [
        (1e-05, 11.628856980944363),
        (0.5, 0.9244190712276659),
        (1.9, 0.1288459792760475),
        (2.1, 0.10078374088996693),
        (30.0, 2.1324774964630563e-14),
    ],
    "special.scaled_modified_bessel_k0": [
        (1e-05, 11.628973270095617),
        (0.5, 1.5241093857739094),
        (1.9, 0.8614506167517558),
        (2.1, 0.8230171525316621),
        (1000.0, 0.03962832160075422),
    ],
    "special.bessel_j0": [
        (0.0, 1.0),
        (0.5, 0.9384698072408129),
        (-3.0, -0.26005195490193345),
        (5.5, -0.006843869417819197),
        (7.9, 0.19436184484127825),
        (8.1, 0.14751745404437766),
        (1000.0, 0.024786686152420176),
    ],
    "special.bessel_y0": [
        (1e-05, -7.40316028370197),
        (0.5, -0.44451873350670656),
        (3.0, 0.3768500100127904),
        (5.5, -0.339480592881911),
        (7.9, 0.20652094814437577),
        (8.1, 0.23809132870223482),
        (1000.0, 0.0047159179776228135),
    ],
    "special.modified_bessel_i1": [
        (0.5, 0.2578943053908963),
        (20.0, 42454973.38512777),
    ],
    "special.modified_bessel_k1": [
        (1e-05, 99999.99993935571),
        (0.5, 1.656441120003301),
        (1.9, 0.15966015303266762),
        (2.1, 0.12274641153350789),
        (30.0, 2.1677320018915495e-14),
    ],
    "special.scaled_modified_bessel_k1": [
        (1e-05, 100000.99994435512),
        (0.5, 2.731009708211786),
        (1.9, 1.0674709298145701),
        (2.1, 1.0023680527405792),
        (1000.0, 0.03964813081296021),
    ],
    "special.bessel_j1": [
        (0.0, 0.0),
        (0.5, 0.2422684576748739),
        (-3.0, -0.3390589585259365),
        (5.5, -0.34143821542904335),
        (7.9, 0.2191793999217512),
        (8.1, 0.24760776698159287),
        (1000.0, 0.004728311907089524),
    ],
    "special.bessel_y1": [
        (1e-05, -63661.97727536548),
        (0.5, -1.471472392670243),
        (3.0, 0.3246744247918),
        (5.5, -0.023758238956389618),
        (7.9, -0.18172107728057313),
        (8.1, -0.13314879595249593),
        (1000.0, -0.024784331292351778),
    ],
    "special.spherical_bessel_j0": [
        (0.0, 1.0),
        (0.001, 0.9999998333333416),
        (0.09, 0.9986505466445672),
        (0.11, 0.9979845530652255),
        (5.0, -0.1917848549326277),
    ],
    "special.airy_ai": [
        (-50.0, -0.1618814236123209),
        (-5.1, 0.3095259962873177),
        (-4.9, 0.37453635470583874),
        (-1.0, 0.5355608832923521),
        (0.0, 0.3550280538878172),
        (1.9, 0.0405944200315295),
        (2.1, 0.029952602115866523),
        (20.0, 1.6916728686705404e-27),
    ],
}
BINARY = {
    "_polygamma": [
        (0.5, 2, -16.82879664423432),
        (3.5, 3, 0.07030584881725205),
        (40.0, 5, 2.4938943509996704e-07),
        (-1.4, 2, 22.0160314366175),
    ],
    "special.zeta": [
        (1.1, 1.0, 10.584448464950801),
        (2.0, 0.3, 12.245364546107732),
        (3.5, 20.0, 0.00023798942002684447),
        (45.0, 13.0, 7.734957053561201e-51),
        (3.0, -7.3, -34.41058703179517),
        (4.0, -100.25, 259.7575757647448),
    ],
    "igamma": [
        (0.01, 0.5, 0.9943732438060329),
        (1.0, 2.0, 0.8646647167633873),
        (9.0, 8.0, 0.4074526585624086),
        (9.0, 12.0, 0.8449722182325371),
        (300.0, 310.0, 0.7224887541718611),
        (1e-10, 0.5, 0.9999999999440227),
        (0.9, 1.05, 0.692141012064783),
        (10.5, 1e-20, 8.403768762098853e-218),
        (50.0, 5.0, 2.1810592140784887e-32),
    ],
    "igammac": [
        (0.01, 3.0, 0.0001329713565701555),
        (1.0, 2.0, 0.1353352832366127),
        (9.0, 8.0, 0.5925473414375914),
        (9.0, 12.0, 0.1550277817674629),
        (300.0, 310.0, 0.2775112458281389),
        (1e-10, 0.5, 5.597735948054988e-11),
        (0.001, 0.0001, 0.008596880332556643),
        (0.9, 1.05, 0.30785898793521704),
    ],
    "special.xlog1py": [
        (2.0, 1e-10, 1.9999999999000001e-10),
        (-1.0, 3.0, -1.3862943611198906),
    ],
    "special.chebyshev_polynomial_t": [
        (0.3, 3.0, -0.7919999999999999),
        (-0.9, 10.0, -0.2007474688000005),
        (1.5, 7.0, 421.5),
        (0.99, 40.0, 0.8129440470900624),
    ],
    "special.shifted_chebyshev_polynomial_t": [
        (0.3, 3.0, 0.9440000000000001),
        (0.9, 12.0, 0.13158560972800087),
        (1.5, 7.0, 5042.0),
    ],
    "special.chebyshev_polynomial_u": [
        (0.3, 3.0, -0.984),
        (-0.9, 10.0, -2.2234571776000007),
        (1.5, 7.0, 987.0),
        (0.99, 40.0, -3.2738864320770666),
    ],
    "special.shifted_chebyshev_polynomial_u": [
        (0.3, 3.0, 1.088),
        (0.9, 12.0, 1.453325357056001),
        (1.5, 7.0, 10864.0),
    ],
    "special.chebyshev_polynomial_v": [
        (0.3, 3.0, -0.344),
        (-0.9, 10.0, -4.4709124096),
        (1.5, 7.0, 610.0),
        (0.99, 40.0, 0.8542251630412455),
    ],
    "special.shifted_chebyshev_polynomial_v": [
        (0.3, 3.0, 1.448),
        (0.9, 12.0, -0.19884932710399905),
        (1.5, 7.0, 7953.0),
    ],
    "special.chebyshev_polynomial_w": [
        (0.3, 3.0, -1.624),
        (-0.9, 10.0, 0.02399805439999945),
        (1.5, 7.0, 1364.0),
        (0.99, 40.0, -7.401998027195379),
    ],
    "special.shifted_chebyshev_polynomial_w": [
        (0.3, 3.0, 0.7280000000000001),
        (0.9, 12.0, 3.105500041216001),
        (1.5, 7.0, 13775.0),
    ],
    "special.hermite_polynomial_h": [
        (0.3, 3.0, -3.384),
        (-0.9, 10.0, 26314.366684262397),
        (1.5, 7.0, 801.0),
        (-2.0, 4.0, 76.0),
    ],
    "special.hermite_polynomial_he": [
        (0.3, 3.0, -0.873),
        (-0.9, 10.0, 1131.3204839901),
        (1.5, 7.0, 54.4921875),
        (-2.0, 4.0, -5.0),
    ],
    "special.laguerre_polynomial_l": [
        (0.3, 3.0, 0.2305),
        (-0.9, 10.0, 49.95278685093911),
        (1.5, 7.0, 0.5987583705357142),
        (-2.0, 4.0, 27.0),
    ],
    "special.legendre_polynomial_p": [
        (0.3, 3.0, -0.3825),
        (-0.9, 10.0, -0.26314561785585955),
        (1.5, 7.0, 192.37646484375),
        (-2.0, 4.0, 55.375),
    ],
}

# (shape, draw, slope)
GAMMA_SLOPES = [
    (0.3, 0.01, 0.14920695356145888),
    (0.3, 2.0, 3.5641103212469214),
    (2.0, 1.0, 0.7507786921262598),
    (2.0, 4.0, 1.5059739450020433),
    (50.0, 45.0, 0.9514101922116238),
    (50.0, 60.0, 1.0975795857767268),
]
# (part, alpha, total, slope)
DIRICHLET_SLOPES = [
    (0.01, 0.3, 1.0, 0.1683433753768963),
    (0.3, 2.0, 3.0, 0.2579941723555577),
    (0.7, 2.0, 5.0, 0.3067515481969157),
    (0.95, 4.0, 4.5, 0.2586105837338747),
]

FUNCTIONS = {**_ops.functions, **_ops.internal}


def double(x):
    return torch.tensor(x, dtype=torch.float64)


def call(name, arguments, dtype=torch.float64):
    tensors = [torch.tensor(x, dtype=dtype) for x in arguments]
    if name == "_polygamma":
        tensors[1] = int(arguments[1])
    return FUNCTIONS[name](*tensors)


@pytest.mark.parametrize("name", [*UNARY, *BINARY])
def test_values(name):
    for *arguments, value in {**UNARY, **BINARY}[name]:
        error = abs(call(name, arguments).item() - value)
        assert error <= 5e-14 * max(abs(value), 1e-300), arguments
        if abs(value) < 3e38:
            single = call(name, arguments, torch.float32)
            assert single.dtype == torch.float32


@pytest.mark.parametrize("name", sorted(UNARY))
def test_integers_are_taken_as_floats(name):
    x = torch.tensor([1, 2], dtype=torch.int32)
    result = FUNCTIONS[name](x)
    assert result.dtype == torch.float32
    assert torch.allclose(result, FUNCTIONS[name](x.double()).float(), equal_nan=True)
    assert FUNCTIONS[name](x.double()[:0]).shape == (0,)


def test_public_names():
    missing = [n for n in UNARY if n.startswith("special.") and not hasattr(torch.special, n[8:])]
    assert not missing
    for name in "digamma erfinv i0 igamma igammac lgamma mvlgamma polygamma sinc".split():
        assert hasattr(torch.Tensor, name) and hasattr(torch.Tensor, name + "_"), name


DIFFERENTIABLE = {
    "digamma": [0.3, 2.5],
    "lgamma": [0.3, 2.5],
    "_trigamma": [0.3, 2.5],
    "erfinv": [-0.3, 0.8],
    "special.erfcx": [-1.0, 3.0],
    "special.ndtr": [-1.0, 3.0],
    "special.ndtri": [0.1, 0.8],
    "special.log_ndtr": [-3.0, 2.0],
    "special.entr": [0.2, 3.0],
    "special.i0": [-1.5, 9.0],
    "special.i0e": [-1.5, 9.0],
    "special.i1": [-1.5, 9.0],
    "special.i1e": [-1.5, 9.0],
    "sinc": [0.3, -1.7],
    "logit": [0.2, 0.9],
}


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradients(name):
    x = double(DIFFERENTIABLE[name]).requires_grad_()
    assert gradcheck(FUNCTIONS[name], (x,))
    assert gradgradcheck(FUNCTIONS[name], (x,))


def test_gradients_of_two_arguments():
    x, z = double([0.5, 2.0]).requires_grad_(), double([1.5, 0.7]).requires_grad_()
    for name in ("special.xlog1py", "xlogy", "float_power", "logaddexp"):
        assert gradcheck(FUNCTIONS[name], (x, z))
        assert gradgradcheck(FUNCTIONS[name], (x, z))
    for f in (torch.igamma, torch.igammac):
        assert gradcheck(lambda z, f=f: f(x.detach(), z), (z,))
        assert gradgradcheck(lambda z, f=f: f(x.detach(), z), (z,))
    assert gradcheck(lambda z: torch.special.zeta(2.5, z), (z,))
    assert gradgradcheck(lambda z: torch.special.zeta(2.5, z), (z,))
    for n in range(4):
        assert gradcheck(lambda x, n=n: torch.polygamma(n, x), (x,))
        assert gradgradcheck(lambda x, n=n: torch.polygamma(n, x), (x,))
    assert gradgradcheck(lambda x: torch.mvlgamma(x + 2, 3), (x,))
    assert gradcheck(lambda x: torch.frexp(x).mantissa, (z,))
    assert gradgradcheck(lambda x: torch.frexp(x).mantissa, (z,))
    assert gradgradcheck(lambda x, z: torch.ldexp(x, z), (x, z))


@pytest.mark.parametrize("f", [torch.igamma, torch.special.gammaincc, torch.special.zeta])
def test_a_gradient_that_is_not_there_is_an_error(f):
    a = double([2.5]).requires_grad_()
    for create_graph in (False, True):
        y = f(a, double([1.5]))
        with pytest.raises(RuntimeError, match="not implemented"):
            torch.autograd.grad(y.sum(), a, create_graph=create_graph)


def test_not_differentiable():
    x = double([0.5]).requires_grad_()
    assert not torch.special.bessel_j0(x).requires_grad
    assert not torch.special.hermite_polynomial_h(x, 3).requires_grad


def test_edges():
    inf, nan = float("inf"), float("nan")
    assert torch.erfinv(double([1.0, -1.0])).tolist() == [inf, -inf]
    assert torch.erfinv(double([1.1])).isnan().all()
    assert torch.special.ndtri(double([0.0, 1.0])).tolist() == [-inf, inf]
    assert torch.special.erfcx(double([-30.0, inf])).tolist() == [inf, 0.0]
    assert torch.special.entr(double([0.0, -1.0])).tolist() == [0.0, -inf]
    assert torch.special.zeta(double([1.0]), double([2.0])).tolist() == [inf]
    assert torch.special.modified_bessel_k0(double([0.0])).tolist() == [inf]
    assert torch.special.bessel_y0(double([0.0, -1.0])).nan_to_num(7.0, inf, -inf)[1] == 7.0
    assert torch.special.hermite_polynomial_he(double([2.0]), double([-1.0])).tolist() == [0.0]
    assert torch.igamma(double([0.0, 2.0]), double([1.0, 0.0])).tolist() == [1.0, 0.0]
    assert torch.igammac(double([0.0, 2.0]), double([1.0, 0.0])).tolist() == [0.0, 1.0]
    assert torch.special.xlog1py(double([0.0]), double([nan])).isnan().all()


def test_zeta_far_below_zero():
    # as good as the sum over all integers: pi^2 / sin(pi q)^2
    assert abs(torch.special.zeta(2.0, double(-1e15 - 0.5)).item() - torch.pi**2) < 1e-13


def test_large_incomplete_gamma():
    # P(a, a) = 1/2 + 1/3 (2 pi a)^(-1/2) + ... (DLMF 8.11.12)
    for a in (2e4, 1e6, 1e9):
        p = torch.igamma(double(a), double(a)).item()
        assert abs(p - 0.5 - (2 * torch.pi * a) ** -0.5 / 3) < 1 / a
    a = double(3e4)
    x = a * (1 + torch.linspace(-0.05, 0.05, 21, dtype=torch.float64))
    total = torch.igamma(a, x) + torch.igammac(a, x)
    assert torch.allclose(total, torch.ones_like(total), atol=1e-14)
    assert (torch.igamma(a, x).diff() >= 0).all() if hasattr(torch.Tensor, "diff") else True


def test_draws_move_with_their_parameters():
    for a, x, slope in GAMMA_SLOPES:
        assert abs(torch._standard_gamma_grad(double(a), double(x)).item() / slope - 1) < 1e-12
    for x, a, total, slope in DIRICHLET_SLOPES:
        got = torch._dirichlet_grad(double(x), double(a), double(total)).item()
        assert abs(got / slope - 1) < 1e-12
    alpha = double([0.5, 2.0, 30.0]).requires_grad_()
    draw = torch._standard_gamma(alpha)
    draw.sum().backward()
    assert torch.equal(alpha.grad, torch._standard_gamma_grad(alpha.detach(), draw.detach()))
    alpha.grad = None
    rows = torch._sample_dirichlet(alpha)
    rows.sum().backward()  # a constant
    assert alpha.grad.abs().max() < 1e-12


def test_frexp_and_ldexp():
    x = torch.tensor([0.0, 1.0, -6.5, 1e-40, 3e38])
    mantissa, exponent = torch.frexp(x)
    assert exponent.dtype == torch.int32
    assert torch.equal(torch.ldexp(mantissa.double(), exponent).float(), x)
    tiny = torch.tensor([1e-300], dtype=torch.float64)
    assert torch.ldexp(tiny, torch.tensor([2000])).item() == 1e-300 * 2.0**1000 * 2.0**1000
    half = torch.tensor([1.5], dtype=torch.float16)
    assert torch.ldexp(half, torch.tensor([3])).dtype == torch.float16
    assert ((mantissa.abs() >= 0.5) & (mantissa.abs() < 1))[1:].all()
    with pytest.raises(RuntimeError):
        torch.frexp(torch.tensor([1]))


def test_float_power_is_in_double_precision():
    x = torch.tensor([2, 3])
    assert torch.float_power(x, 2).dtype == torch.float64
    assert torch.float_power(2.0, x).tolist() == [4.0, 8.0]
    assert torch.float_power(torch.tensor([1j]), 2).dtype == torch.complex128
    with pytest.raises(RuntimeError):
        torch.tensor([2.0]).float_power_(2)
    assert torch.tensor([2.0], dtype=torch.float64).float_power_(3).item() == 8


def test_in_place_and_out():
    x = double([0.5, 1.5])
    for name in ("i0", "digamma", "lgamma", "sinc"):
        assert torch.equal(getattr(x.clone(), name + "_")(), getattr(torch, name)(x))
    assert torch.equal(x.clone().polygamma_(1), torch.polygamma(1, x))
    assert torch.equal(x.add(1).mvlgamma_(2), torch.mvlgamma(x + 1, 2))
    assert torch.equal(x.clone().igamma_(x), torch.special.gammainc(x, x))
    out = torch.empty(0, dtype=torch.float64)
    assert torch.special.zeta(2.0, x, out=out) is out and out.shape == (2,)


def test_numbers_stand_where_pytorch_takes_them():
    x = torch.tensor([2.0, 3.0])
    assert torch.add(2, 3).item() == 5
    assert torch.pow(2, x).tolist() == [4.0, 8.0]
    assert torch.special.xlog1py(x, 1.0).shape == (2,)
    for f in (torch.pow, torch.eq, torch.remainder, torch.special.zeta, torch.bitwise_and):
        with pytest.raises(TypeError):
            f(2, 3)
    for f in (torch.atan2, torch.maximum, torch.logaddexp, torch.hypot, torch.igamma):
        with pytest.raises(TypeError):
            f(x, 2)
    with pytest.raises(TypeError):
        torch.eq(2, x)
    with pytest.raises(RuntimeError, match="negative n"):
        torch.polygamma(-1, x)


def test_complex_sinc_and_logaddexp():
    x = torch.tensor([0.0, 0.5 + 0.25j], dtype=torch.complex128)
    z = x * torch.pi
    assert torch.allclose(torch.sinc(x)[1], z[1].sin() / z[1])
    assert torch.sinc(x)[0] == 1
    assert torch.allclose(torch.logaddexp(x, x + 1), (x.exp() + (x + 1).exp()).log())
    assert gradcheck(torch.sinc, (x.clone().requires_grad_(),))
    assert gradcheck(torch.logaddexp, (x.clone().requires_grad_(), (x + 1).requires_grad_()))


def test_lgamma_and_trigamma_along_the_line():
    x = torch.cat([torch.linspace(0.001, 20, 1999), torch.linspace(-9.75, -0.25, 20)]).double()
    wanted = torch.tensor([math.lgamma(v) for v in x.float().tolist()])
    assert torch.allclose(x.float().lgamma(), wanted, 2e-6, 2e-6)
    # trigamma(x) = trigamma(x + 1) + 1 / x^2, and at 1, 1/2 and -1/2 it is known
    known = torch.polygamma(1, torch.tensor([1.0, 0.5, -0.5], dtype=torch.float64))
    wanted = torch.tensor([math.pi**2 / 6, math.pi**2 / 2, math.pi**2 / 2 + 4]).double()
    assert torch.allclose(known, wanted, 1e-6, 0)
    y = torch.polygamma(1, x)
    assert torch.allclose(y, torch.polygamma(1, x + 1) + x**-2, 1e-11, 0)
    assert torch.allclose(torch.polygamma(1, x.float()).double(), y, 1e-4, 0)
    assert torch.allclose(torch.polygamma(0, x), torch.digamma(x))


def test_incomplete_gamma_functions_of_float():
    torch.manual_seed(0)
    a, x = torch.rand(4000) * 12, torch.rand(4000) * 12
    for f in (torch.special.gammainc, torch.special.gammaincc):
        assert torch.allclose(f(a, x).double(), f(a.double(), x.double()), 2e-6, 1e-7)
