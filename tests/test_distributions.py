"""Distributions against mathematics: densities that integrate to 1, draws whose moments agree."""

import copy
import math
import pickle

import pytest

import flambeau as torch
from flambeau import distributions as D
from flambeau.distributions import constraints, transforms

TWO = torch.tensor([0.7, 2.5])
CONTINUOUS = {
    "Normal": lambda: D.Normal(torch.tensor([0.0, 1.5]), TWO),
    "Cauchy": lambda: D.Cauchy(torch.tensor([0.0, 1.5]), TWO),
    "Laplace": lambda: D.Laplace(torch.tensor([0.0, 1.5]), TWO),
    "Gumbel": lambda: D.Gumbel(torch.tensor([0.0, 1.5]), TWO),
    "LogNormal": lambda: D.LogNormal(torch.tensor([0.0, 0.5]), torch.tensor([0.5, 0.3])),
    "HalfNormal": lambda: D.HalfNormal(TWO),
    "HalfCauchy": lambda: D.HalfCauchy(TWO),
    "Uniform": lambda: D.Uniform(torch.tensor([-1.0, 2.0]), torch.tensor([0.0, 5.0])),
    "StudentT": lambda: D.StudentT(torch.tensor([5.0, 9.0]), 1.0, TWO),
    "Gamma": lambda: D.Gamma(torch.tensor([1.5, 4.0]), TWO),
    "Chi2": lambda: D.Chi2(torch.tensor([3.0, 6.0])),
    "Exponential": lambda: D.Exponential(TWO),
    "Beta": lambda: D.Beta(torch.tensor([1.5, 4.0]), torch.tensor([2.5, 1.5])),
    "FisherSnedecor": lambda: D.FisherSnedecor(torch.tensor([3.0, 6.0]), torch.tensor([9.0, 12.0])),
    "InverseGamma": lambda: D.InverseGamma(torch.tensor([3.5, 6.0]), TWO),
    "Kumaraswamy": lambda: D.Kumaraswamy(torch.tensor([1.5, 2.0]), torch.tensor([2.0, 3.0])),
    "Pareto": lambda: D.Pareto(TWO, torch.tensor([3.5, 5.0])),
    "Weibull": lambda: D.Weibull(TWO, torch.tensor([1.5, 3.0])),
    "GeneralizedPareto": lambda: D.GeneralizedPareto(0.5, TWO, torch.tensor([0.1, 0.2])),
    "ContinuousBernoulli": lambda: D.ContinuousBernoulli(torch.tensor([0.3, 0.9])),
    "RelaxedBernoulli": lambda: D.RelaxedBernoulli(torch.tensor(0.9), torch.tensor([0.3, 0.6])),
}
DISCRETE = {
    "Bernoulli": lambda: D.Bernoulli(torch.tensor([0.3, 0.9])),
    "Binomial": lambda: D.Binomial(5, torch.tensor([0.3, 0.9])),
    "Geometric": lambda: D.Geometric(torch.tensor([0.3, 0.9])),
    "NegativeBinomial": lambda: D.NegativeBinomial(3, torch.tensor([0.3, 0.5])),
    "Poisson": lambda: D.Poisson(torch.tensor([0.7, 3.0])),
    "Categorical": lambda: D.Categorical(torch.tensor([[1.0, 2.0, 3.0], [4.0, 1.0, 1.0]])),
}
VECTORS = {
    "Dirichlet": lambda: D.Dirichlet(torch.tensor([[1.5, 2.0, 4.0], [3.0, 1.0, 0.5]])),
    "Multinomial": lambda: D.Multinomial(4, torch.tensor([[1.0, 2.0, 3.0], [4.0, 1.0, 1.0]])),
    "OneHotCategorical": lambda: D.OneHotCategorical(torch.tensor([[1.0, 2.0], [4.0, 1.0]])),
    "LogisticNormal": lambda: D.LogisticNormal(torch.zeros(2, 2), torch.ones(2, 2)),
    "RelaxedOneHotCategorical": lambda: D.RelaxedOneHotCategorical(
        torch.tensor(0.7), torch.tensor([[1.0, 2.0], [4.0, 1.0]])
    ),
    "LKJCholesky": lambda: D.LKJCholesky(3, torch.tensor([0.7, 2.0])),
}
if hasattr(torch.special, "i0e"):
    VECTORS["VonMises"] = lambda: D.VonMises(torch.tensor([0.0, 2.0]), torch.tensor([1.0, 9.0]))
