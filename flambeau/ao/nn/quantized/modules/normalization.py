"""Quantized normalizations: computed on the numbers, quantized with a scale of their own."""

from flambeau import nn

from .basic import Scaled, scale_after


class _BatchNorm(Scaled):
    def __init__(self, num_features, eps=1e-5, momentum=0.1, device=None, dtype=None):
        super().__init__(num_features, eps, momentum, device=device, dtype=dtype)
        self._rescale()
        self.eval()

    @classmethod
    def from_float(cls, mod, use_precomputed_fake_quant=False):
        """Of a batch norm, or of it with a relu, after calibration."""
        bn = mod[0] if isinstance(mod, nn.Sequential) else mod
        made = cls(bn.num_features, bn.eps)
        made.weight, made.bias = bn.weight, bn.bias
        made.running_mean, made.running_var = bn.running_mean, bn.running_var
        made._rescale(*scale_after(mod))
        return made.eval()


class BatchNorm2d(_BatchNorm, nn.BatchNorm2d):
    """Batch norm of images."""


class BatchNorm3d(_BatchNorm, nn.BatchNorm3d):
    """Batch norm of volumes."""


class BNReLU2d(BatchNorm2d):
    """Batch norm and relu."""

    _relu = True


class BNReLU3d(BatchNorm3d):
    """Batch norm and relu."""

    _relu = True


class LayerNorm(Scaled, nn.LayerNorm):
    """Layer norm."""

    def __init__(
        self,
        normalized_shape,
        weight,
        bias,
        scale,
        zero_point,
        eps=1e-5,
        elementwise_affine=True,
        device=None,
        dtype=None,
    ):
        super().__init__(normalized_shape, eps, elementwise_affine)
        self.weight, self.bias = weight, bias
        self._rescale(scale, zero_point)

    @classmethod
    def from_float(cls, mod, use_precomputed_fake_quant=False):
        """Of nn.LayerNorm after calibration."""
        return cls(
            mod.normalized_shape,
            mod.weight,
            mod.bias,
            *scale_after(mod),
            mod.eps,
            mod.elementwise_affine,
        )


class GroupNorm(Scaled, nn.GroupNorm):
    """Group norm."""

    def __init__(
        self,
        num_groups,
        num_channels,
        weight,
        bias,
        scale,
        zero_point,
        eps=1e-5,
        affine=True,
        device=None,
        dtype=None,
    ):
        super().__init__(num_groups, num_channels, eps, affine)
        self.weight, self.bias = weight, bias
        self._rescale(scale, zero_point)

    @classmethod
    def from_float(cls, mod, use_precomputed_fake_quant=False):
        """Of nn.GroupNorm after calibration."""
        return cls(
            mod.num_groups,
            mod.num_channels,
            mod.weight,
            mod.bias,
            *scale_after(mod),
            mod.eps,
            mod.affine,
        )


class _InstanceNorm(Scaled):
    def __init__(
        self,
        num_features,
        weight,
        bias,
        scale,
        zero_point,
        eps=1e-5,
        momentum=0.1,
        affine=False,
        track_running_stats=False,
        device=None,
        dtype=None,
    ):
        super().__init__(num_features, eps, momentum, affine, track_running_stats)
        self.weight, self.bias = weight, bias
        self._rescale(scale, zero_point)

    @classmethod
    def from_float(cls, mod, use_precomputed_fake_quant=False):
        """Of an instance norm after calibration."""
        return cls(
            mod.num_features,
            mod.weight,
            mod.bias,
            *scale_after(mod),
            mod.eps,
            mod.momentum,
            mod.affine,
            mod.track_running_stats,
        )


class InstanceNorm1d(_InstanceNorm, nn.InstanceNorm1d):
    """Instance norm of sequences."""


class InstanceNorm2d(_InstanceNorm, nn.InstanceNorm2d):
    """Instance norm of images."""


class InstanceNorm3d(_InstanceNorm, nn.InstanceNorm3d):
    """Instance norm of volumes."""
