"""Distributions beside SciPy's: densities, moments, quantiles, entropy, and draws; needs SciPy."""

import numpy as np
import pytest

import flambeau as torch
from flambeau import distributions as D

stats = pytest.importorskip("scipy.stats")


def double(*values):
    return [torch.tensor(v, dtype=torch.float64) for v in values]


CONTINUOUS = {
    "Beta": ((2.0, 3.0), stats.beta(2, 3)),
    "Cauchy": ((0.0, 2.0), stats.cauchy(0, 2)),
    "Chi2": ((3.0,), stats.chi2(3)),
    "Exponential": ((3.0,), stats.expon(scale=1 / 3)),
    "FisherSnedecor": ((4.0, 9.0), stats.f(4, 9)),
    "Gamma": ((0.4, 3.0), stats.gamma(0.4, scale=1 / 3)),
    "GeneralizedPareto": ((0.5, 2.0, 0.1), stats.genpareto(0.1, loc=0.5, scale=2)),
    "Gumbel": ((0.5, 2.0), stats.gumbel_r(0.5, 2)),
    "HalfCauchy": ((2.0,), stats.halfcauchy(scale=2)),
    "HalfNormal": ((2.0,), stats.halfnorm(scale=2)),
    "InverseGamma": ((3.0, 2.0), stats.invgamma(3, scale=2)),
    "Laplace": ((0.5, 2.0), stats.laplace(0.5, 2)),
    "LogNormal": ((0.5, 0.7), stats.lognorm(0.7, scale=np.exp(0.5))),
    "Normal": ((0.5, 1.5), stats.norm(0.5, 1.5)),
    "Pareto": ((1.5, 5.0), stats.pareto(5, scale=1.5)),
    "StudentT": ((5.0, 0.5, 2.0), stats.t(5, 0.5, 2)),
    "Uniform": ((-1.0, 2.0), stats.uniform(-1, 3)),
    "VonMises": ((0.5, 2.0), stats.vonmises(2, loc=0.5)),
    "Weibull": ((2.0, 1.5), stats.weibull_min(1.5, scale=2)),
}
DISCRETE = {
    "Bernoulli": ((0.3,), stats.bernoulli(0.3)),
    "Binomial": ((7.0, 0.4), stats.binom(7, 0.4)),
    "Geometric": ((0.3,), stats.geom(0.3, loc=-1)),
    "NegativeBinomial": ((4.0, 0.3), stats.nbinom(4, 0.7)),
    "Poisson": ((3.5,), stats.poisson(3.5)),
}


def made(name, arguments):
    return getattr(D, name)(*double(*arguments))


def close(ours, theirs):
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", CONTINUOUS | DISCRETE)
def test_against_scipy(name):
    arguments, other = (CONTINUOUS | DISCRETE)[name]
    own = made(name, arguments)
    torch.manual_seed(0)
    draws = own.sample((20_000,))
    density = other.logpmf if name in DISCRETE else other.logpdf
    close(own.log_prob(draws[:200]), density(draws[:200].numpy()))
    for call, wanted in (
        (own.entropy, other.entropy),
        (lambda: own.cdf(draws[:50]), lambda: other.cdf(draws[:50].numpy())),
        (lambda: own.icdf(*double([0.1, 0.5, 0.9])), lambda: other.ppf([0.1, 0.5, 0.9])),
    ):
        try:
            ours = call()
        except NotImplementedError:  # PyTorch has none either
            continue
        close(ours, wanted())
    if name in CONTINUOUS:
        assert stats.kstest(draws.numpy(), other.cdf).pvalue > 1e-4
    if name in ("Cauchy", "HalfCauchy", "VonMises"):  # no moments, or on a circle
        return
    close(own.mean, other.mean())
    close(own.variance, other.var())
    error = np.sqrt(other.var() / len(draws))
    assert abs(draws.mean().item() - other.mean()) < 5 * error


def test_distributions_of_vectors():
    mean, cov = np.array([0.5, -1.0]), np.array([[2.0, 0.3], [0.3, 1.0]])
    torch.manual_seed(0)
    for own, other in (
        (D.MultivariateNormal(*double(mean, cov)), stats.multivariate_normal(mean, cov)),
        (D.Dirichlet(*double([0.5, 2.0, 3.0])), stats.dirichlet([0.5, 2, 3])),
        (D.Wishart(*double(4.0, cov)), stats.wishart(4, cov)),
    ):
        draws = own.sample((50,))
        close(own.log_prob(draws), [other.logpdf(x) for x in draws.numpy()])
        close(own.entropy(), other.entropy())
    own, other = D.Multinomial(5, *double([0.2, 0.3, 0.5])), stats.multinomial(5, [0.2, 0.3, 0.5])
    draws = own.sample((50,))
    close(own.log_prob(draws), other.logpmf(draws.numpy()))
    close(own.entropy(), other.entropy())