EVERY = CONTINUOUS | DISCRETE | VECTORS


def grid(d):
    """Points and weights that cover the support; the first dimension is the grid's."""
    support = d.support
    low = getattr(support, "lower_bound", -math.inf)
    high = getattr(support, "upper_bound", math.inf)
    t = torch.linspace(-6, 6, 20001, dtype=torch.float64).unsqueeze(-1)
    if not isinstance(high, float) or high != math.inf:  # an interval, by tanh
        low, high = (torch.as_tensor(v).double() for v in (low, high))
        u = (torch.tanh(3 * t) + 1) / 2
        return low + u * (high - low), (high - low) * 1.5 * (1 - torch.tanh(3 * t) ** 2)
    if isinstance(low, float) and low == -math.inf:  # the line, by sinh
        return torch.sinh(2 * t), 2 * torch.cosh(2 * t)
    t = t * 3
    return torch.as_tensor(low).double() + t.exp(), t.exp() * 3


def integral(d, values):
    x, weight = grid(d)
    return (values(x) * weight).sum(0) * (12 / 20000)


@pytest.mark.parametrize("name", CONTINUOUS)
def test_densities_integrate_to_one_and_have_the_moments_they_say(name):
    d = CONTINUOUS[name]()
    density = lambda x: d.log_prob(x).exp().nan_to_num(0.0)  # noqa: E731
    d._validate_args = False
    total = integral(d, density)
    tolerance = 0.01 if "Cauchy" in name else 2e-3
    assert (total - 1).abs().max() < tolerance
    if "Cauchy" in name or name == "RelaxedBernoulli":
        return
    mean = integral(d, lambda x: x * density(x))
    assert (mean - d.mean).abs().max() < 5e-3
    spread = integral(d, lambda x: (x - d.mean) ** 2 * density(x))
    assert ((spread - d.variance) / d.variance).abs().max() < 0.05
    if name in ("FisherSnedecor", "RelaxedBernoulli"):
        return
    entropy = integral(d, lambda x: -(d.log_prob(x) * density(x)).nan_to_num(0.0))
    assert (entropy - d.entropy()).abs().max() < 5e-3


@pytest.mark.parametrize("name", DISCRETE)
def test_probabilities_sum_to_one_and_have_the_moments_they_say(name):
    d = DISCRETE[name]()
    if d.has_enumerate_support:
        values = d.enumerate_support()
        assert values.shape[1:] == d.batch_shape
        assert d.enumerate_support(expand=False).shape == (len(values), 1)
    else:
        values = torch.arange(200.0).unsqueeze(-1).expand(200, 2)
    p = d.log_prob(values).exp()
    assert (p.sum(0) - 1).abs().max() < 1e-4
    if name == "Categorical":
        assert d.mean.isnan().all()
        return
    assert ((p * values).sum(0) - d.mean).abs().max() < 1e-3
    assert ((p * (values - d.mean) ** 2).sum(0) - d.variance).abs().max() < 1e-2


@pytest.mark.parametrize("name", EVERY)
def test_draws_have_the_shape_and_lie_in_the_support(name):
    torch.manual_seed(0)
    d = EVERY[name]()
    for shape in ((), (3,), (4, 3)):
        x = d.sample(shape)
        assert x.shape == torch.Size(shape) + d.batch_shape + d.event_shape
        assert not x.requires_grad
        assert d.support.check(x).all()
    wide = d.expand([5, 2])
    assert wide.batch_shape == (5, 2) and wide.event_shape == d.event_shape
    assert type(wide) is type(d)
    x = wide.sample((3,))
    assert wide.log_prob(x).shape == (3, 5, 2)
    assert torch.equal(wide.log_prob(x), d.log_prob(x))
    twin = pickle.loads(pickle.dumps(d))
    assert torch.equal(twin.log_prob(x), d.log_prob(x))
    assert torch.equal(copy.deepcopy(d).log_prob(x), d.log_prob(x))


