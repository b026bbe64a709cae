"""Functions of quantized tensors, under the names of nn.functional."""

import flambeau
from flambeau.nn import functional as F
from flambeau.nn.functional import (  # noqa: F401 (they keep the input's scale)
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    avg_pool2d,
    avg_pool3d,
    hardtanh,
    interpolate,
    max_pool1d,
    max_pool2d,
    threshold,
    upsample,
    upsample_bilinear,
    upsample_nearest,
)

from .modules.basic import again


def _numbers(x):
    return flambeau.dequantize(x)


def linear(input, weight, bias=None, scale=None, zero_point=None):
    """The product of quantized tensors, quantized with a scale (by default the input's)."""
    y = F.linear(_numbers(input), _numbers(weight), bias)
    return _scaled(y, input, scale, zero_point)


def _scaled(y, input, scale, zero_point, dtype=None):
    scale = input.q_scale() if scale is None else scale
    zero_point = input.q_zero_point() if zero_point is None else zero_point
    return again(y, scale, zero_point, dtype or input.dtype)


def _conv(n):
    def conv(
        input,
        weight,
        bias,
        stride=1,
        padding=0,
        dilation=1,
        groups=1,
        padding_mode="zeros",
        scale=1.0,
        zero_point=0,
        dtype=flambeau.quint8,
    ):
        if padding_mode != "zeros":
            raise NotImplementedError("Only zero-padding is supported!")
        function = getattr(F, f"conv{n}d")
        y = function(_numbers(input), _numbers(weight), bias, stride, padding, dilation, groups)
        return again(y, scale, zero_point, dtype)

    conv.__name__ = conv.__qualname__ = f"conv{n}d"
    conv.__doc__ = f"The convolution of quantized tensors over {n} dimensions."
    return conv


conv1d, conv2d, conv3d = _conv(1), _conv(2), _conv(3)


def celu(input, scale, zero_point, alpha=1.0):
    """celu with a scale for what it gives."""
    return _scaled(F.celu(_numbers(input), alpha), input, scale, zero_point)


def elu(input, scale, zero_point, alpha=1.0):
    """elu with a scale for what it gives."""
    return _scaled(F.elu(_numbers(input), alpha), input, scale, zero_point)


def leaky_relu(input, negative_slope=0.01, inplace=False, scale=None, zero_point=None):
    """leaky_relu with a scale for what it gives (by default the input's)."""
    made = _scaled(F.leaky_relu(_numbers(input), negative_slope), input, scale, zero_point)
    return input.copy_(made) if inplace else made


def hardswish(input, scale, zero_point):
    """hardswish with a scale for what it gives."""
    return _scaled(F.hardswish(_numbers(input)), input, scale, zero_point)


def hardsigmoid(input, inplace=False):
    """hardsigmoid, whose range is 0 to 1: in steps of 1/256."""
    zero_point = -128 if input.dtype == flambeau.qint8 else 0
    made = again(F.hardsigmoid(_numbers(input)), 1 / 256, zero_point, input.dtype)
    return input.copy_(made) if inplace else made


def clamp(input, min_, max_):
    """The values between two numbers."""
    return flambeau.clamp(input, min_, max_)
