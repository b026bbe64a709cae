"""Activations element by element, made of other operators; `inplace` overwrites the input."""

import functools

import flambeau as torch

__all__ = [
    "celu",
    "elu",
    "gelu",
    "glu",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "logsigmoid",
    "mish",
    "prelu",
    "relu",
    "relu6",
    "rrelu",
    "selu",
    "silu",
    "softplus",
    "softshrink",
    "softsign",
    "tanhshrink",
    "threshold",
]


def _overwriting(function):
    """Gives an activation the argument `inplace`."""

    @functools.wraps(function)
    def wrapper(input, *args, inplace=False, **kwargs):
        if len(args) == len(names):  # given by its place, the last
            *args, inplace = args
        if not inplace:
            return function(input, *args, **kwargs)
        # The gradient reads the input as it was.
        return input.copy_(function(input.clone(), *args, **kwargs))

    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    return wrapper


@_overwriting
def relu(input):
    """``max(x, 0)``."""
    return torch.where(input > 0, input, input * 0) if input.dtype != torch.bool else input


@_overwriting
def hardtanh(input, min_val=-1.0, max_val=1.0):
    """Cuts values off below `min_val` and above `max_val`."""
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    low, high = torch.full_like(input, min_val), torch.full_like(input, max_val)
    return torch.where(input <= min_val, low, torch.where(input >= max_val, high, input))


@_overwriting
def relu6(input):
    """``min(max(x, 0), 6)``."""
    return hardtanh(input, 0, 6)


@_overwriting
def elu(input, alpha=1.0):
    """``x`` above zero and ``alpha * (exp(x) - 1)`` below."""
    return torch.where(input > 0, input, alpha * torch.expm1(input.clamp(max=0)))


@_overwriting
def selu(input):
    """The exponential linear unit with the scale that keeps mean and variance."""
    return 1.0507009873554805 * elu(input, 1.6732632423543772)


@_overwriting
def celu(input, alpha=1.0):
    """``max(0, x) + min(0, alpha * (exp(x / alpha) - 1))``."""
    return torch.where(input > 0, input, alpha * torch.expm1((input / alpha).clamp(max=0)))


@_overwriting
def leaky_relu(input, negative_slope=0.01):
    """``x`` above zero and ``negative_slope * x`` below."""
    return torch.where(input > 0, input, input * negative_slope)


@_overwriting
def rrelu(input, lower=1.0 / 8, upper=1.0 / 3, training=False):
    """A leaky rectifier whose slope is drawn for each element in training."""
    if not training:
        return leaky_relu(input, (lower + upper) / 2)
    slope = torch.empty_like(input).uniform_(lower, upper)
    return torch.where(input > 0, input, input * slope)


@_overwriting
def threshold(input, threshold, value):
    """Keeps what is above `threshold` and puts `value` in the place of the rest."""
    return torch.where(input > threshold, input, torch.full_like(input, value))


@_overwriting
def silu(input):
    """``x * sigmoid(x)``."""
    return input * torch.sigmoid(input)


@_overwriting
def mish(input):
    """``x * tanh(softplus(x))``."""
    return input * torch.tanh(softplus(input))


@_overwriting
def hardsigmoid(input):
    """``relu6(x + 3) / 6``."""
    return relu6(input + 3) / 6


@_overwriting
def hardswish(input):
    """``x * relu6(x + 3) / 6``."""
    return input * relu6(input + 3) / 6


def gelu(input, approximate="none"):
    """``x`` times the normal distribution function of ``x``; "tanh" approximates it."""
    if approximate == "none":
        return input * 0.5 * (1 + torch.erf(input * 0.7071067811865476))
    if approximate != "tanh":
        raise RuntimeError("approximate argument must be either none or tanh.")
    inner = 0.7978845608028654 * (input + 0.044715 * input * input * input)
    return 0.5 * input * (1 + torch.tanh(inner))


def glu(input, dim=-1):
    """Splits a dimension in two halves and returns ``first * sigmoid(second)``."""
    if input.dim() == 0:
        raise RuntimeError("glu does not support scalars because halving size must be even")
    if input.shape[dim] % 2:
        raise RuntimeError(
            f"Halving dimension must be even, but dimension {dim % input.dim()} is size "
            f"{input.shape[dim]}"
        )
    first, second = input.chunk(2, dim)
    return first * torch.sigmoid(second)


def softplus(input, beta=1.0, threshold=20.0):
    """``log(1 + exp(beta * x)) / beta``, and ``x`` itself above the threshold."""
    large = input * beta > threshold
    small = torch.where(large, torch.zeros_like(input), input)
    return torch.where(large, input, torch.log1p(torch.exp(small * beta)) / beta)


def logsigmoid(input):
    """The logarithm of the sigmoid."""
    return input.clamp(max=0) - torch.log1p(torch.exp(-input.abs()))


def hardshrink(input, lambd=0.5):
    """Puts zero in the place of values between ``-lambd`` and ``lambd``."""
    return torch.where(input.abs() > lambd, input, torch.zeros_like(input))


def softshrink(input, lambd=0.5):
    """Moves values towards zero by ``lambd``, not beyond."""
    if lambd < 0:
        raise RuntimeError(f"lambda must be greater or equal to 0, but found to be {lambd}.")
    near = torch.where(input < -lambd, input + lambd, torch.zeros_like(input))
    return torch.where(input > lambd, input - lambd, near)


def softsign(input):
    """``x / (1 + |x|)``."""
    return input / (1 + input.abs())


def tanhshrink(input):
    """``x - tanh(x)``."""
    return input - torch.tanh(input)


def prelu(input, weight):
    """A leaky rectifier with learned slopes: one, or one for each channel."""
    if weight.numel() != 1:
        channels = input.shape[1] if input.dim() > 1 else 1
        if weight.dim() != 1 or weight.numel() != channels:
            raise RuntimeError(
                "Mismatch of parameter numbers and input channel size. Found parameter numbers = "
                f"{weight.numel()} and channel size = {channels}."
            )
        weight = weight.reshape(1, -1, *[1] * (input.dim() - 2))
    elif input.dim() == 0:
        weight = weight.reshape(())
    return torch.where(input > 0, input, weight * input)
