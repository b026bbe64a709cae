"""Statistics: sums and means without nans, quantiles, covariances, distances, limited norms."""

import flambeau

from . import functions, internal, op, shown_as


@op("trace(Tensor input) -> Tensor")
@shown_as("TraceBackward0")
def trace(input):
    """The sum of the diagonal of a matrix.

    >>> import flambeau as torch
    >>> torch.trace(torch.eye(3))
    tensor(3.)
    """
    if input.dim() != 2:
        raise RuntimeError(f"trace(): expected a matrix, but got tensor with dim {input.dim()}")
    return input.diagonal().sum()


def _no_nan(input):
    return flambeau.where(input.isnan(), 0.0, input)


@op(
    "nanmean(Tensor input, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) "
    "-> Tensor",
    out=True,
)
def nanmean(input, dim=None, keepdim=False, *, dtype=None):
    """The mean over the given dimensions, or all, of what is no nan.

    >>> import flambeau as torch
    >>> torch.nanmean(torch.tensor([1.0, float("nan"), 3.0]))
    tensor(2.)
    """
    if not (input.is_floating_point() or input.is_complex()):
        raise RuntimeError(
            "nanmean(): expected input to have floating point or complex dtype but got "
            f"{input.dtype}"
        )
    count = (~input.isnan().detach()).sum(dim, keepdim)
    if input.is_complex():
        return _no_nan(input).sum(dim, keepdim, dtype=dtype) / count
    return input.nansum(dim, keepdim, dtype=dtype) / count


_INTERPOLATIONS = ("linear", "lower", "higher", "midpoint", "nearest")


def _check_quantile(name, input, q, interpolation):
    if input.numel() == 0:
        raise RuntimeError(f"{name}() input tensor must be non-empty")
    if input.dtype not in (flambeau.float32, flambeau.float64):
        raise RuntimeError(f"{name}() input tensor must be either float or double dtype")
    if isinstance(q, flambeau.Tensor):
        if q.dim() > 1:
            raise RuntimeError(f"{name}() q must be a scalar or 1D tensor")
        if q.dtype != input.dtype:
            raise RuntimeError(f"{name}() q tensor must be same dtype as the input tensor")
        if q.device != input.device:
            raise RuntimeError(f"{name}() q tensor must be on the same device as the input tensor")
        if not q.is_meta and q.numel() and not bool(((q >= 0) & (q <= 1)).all()):
            raise RuntimeError(f"{name}() q values must be in the range [0, 1]")
    elif not 0 <= q <= 1:
        raise RuntimeError(f"{name}() q must be in the range [0, 1] but got {q}")
    if interpolation not in _INTERPOLATIONS:
        raise RuntimeError(
            f"{name}() interpolation must be one of linear, lower, higher, midpoint or nearest, "
            f"but got {interpolation}"
        )


def _quantile(name, input, q, dim, keepdim, interpolation, skip_nan):
    _check_quantile(name, input, q, interpolation)
    if not isinstance(q, flambeau.Tensor):
        q = flambeau.full((), q, dtype=input.dtype, device=input.device)
    ndim = input.dim()
    lines = input.reshape(-1) if dim is None else input
    at = 0 if dim is None else dim
    if dim is not None and not -max(ndim, 1) <= dim < max(ndim, 1):
        raise IndexError(f"{name}(): Dimension out of range, got {dim} for {ndim} dimensions")
    lines = (
        (lines.reshape(1) if lines.dim() == 0 else lines.movedim(at, -1))
        .sort(-1, stable=True)
        .values
    )
    n = lines.shape[-1]
    nans = lines.isnan()
    if skip_nan:
        last = (n - 1 - nans.sum(-1, True)).clamp(min=0).to(q.dtype)
        ranks = q.reshape(-1) * last
    else:
        ranks = (q.reshape(-1) * (n - 1)).expand(*lines.shape[:-1], q.numel())
        # A line with a nan has it last, and gives it for every rank.
        ranks = flambeau.where(nans[..., -1:], ranks.new_full((), n - 1), ranks)
    if interpolation == "nearest":
        ranks = ranks.round()
    elif interpolation == "lower":
        ranks = ranks.floor()
    elif interpolation == "higher":
        ranks = ranks.ceil()
    below = ranks.floor()
    low = lines.gather(-1, below.to(flambeau.int64))
    if interpolation in ("linear", "midpoint"):
        weight = ranks - below if interpolation == "linear" else flambeau.full_like(ranks, 0.5)
        low = low.lerp(lines.gather(-1, ranks.ceil().to(flambeau.int64)), weight)
    # [..., q] to [q, ...], the dimension put back where it is to be kept.
    if keepdim:
        shape = [1] * ndim
        if dim is not None and ndim:
            low = low.unsqueeze(-2).movedim(-2, dim - 1 if dim < 0 else dim)
        else:
            low = low.reshape([*shape, q.numel()])
    return low.squeeze(-1) if q.dim() == 0 else low.movedim(-1, 0)