NO_MOMENTS = ("Cauchy", "HalfCauchy", "Categorical", "VonMises", "LKJCholesky", "LogisticNormal")


@pytest.mark.parametrize("name", [n for n in EVERY if n not in NO_MOMENTS and "Relaxed" not in n])
def test_moments_of_draws(name):
    torch.manual_seed(1)
    d = EVERY[name]()
    x = d.sample((20000,)).double()
    error = 6 * (d.variance.double() / 20000).sqrt()
    assert ((x.mean(0) - d.mean).abs() < error + 1e-6).all()
    assert ((x.var(0) / d.variance - 1).abs() < 0.5).all()


@pytest.mark.parametrize(
    "name", ["Normal", "Cauchy", "Laplace", "Gumbel", "HalfCauchy", "Uniform", "Exponential"]
    + ["Kumaraswamy", "Pareto", "Weibull", "GeneralizedPareto", "ContinuousBernoulli"],
)  # fmt: skip
def test_icdf_inverts_cdf(name):
    d = CONTINUOUS[name]()
    if name == "Normal" and not hasattr(torch, "erfinv"):
        pytest.skip("erfinv is not there")
    p = torch.tensor([[0.1], [0.4], [0.8]]).expand(3, 2)
    assert (d.cdf(d.icdf(p)) - p).abs().max() < 1e-5
    x = d.icdf(p).detach().requires_grad_()
    (slope,) = torch.autograd.grad(d.cdf(x).sum(), x)
    assert (slope - d.log_prob(x).exp()).abs().max() < 1e-4


def test_normal_draws_are_those_of_the_generator():
    torch.manual_seed(3)
    want = torch.normal(torch.zeros(4), torch.ones(4)) * 2 + 1
    torch.manual_seed(3)
    assert torch.allclose(D.Normal(1.0, 2.0).sample((4,)), want)
    torch.manual_seed(3)
    assert torch.allclose(D.Normal(1.0, 2.0).rsample((4,)), want)


@pytest.mark.parametrize("name", [n for n in EVERY if EVERY[n]().has_rsample])
def test_gradients_reach_the_parameters(name):
    base = EVERY[name]()
    names = [n for n in type(base).arg_constraints if isinstance(getattr(base, n), torch.Tensor)]
    first = "temperature" if "Relaxed" in name else names[0]
    params = {n: getattr(base, n).detach().clone() for n in names}
    if "probs" in params:
        params.pop("logits", None)
    if "Relaxed" in name:
        params["temperature"] = torch.tensor(0.8)
    leaf = params[first].requires_grad_()
    x = type(base)(**params).rsample((5,))
    assert x.requires_grad
    (grad,) = torch.autograd.grad(x.double().pow(2).sum(), leaf)
    assert grad.isfinite().all()


def quantile_gradient(d_of, a, x, step=1e-4):
    """dx/da at a fixed probability, from the density: -(dF/da) / f by a midpoint sum."""
    n = 200000
    t = (torch.arange(n, dtype=torch.float64) + 0.5) / n * x
    above, below = d_of(a + step), d_of(a - step)
    slope = (above.log_prob(t).exp() - below.log_prob(t).exp()).sum() * x / n / (2 * step)
    return -slope / d_of(a).log_prob(x).exp()


@pytest.mark.parametrize("a", [1.3, 4.0, 40.0])
@pytest.mark.parametrize("z", [0.5, 1.0, 1.6])
def test_gamma_gradient(a, z):
    from flambeau.distributions._implicit import gamma_gradient

    x = torch.tensor(a * z, dtype=torch.float64)
    a = torch.tensor(a, dtype=torch.float64)
    want = quantile_gradient(lambda a: D.Gamma(a, torch.ones_like(a)), a, x)
    assert math.isclose(gamma_gradient(a, x).item(), want.item(), rel_tol=1e-3)


@pytest.mark.parametrize("a", [2.3, 4.0, 30.0])
@pytest.mark.parametrize("x", [0.1, 0.5, 0.8])
def test_beta_gradient(a, x):
    from flambeau.distributions._implicit import beta_gradient

    a, b, x = (torch.tensor(v, dtype=torch.float64) for v in (a, 6.0, x))
    want = quantile_gradient(lambda a: D.Beta(a, b), a, x)
    assert math.isclose(beta_gradient(x, a, b).item(), want.item(), rel_tol=2e-3)


