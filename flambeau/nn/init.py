"""Initial values for weights: each function fills a tensor in place and returns it.

For saturating activations (sigmoid, tanh) there are Xavier's, for rectifiers Kaiming's, beside
plain uniform, normal and constant values and orthogonal, identity and sparse matrices. The
random numbers are PyTorch's for the same seed.
"""

import math

import flambeau as torch

__all__ = [
    "calculate_gain",
    "constant_",
    "dirac_",
    "eye_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "sparse_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]

_GAINS = {
    "linear": 1,
    "conv1d": 1,
    "conv2d": 1,
    "conv3d": 1,
    "conv_transpose1d": 1,
    "conv_transpose2d": 1,
    "conv_transpose3d": 1,
    "sigmoid": 1,
    "tanh": 5.0 / 3,
    "relu": math.sqrt(2.0),
    "selu": 3.0 / 4,
}


def calculate_gain(nonlinearity, param=None):
    """Returns the factor by which weights before a nonlinearity should be larger.

    `param` is the negative slope of ``leaky_relu``.

    >>> from flambeau.nn import init
    >>> init.calculate_gain("relu")
    1.4142135623730951
    """
    if nonlinearity in _GAINS:
        return _GAINS[nonlinearity]
    if nonlinearity != "leaky_relu":
        raise ValueError(f"Unsupported nonlinearity {nonlinearity}")
    slope = 0.01 if param is None else param
    if isinstance(slope, bool) or not isinstance(slope, (int, float)):
        raise ValueError(f"negative_slope {slope} not a valid number")
    return math.sqrt(2.0 / (1 + slope**2))


def uniform_(tensor, a=0.0, b=1.0, generator=None):
    """Fills with draws from the uniform distribution on [a, b).

    >>> import flambeau as torch
    >>> bool((torch.nn.init.uniform_(torch.empty(9), 2, 3) >= 2).all())
    True
    """
    with torch.no_grad():
        return tensor.uniform_(a, b, generator=generator)


def normal_(tensor, mean=0.0, std=1.0, generator=None):
    """Fills with draws from a normal distribution.

    >>> import flambeau as torch
    >>> torch.nn.init.normal_(torch.empty(2, 3), mean=1.0, std=0.0)
    tensor([[1., 1., 1.],
            [1., 1., 1.]])
    """
    with torch.no_grad():
        return tensor.normal_(mean, std, generator=generator)


def _normal_share(a, b):
    """The part of a standard normal distribution between a and b."""
    return (math.erf(b / math.sqrt(2.0)) - math.erf(a / math.sqrt(2.0))) / 2


def trunc_normal_(tensor, mean=0.0, std=1.0, a=-2.0, b=2.0, generator=None):
    """Fills with draws from a normal distribution, none of them outside [a, b].

    >>> import flambeau as torch
    >>> bool((torch.nn.init.trunc_normal_(torch.empty(99)).abs() <= 2).all())
    True
    """
    low, high = (a - mean) / std, (b - mean) / std
    if low > 2 or high < -2:
        import warnings

        warnings.warn(
            "mean is more than 2 std from [a, b] in nn.init.trunc_normal_. "
            "The distribution of values may be incorrect.",
            stacklevel=2,
        )
    if tensor.is_meta:
        return tensor
    with torch.no_grad():
        # Draw until all are accepted. Where little of the bell lies inside, uniform draws
        # accepted by its height need fewer rounds than normal ones.
        if _normal_share(low, high) > 0.3:
            tensor.normal_(mean, std, generator=generator)
            rejected = (tensor < a) | (tensor > b)
            while rejected.any():
                again = torch.empty_like(tensor).normal_(mean, std, generator=generator)
                tensor.copy_(torch.where(rejected, again, tensor))
                rejected = (tensor < a) | (tensor > b)
            return tensor
        peak = min(max(low, 0.0), high)
        rejected = torch.ones_like(tensor, dtype=torch.bool)
        while rejected.any():
            again = torch.empty_like(tensor).uniform_(a, b, generator=generator)
            height = torch.exp((peak * peak - ((again - mean) / std) ** 2) / 2)
            fits = torch.empty_like(tensor).uniform_(generator=generator) <= height
            tensor.copy_(torch.where(rejected, again, tensor))
            rejected = rejected & ~fits
    return tensor


