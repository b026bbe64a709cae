"""Discrete distributions of bits and of counts, and the continuous Bernoulli distribution."""

import math

import flambeau as torch
from flambeau import Size
from flambeau.nn.functional import binary_cross_entropy_with_logits

from . import constraints
from .distribution import Distribution, ExponentialFamily
from .utils import (
    broadcast_all,
    clamp_probs,
    is_number,
    lazy_property,
    logits_to_probs,
    probs_to_logits,
    tiny,
)

__all__ = [
    "Bernoulli",
    "Binomial",
    "ContinuousBernoulli",
    "Geometric",
    "NegativeBinomial",
    "Poisson",
]


class _Odds(Distribution):
    """The base of distributions with one parameter, given as `probs` or as `logits`."""

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}

    def _take(self, probs, logits, *more):
        """Keeps what was given, broadcast with other parameters; returns those and the shape."""
        if (probs is None) == (logits is None):
            raise ValueError("Either `probs` or `logits` must be specified, but not both.")
        name = "logits" if probs is None else "probs"
        given = logits if probs is None else probs
        first, *rest = broadcast_all(given, *more)
        setattr(self, name, first)
        shape = Size() if is_number(given) and not more else first.shape
        return (*rest, shape)

    @property
    def _param(self):
        return self.__dict__["probs" if "probs" in self.__dict__ else "logits"]

    @property
    def param_shape(self):
        """The shape of the parameter."""
        return self._param.size()

    @lazy_property
    def logits(self):
        """Log-odds."""
        return probs_to_logits(self.probs, is_binary=True)

    @lazy_property
    def probs(self):
        """Probabilities."""
        return logits_to_probs(self.logits, is_binary=True)


class Bernoulli(_Odds, ExponentialFamily):
    """1 with probability `probs`, else 0.

    >>> import flambeau as torch
    >>> torch.distributions.Bernoulli(0.25).variance
    tensor(0.1875)
    """

    support = constraints.boolean
    has_enumerate_support = True
    _mean_carrier_measure = 0

    def __init__(self, probs=None, logits=None, validate_args=None):
        (shape,) = self._take(probs, logits)
        super().__init__(shape, validate_args=validate_args)

    @property
    def mean(self):
        return self.probs

    @property
    def mode(self):
        mode = (self.probs >= 0.5).to(self.probs)
        return torch.where(self.probs == 0.5, math.nan, mode)

    @property
    def variance(self):
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape=()):
        with torch.no_grad():
            return torch.bernoulli(self.probs.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value):
        if self._validate_args:
            self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        return -binary_cross_entropy_with_logits(logits, value, reduction="none")

    def entropy(self):
        return binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")

    def enumerate_support(self, expand=True):
        return self._enumerated(torch.arange(2, dtype=self._param.dtype), expand)

    @property
    def _natural_params(self):
        return (torch.logit(self.probs),)

    def _log_normalizer(self, x):
        return torch.log1p(torch.exp(x))


class Geometric(_Odds):
    """The number of failures before the first success.

    >>> import flambeau as torch
    >>> torch.distributions.Geometric(0.25).mean
    tensor(3.)
    """

    support = constraints.nonnegative_integer

    def __init__(self, probs=None, logits=None, validate_args=None):
        (shape,) = self._take(probs, logits)
        super().__init__(shape, validate_args=validate_args)
        if self._validate_args and probs is not None and not (self.probs > 0).all():
            raise ValueError(
                f"Expected parameter probs of distribution {self!r} to be positive, but found "
                f"invalid values:\n{self.probs}"
            )

    @property
    def mean(self):
        return 1.0 / self.probs - 1.0

    @property
    def mode(self):
        return torch.zeros_like(self.probs)

    @property
    def variance(self):
        return (1.0 / self.probs - 1.0) / self.probs

    def sample(self, sample_shape=()):
        shape = self._extended_shape(sample_shape)
        with torch.no_grad():
            u = self._new(shape, self.probs).uniform_(tiny(self.probs), 1)
            return (u.log() / (-self.probs).log1p()).floor()

    def log_prob(self, value):
        if self._validate_args:
            self._validate_sample(value)
        value, probs = broadcast_all(value, self.probs)
        # 0 * log(0) is 0 here: what never fails has no failures.
        certain = (probs == 1) & (value == 0)
        return value * (-torch.where(certain, 0.0, probs)).log1p() + self.probs.log()

    def entropy(self):
        cross = binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")
        return cross / self.probs


