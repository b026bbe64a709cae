"""The linear layer that quantizes its input as it comes."""

import flambeau
from flambeau import nn
from flambeau.nn import functional as F

from ..._packed import quantized_weight, scheme_of
from ...modules import linear as static


class Linear(static.Linear):
    """Floats times a weight of 8-bit integers (or of float16); floats again.

    >>> import flambeau as torch
    >>> layer = torch.nn.Sequential(torch.nn.Linear(8, 4))
    >>> small = torch.ao.quantization.quantize_dynamic(layer)
    >>> bool((small(torch.ones(1, 8)) - layer(torch.ones(1, 8))).abs().max() < 0.02)
    True
    """

    _version = 4

    def forward(self, x):
        """The product."""
        if x.dtype != flambeau.float32:
            raise RuntimeError(f"dynamic.Linear: expected a tensor of float32, got {x.dtype}")
        y = self._packed_params._packed.dynamic(x)
        return F.relu(y) if self._relu else y

    def _get_name(self):
        return "DynamicQuantizedLinearReLU" if self._relu else "DynamicQuantizedLinear"

    def extra_repr(self):
        """Sizes, dtype and scheme."""
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"dtype={self._packed_params.dtype}{scheme_of(self.weight())}"
        )

    @classmethod
    def from_float(cls, mod, use_precomputed_fake_quant=False):
        """Of a linear layer, or of it with a relu."""
        linear = mod[0] if isinstance(mod, nn.Sequential) else mod
        observer = _weight_observer(mod)
        made = cls(
            linear.in_features, linear.out_features, linear.bias is not None, dtype=observer.dtype
        )
        weight = quantized_weight(linear.weight, observer, use_precomputed_fake_quant)
        made.set_weight_bias(weight, linear.bias)
        return made


class LinearReLU(Linear):
    """Linear and relu."""

    _relu = True


def _weight_observer(mod):
    """The observer that quantizes the weights of a module."""
    if getattr(mod, "qconfig", None) is not None and mod.qconfig.weight is not None:
        observer = mod.qconfig.weight()
    else:
        from flambeau.ao.quantization import default_dynamic_qconfig

        observer = default_dynamic_qconfig.weight()
    if observer.dtype not in (flambeau.qint8, flambeau.float16):
        raise RuntimeError(
            "The only supported dtypes for dynamic quantized modules are qint8 and float16, got "
            f"{observer.dtype}"
        )
    return observer
