"""Quantized convolutions."""

import flambeau
from flambeau import nn
from flambeau.nn import functional as F

from .._packed import Packed, quantized_weight
from .basic import ScaleInState, again, scale_after


class _Quantized(ScaleInState, nn.Module):
    _relu = False

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size,
        stride=1,
        padding=0,
        dilation=1,
        groups=1,
        bias=True,
        padding_mode="zeros",
        device=None,
        dtype=None,
    ):
        super().__init__()
        self._shape_as(
            self._float(
                in_channels,
                out_channels,
                kernel_size,
                stride,
                padding,
                dilation,
                groups,
                bias,
                padding_mode,
                device="meta",
            )
        )

    def _shape_as(self, plain):
        own = vars(self)
        own.update({name: value for name, value in vars(plain).items() if name not in own})
        zeros = flambeau.zeros(plain.weight.shape)
        zeros = flambeau.quantize_per_tensor(zeros, 1.0, 0, flambeau.qint8)
        bias = None if plain.bias is None else flambeau.zeros(plain.bias.shape)
        self.set_weight_bias(zeros, bias)

    def set_weight_bias(self, w, b):
        """Takes a quantized weight and a bias or None."""
        self._packed_params = Packed(w, b)

    def _weight_bias(self):
        return self._packed_params.unpack()

    def weight(self):
        """The weight."""
        return self._packed_params.weight

    def bias(self):
        """The bias, or None."""
        return self._packed_params.bias

    def forward(self, input):
        """The quantized convolution of a quantized input."""
        weight, bias = self._packed_params.numbers(), self._packed_params.bias
        y = self._computed(input.dequantize(), weight, bias)
        return again(F.relu(y) if self._relu else y, self.scale, self.zero_point, input.dtype)

    def _computed(self, x, weight, bias):
        return self._float._conv_forward(self, x, weight, bias)

    def _get_name(self):
        return f"Quantized{type(self).__name__}"

    def extra_repr(self):
        """The shape of the convolution, and the scale."""
        text = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}, scale={self.scale}, zero_point={self.zero_point}"
        )
        zeros, ones = (0,) * len(self.kernel_size), (1,) * len(self.kernel_size)
        if self.padding != zeros:
            text += f", padding={self.padding}"
        if self.dilation != ones:
            text += f", dilation={self.dilation}"
        if self.output_padding != zeros:
            text += f", output_padding={self.output_padding}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        return text if self.bias() is not None else f"{text}, bias=False"

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        super()._save_to_state_dict(destination, prefix, keep_vars)
        weight, bias = self._weight_bias()
        destination[prefix + "weight"], destination[prefix + "bias"] = weight, bias

    def _load_from_state_dict(self, state_dict, prefix, *rest):
        if prefix + "weight" in state_dict:
            bias = state_dict.pop(prefix + "bias", None)
            self.set_weight_bias(state_dict.pop(prefix + "weight"), bias)
        super()._load_from_state_dict(state_dict, prefix, *rest)

    @classmethod
    def from_float(cls, mod, use_precomputed_fake_quant=False):
        """Of a convolution that was prepared and has seen data."""
        conv = mod[0] if isinstance(mod, nn.Sequential) else mod
        weight, bias = conv.weight, conv.bias
        if hasattr(mod, "bn"):
            bn = mod.bn
            weight, bias = nn.utils.fusion.fuse_conv_bn_weights(
                weight, bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
            )
        observer = getattr(mod, "weight_fake_quant", None) or mod.qconfig.weight()
        made = cls(
            conv.in_channels,
            conv.out_channels,
            conv.kernel_size,
            conv.stride,
            conv.padding,
            *cls._more(conv),
        )
        made.set_weight_bias(quantized_weight(weight, observer, use_precomputed_fake_quant), bias)
        made.scale, made.zero_point = scale_after(mod)
        return made

    @staticmethod
    def _more(conv):
        return conv.dilation, conv.groups, conv.bias is not None, conv.padding_mode


class _QuantizedTransposed(_Quantized):
    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size,
        stride=1,
        padding=0,
        output_padding=0,
        groups=1,
        bias=True,
        dilation=1,
        padding_mode="zeros",
        device=None,
        dtype=None,
    ):
        nn.Module.__init__(self)
        self._shape_as(
            self._float(
                in_channels,
                out_channels,
                kernel_size,
                stride,
                padding,
                output_padding,
                groups,
                bias,
                dilation,
                padding_mode,
                device="meta",
            )
        )

    def _computed(self, x, weight, bias):
        function = getattr(F, f"conv_transpose{len(self.kernel_size)}d")
        return function(
            x,
            weight,
            bias,
            self.stride,
            self.padding,
            self.output_padding,
            self.groups,
            self.dilation,
        )

    @staticmethod
    def _more(conv):
        return (
            conv.output_padding,
            conv.groups,
            conv.bias is not None,
            conv.dilation,
            conv.padding_mode,
        )


def _make(name, *bases, **attributes):
    made = type(name, bases, {"__module__": __name__, **attributes})
    globals()[name] = made
    return made


for _n in (1, 2, 3):
    _made = _make(
        f"Conv{_n}d",
        _Quantized,
        _float=getattr(nn, f"Conv{_n}d"),
        _function=f"conv{_n}d",  # what nn's _conv_forward() calls
        __doc__=f"The convolution of quantized tensors over {_n} dimensions.",
    )
    _make(f"ConvReLU{_n}d", _made, _relu=True, __doc__="A convolution and relu.")
    _make(
        f"ConvTranspose{_n}d",
        _QuantizedTransposed,
        _float=getattr(nn, f"ConvTranspose{_n}d"),
        __doc__=f"The transposed convolution of quantized tensors over {_n} dimensions.",
    )
