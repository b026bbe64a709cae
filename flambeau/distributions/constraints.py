"""Constraints: what values parameters and samples may take, as objects that check."""

import flambeau as torch

__all__ = [
    "Constraint",
    "MixtureSameFamilyConstraint",
    "boolean",
    "cat",
    "corr_cholesky",
    "dependent",
    "dependent_property",
    "greater_than",
    "greater_than_eq",
    "half_open_interval",
    "independent",
    "integer_interval",
    "interval",
    "is_dependent",
    "less_than",
    "lower_cholesky",
    "lower_triangular",
    "multinomial",
    "nonnegative",
    "nonnegative_integer",
    "one_hot",
    "positive",
    "positive_definite",
    "positive_integer",
    "positive_semidefinite",
    "real",
    "real_vector",
    "simplex",
    "square",
    "stack",
    "symmetric",
    "unit_interval",
]


class Constraint:
    """A region of values; `event_dim` trailing dimensions are checked together.

    >>> import flambeau as torch
    >>> torch.distributions.constraints.positive.check(torch.tensor([-1.0, 2.0]))
    tensor([False,  True])
    """

    is_discrete = False
    event_dim = 0
    _bounds = ()  # names of attributes that the repr shows

    def check(self, value):
        """Whether each event of `value` lies in the region; each subclass defines it."""
        raise NotImplementedError(f"{type(self).__name__}.check")

    def __repr__(self):
        shown = ", ".join(f"{name}={getattr(self, name)}" for name in self._bounds)
        return f"{type(self).__name__.lstrip('_')}({shown})"


def _refuse():
    raise NotImplementedError("a dependent constraint does not say so before it is evaluated")


class _Dependent(Constraint):
    """A region that depends on other variables; ``dependent(event_dim=...)`` says what is known."""

    def __init__(self, *, is_discrete=NotImplemented, event_dim=NotImplemented):
        self._is_discrete = is_discrete
        self._event_dim = event_dim

    @property
    def is_discrete(self):
        return _refuse() if self._is_discrete is NotImplemented else self._is_discrete

    @property
    def event_dim(self):
        return _refuse() if self._event_dim is NotImplemented else self._event_dim

    def _known(self, is_discrete, event_dim):
        return {
            "is_discrete": self._is_discrete if is_discrete is NotImplemented else is_discrete,
            "event_dim": self._event_dim if event_dim is NotImplemented else event_dim,
        }

    def __call__(self, *, is_discrete=NotImplemented, event_dim=NotImplemented):
        return _Dependent(**self._known(is_discrete, event_dim))

    def check(self, x):
        raise ValueError("Cannot determine validity of dependent constraint")


def is_dependent(constraint):
    """Whether a constraint can only be checked once other variables are known."""
    return isinstance(constraint, _Dependent)


class _DependentProperty(property, _Dependent):
    """A property whose value is a constraint, and that counts as a dependent one in the class."""

    def __init__(self, fn=None, *, is_discrete=NotImplemented, event_dim=NotImplemented):
        property.__init__(self, fn)
        _Dependent.__init__(self, is_discrete=is_discrete, event_dim=event_dim)

    def __call__(self, fn=None, *, is_discrete=NotImplemented, event_dim=NotImplemented):
        known = self._known(is_discrete, event_dim)
        return _Dependent(**known) if fn is None else _DependentProperty(fn, **known)


class _Independent(Constraint):
    """A region of batches: every value in the last dimensions must lie in the base region."""

    def __init__(self, base_constraint, reinterpreted_batch_ndims):
        self.base_constraint = base_constraint
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims

    @property
    def is_discrete(self):
        return self.base_constraint.is_discrete

    @property
    def event_dim(self):
        return self.base_constraint.event_dim + self.reinterpreted_batch_ndims

    def check(self, value):
        result = self.base_constraint.check(value)
        n = self.reinterpreted_batch_ndims
        if result.dim() < n:
            raise ValueError(f"Expected value.dim() >= {self.event_dim} but got {value.dim()}")
        return result.reshape(result.shape[: result.dim() - n] + (-1,)).all(-1)

    def __repr__(self):
        return f"IndependentConstraint({self.base_constraint!r}, {self.reinterpreted_batch_ndims})"


class MixtureSameFamilyConstraint(Constraint):
    """The support of a mixture: that of its components, for values without their dimension."""

    def __init__(self, base_constraint):
        if not isinstance(base_constraint, Constraint):
            raise TypeError(f"wanted a Constraint, got {type(base_constraint).__name__}")
        self.base_constraint = base_constraint

    @property
    def is_discrete(self):
        return self.base_constraint.is_discrete

    @property
    def event_dim(self):
        return self.base_constraint.event_dim

    def check(self, value):
        place = -1 - self.event_dim
        if value.dim() < -1 - place:
            raise ValueError(f"Expected value.dim() >= {self.event_dim} but got {value.dim()}")
        result = self.base_constraint.check(value.unsqueeze(place))
        return result.reshape(result.shape[: value.dim() - self.event_dim] + (-1,)).all(-1)

    def __repr__(self):
        return f"MixtureSameFamilyConstraint({self.base_constraint!r})"


def _define(test, *bounds, is_discrete=False, event_dim=0, name=""):
    """A class of constraints: ``test(self, value)``, with the bounds as arguments."""

    def init(self, *args, **kwargs):
        given = dict(zip(bounds, args)) | kwargs
        if set(given) != set(bounds) or len(args) > len(bounds):
            raise TypeError(f"{type(self).__name__}() takes the arguments {', '.join(bounds)}")
        self.__dict__.update(given)

    members = {
        "__init__": init,
        "check": test,
        "is_discrete": is_discrete,
        "event_dim": event_dim,
        "_bounds": bounds,
        "__module__": __name__,
    }
    cls = type(f"_{name}", (Constraint,), members)
    globals()[cls.__name__] = cls  # where pickle looks for it
    return cls