def test_gradient_of_large_and_small_shapes():
    from flambeau.distributions._implicit import gamma_gradient

    # For large shapes a draw moves as its shape does; for small ones as x / shape**2 log(1 / u).
    a = torch.tensor([9.9e4, 1.1e5, 1e9], dtype=torch.float64)
    assert (gamma_gradient(a, a) - 1).abs().max() < 1e-4
    tiny = gamma_gradient(torch.tensor(0.01), torch.tensor(1e-20))
    assert tiny > 0 and tiny.isfinite()


# -- divergences -----------------------------------------------------------------------------------

PAIRS = [
    ("Normal", "Laplace"), ("Normal", "Gumbel"), ("Laplace", "Normal"), ("Gumbel", "Gumbel"),
    ("Exponential", "Gamma"), ("Gamma", "Exponential"), ("Gamma", "Gumbel"), ("Beta", "Uniform"),
    ("Uniform", "Normal"), ("Gamma", "Gamma"), ("Beta", "Beta"), ("Pareto", "Exponential"),
    ("Cauchy", "Cauchy"), ("Laplace", "Laplace"), ("HalfNormal", "HalfNormal"),
    ("Uniform", "Gumbel"), ("Exponential", "Exponential"), ("Pareto", "Pareto"),
    ("ContinuousBernoulli", "Exponential"), ("Beta", "ContinuousBernoulli"),
]  # fmt: skip


@pytest.mark.parametrize("p,q", PAIRS)
def test_kl_is_the_mean_log_ratio(p, q):
    p, q = CONTINUOUS[p](), CONTINUOUS[q]()
    if isinstance(q, D.Uniform):
        q = D.Uniform(-1.0, 3.0)
    if isinstance(q, D.Pareto):
        q = D.Pareto(TWO * 0.9, torch.tensor([2.0, 3.0]))
    elif type(p) is type(q):
        q = type(p)(*(getattr(p, n) * 1.3 for n in type(p).arg_constraints))
    p._validate_args = q._validate_args = False

    def ratio(x):
        log_p = p.log_prob(x)
        return (log_p.exp() * (log_p - q.log_prob(x))).nan_to_num(0.0, 0.0, 0.0)

    want = integral(p, ratio)
    assert (D.kl_divergence(p, q) - want).abs().max() < 2e-2


def test_kl_of_discrete_and_of_vectors():
    p, q = DISCRETE["Bernoulli"](), D.Bernoulli(torch.tensor([0.5, 0.2]))
    values = p.enumerate_support()
    want = (p.log_prob(values).exp() * (p.log_prob(values) - q.log_prob(values))).sum(0)
    assert torch.allclose(D.kl_divergence(p, q), want, atol=1e-6)
    assert D.kl_divergence(D.Bernoulli(0.5), D.Bernoulli(0.0)).item() == math.inf
    p = DISCRETE["Categorical"]()
    assert torch.allclose(D.kl_divergence(p, p), torch.zeros(2))
    a = D.Independent(D.Normal(torch.zeros(3), torch.ones(3)), 1)
    b = D.Independent(D.Normal(torch.ones(3), torch.ones(3)), 1)
    assert torch.allclose(D.kl_divergence(a, b), torch.tensor(1.5))
    with pytest.raises(NotImplementedError):
        D.kl_divergence(D.VonMises(0.0, 1.0), D.Normal(0.0, 1.0))


def test_register_kl_prefers_the_nearest_classes():
    class Mine(D.Normal):
        pass

    assert D.kl_divergence(Mine(0.0, 1.0), D.Normal(0.0, 1.0)) == 0

    @D.register_kl(Mine, D.Normal)
    def _(p, q):
        return "mine"

    assert D.kl_divergence(Mine(0.0, 1.0), D.Normal(0.0, 1.0)) == "mine"
    with pytest.raises(TypeError):
        D.register_kl("Mine", D.Normal)


# -- what is wrong ---------------------------------------------------------------------------------