def constant_(tensor, val):
    """Fills with one value.

    >>> import flambeau as torch
    >>> torch.nn.init.constant_(torch.empty(2), 3)
    tensor([3., 3.])
    """
    with torch.no_grad():
        return tensor.fill_(val)


def ones_(tensor):
    """Fills with one.

    >>> import flambeau as torch
    >>> torch.nn.init.ones_(torch.empty(2))
    tensor([1., 1.])
    """
    return constant_(tensor, 1.0)


def zeros_(tensor):
    """Fills with zero.

    >>> import flambeau as torch
    >>> torch.nn.init.zeros_(torch.empty(2))
    tensor([0., 0.])
    """
    return constant_(tensor, 0.0)


def eye_(tensor):
    """Fills a matrix with the identity, so that a linear layer passes its input on.

    >>> import flambeau as torch
    >>> torch.nn.init.eye_(torch.empty(2, 2))
    tensor([[1., 0.],
            [0., 1.]])
    """
    if tensor.dim() != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    with torch.no_grad():
        return tensor.copy_(torch.eye(*tensor.shape, dtype=tensor.dtype, device=tensor.device))


def dirac_(tensor, groups=1):
    """Fills a convolution's weight so that it passes its first channels on, in each group.

    >>> import flambeau as torch
    >>> torch.nn.init.dirac_(torch.empty(1, 1, 3))
    tensor([[[0., 1., 0.]]])
    """
    if tensor.dim() not in (3, 4, 5):
        raise ValueError("Only tensors with 3, 4, or 5 dimensions are supported")
    out, channels, *kernel = tensor.shape
    if out % groups:
        raise ValueError("dim 0 must be divisible by groups")
    middle = tuple(k // 2 for k in kernel)
    per_group = out // groups
    with torch.no_grad():
        tensor.zero_()
        for group in range(groups):
            for channel in range(min(per_group, channels)):
                tensor[(group * per_group + channel, channel, *middle)] = 1
    return tensor


def _calculate_fan_in_and_fan_out(tensor):
    if tensor.dim() < 2:
        raise ValueError(
            "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions"
        )
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


def xavier_uniform_(tensor, gain=1.0, generator=None):
    """Fills uniformly so that variances keep their size forwards and backwards (Glorot).

    >>> import flambeau as torch
    >>> bool((torch.nn.init.xavier_uniform_(torch.empty(3, 3)).abs() <= 1).all())
    True
    """
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    bound = math.sqrt(3.0) * gain * math.sqrt(2.0 / (fan_in + fan_out))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor, gain=1.0, generator=None):
    """Fills normally so that variances keep their size forwards and backwards (Glorot).

    >>> import flambeau as torch
    >>> _ = torch.manual_seed(0)
    >>> round(torch.nn.init.xavier_normal_(torch.empty(256, 256)).std().item(), 3)
    0.062
    """
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / (fan_in + fan_out)), generator)


def _calculate_correct_fan(tensor, mode):
    mode = mode.lower()
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"Mode {mode} not supported, please use one of ['fan_in', 'fan_out']")
    return _calculate_fan_in_and_fan_out(tensor)[mode == "fan_out"]


def _kaiming_std(tensor, a, mode, nonlinearity):
    fan = _calculate_correct_fan(tensor, mode)
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def _has_no_elements(tensor):
    if 0 not in tensor.shape:
        return False
    import warnings

    warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=3)
    return True