def _is_integer(value):
    return value % 1 == 0


def _is_lower(value):
    return (value.tril() == value).flatten(-2).all(-1)


def _is_symmetric(value):
    return torch.isclose(value, value.mT, atol=1e-6).flatten(-2).all(-1)


def _eigenvalues_are(value, test):
    """Whether matrices are symmetric with eigenvalues that pass."""
    symmetric = square.check(value) & _is_symmetric(value)
    if not symmetric.all():
        return symmetric
    return test(torch.linalg.eigvalsh(value)).all(-1)


def _is_cholesky(value):
    return _is_lower(value) & (value.diagonal(dim1=-2, dim2=-1) > 0).all(-1)


def _is_corr_cholesky(value):
    tolerance = torch.finfo(value.dtype).eps * value.shape[-1] * 10
    norm = torch.linalg.norm(value.detach(), dim=-1)
    return lower_cholesky.check(value) & ((norm - 1).abs() <= tolerance).all(-1)


def _is_simplex(value):
    return (value >= 0).all(-1) & ((value.sum(-1) - 1).abs() < 1e-6)


def _is_one_hot(value):
    bits = (value == 0) | (value == 1)
    return bits.all(-1) & value.sum(-1).eq(1)


class _Pieces(Constraint):
    """Several regions side by side along a dimension."""

    def __init__(self, cseq, dim=0):
        self.cseq = list(cseq)
        self.dim = dim

    @property
    def is_discrete(self):
        return any(c.is_discrete for c in self.cseq)

    @property
    def event_dim(self):
        return max(c.event_dim for c in self.cseq)


class _Cat(_Pieces):
    """Regions of parts of `lengths` along a dimension."""

    def __init__(self, cseq, dim=0, lengths=None):
        super().__init__(cseq, dim)
        self.lengths = [1] * len(self.cseq) if lengths is None else list(lengths)

    def check(self, value):
        parts = value.split(self.lengths, self.dim)
        return torch.cat([c.check(v) for c, v in zip(self.cseq, parts)], self.dim)


class _Stack(_Pieces):
    """One region for each position along a dimension."""

    def check(self, value):
        parts = value.unbind(self.dim)
        return torch.stack([c.check(v) for c, v in zip(self.cseq, parts)], self.dim)


dependent = _Dependent()
dependent_property = _DependentProperty
independent = _Independent
cat = _Cat
stack = _Stack

boolean = _define(lambda self, x: (x == 0) | (x == 1), is_discrete=True, name="Boolean")()
one_hot = _define(lambda self, x: _is_one_hot(x), is_discrete=True, event_dim=1, name="OneHot")()
integer_interval = _define(
    lambda self, x: _is_integer(x) & (self.lower_bound <= x) & (x <= self.upper_bound),
    "lower_bound",
    "upper_bound",
    is_discrete=True,
    name="IntegerInterval",
)
_integer_greater_than = _define(
    lambda self, x: _is_integer(x) & (x >= self.lower_bound),
    "lower_bound",
    is_discrete=True,
    name="IntegerGreaterThan",
)
nonnegative_integer = _integer_greater_than(0)
positive_integer = _integer_greater_than(1)
real = _define(lambda self, x: x == x, name="Real")()
real_vector = independent(real, 1)
greater_than = _define(lambda self, x: self.lower_bound < x, "lower_bound", name="GreaterThan")
greater_than_eq = _define(
    lambda self, x: self.lower_bound <= x, "lower_bound", name="GreaterThanEq"
)
less_than = _define(lambda self, x: x < self.upper_bound, "upper_bound", name="LessThan")
interval = _define(
    lambda self, x: (self.lower_bound <= x) & (x <= self.upper_bound),
    "lower_bound",
    "upper_bound",
    name="Interval",
)
half_open_interval = _define(
    lambda self, x: (self.lower_bound <= x) & (x < self.upper_bound),
    "lower_bound",
    "upper_bound",
    name="HalfOpenInterval",
)
positive = greater_than(0.0)
nonnegative = greater_than_eq(0.0)
unit_interval = interval(0.0, 1.0)
simplex = _define(lambda self, x: _is_simplex(x), event_dim=1, name="Simplex")()
multinomial = _define(
    lambda self, x: (x >= 0).all(-1) & (x.sum(-1) <= self.upper_bound),
    "upper_bound",
    is_discrete=True,
    event_dim=1,
    name="Multinomial",
)
lower_triangular = _define(lambda self, x: _is_lower(x), event_dim=2, name="LowerTriangular")()
lower_cholesky = _define(lambda self, x: _is_cholesky(x), event_dim=2, name="LowerCholesky")()
corr_cholesky = _define(lambda self, x: _is_corr_cholesky(x), event_dim=2, name="CorrCholesky")()
square = _define(
    lambda self, x: torch.full(x.shape[:-2], x.shape[-2] == x.shape[-1], dtype=torch.bool),
    event_dim=2,
    name="Square",
)()
symmetric = _define(
    lambda self, x: square.check(x) & _is_symmetric(x), event_dim=2, name="Symmetric"
)()
positive_semidefinite = _define(
    lambda self, x: _eigenvalues_are(x, lambda e: e >= 0), event_dim=2, name="PositiveSemidefinite"
)()
positive_definite = _define(
    lambda self, x: _eigenvalues_are(x, lambda e: e > 0), event_dim=2, name="PositiveDefinite"
)()