def test_parameters_and_samples_are_checked():
    with pytest.raises(ValueError, match="parameter scale"):
        D.Normal(0.0, -1.0)
    with pytest.raises(ValueError, match="probs"):
        D.Bernoulli(torch.tensor([0.5, 1.5]))
    with pytest.raises(ValueError, match="support"):
        D.Exponential(1.0).log_prob(torch.tensor(-1.0))
    with pytest.raises(ValueError, match="event_shape"):
        D.Dirichlet(torch.ones(3)).log_prob(torch.ones(2) / 2)
    with pytest.raises(ValueError, match="broadcastable"):
        D.Normal(torch.zeros(3), 1.0).log_prob(torch.zeros(2))
    with pytest.raises(ValueError, match="Tensor"):
        D.Normal(0.0, 1.0).log_prob(0.0)
    with pytest.raises(ValueError):
        D.Bernoulli()
    with pytest.raises(ValueError):
        D.Uniform(1.0, 0.0)
    with pytest.raises(NotImplementedError):
        D.Dirichlet(torch.ones(2)).cdf(torch.ones(2) / 2)
    D.Normal(0.0, -1.0, validate_args=False)


def test_a_subclass_with_its_own_init_must_expand_itself():
    class Mine(D.Normal):
        def __init__(self):
            super().__init__(0.0, 1.0)

    with pytest.raises(NotImplementedError):
        Mine().expand([2])


def test_default_validation_can_be_switched_off():
    try:
        D.Distribution.set_default_validate_args(False)
        D.Normal(0.0, -1.0)
    finally:
        D.Distribution.set_default_validate_args(True)
    with pytest.raises(ValueError):
        D.Distribution.set_default_validate_args(None)


# -- compositions ----------------------------------------------------------------------------------


def test_independent_and_mixture():
    base = D.Normal(torch.zeros(4, 3), torch.ones(3))
    d = D.Independent(base, 1)
    assert d.batch_shape == (4,) and d.event_shape == (3,)
    x = d.sample()
    assert torch.allclose(d.log_prob(x), base.log_prob(x).sum(-1))
    assert torch.allclose(d.entropy(), base.entropy().sum(-1))
    parts = D.Normal(torch.tensor([-2.0, 3.0]), torch.tensor([1.0, 0.5]))
    mix = D.MixtureSameFamily(D.Categorical(torch.tensor([0.25, 0.75])), parts)
    x = torch.tensor([0.3, 2.0])
    weights = torch.tensor([0.25, 0.75])
    want = (weights * parts.log_prob(x.unsqueeze(-1)).exp()).sum(-1).log()
    assert torch.allclose(mix.log_prob(x), want)
    assert torch.allclose(mix.mean, torch.tensor(1.75))
    assert mix.sample((5, 2)).shape == (5, 2)
    assert mix.expand([3]).sample().shape == (3,)
    with pytest.raises(ValueError):
        D.MixtureSameFamily(parts, parts)


def test_transformed_distribution_changes_the_density():
    d = D.TransformedDistribution(
        D.Normal(0.0, 1.0), [transforms.AffineTransform(1.0, -2.0), transforms.ExpTransform()]
    )
    want = D.LogNormal(1.0, 2.0)
    x = torch.tensor([0.5, 1.0, 4.0])
    assert torch.allclose(d.log_prob(x), want.log_prob(x))
    assert torch.allclose(d.cdf(x), want.cdf(x), atol=1e-6)
    assert d.support is constraints.positive or d.support.check(x).all()


# -- transforms and constraints --------------------------------------------------------------------

MAPS = [
    transforms.ExpTransform(), transforms.SigmoidTransform(), transforms.TanhTransform(),
    transforms.SoftplusTransform(), transforms.AffineTransform(1.0, torch.tensor([2.0, -3.0])),
    transforms.ComposeTransform([transforms.AffineTransform(0.5, 2.0), transforms.ExpTransform()]),
    transforms.CumulativeDistributionTransform(D.Cauchy(0.0, 1.0)),
    transforms.StackTransform([transforms.ExpTransform(), transforms.TanhTransform()], dim=-1),
    transforms.CatTransform([transforms.ExpTransform(), transforms.TanhTransform()], dim=-1),
]  # fmt: skip