class ContinuousBernoulli(_Odds, ExponentialFamily):
    """The continuous Bernoulli distribution on [0, 1] (Loaiza-Ganem and Cunningham, 2019).

    Where a probability is within `lims`, the normalizer is a Taylor series around 1/2.

    >>> import flambeau as torch
    >>> torch.distributions.ContinuousBernoulli(0.5).mean
    tensor(0.5000)
    """

    support = constraints.unit_interval
    has_rsample = True
    _mean_carrier_measure = 0

    def __init__(self, probs=None, logits=None, lims=(0.499, 0.501), validate_args=None):
        (shape,) = self._take(probs, logits)
        if probs is not None:
            check = self._validate_args if validate_args is None else validate_args
            if check and not constraints.unit_interval.check(self.probs).all():
                raise ValueError("The parameter probs has invalid values")
            self.probs = clamp_probs(self.probs)
        self._lims = lims
        super().__init__(shape, validate_args=validate_args)

    def _expand_rest(self, new, batch_shape):
        new._lims = self._lims

    def _regular(self):
        return (self.probs <= self._lims[0]) | (self.probs > self._lims[1])

    def _away(self):
        """Probabilities, those near 1/2 replaced by one that the formulas can take."""
        # Those of huge logits round to 0 or 1.
        return torch.where(self._regular(), clamp_probs(self.probs), self._lims[0])

    def _log_constant(self):
        """The logarithm of the normalizer."""
        cut = self._away()
        below = torch.where(cut <= 0.5, cut, 0.0)
        above = torch.where(cut >= 0.5, cut, 1.0)
        difference = torch.log(torch.abs(torch.log1p(-cut) - torch.log(cut)))
        width = torch.where(cut <= 0.5, torch.log1p(-2.0 * below), torch.log(2.0 * above - 1.0))
        x = torch.pow(self.probs - 0.5, 2)
        taylor = math.log(2.0) + (4.0 / 3.0 + 104.0 / 45.0 * x) * x
        return torch.where(self._regular(), difference - width, taylor)

    @property
    def mean(self):
        cut = self._away()
        regular = cut / (2.0 * cut - 1.0) + 1.0 / (torch.log1p(-cut) - torch.log(cut))
        x = self.probs - 0.5
        taylor = 0.5 + (1.0 / 3.0 + 16.0 / 45.0 * torch.pow(x, 2)) * x
        return torch.where(self._regular(), regular, taylor)

    @property
    def variance(self):
        cut = self._away()
        spread = 1.0 / torch.pow(torch.log1p(-cut) - torch.log(cut), 2)
        regular = cut * (cut - 1.0) / torch.pow(1.0 - 2.0 * cut, 2) + spread
        x = torch.pow(self.probs - 0.5, 2)
        taylor = 1.0 / 12.0 - (1.0 / 15.0 - 128.0 / 945.0 * x) * x
        return torch.where(self._regular(), regular, taylor)

    @property
    def stddev(self):
        return torch.sqrt(self.variance)

    def _draw(self, shape):
        return torch.rand(shape, dtype=self.probs.dtype, device=self.probs.device)

    def rsample(self, sample_shape=()):
        return self.icdf(self._draw(self._extended_shape(sample_shape)))

    def log_prob(self, value):
        if self._validate_args:
            self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        cross = binary_cross_entropy_with_logits(logits, value, reduction="none")
        return -cross + self._log_constant()

    def cdf(self, value):
        if self._validate_args:
            self._validate_sample(value)
        cut = self._away()
        powers = torch.pow(cut, value) * torch.pow(1.0 - cut, 1.0 - value)
        regular = (powers + cut - 1.0) / (2.0 * cut - 1.0)
        inside = torch.where(self._regular(), regular, value)
        return torch.where(
            value <= 0.0, torch.zeros_like(value), torch.where(value >= 1.0, 1.0, inside)
        )

    def icdf(self, value):
        cut = self._away()
        rising = torch.log1p(-cut + value * (2.0 * cut - 1.0)) - torch.log1p(-cut)
        regular = rising / (torch.log(cut) - torch.log1p(-cut))
        return torch.where(self._regular(), regular, value)

    def entropy(self):
        probs = clamp_probs(self.probs)
        log0, log1 = torch.log1p(-probs), torch.log(probs)
        return self.mean * (log0 - log1) - self._log_constant() - log0

    @property
    def _natural_params(self):
        return (self.logits,)

    def _log_normalizer(self, x):
        regular = (x <= self._lims[0] - 0.5) | (x > self._lims[1] - 0.5)
        cut = torch.where(regular, x, self._lims[0] - 0.5)
        exact = torch.log(torch.abs(torch.special.expm1(cut))) - torch.log(torch.abs(cut))
        taylor = 0.5 * x + torch.pow(x, 2) / 24.0 - torch.pow(x, 4) / 2880.0
        return torch.where(regular, exact, taylor)


# -- counts ----------------------------------------------------------------------------------------