@op(
    "quantile(Tensor input, Tensor q, int? dim=None, bool keepdim=False, *, "
    "str interpolation='linear') -> Tensor",
    out=True,
)
def quantile(input, q, dim=None, keepdim=False, *, interpolation="linear"):
    """The q-th quantiles along a dimension, or of all; nan for lines with a nan.

    The quantiles of a vector q stand along a new first dimension.

    >>> import flambeau as torch
    >>> torch.quantile(torch.tensor([1.0, 2.0, 4.0]), 0.75)
    tensor(3.)
    """
    return _quantile("quantile", input, q, dim, keepdim, interpolation, False)


@op(
    "nanquantile(Tensor input, Tensor q, int? dim=None, bool keepdim=False, *, "
    "str interpolation='linear') -> Tensor",
    out=True,
)
def nanquantile(input, q, dim=None, keepdim=False, *, interpolation="linear"):
    """quantile() of what is no nan.

    >>> import flambeau as torch
    >>> torch.nanquantile(torch.tensor([1.0, float("nan"), 2.0]), 0.5)
    tensor(1.5000)
    """
    return _quantile("nanquantile", input, q, dim, keepdim, interpolation, True)


def _check_weights(input, fweights, aweights, count):
    for w, name in ((fweights, "fweights"), (aweights, "aweights")):
        if w is None:
            continue
        if w.dim() > 1:
            raise RuntimeError(
                f"cov(): expected {name} to have one or fewer dimensions but got {w.dim()}"
            )
        whole = not (w.is_floating_point() or w.is_complex()) and w.dtype != flambeau.bool
        if name == "fweights" and not whole:
            raise RuntimeError(f"cov(): expected fweights to have integral dtype but got {w.dtype}")
        if name == "aweights" and not w.is_floating_point():
            raise RuntimeError(
                f"cov(): expected aweights to have floating point dtype but got {w.dtype}"
            )
        if w.numel() != count:
            raise RuntimeError(
                f"cov(): expected {name} to have the same numel as there are observations in the "
                f"input but got {w.numel()} != {count}"
            )
        if w.numel() and not w.is_meta and bool((w < 0).any()):
            raise RuntimeError(f"cov(): {name} cannot be negative")


@op(
    "cov(Tensor input, *, int correction=1, Tensor? fweights=None, Tensor? aweights=None) -> Tensor"
)
def cov(input, *, correction=1, fweights=None, aweights=None):
    """The covariances of the rows of a matrix, whose columns are observations.

    >>> import flambeau as torch
    >>> torch.cov(torch.tensor([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]))
    tensor([[ 1., -1.],
            [-1.,  1.]])
    """
    if input.dim() > 2:
        raise RuntimeError(
            f"cov(): expected input to have two or fewer dimensions but got an input with "
            f"{input.dim()} dimensions"
        )
    if input.dtype == flambeau.bool:
        raise RuntimeError("cov(): bool dtype is not supported for input")
    x = input.reshape(1, -1) if input.dim() < 2 else input
    count = x.shape[1]
    _check_weights(input, fweights, aweights, count)
    w = fweights
    if aweights is not None:
        w = aweights if w is None else w * aweights
    total = count if w is None else w.sum()
    if w is not None and count and not w.is_meta and not bool(total):
        raise RuntimeError("cov(): weights sum to zero, can't be normalized")
    center = x.sum(1) / total if w is None else (x * w).sum(1) / total
    if w is None or aweights is None:
        freedom = total - correction
    else:
        squares = (w * aweights).sum()
        freedom = total - correction * squares / total if correction else total
    freedom = freedom.clamp(min=0) if isinstance(freedom, flambeau.Tensor) else max(freedom, 0)
    x = x - center.unsqueeze(1)
    weighted = x if w is None else x * w
    return (x @ weighted.mH.to(x.dtype) / freedom).squeeze()