def kaiming_uniform_(tensor, a=0, mode="fan_in", nonlinearity="leaky_relu", generator=None):
    """Fills uniformly so that variances keep their size through rectifiers (He).

    >>> import flambeau as torch
    >>> w = torch.nn.init.kaiming_uniform_(torch.empty(4, 6), nonlinearity="relu")
    >>> bool((w.abs() <= 1).all())
    True
    """
    if _has_no_elements(tensor):
        return tensor
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(tensor, a=0, mode="fan_in", nonlinearity="leaky_relu", generator=None):
    """Fills normally so that variances keep their size through rectifiers (He).

    >>> import flambeau as torch
    >>> _ = torch.manual_seed(0)
    >>> weight = torch.nn.init.kaiming_normal_(torch.empty(256, 128))
    >>> round(weight.std().item(), 3)
    0.125
    """
    if _has_no_elements(tensor):
        return tensor
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def orthogonal_(tensor, gain=1, generator=None):
    """Fills with a matrix of orthogonal rows or columns, whichever are fewer.

    Dimensions after the first count as one.

    >>> import flambeau as torch
    >>> w = torch.nn.init.orthogonal_(torch.empty(3, 3))
    >>> torch.allclose(w @ w.t(), torch.eye(3), atol=1e-6)
    True
    """
    if tensor.dim() < 2:
        raise ValueError("Only tensors with 2 or more dimensions are supported")
    if tensor.numel() == 0:
        return tensor
    rows = tensor.shape[0]
    columns = tensor.numel() // rows
    with torch.no_grad():
        flat = torch.empty((rows, columns), dtype=tensor.dtype, device=tensor.device)
        flat.normal_(0, 1, generator=generator)
        q, r = torch.linalg.qr(flat.t() if rows < columns else flat)
        q = q * r.diag().sign()
        tensor.copy_((q.t() if rows < columns else q).reshape(tensor.shape)).mul_(gain)
    return tensor


def sparse_(tensor, sparsity, std=0.01, generator=None):
    """Fills a matrix normally and sets a fraction of each column to zero.

    >>> import flambeau as torch
    >>> int((torch.nn.init.sparse_(torch.empty(10, 4), 0.5) == 0).sum())
    20
    """
    if tensor.dim() != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    rows, columns = tensor.shape
    zeros = math.ceil(sparsity * rows)
    with torch.no_grad():
        tensor.normal_(0, std, generator=generator)
        for column in range(columns):
            tensor[torch.randperm(rows)[:zeros], column] = 0
    return tensor


def _older(function):
    """A function under its name without the underscore, which says that it is out of date."""
    old, new = function.__name__[:-1], function.__name__

    def older(*args, **kwargs):
        import warnings

        warnings.warn(
            f"`nn.init.{old}` is now deprecated in favor of `nn.init.{new}`.",
            FutureWarning,
            stacklevel=2,
        )
        return function(*args, **kwargs)

    older.__name__ = older.__qualname__ = old
    older.__doc__ = f"The older name of `{new}`."
    return older


uniform = _older(uniform_)
normal = _older(normal_)
constant = _older(constant_)
eye = _older(eye_)
dirac = _older(dirac_)
xavier_uniform = _older(xavier_uniform_)
xavier_normal = _older(xavier_normal_)
kaiming_uniform = _older(kaiming_uniform_)
kaiming_normal = _older(kaiming_normal_)
orthogonal = _older(orthogonal_)
sparse = _older(sparse_)


# The functions above without their checks, which programs call by these names.
def _no_grad_uniform_(tensor, a, b, generator=None):
    with torch.no_grad():
        return tensor.uniform_(a, b, generator=generator)


def _no_grad_normal_(tensor, mean, std, generator=None):
    with torch.no_grad():
        return tensor.normal_(mean, std, generator=generator)


def _no_grad_trunc_normal_(tensor, mean, std, a, b, generator=None):
    return trunc_normal_(tensor, mean, std, a, b, generator)


def _no_grad_fill_(tensor, val):
    with torch.no_grad():
        return tensor.fill_(val)


def _no_grad_zero_(tensor):
    with torch.no_grad():
        return tensor.zero_()
