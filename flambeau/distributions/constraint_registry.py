"""From constraints to transforms: how to reach a region from unconstrained numbers."""

from . import constraints, transforms

__all__ = ["ConstraintRegistry", "biject_to", "transform_to"]


class ConstraintRegistry:
    """Makes a transform whose values satisfy a constraint, from real numbers.

    >>> import flambeau as torch
    >>> D = torch.distributions
    >>> D.transform_to(D.constraints.positive)(torch.tensor(0.0))
    tensor(1.)
    """

    def __init__(self):
        self._registry = {}

    def register(self, constraint, factory=None):
        """Enters ``factory(constraint) -> Transform`` for a class of constraints; a decorator."""
        if factory is None:
            return lambda factory: self.register(constraint, factory)
        if isinstance(constraint, constraints.Constraint):
            constraint = type(constraint)
        if not isinstance(constraint, type) or not issubclass(constraint, constraints.Constraint):
            raise TypeError(
                "Expected constraint to be either a Constraint subclass or instance, but got "
                f"{constraint}"
            )
        self._registry[constraint] = factory
        return factory

    def __call__(self, constraint):
        try:
            factory = self._registry[type(constraint)]
        except KeyError:
            raise NotImplementedError(
                f"Cannot transform {type(constraint).__name__} constraints"
            ) from None
        return factory(constraint)


biject_to = ConstraintRegistry()
transform_to = ConstraintRegistry()


def _above(constraint):
    if isinstance(constraint.lower_bound, (int, float)) and constraint.lower_bound == 0:
        return transforms.ExpTransform()
    shift = transforms.AffineTransform(constraint.lower_bound, 1)
    return transforms.ComposeTransform([transforms.ExpTransform(), shift])


def _below(constraint):
    shift = transforms.AffineTransform(constraint.upper_bound, -1)
    return transforms.ComposeTransform([transforms.ExpTransform(), shift])


def _between(constraint):
    low, high = constraint.lower_bound, constraint.upper_bound
    if isinstance(low, (int, float)) and isinstance(high, (int, float)) and (low, high) == (0, 1):
        return transforms.SigmoidTransform()
    shift = transforms.AffineTransform(low, high - low)
    return transforms.ComposeTransform([transforms.SigmoidTransform(), shift])


def _enter_both():
    c, t = constraints, transforms
    common = {
        type(c.real): lambda _: t.identity_transform,
        type(c.positive): _above,
        type(c.nonnegative): _above,
        c.less_than: _below,
        c.interval: _between,
        c.half_open_interval: _between,
        type(c.corr_cholesky): lambda _: t.CorrCholeskyTransform(),
    }
    for registry in (biject_to, transform_to):
        for constraint, factory in common.items():
            registry.register(constraint, factory)
        registry.register(
            c.independent,
            lambda k, reg=registry: t.IndependentTransform(
                reg(k.base_constraint), k.reinterpreted_batch_ndims
            ),
        )
        registry.register(
            c.cat,
            lambda k, reg=registry: t.CatTransform([reg(p) for p in k.cseq], k.dim, k.lengths),
        )
        registry.register(
            c.stack, lambda k, reg=registry: t.StackTransform([reg(p) for p in k.cseq], k.dim)
        )
    # Several matrices share a lower triangle: no bijection.
    transform_to.register(c.lower_cholesky, lambda _: t.LowerCholeskyTransform())
    for symmetric in (c.positive_definite, c.positive_semidefinite):
        transform_to.register(symmetric, lambda _: t.PositiveDefiniteTransform())
    biject_to.register(c.simplex, lambda _: t.StickBreakingTransform())
    transform_to.register(c.simplex, lambda _: t.SoftmaxTransform())


_enter_both()