@pytest.mark.parametrize("t", MAPS, ids=lambda t: type(t).__name__)
def test_elementwise_transforms(t):
    x = torch.tensor([[0.3, -0.7], [1.1, 0.2]], requires_grad=True)
    y = t(x)
    assert torch.allclose(t.inv(y), x, atol=1e-5)
    assert t.inv.inv is t or t.inv.inv == t
    (slope,) = torch.autograd.grad(y.sum(), x)
    assert torch.allclose(t.log_abs_det_jacobian(x, y), slope.abs().log(), atol=1e-5)
    assert torch.allclose(t.inv.log_abs_det_jacobian(y, x), -slope.abs().log(), atol=1e-5)
    assert t.codomain.check(y).all()


@pytest.mark.parametrize(
    "t", [transforms.StickBreakingTransform(), transforms.CorrCholeskyTransform()]
)
def test_vector_transforms(t):
    x = torch.tensor([0.3, -0.7, 0.4], dtype=torch.float64)
    y = t(x)
    assert t.forward_shape(x.shape) == y.shape and t.inverse_shape(y.shape) == x.shape
    assert t.codomain.check(y).all()
    assert torch.allclose(t.inv(y), x)

    def coordinates(x):
        y = t(x)
        return y[:-1] if y.dim() == 1 else torch.stack([y[1, 0], y[2, 0], y[2, 1]])

    columns = []
    for i in range(3):
        e = torch.zeros(3, dtype=torch.float64)
        e[i] = 1e-6
        columns.append((coordinates(x + e) - coordinates(x - e)) / 2e-6)
    (a, b, c), (d, e, f), (g, h, i) = (column.tolist() for column in columns)
    det = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    assert math.isclose(t.log_abs_det_jacobian(x, y).item(), math.log(abs(det)), rel_tol=1e-5)


def test_transform_caches_and_equality():
    t = transforms.ExpTransform(cache_size=1)
    x = torch.randn(3)
    assert t.inv(t(x)) is x
    assert transforms.ExpTransform() == transforms.ExpTransform()
    assert transforms.AffineTransform(0, 1) != transforms.AffineTransform(0, 2)
    assert t.with_cache(0)._cache_size == 0
    with pytest.raises(ValueError):
        transforms.ExpTransform(cache_size=2)


@pytest.mark.parametrize(
    "constraint",
    [
        constraints.real, constraints.positive, constraints.nonnegative, constraints.unit_interval,
        constraints.greater_than(2.0), constraints.less_than(-1.0), constraints.interval(-1.0, 4.0),
        constraints.half_open_interval(0.0, 3.0), constraints.simplex, constraints.lower_cholesky,
        constraints.independent(constraints.positive, 1),
        constraints.stack([constraints.positive, constraints.real, constraints.unit_interval], -1),
    ],
    ids=str,
)  # fmt: skip
def test_registries_reach_every_constraint(constraint):
    torch.manual_seed(0)
    for registry in (D.biject_to, D.transform_to):
        if registry is D.biject_to and constraint is constraints.lower_cholesky:
            with pytest.raises(NotImplementedError):  # the upper triangle is lost
                registry(constraint)
            continue
        x = torch.randn(4, 3, 3)
        t = registry(constraint)
        y = t(x)
        assert constraint.check(y).all()
        assert constraint.check(t(t.inv(y))).all()


def test_constraints():
    x = torch.tensor([-1.0, 0.0, 0.5, 1.0, 2.0])
    truth = lambda c: c.check(x).tolist()  # noqa: E731
    assert truth(constraints.boolean) == [False, True, False, True, False]
    assert truth(constraints.unit_interval) == [False, True, True, True, False]
    assert truth(constraints.nonnegative_integer) == [False, True, False, True, True]
    assert truth(constraints.positive) == [False, False, True, True, True]
    assert constraints.simplex.check(torch.tensor([[0.5, 0.5], [0.5, 0.6]])).tolist() == [
        True,
        False,
    ]
    assert constraints.lower_triangular.check(torch.eye(2)).item()
    assert not constraints.lower_triangular.check(torch.ones(2, 2)).item()
    assert constraints.one_hot.check(torch.tensor([0.0, 1.0])).item()
    assert constraints.is_dependent(D.Uniform.support)
    assert repr(constraints.positive) == "GreaterThan(lower_bound=0.0)"
    assert constraints.independent(constraints.real, 1).event_dim == 1
    with pytest.raises(ValueError):
        constraints.dependent.check(x)


