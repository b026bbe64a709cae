"""Divergences KL(p || q) between distributions, and the registry of their formulas."""

import math

import flambeau as torch

from . import _categories as categories
from . import _discrete as discrete
from . import _gamma as gamma
from . import _location_scale as loc_scale
from . import _multivariate as multivariate
from ._tails import Pareto
from ._transformed import Independent, TransformedDistribution
from .distribution import ExponentialFamily
from .utils import euler_constant, sum_rightmost

__all__ = ["kl_divergence", "register_kl"]

_KL_REGISTRY = {}
_KL_MEMOIZE = {}

Bernoulli, Binomial, Categorical = discrete.Bernoulli, discrete.Binomial, categories.Categorical
ContinuousBernoulli, Geometric, Poisson = (
    discrete.ContinuousBernoulli,
    discrete.Geometric,
    discrete.Poisson,
)
Beta, Dirichlet, Exponential, Gamma = (
    gamma.Beta,
    gamma.Dirichlet,
    gamma.Exponential,
    gamma.Gamma,
)
Cauchy, Gumbel, HalfNormal, Laplace, Normal, Uniform = (
    loc_scale.Cauchy,
    loc_scale.Gumbel,
    loc_scale.HalfNormal,
    loc_scale.Laplace,
    loc_scale.Normal,
    loc_scale.Uniform,
)


def register_kl(type_p, type_q):
    """Enters ``formula(p, q)`` for two classes of distributions; a decorator.

    >>> import flambeau as torch
    >>> D = torch.distributions
    >>> @D.register_kl(D.VonMises, D.VonMises)
    ... def _(p, q):
    ...     return torch.zeros(())
    """
    for cls, name in (type_p, "type_p"), (type_q, "type_q"):
        if not isinstance(cls, type):  # libraries enter classes that are like distributions
            raise TypeError(f"Expected {name} to be a Distribution subclass but got {cls}")

    def enter(formula):
        _KL_REGISTRY[type_p, type_q] = formula
        _KL_MEMOIZE.clear()
        return formula

    return enter


def _find(type_p, type_q):
    """The formula of the nearest classes; a warning where p and q disagree about which."""
    pairs = [
        (type_p.__mro__.index(a), type_q.__mro__.index(b), formula)
        for (a, b), formula in _KL_REGISTRY.items()
        if issubclass(type_p, a) and issubclass(type_q, b)
    ]
    if not pairs:
        return None
    left = min(pairs, key=lambda pair: pair[:2])
    right = min(pairs, key=lambda pair: pair[1::-1])
    if left[2] is not right[2]:
        import warnings

        warnings.warn(
            f"Ambiguous kl_divergence({type_p.__name__}, {type_q.__name__}). Please register_kl "
            "for the two classes.",
            RuntimeWarning,
            stacklevel=3,
        )
    return left[2]


def kl_divergence(p, q):
    """The divergence of p from q, the mean under p of log p - log q.

    >>> import flambeau as torch
    >>> D = torch.distributions
    >>> D.kl_divergence(D.Normal(0.0, 1.0), D.Normal(1.0, 1.0))
    tensor(0.5000)
    """
    key = type(p), type(q)
    if key not in _KL_MEMOIZE:
        _KL_MEMOIZE[key] = _find(*key)
    formula = _KL_MEMOIZE[key]
    if formula is None:
        raise NotImplementedError(
            f"No KL(p || q) is implemented for p type {type(p).__name__} and q type "
            f"{type(q).__name__}"
        )
    return formula(p, q)


# -- what means under p the densities q ask for ----------------------------------------------------
# KL = -entropy(p) - E_p[log q]; each q needs a few means of functions of p's variable.


def _mean_log(p):
    """E[log x]"""
    if isinstance(p, Beta):
        return p.concentration1.digamma() - (p.concentration1 + p.concentration0).digamma()
    if isinstance(p, Exponential):
        return -p.rate.log() - euler_constant
    if isinstance(p, Gamma):
        return p.concentration.digamma() - p.rate.log()
    if isinstance(p, Pareto):
        return p.scale.log() + p.alpha.reciprocal()
    low = p.low.clamp(min=0)  # a Uniform
    return (torch.xlogy(p.high, p.high) - torch.xlogy(low, low)) / (p.high - low) - 1


