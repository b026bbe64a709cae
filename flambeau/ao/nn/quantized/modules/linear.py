"""The quantized linear layer, and the module that holds its weight."""

import flambeau
from flambeau import nn
from flambeau.nn import functional as F

from .._packed import Packed, quantized_weight, scheme_of
from .basic import ScaleInState, again, scale_after


class LinearPackedParams(nn.Module):
    """A weight and a bias, in the state_dict as one entry."""

    _version = 3

    def __init__(self, dtype=flambeau.qint8):
        super().__init__()
        self.dtype = dtype
        self._packed = None

    def set_weight_bias(self, weight, bias):
        """Takes a weight, quantized or of float16's precision, and a bias or None."""
        self._packed = Packed(weight, bias)

    def _weight_bias(self):
        return self._packed.unpack()

    def forward(self, x):
        """x."""
        return x

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[prefix + "dtype"] = self.dtype
        destination[prefix + "_packed_params"] = self._weight_bias()

    def _load_from_state_dict(self, state_dict, prefix, metadata, strict, *lists):
        self.dtype = state_dict.pop(prefix + "dtype", self.dtype)
        if prefix + "_packed_params" in state_dict:
            self.set_weight_bias(*state_dict.pop(prefix + "_packed_params"))
        elif prefix + "weight" in state_dict:
            self.set_weight_bias(
                state_dict.pop(prefix + "weight"), state_dict.pop(prefix + "bias", None)
            )
        super()._load_from_state_dict(state_dict, prefix, metadata, False, *lists)

    def __repr__(self):
        return repr(self._weight_bias())


class Linear(ScaleInState, nn.Module):
    """The linear layer of integers: both weight and output quantized.

    >>> import flambeau as torch
    >>> layer = torch.ao.nn.quantized.Linear(4, 2)
    >>> layer(torch.quantize_per_tensor(torch.ones(1, 4), 0.1, 0, torch.quint8)).shape
    torch.Size([1, 2])
    """

    _version = 3
    _relu = False

    def __init__(self, in_features, out_features, bias_=True, dtype=flambeau.qint8):
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        weight = flambeau.zeros(out_features, in_features)
        if dtype == flambeau.qint8:
            weight = flambeau.quantize_per_tensor(weight, 1.0, 0, flambeau.qint8)
        elif dtype != flambeau.float16:
            raise RuntimeError("Unsupported dtype specified for quantized Linear!")
        self._packed_params = LinearPackedParams(dtype)
        self._packed_params.set_weight_bias(weight, flambeau.zeros(out_features) if bias_ else None)

    def forward(self, x):
        """The quantized product with a quantized x."""
        packed = self._packed_params._packed
        y = F.linear(x.dequantize(), packed.numbers(), packed.bias)
        return again(F.relu(y) if self._relu else y, self.scale, self.zero_point, x.dtype)

    def weight(self):
        """The weight."""
        return self._packed_params._weight_bias()[0]

    def bias(self):
        """The bias, or None."""
        return self._packed_params._weight_bias()[1]

    def set_weight_bias(self, w, b):
        """Takes a weight and a bias."""
        self._packed_params.set_weight_bias(w, b)

    def _weight_bias(self):
        return self._packed_params._weight_bias()

    def _get_name(self):
        return "QuantizedLinearReLU" if self._relu else "QuantizedLinear"

    def extra_repr(self):
        """Sizes, scale and scheme."""
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"scale={self.scale}, zero_point={self.zero_point}{scheme_of(self.weight())}"
        )

    def __repr__(self):
        return f"{self._get_name()}({self.extra_repr()})"

    def _load_from_state_dict(self, state_dict, prefix, *rest):
        for name in ("weight", "bias"):  # of old versions
            if prefix + name in state_dict:
                state_dict[f"{prefix}_packed_params.{name}"] = state_dict.pop(prefix + name)
        super()._load_from_state_dict(state_dict, prefix, *rest)

    @classmethod
    def from_float(cls, mod, use_precomputed_fake_quant=False):
        """Of a linear layer that was prepared and has seen data."""
        linear = mod[0] if isinstance(mod, nn.Sequential) else mod
        weight, bias = linear.weight, linear.bias
        if hasattr(mod, "bn"):
            weight, bias = nn.utils.fusion.fuse_linear_bn_weights(
                weight,
                bias,
                mod.bn.running_mean,
                mod.bn.running_var,
                mod.bn.eps,
                mod.bn.weight,
                mod.bn.bias,
            )
        observer = getattr(mod, "weight_fake_quant", None) or mod.qconfig.weight()
        made = cls(linear.in_features, linear.out_features, bias_=bias is not None)
        made.set_weight_bias(quantized_weight(weight, observer, use_precomputed_fake_quant), bias)
        made.scale, made.zero_point = scale_after(mod)
        return made


class LinearReLU(Linear):
    """Linear and relu."""

    _relu = True