@op("corrcoef(Tensor input) -> Tensor")
def corrcoef(input):
    """The correlations (Pearson) of the rows of a matrix, whose columns are observations.

    >>> import flambeau as torch
    >>> torch.corrcoef(torch.tensor([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]))
    tensor([[ 1., -1.],
            [-1.,  1.]])
    """
    if input.dim() > 2:
        raise RuntimeError(
            f"corrcoef(): expected input to have two or fewer dimensions but got an input with "
            f"{input.dim()} dimensions"
        )
    c = cov(input)
    if c.dim() == 0:
        return c / c
    spread = c.diagonal()
    spread = (spread.real if c.is_complex() else spread).sqrt()
    c = c / spread.unsqueeze(1) / spread.unsqueeze(0)
    if c.is_complex():
        return flambeau.complex(c.real.clip(-1, 1), c.imag.clip(-1, 1))
    return c.clip(-1, 1)


def _nothing(x):
    """Zeros that hang on x, to which no gradient comes back."""
    return x.masked_fill(flambeau.ones((), dtype=flambeau.bool, device=x.device), 0)


def _norms(x, p, dim, keepdim=False):
    """p-norms whose gradient is 0 where they are."""
    if p == 0:
        return _nothing(x.abs()).sum(dim, keepdim) + (x != 0).sum(dim, keepdim).to(x.abs().dtype)
    if p in (1, 2, float("inf")):
        return functions["linalg.vector_norm"](x, p, dim, keepdim)
    powers = x.abs()
    zero = powers == 0
    powers = powers.masked_fill(zero, 1).pow(p).masked_fill(zero, 0).sum(dim, keepdim)
    zero = powers == 0
    return powers.masked_fill(zero, 1).pow(1 / p).masked_fill(zero, 0)


@op("dist(Tensor input, Tensor other, Scalar p=2) -> Tensor")
@shown_as("DistBackward0")
def dist(input, other, p=2):
    """The p-norm of input - other.

    >>> import flambeau as torch
    >>> torch.dist(torch.tensor([1.0, 2.0]), torch.tensor([4.0, 6.0]))
    tensor(5.)
    """
    apart = (input - other).reshape(-1)
    if not (apart.is_floating_point() or apart.is_complex()):
        raise RuntimeError(
            f"dist(): expected a floating point or complex tensor, got {apart.dtype}"
        )
    wide = apart.float() if apart.dtype in (flambeau.float16, flambeau.bfloat16) else apart
    found = _norms(wide, p, 0) if p >= 0 else functions["linalg.vector_norm"](wide, p)
    return found.to((wide.real if wide.is_complex() else apart).dtype)


def _by_products(x1, x2):
    """Euclidean distances by one matrix product: |a|^2 + |b|^2 - 2 a.b."""
    a, b = (x1 * x1).sum(-1, True), (x2 * x2).sum(-1, True)
    left = flambeau.cat([-2 * x1, a, flambeau.ones_like(a)], -1)
    right = flambeau.cat([x2, flambeau.ones_like(b), b], -1)
    squares = (left @ right.mT).relu_()
    if not squares.requires_grad:
        return squares.sqrt_()
    zero = squares == 0
    return squares.masked_fill(zero, 1).sqrt().masked_fill(zero, 0)