def _mean_exp(p, t):
    """E[exp(-t x)] for t > 0"""
    if isinstance(p, Exponential):
        return p.rate / (p.rate + t)
    if isinstance(p, Gamma):
        return (1 + t / p.rate).pow(-p.concentration)
    if isinstance(p, Normal):
        return (-p.loc * t + (p.scale * t).pow(2) / 2).exp()
    return ((-p.low * t).exp() - (-p.high * t).exp()) / (t * (p.high - p.low))  # a Uniform


def _under_normal(p, q):
    distance = (p.mean - q.loc).pow(2) + p.variance
    return q.scale.log() + 0.5 * math.log(2 * math.pi) + distance / (2 * q.scale.pow(2))


def _under_exponential(p, q):
    return q.rate * p.mean - q.rate.log()


def _under_gamma(p, q):
    a = q.concentration
    return a.lgamma() - a * q.rate.log() - (a - 1) * _mean_log(p) + q.rate * p.mean


def _under_gumbel(p, q):
    t = q.scale.reciprocal()
    return q.scale.log() + (p.mean - q.loc) * t + (q.loc * t).exp() * _mean_exp(p, t)


def _under_uniform(p, q):
    return (q.high - q.low).log()


def _under_pareto(p, q):
    return (q.alpha + 1) * _mean_log(p) - q.alpha.log() - q.alpha * q.scale.log()


def _under_beta(p, q):
    # of a Uniform, whose 1 - x is one too
    a, b = q.concentration1, q.concentration0
    mirrored = Uniform(1 - p.high, 1 - p.low, validate_args=False)
    normalizer = a.lgamma() + b.lgamma() - (a + b).lgamma()
    return normalizer - (a - 1) * _mean_log(p) - (b - 1) * _mean_log(mirrored)


def _under_continuous_bernoulli(p, q):
    return -p.mean * q.logits - (-q.probs).log1p() - q._log_constant()


def _outside(p, q, kind):
    """Where p gives weight to what q calls impossible; None where that cannot be."""
    if kind == "uniform":
        low, high = (p.low, p.high) if isinstance(p, Uniform) else (0.0, 1.0)
        return (q.low > low) | (q.high < high)
    if isinstance(p, Uniform):
        if kind in ("positive", "unit"):
            outside = p.low < 0
            return outside | (p.high > 1) if kind == "unit" else outside
        if kind == "pareto":
            return p.low < q.scale
    if isinstance(p, Pareto) and kind == "moments":
        return p.alpha <= 2
    if isinstance(p, Pareto) and kind == "positive":
        return p.alpha <= 1
    return None


def _enter_cross(under, type_q, kind, *types_p):
    def formula(p, q):
        result = under(p, q) - p.entropy()
        outside = _outside(p, q, kind)
        return result if outside is None else torch.where(outside, math.inf, result)

    for type_p in types_p:
        register_kl(type_p, type_q)(formula)


_enter_cross(
    _under_normal,
    Normal,
    "moments",
    *(Beta, ContinuousBernoulli, Exponential, Gamma, Gumbel, Laplace, Pareto, Uniform),
)
_enter_cross(
    _under_exponential, Exponential, "positive", Beta, ContinuousBernoulli, Gamma, Pareto, Uniform
)
_enter_cross(_under_gamma, Gamma, "positive", Beta, Exponential, Pareto, Uniform)
_enter_cross(_under_gumbel, Gumbel, "real", Exponential, Gamma, Normal, Uniform)
_enter_cross(_under_uniform, Uniform, "uniform", Beta, ContinuousBernoulli, Uniform)
_enter_cross(_under_pareto, Pareto, "pareto", Uniform)
_enter_cross(_under_beta, Beta, "unit", Uniform)
_enter_cross(_under_continuous_bernoulli, ContinuousBernoulli, "unit", Uniform)


def _infinite(p, q):
    return torch.full(torch.broadcast_shapes(p.batch_shape, q.batch_shape), math.inf)