class Binomial(_Odds):
    """The number of successes in `total_count` trials.

    >>> import flambeau as torch
    >>> torch.distributions.Binomial(4, 0.5).mean
    tensor(2.)
    """

    arg_constraints = {"total_count": constraints.nonnegative_integer, **_Odds.arg_constraints}
    has_enumerate_support = True

    def __init__(self, total_count=1, probs=None, logits=None, validate_args=None):
        total, shape = self._take(probs, logits, total_count)
        self.total_count = total.type_as(self._param)
        super().__init__(shape, validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self):
        return constraints.integer_interval(0, self.total_count)

    @property
    def mean(self):
        return self.total_count * self.probs

    @property
    def mode(self):
        return ((self.total_count + 1) * self.probs).floor().clamp(max=self.total_count)

    @property
    def variance(self):
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape=()):
        shape = self._extended_shape(sample_shape)
        with torch.no_grad():
            return torch.binomial(self.total_count.expand(shape), self.probs.expand(shape))

    def log_prob(self, value):
        if self._validate_args:
            self._validate_sample(value)
        n = self.total_count
        ways = torch.lgamma(n + 1) - torch.lgamma(value + 1) - torch.lgamma(n - value + 1)
        # n log(1 + exp(logits)), without overflow
        logits = self.logits
        normalizer = n * torch.logaddexp(logits, torch.zeros_like(logits))
        return ways + value * logits - normalizer

    def _same_count(self, what):
        total = int(self.total_count.max())
        if not self.total_count.min() == total:
            raise NotImplementedError(f"Inhomogeneous total count not supported by `{what}`.")
        return total

    def entropy(self):
        self._same_count("entropy")
        log_prob = self.log_prob(self.enumerate_support(False))
        return -(torch.exp(log_prob) * log_prob).sum(0)

    def enumerate_support(self, expand=True):
        total = self._same_count("enumerate_support")
        return self._enumerated(torch.arange(1 + total, dtype=self._param.dtype), expand)


class NegativeBinomial(_Odds):
    """The number of successes before `total_count` failures.

    >>> import flambeau as torch
    >>> torch.distributions.NegativeBinomial(2.0, 0.5).mean
    tensor(2.)
    """

    arg_constraints = {
        "total_count": constraints.greater_than_eq(0),
        "probs": constraints.half_open_interval(0.0, 1.0),
        "logits": constraints.real,
    }
    support = constraints.nonnegative_integer

    def __init__(self, total_count, probs=None, logits=None, validate_args=None):
        total, shape = self._take(probs, logits, total_count)
        self.total_count = total.type_as(self._param)
        super().__init__(shape, validate_args=validate_args)

    @property
    def mean(self):
        return self.total_count * torch.exp(self.logits)

    @property
    def mode(self):
        return ((self.total_count - 1) * self.logits.exp()).floor().clamp(min=0.0)

    @property
    def variance(self):
        return self.mean / torch.sigmoid(-self.logits)

    @lazy_property
    def _gamma(self):
        from ._gamma import Gamma

        rate = torch.exp(-self.logits)
        return Gamma(concentration=self.total_count, rate=rate, validate_args=False)

    def sample(self, sample_shape=()):
        with torch.no_grad():
            return torch.poisson(self._gamma.sample(sample_shape=sample_shape))

    def log_prob(self, value):
        if self._validate_args:
            self._validate_sample(value)
        n = self.total_count
        unnormalized = n * torch.nn.functional.logsigmoid(-self.logits) + value * (
            torch.nn.functional.logsigmoid(self.logits)
        )
        normalizer = -torch.lgamma(n + value) + torch.lgamma(1.0 + value) + torch.lgamma(n)
        normalizer = torch.where(n + value == 0.0, 0.0, normalizer)
        return unnormalized - normalizer


class Poisson(ExponentialFamily):
    """The Poisson distribution with `rate`.

    >>> import flambeau as torch
    >>> torch.distributions.Poisson(4.0).mean
    tensor(4.)
    """

    arg_constraints = {"rate": constraints.nonnegative}
    support = constraints.nonnegative_integer

    def __init__(self, rate, validate_args=None):
        (self.rate,) = broadcast_all(rate)
        shape = Size() if is_number(rate) else self.rate.shape
        super().__init__(shape, validate_args=validate_args)

    @property
    def mean(self):
        return self.rate

    @property
    def mode(self):
        return self.rate.floor()

    @property
    def variance(self):
        return self.rate

    def sample(self, sample_shape=()):
        with torch.no_grad():
            return torch.poisson(self.rate.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value):
        if self._validate_args:
            self._validate_sample(value)
        rate, value = broadcast_all(self.rate, value)
        return value.xlogy(rate) - rate - (value + 1).lgamma()

    @property
    def _natural_params(self):
        return (torch.log(self.rate),)

    def _log_normalizer(self, x):
        return torch.exp(x)