_DISTANCES = (flambeau.float32, flambeau.float64)  # what has a kernel
_CDIST_MODES = (
    "use_mm_for_euclid_dist_if_necessary",
    "use_mm_for_euclid_dist",
    "donot_use_mm_for_euclid_dist",
)


@op(
    "cdist(Tensor x1, Tensor x2, float p=2.0, str compute_mode="
    "'use_mm_for_euclid_dist_if_necessary') -> Tensor",
    method=False,
)
@shown_as("CdistBackward0")
def cdist(x1, x2, p=2.0, compute_mode="use_mm_for_euclid_dist_if_necessary"):
    """p-norm distances between the rows of [..., P, M] and [..., R, M]: [..., P, R].

    >>> import flambeau as torch
    >>> torch.cdist(torch.zeros(1, 2), torch.tensor([[3.0, 4.0], [0.0, 1.0]]))
    tensor([[5., 1.]])
    """
    if compute_mode not in _CDIST_MODES:
        raise ValueError(f"{compute_mode} is not a valid value for compute_mode")
    for x, name in ((x1, "X1"), (x2, "X2")):
        if not x.is_floating_point():
            raise RuntimeError(f"cdist only supports floating-point dtypes, {name} got: {x.dtype}")
        if x.dim() < 2:
            raise RuntimeError(f"cdist only supports at least 2D tensors, {name} got: {x.dim()}D")
    if x1.shape[-1] != x2.shape[-1]:
        raise RuntimeError(
            f"X1 and X2 must have the same number of columns. X1: {x1.shape[-1]} X2: {x2.shape[-1]}"
        )
    if p < 0:
        raise RuntimeError("cdist only supports non-negative p values")
    large = x1.shape[-2] > 25 or x2.shape[-2] > 25
    if p == 2 and compute_mode != _CDIST_MODES[2] and (large or compute_mode == _CDIST_MODES[1]):
        return _by_products(x1, x2)
    if p in (1, 2, float("inf")) and x1.dtype == x2.dtype and x1.dtype in _DISTANCES:
        if x1.shape[:-2] != x2.shape[:-2]:
            batch = flambeau.broadcast_shapes(x1.shape[:-2], x2.shape[:-2])
            x1, x2 = (x.expand(*batch, *x.shape[-2:]) for x in (x1, x2))
        return internal["_distances"](x1, x2, p)
    return _norms(x1.unsqueeze(-2) - x2.unsqueeze(-3), p, -1)


@op("renorm(Tensor input, Scalar p, int dim, Scalar maxnorm) -> Tensor", out=True, inplace=True)
@shown_as("RenormBackward0")
def renorm(input, p, dim, maxnorm):
    """The tensor with each slice along dim scaled down to a p-norm of maxnorm where it has more.

    >>> import flambeau as torch
    >>> torch.renorm(torch.tensor([[3.0, 4.0], [0.0, 1.0]]), 2, 0, 1)
    tensor([[0.6000, 0.8000],
            [0.0000, 1.0000]])
    """
    if isinstance(p, complex) or isinstance(maxnorm, complex):
        raise RuntimeError("renorm(): p and maxnorm must be real-valued")
    if p <= 0:
        raise RuntimeError("renorm(): non-positive norm not supported")
    if maxnorm < 0:
        raise RuntimeError(f"renorm(): expected maxnorm to be >= 0 but got {maxnorm}")
    if input.dim() < 2:
        raise RuntimeError(
            f"renorm(): input needs at least 2 dimensions, got {input.dim()} dimensions"
        )
    if not -input.dim() <= dim < input.dim():
        raise IndexError(f"renorm(): Dimension out of range, got {dim} for {input.dim()}")
    others = [d for d in range(input.dim()) if d != dim % input.dim()]
    wide = input.float() if input.dtype in (flambeau.float16, flambeau.bfloat16) else input
    norms = _norms(wide, p, others, True)
    factors = flambeau.where(norms > maxnorm, maxnorm / (norms + 1e-7), norms.new_ones(()))
    return (input * factors.to(input.dtype)).contiguous()