for _type_p, _types_q in {
    Beta: (Pareto,),
    ContinuousBernoulli: (Pareto,),
    Exponential: (Beta, ContinuousBernoulli, Pareto, Uniform),
    Gamma: (Beta, ContinuousBernoulli, Pareto, Uniform),
    Gumbel: (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform),
    Laplace: (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform),
    Normal: (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform),
    Pareto: (Beta, ContinuousBernoulli, Uniform),
    Poisson: (Bernoulli, Binomial),
}.items():
    for _type_q in _types_q:
        register_kl(_type_p, _type_q)(_infinite)


@register_kl(Beta, ContinuousBernoulli)
def _(p, q):
    return _under_continuous_bernoulli(p, q) - p.entropy()


@register_kl(Normal, Laplace)
def _(p, q):
    z = (p.loc - q.loc) / p.scale
    folded = math.sqrt(2 / math.pi) * torch.exp(-0.5 * z.pow(2)) + z * torch.erf(math.sqrt(0.5) * z)
    return torch.log(2 * q.scale) + p.scale / q.scale * folded - p.entropy()


@register_kl(Bernoulli, Poisson)
def _(p, q):
    return -p.entropy() - (p.probs * q.rate.log() - q.rate)


# -- within a family -------------------------------------------------------------------------------


def _weighted_log_ratio(weight, log_ratio, q_probs):
    """weight * log_ratio; infinite where only q says never, 0 where p does."""
    ratio = torch.where(q_probs == 0, math.inf, weight * log_ratio)
    return torch.where(weight == 0, 0.0, ratio)


@register_kl(Bernoulli, Bernoulli)
def _(p, q):
    softplus = torch.nn.functional.softplus
    ones = _weighted_log_ratio(p.probs, softplus(-q.logits) - softplus(-p.logits), q.probs)
    zeros = softplus(q.logits) - softplus(p.logits)
    return ones + _weighted_log_ratio(1 - p.probs, zeros, 1 - q.probs)


@register_kl(Binomial, Binomial)
def _(p, q):
    if (p.total_count < q.total_count).any():
        raise NotImplementedError(
            "KL between Binomials where q.total_count > p.total_count is not implemented"
        )
    each = p.probs * (p.logits - q.logits) + (-p.probs).log1p() - (-q.probs).log1p()
    return torch.where(p.total_count > q.total_count, math.inf, p.total_count * each)


@register_kl(Categorical, Categorical)
def _(p, q):
    return _weighted_log_ratio(p.probs, p.logits - q.logits, q.probs).sum(-1)


@register_kl(categories.OneHotCategorical, categories.OneHotCategorical)
def _(p, q):
    return kl_divergence(p._categorical, q._categorical)


@register_kl(ContinuousBernoulli, ContinuousBernoulli)
def _(p, q):
    return _under_continuous_bernoulli(p, q) - p.entropy()


@register_kl(Geometric, Geometric)
def _(p, q):
    return -p.entropy() - torch.log1p(-q.probs) / p.probs - q.logits


@register_kl(Poisson, Poisson)
def _(p, q):
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


@register_kl(Beta, Beta)
def _(p, q):
    return kl_divergence(p._dirichlet, q._dirichlet)


@register_kl(Dirichlet, Dirichlet)
def _(p, q):
    total_p, total_q = p.concentration.sum(-1), q.concentration.sum(-1)
    normalizers = total_p.lgamma() - total_q.lgamma()
    terms = q.concentration.lgamma() - p.concentration.lgamma()
    drift = p.concentration.digamma() - total_p.digamma().unsqueeze(-1)
    terms = terms + (p.concentration - q.concentration) * drift
    return normalizers + terms.sum(-1)


@register_kl(Exponential, Exponential)
def _(p, q):
    ratio = q.rate / p.rate
    return ratio - ratio.log() - 1


@register_kl(Gamma, Gamma)
def _(p, q):
    a, b = p.concentration, q.concentration
    return (
        b * (p.rate / q.rate).log()
        + b.lgamma()
        - a.lgamma()
        + (a - b) * a.digamma()
        + (q.rate - p.rate) * (a / p.rate)
    )


@register_kl(Gumbel, Gumbel)
def _(p, q):
    ratio = p.scale / q.scale
    shift = (p.loc - q.loc) / q.scale
    mean = (-shift + (1 + ratio).lgamma()).exp()
    return mean - ratio.log() + shift + ratio * euler_constant - (1 + euler_constant)


