"""Distribution: the base of all probability distributions."""

import flambeau as torch
from flambeau import Size, Tensor

from . import constraints
from .utils import lazy_property

__all__ = ["Distribution"]


class Distribution:
    """A batch of probability distributions over events of one shape.

    A subclass says in `arg_constraints` what its parameters may be (their event dimensions tell
    how `expand` treats them), gives `support`, and defines `rsample` or `sample` and `log_prob`.

    >>> import flambeau as torch
    >>> d = torch.distributions.Normal(torch.zeros(3), 1.0)
    >>> d.batch_shape, d.event_shape, d.log_prob(torch.zeros(3)).shape
    (torch.Size([3]), torch.Size([]), torch.Size([3]))
    """

    has_rsample = False
    has_enumerate_support = False
    _validate_args = __debug__

    @staticmethod
    def set_default_validate_args(value):
        """Says whether arguments and samples are checked where it is not said otherwise."""
        if value not in (True, False):
            raise ValueError(f"set_default_validate_args(): wanted True or False, got {value}")
        Distribution._validate_args = value

    def __init__(self, batch_shape=(), event_shape=(), validate_args=None):
        self._batch_shape = Size(batch_shape)
        self._event_shape = Size(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            self._check_parameters()
        super().__init__()  # of what a subclass may be besides, a module for one

    def _check_parameters(self):
        try:
            limits = self.arg_constraints
        except NotImplementedError:
            self._warn("arg_constraints", "parameters")
            return
        for name, constraint in limits.items():
            if constraints.is_dependent(constraint):
                continue
            if name not in self.__dict__ and isinstance(getattr(type(self), name), lazy_property):
                continue  # a parameter that is derived from another
            value = getattr(self, name)
            if not constraint.check(value).all():
                raise ValueError(
                    f"Expected parameter {name} ({_said(value)}) of distribution {self!r} to "
                    f"satisfy the constraint {constraint!r}, but found invalid values:\n{value}"
                )

    def _warn(self, attribute, what):
        import warnings

        warnings.warn(
            f"{type(self)} does not define `{attribute}`: its {what} are not checked. Pass "
            "`validate_args=False` to say that this is meant.",
            stacklevel=4,
        )

    # -- what it is ------------------------------------------------------------------------

    @property
    def batch_shape(self):
        """The shape over which parameters are batched."""
        return self._batch_shape

    @property
    def event_shape(self):
        """The shape of one sample."""
        return self._event_shape

    @property
    def arg_constraints(self):
        """What each parameter must satisfy: a dict of constraints by name."""
        raise NotImplementedError

    @property
    def support(self):
        """The constraint that samples satisfy."""
        raise NotImplementedError

    @property
    def mean(self):
        """The mean."""
        raise NotImplementedError

    @property
    def mode(self):
        """The most likely value."""
        raise NotImplementedError(f"{type(self)} does not implement mode")

    @property
    def variance(self):
        """The variance."""
        raise NotImplementedError

    @property
    def stddev(self):
        """The standard deviation."""
        return self.variance.sqrt()

    def expand(self, batch_shape, _instance=None):
        """The same distribution with its parameters expanded to a larger batch.

        >>> import flambeau as torch
        >>> torch.distributions.Normal(0.0, 1.0).expand([2]).batch_shape
        torch.Size([2])
        """
        new = self._new_instance(_instance)
        batch_shape = Size(batch_shape)
        for name, constraint in self._all_constraints().items():
            value = self.__dict__.get(name)
            if isinstance(value, Tensor):
                event = value.shape[value.dim() - constraint.event_dim :]
                setattr(new, name, value.expand(batch_shape + event))
        self._expand_rest(new, batch_shape)
        Distribution.__init__(new, batch_shape, self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def _all_constraints(self):
        """Those of the parameters, and of the parameters of what it is a special case of."""
        found = {}
        for kind in reversed(type(self).__mro__):
            own = vars(kind).get("arg_constraints")
            found.update(own if isinstance(own, dict) else {})
        return found

    def _expand_rest(self, new, batch_shape):
        """What a subclass keeps besides its parameters, for the expanded distribution."""

    def _new_instance(self, _instance):
        """An object for `expand` to fill; a class with its own __init__ must know how itself."""
        owner = next(cls for cls in type(self).__mro__ if "__init__" in vars(cls))
        ours = torch._private.is_own(owner)
        return self._get_checked_instance(owner if ours else Distribution, _instance)

    def _get_checked_instance(self, cls, _instance=None):
        if _instance is None and type(self).__init__ is not cls.__init__:
            raise NotImplementedError(
                f"Subclass {type(self).__name__} of {cls.__name__} that defines a custom "
                "__init__ method must also define a custom .expand() method."
            )
        return type(self).__new__(type(self)) if _instance is None else _instance

    # -- what it does ----------------------------------------------------------------------

    def sample(self, sample_shape=()):
        """Draws `sample_shape` samples of each distribution, without gradients."""
        with torch.no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape=()):
        """Draws samples through which gradients reach the parameters."""
        raise NotImplementedError

    def sample_n(self, n):
        """Draws n samples; deprecated in favour of ``sample((n,))``."""
        import warnings

        warnings.warn(
            "sample_n(n) will be deprecated. Use .sample((n,)) instead.", UserWarning, stacklevel=2
        )
        return self.sample(Size((n,)))

    def log_prob(self, value):
        """The logarithm of the probability (density) at `value`."""
        raise NotImplementedError

    def cdf(self, value):
        """The probability of samples up to `value`."""
        raise NotImplementedError

    def icdf(self, value):
        """The value below which samples fall with probability `value`."""
        raise NotImplementedError

    def enumerate_support(self, expand=True):
        """All values of a discrete distribution, along a new first dimension."""
        raise NotImplementedError

    def entropy(self):
        """The entropy, in nats."""
        raise NotImplementedError

    def perplexity(self):
        """exp(entropy)."""
        return torch.exp(self.entropy())

    def _extended_shape(self, sample_shape=()):
        if not isinstance(sample_shape, Size):
            sample_shape = Size(sample_shape)
        return Size(sample_shape + self._batch_shape + self._event_shape)

    def _enumerated(self, values, expand):
        """Values along the first dimension, over the batch or broadcasting with it."""
        values = values.view((-1,) + (1,) * len(self._batch_shape))
        return values.expand((-1,) + self._batch_shape) if expand else values

    def _new(self, shape, like):
        """An empty tensor for draws in place."""
        return torch.empty(shape, dtype=like.dtype, device=like.device)

    def _validate_sample(self, value):
        """Raises ValueError unless `value` fits the shapes and lies in the support."""
        if not isinstance(value, Tensor):
            raise ValueError("The value argument to log_prob must be a Tensor")
        start = value.dim() - len(self._event_shape)
        if value.shape[max(start, 0) :] != self._event_shape:
            raise ValueError(
                f"The right-most size of value must match event_shape: {value.size()} vs "
                f"{self._event_shape}."
            )
        wanted = self._batch_shape + self._event_shape
        for i, j in zip(reversed(value.shape), reversed(wanted)):
            if i != 1 and j != 1 and i != j:
                raise ValueError(
                    "Value is not broadcastable with batch_shape+event_shape: "
                    f"{value.size()} vs {wanted}."
                )
        try:
            support = self.support
        except NotImplementedError:
            self._warn("support", "samples")
            return
        if not support.check(value).all():
            raise ValueError(
                f"Expected value argument ({_said(value)}) to be within the support "
                f"({support!r}) of the distribution {self!r}, but found invalid values:\n{value}"
            )

    def __repr__(self):
        def shown(value):
            return value if not isinstance(value, Tensor) or value.numel() == 1 else value.size()

        names = [name for name in self.arg_constraints if name in self.__dict__]
        args = ", ".join(f"{name}: {shown(self.__dict__[name])}" for name in names)
        return f"{type(self).__name__}({args})"


def _said(value):
    return f"{type(value).__name__} of shape {tuple(value.shape)}"


class ExponentialFamily(Distribution):
    """A density exp(t . natural parameters - log normalizer): entropy comes from derivatives.

    A subclass gives `_natural_params`, `_log_normalizer(*natural_params)` and
    `_mean_carrier_measure`, the mean of log h(x).
    """

    @property
    def _natural_params(self):
        raise NotImplementedError

    def _log_normalizer(self, *natural_params):
        raise NotImplementedError

    @property
    def _mean_carrier_measure(self):
        raise NotImplementedError

    def entropy(self):
        """The entropy as a Bregman divergence of the log normalizer (Nielsen and Nock, 2010)."""
        params = [p.detach().requires_grad_() for p in self._natural_params]
        log_normalizer = self._log_normalizer(*params)
        grads = torch.autograd.grad(log_normalizer.sum(), params, create_graph=True)
        result = -self._mean_carrier_measure + log_normalizer
        for param, grad in zip(params, grads):
            result = result - (param * grad).reshape(self._batch_shape + (-1,)).sum(-1)
        return result
