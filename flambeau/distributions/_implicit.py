"""Gamma and Dirichlet draws with gradients, by implicit differentiation (Figurnov et al., 2018).

A draw x of a distribution function F(x; a) moves by dx/da = -(dF/da) / (dF/dx) when a does. Both
derivatives come from power series of the incomplete gamma and beta functions (DLMF 8.7.1 and
8.17.8), summed in float64.
"""

import flambeau as torch
from flambeau.autograd import Function
from flambeau.autograd.function import once_differentiable

_MOST = 5000  # terms; the series end long before, where parameters are below 100,000
_LARGE = 1e5


def _series(first, ratio, weight):
    """sum over n of t(n) * weight(n), where t(0) = first and t(n) = t(n - 1) * ratio(n)."""
    term = first
    total = term * weight(0)
    size = total.abs()
    for n in range(1, _MOST):
        term = term * ratio(n)
        piece = term * weight(n)
        total = total + piece
        size = torch.maximum(size, total.abs())
        if n % 16 == 0 and bool((piece.abs() <= 1e-17 * size).all()):
            break
    return total


def gamma_gradient(alpha, x):
    """dx/dalpha of a draw x of the gamma distribution with shape alpha and rate 1."""
    dtype = x.dtype
    alpha, x = alpha.double(), x.double().clamp(min=1e-300)
    large = alpha > _LARGE
    a = torch.where(large, 1.0, alpha)
    y = torch.where(large, 1.0, x)
    log_y = y.log()
    # P(a, y) = y**a exp(-y) sum over n of y**n / Gamma(a + n + 1)
    rest = [torch.digamma(a + 1) - log_y]

    def weight(n):
        if n:
            rest[0] = rest[0] + 1 / (a + n)
        return rest[0]

    exact = y * _series(1 / a, lambda n: y / (a + n), weight)
    # Wilson and Hilferty 1931: the cube root of x / alpha is nearly normal.
    big = torch.where(large, alpha, _LARGE)
    root = (torch.where(large, x, _LARGE) / big) ** (1 / 3)
    z = 3 * big.sqrt() * (root - 1 + 1 / (9 * big))
    slope = 1 / (9 * big**2) - z / (6 * big**1.5)
    return torch.where(large, root**3 + 3 * big * root**2 * slope, exact).to(dtype)


def beta_gradient(x, alpha, beta):
    """dx/dalpha of a draw x of the beta distribution with alpha and beta."""
    total = alpha + beta
    lower = x <= (alpha / total).clamp(min=0.1, max=0.9)
    # The series in x, or with the parameters exchanged in 1 - x: what is small converges.
    u = torch.where(lower, x, 1 - x).clamp(min=1e-300)
    a = torch.where(lower, alpha, beta)
    sums = [torch.digamma(total), torch.digamma(torch.where(lower, a + 1, alpha))]
    log_x = torch.where(lower, u.log(), (1 - u).log())

    def weight(n):
        if n:
            sums[0] = sums[0] + 1 / (total + n - 1)
            sums[1] = torch.where(lower, sums[1] + 1 / (a + n), sums[1])
        return log_x + sums[0] - sums[1]

    value = _series(1 / a, lambda n: u * (total + n - 1) / (a + n), weight)
    return torch.where(lower, -value, value) * u * (1 - u)


class _Gamma(Function):
    @staticmethod
    def forward(ctx, alpha):
        x = torch._standard_gamma(alpha)
        ctx.save_for_backward(alpha, x)
        return x

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        return grad * gamma_gradient(*ctx.saved_tensors)


class _Dirichlet(Function):
    @staticmethod
    def forward(ctx, alpha):
        x = torch._sample_dirichlet(alpha)
        ctx.save_for_backward(alpha, x)
        return x

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        # Parameter i moves x[i] as in its beta distribution, the others by what is left of 1.
        alpha, x = (t.double() for t in ctx.saved_tensors)
        wide = grad.double()
        own = beta_gradient(x, alpha, alpha.sum(-1, True) - alpha)
        moved = own / (1 - x).clamp(min=1e-300)
        result = moved * (wide - (x * wide).sum(-1, True))
        return result.to(grad.dtype)


def standard_gamma(alpha):
    """Draws of gamma distributions with shapes alpha and rate 1."""
    return _Gamma.apply(alpha) if alpha.requires_grad else torch._standard_gamma(alpha)


def standard_dirichlet(alpha):
    """Draws of Dirichlet distributions with concentrations alpha."""
    return _Dirichlet.apply(alpha) if alpha.requires_grad else torch._sample_dirichlet(alpha)