@register_kl(HalfNormal, HalfNormal)
def _(p, q):
    return kl_divergence(p.base_dist, q.base_dist)


@register_kl(Laplace, Laplace)
def _(p, q):
    ratio = p.scale / q.scale
    distance = (p.loc - q.loc).abs()
    return -ratio.log() + distance / q.scale + ratio * torch.exp(-distance / p.scale) - 1


@register_kl(Normal, Normal)
def _(p, q):
    ratio = (p.scale / q.scale).pow(2)
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale).pow(2) - 1 - ratio.log())


@register_kl(Cauchy, Cauchy)
def _(p, q):
    # Chyzak and Nielsen 2019
    spread = (p.scale + q.scale).pow(2) + (p.loc - q.loc).pow(2)
    return spread.log() - (4 * p.scale * q.scale).log()


@register_kl(Pareto, Pareto)
def _(p, q):
    ratio = q.alpha / p.alpha
    result = q.alpha * (p.scale / q.scale).log() - ratio.log() + ratio - 1
    return torch.where(p.scale < q.scale, math.inf, result)


def _of_moments(p_factor_square, distance, p_half, q_half, n):
    return q_half - p_half + 0.5 * (p_factor_square + distance - n)


@register_kl(multivariate.MultivariateNormal, multivariate.MultivariateNormal)
def _(p, q):
    if p.event_shape != q.event_shape:
        raise ValueError(
            "KL-divergence between two Multivariate Normals with different event shapes"
        )
    n = p.event_shape[0]
    p_factor, q_factor = p._unbroadcasted_scale_tril, q._unbroadcasted_scale_tril
    shape = torch.broadcast_shapes(p_factor.shape, q_factor.shape)
    solved = torch.linalg.solve_triangular(
        q_factor.expand(shape), p_factor.expand(shape), upper=False
    )
    distance = multivariate._mahalanobis(q_factor, q.loc - p.loc)
    half = multivariate._half_log_det
    return _of_moments(solved.pow(2).sum([-2, -1]), distance, half(p_factor), half(q_factor), n)


def _low_rank(p, q):
    """At least one of p and q is low-rank: through the dense covariances."""
    dense = [
        d
        if isinstance(d, multivariate.MultivariateNormal)
        else multivariate.MultivariateNormal(d.loc, scale_tril=d.scale_tril, validate_args=False)
        for d in (p, q)
    ]
    return kl_divergence(*dense)


for _pair in (
    (multivariate.LowRankMultivariateNormal, multivariate.LowRankMultivariateNormal),
    (multivariate.LowRankMultivariateNormal, multivariate.MultivariateNormal),
    (multivariate.MultivariateNormal, multivariate.LowRankMultivariateNormal),
):
    register_kl(*_pair)(_low_rank)


@register_kl(ExponentialFamily, ExponentialFamily)
def _(p, q):
    if type(p) is not type(q):
        raise NotImplementedError(
            "The cross KL-divergence between different exponential families cannot be computed "
            "using Bregman divergences"
        )
    p_params = [param.detach().requires_grad_() for param in p._natural_params]
    log_normalizer = p._log_normalizer(*p_params)
    grads = torch.autograd.grad(log_normalizer.sum(), p_params, create_graph=True)
    result = q._log_normalizer(*q._natural_params) - log_normalizer
    for p_param, q_param, grad in zip(p_params, q._natural_params, grads):
        result = result - sum_rightmost((q_param - p_param) * grad, len(q.event_shape))
    return result


@register_kl(TransformedDistribution, TransformedDistribution)
def _(p, q):
    if p.transforms != q.transforms or p.event_shape != q.event_shape:
        raise NotImplementedError("KL is known only of distributions that are transformed alike")
    extra = len(p.event_shape) - len(p.base_dist.event_shape)
    return sum_rightmost(kl_divergence(p.base_dist, q.base_dist), max(extra, 0))


@register_kl(Independent, Independent)
def _(p, q):
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError("KL is known only of Independents of as many dimensions")
    return sum_rightmost(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)
