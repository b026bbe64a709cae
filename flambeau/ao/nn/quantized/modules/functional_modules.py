"""Additions and products between a network's modules, as modules: so they can be observed."""

import flambeau
from flambeau import nn

from .basic import ScaleInState, again, scale_after


class FloatFunctional(nn.Module):
    """add, mul, cat of floats; what they give is observed.

    >>> import flambeau as torch
    >>> torch.ao.nn.quantized.FloatFunctional().add(torch.ones(1), torch.ones(1))
    tensor([2.])
    """

    def __init__(self):
        super().__init__()
        self.activation_post_process = nn.Identity()

    def forward(self, x):
        """An error: its methods are called."""
        raise RuntimeError(
            "FloatFunctional is not intended to use the 'forward'. Please use the underlying "
            "operation"
        )

    def add(self, x, y):
        """x + y."""
        return self.activation_post_process(flambeau.add(x, y))

    def add_scalar(self, x, y):
        """x plus a number."""
        return flambeau.add(x, y)

    def mul(self, x, y):
        """x * y."""
        return self.activation_post_process(flambeau.mul(x, y))

    def mul_scalar(self, x, y):
        """x times a number."""
        return flambeau.mul(x, y)

    def cat(self, x, dim=0):
        """The tensors one after the other."""
        return self.activation_post_process(flambeau.cat(x, dim=dim))

    def add_relu(self, x, y):
        """relu(x + y)."""
        return self.activation_post_process(nn.functional.relu(flambeau.add(x, y)))

    def matmul(self, x, y):
        """x @ y."""
        return self.activation_post_process(flambeau.matmul(x, y))


class FXFloatFunctional(FloatFunctional):
    """The same without observing."""

    def __init__(self):
        nn.Module.__init__(self)
        self.activation_post_process = nn.Identity()


class QFunctional(ScaleInState, nn.Module):
    """add, mul, cat of quantized tensors, with a scale for what they give."""

    def __init__(self):
        super().__init__()
        self.activation_post_process = nn.Identity()

    def _again(self, values, like):
        return self.activation_post_process(again(values, self.scale, self.zero_point, like.dtype))

    def add(self, x, y):
        """x + y."""
        return self._again(x.dequantize() + y.dequantize(), x)

    def add_scalar(self, x, y):
        """x plus a number."""
        return add_number(x, y)

    def mul(self, x, y):
        """x * y."""
        return self._again(x.dequantize() * y.dequantize(), x)

    def mul_scalar(self, x, y):
        """x times a number."""
        return times_number(x, y)

    def cat(self, x, dim=0):
        """The tensors one after the other."""
        return self._again(flambeau.cat([t.dequantize() for t in x], dim=dim), x[0])

    def add_relu(self, x, y):
        """relu(x + y)."""
        return self._again(nn.functional.relu(x.dequantize() + y.dequantize()), x)

    def matmul(self, x, y):
        """x @ y."""
        return self._again(flambeau.matmul(x.dequantize(), y.dequantize()), x)

    def forward(self, x):
        """An error: its methods are called."""
        raise RuntimeError(
            "Functional is not intended to use the 'forward'. Please use the underlying operation"
        )

    def _get_name(self):
        return "QFunctional"

    def extra_repr(self):
        """The scale and the zero point."""
        return f"scale={self.scale}, zero_point={self.zero_point}"

    @classmethod
    def from_float(cls, mod, use_precomputed_fake_quant=False):
        """Of a FloatFunctional after calibration."""
        made = cls()
        made.scale, made.zero_point = scale_after(mod)
        return made


def _range(dtype):
    return (-128, 127) if dtype == flambeau.qint8 else (0, 255)


def _mirrored(x):
    low, high = _range(x.dtype)
    return high + low - x.q_zero_point()


def times_number(x, y):
    """x * y: the integers stay, or are mirrored, and the scale is another."""
    if y < 0:
        return again(x.dequantize() * y, x.q_scale() * -y, _mirrored(x), x.dtype)
    return x._made(x.int_repr(), x.dtype, x.q_scale() * y, x.q_zero_point())


def add_number(x, y):
    """x + y: the zero point moves; where it would leave the range, the scale is another too."""
    low, high = _range(x.dtype)
    scale, zero = x.q_scale(), x.q_zero_point() - round(y / x.q_scale())
    if low <= zero <= high:
        return x._made(x.int_repr(), x.dtype, scale, zero)
    if zero < low:
        scale, zero = scale * (high - zero) / (high - low), low
    else:
        scale, zero = scale * (zero - low) / (high - low), high
    return again(x.dequantize() + y, scale, zero, x.dtype)
