"""Quantized activations: those whose output has a scale of its own."""

from flambeau import nn
from flambeau.nn import functional as F

from .basic import Scaled, scale_after


class ReLU6(nn.ReLU):
    """relu6 of a quantized tensor, with the scale of the input."""

    def forward(self, input):
        """The values between 0 and 6."""
        return F.relu6(input, self.inplace)

    def _get_name(self):
        return "QuantizedReLU6"

    @staticmethod
    def from_float(mod, use_precomputed_fake_quant=False):
        """Of nn.ReLU6."""
        return ReLU6(mod.inplace)


class Hardswish(Scaled, nn.Hardswish):
    """hardswish."""

    def __init__(self, scale, zero_point, device=None, dtype=None):
        super().__init__()
        self._rescale(scale, zero_point)

    @staticmethod
    def from_float(mod, use_precomputed_fake_quant=False):
        """Of nn.Hardswish after calibration."""
        return Hardswish(*scale_after(mod))


class ELU(Scaled, nn.ELU):
    """elu."""

    def __init__(self, scale, zero_point, alpha=1.0):
        super().__init__(alpha)
        self._rescale(scale, zero_point)

    @staticmethod
    def from_float(mod, use_precomputed_fake_quant=False):
        """Of nn.ELU after calibration."""
        return ELU(*scale_after(mod), mod.alpha)


class LeakyReLU(Scaled, nn.LeakyReLU):
    """leaky_relu."""

    def __init__(
        self, scale, zero_point, negative_slope=1e-2, inplace=False, device=None, dtype=None
    ):
        super().__init__(negative_slope, inplace)
        self._rescale(scale, zero_point)

    @classmethod
    def from_float(cls, mod, use_precomputed_fake_quant=False):
        """Of nn.LeakyReLU after calibration."""
        return cls(*scale_after(mod), mod.negative_slope, mod.inplace)


class Sigmoid(Scaled, nn.Sigmoid):
    """sigmoid."""

    def __init__(self, output_scale, output_zero_point):
        super().__init__()
        self._rescale(output_scale, output_zero_point)
        self.output_scale, self.output_zero_point = output_scale, output_zero_point

    @classmethod
    def from_float(cls, mod, use_precomputed_fake_quant=False):
        """Of nn.Sigmoid after calibration."""
        return cls(*scale_after(mod))


class Softmax(Scaled, nn.Softmax):
    """softmax."""

    def __init__(self, dim=None, scale=1.0, zero_point=0):
        super().__init__(dim)
        self._rescale(scale, zero_point)

    @staticmethod
    def from_float(mod, use_precomputed_fake_quant=False):
        """Of nn.Softmax after calibration."""
        return Softmax(mod.dim, *scale_after(mod))


class PReLU(Scaled, nn.PReLU):
    """prelu; its slopes stay floats."""

    def __init__(self, output_scale, output_zero_point, num_parameters=1):
        super().__init__(num_parameters)
        self._rescale(output_scale, output_zero_point)

    @classmethod
    def from_float(cls, mod, use_precomputed_fake_quant=False):
        """Of nn.PReLU after calibration."""
        made = cls(*scale_after(mod), mod.num_parameters)
        made.weight = nn.Parameter(mod.weight.detach().float(), requires_grad=False)
        return made