def test_module_names_answer():
    from flambeau.distributions.normal import Normal

    from flambeau.distributions.kl import kl_divergence
    from flambeau.distributions.utils import broadcast_all

    assert Normal is D.Normal and kl_divergence is D.kl_divergence
    assert len(broadcast_all(1.0, 2.0)) == 2


matrices = pytest.mark.skipif(not hasattr(torch.linalg, "eigvalsh"), reason="needs linalg.eigvalsh")


@matrices
def test_multivariate_normal():
    torch.manual_seed(0)
    a = torch.randn(3, 3, dtype=torch.float64)
    covariance = a @ a.mT + 2 * torch.eye(3, dtype=torch.float64)
    loc = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    d = D.MultivariateNormal(loc, covariance)
    x = d.sample((20000,))
    assert (x.mean(0) - loc).abs().max() < 0.1
    centered = x - loc
    assert (centered.T @ centered / 20000 - covariance).abs().max() < 0.3
    inverse = torch.linalg.inv(covariance)
    z = x[0] - loc
    logdet = torch.linalg.slogdet(covariance)[1]
    want = -0.5 * (z @ inverse @ z + logdet + 3 * math.log(2 * math.pi))
    assert torch.allclose(d.log_prob(x[0]), want)
    for kind, matrix in (("precision_matrix", inverse), ("scale_tril", d.scale_tril)):
        other = D.MultivariateNormal(loc, **{kind: matrix})
        assert torch.allclose(other.log_prob(x[:5]), d.log_prob(x[:5]))
        assert torch.allclose(other.covariance_matrix, covariance)
    assert D.kl_divergence(d, other).abs() < 1e-9
    with pytest.raises(ValueError):
        D.MultivariateNormal(loc, covariance, inverse)


@matrices
def test_low_rank_is_the_dense_normal():
    torch.manual_seed(0)
    factor, diag = torch.randn(4, 2, dtype=torch.float64), torch.rand(4, dtype=torch.float64) + 0.5
    loc = torch.zeros(4, dtype=torch.float64)
    low = D.LowRankMultivariateNormal(loc, factor, diag)
    dense = D.MultivariateNormal(loc, factor @ factor.T + torch.diag(diag))
    x = low.sample((6,))
    assert torch.allclose(low.log_prob(x), dense.log_prob(x))
    assert torch.allclose(low.entropy(), dense.entropy())
    assert torch.allclose(low.precision_matrix, dense.precision_matrix)
    assert D.kl_divergence(low, dense).abs() < 1e-9


@matrices
def test_wishart():
    torch.manual_seed(0)
    scale = torch.tensor([[2.0, 0.5], [0.5, 1.0]])
    d = D.Wishart(torch.tensor(5.0), scale)
    x = d.sample((20000,))
    assert (x.mean(0) - d.mean).abs().max() < 0.3
    assert d.log_prob(x[:3]).isfinite().all()
    with pytest.raises(ValueError):
        D.Wishart(torch.tensor(0.5), scale)


def test_extreme_parameters():
    logits = torch.tensor([1e38, -1e38])
    d = D.ContinuousBernoulli(logits=logits)
    assert d.log_prob(torch.tensor([1.0, 0.0])).isfinite().all() and d.entropy().isfinite().all()
    x = torch.zeros((), requires_grad=True)
    D.Binomial(1.0, logits=x).log_prob(torch.tensor(0.0)).backward()
    assert x.grad.item() == -0.5
    draws = D.Beta(torch.tensor(0.01), torch.tensor(0.01)).sample((1000,))
    assert ((draws > 0) & (draws < 1)).all()
    at_least = D.constraints.greater_than_eq(torch.zeros(2))
    assert D.transform_to(at_least)(torch.zeros(2)).tolist() == [1.0, 1.0]
