"""The way in and the way out, and what both kinds of numbers pass unchanged."""

import flambeau
from flambeau import nn


class Quantize(nn.Module):
    """Numbers become integers.

    >>> import flambeau as torch
    >>> to_integers = torch.ao.nn.quantized.Quantize(0.5, 0, torch.qint8)
    >>> to_integers(torch.tensor([1.2])).int_repr()
    tensor([2], dtype=torch.int8)
    """

    def __init__(self, scale, zero_point, dtype, factory_kwargs=None):
        super().__init__()
        self.register_buffer("scale", flambeau.tensor([float(scale)]))
        self.register_buffer("zero_point", flambeau.tensor([int(zero_point)]))
        self.dtype = dtype

    def forward(self, X):
        """X as a quantized tensor."""
        return flambeau.quantize_per_tensor(X, float(self.scale), int(self.zero_point), self.dtype)

    @staticmethod
    def from_float(mod, use_precomputed_fake_quant=False):
        """Of a QuantStub that data has passed."""
        scale, zero_point = mod.activation_post_process.calculate_qparams()
        return Quantize(scale.item(), zero_point.item(), mod.activation_post_process.dtype)

    def extra_repr(self):
        """The scale and the zero point."""
        return f"scale={self.scale}, zero_point={self.zero_point}, dtype={self.dtype}"


class DeQuantize(nn.Module):
    """Integers become numbers."""

    def forward(self, Xq):
        """Xq as numbers."""
        return Xq.dequantize()

    @staticmethod
    def from_float(mod, use_precomputed_fake_quant=False):
        """Of a DeQuantStub."""
        return DeQuantize()


class Dropout(nn.Dropout):
    """Nothing is dropped: a quantized network does not train."""

    def forward(self, input):
        """input."""
        return input

    def _get_name(self):
        return "QuantizedDropout"

    @classmethod
    def from_float(cls, mod, use_precomputed_fake_quant=False):
        """Of nn.Dropout."""
        return cls(mod.p, mod.inplace)


class Scaled:
    """A module of floats run on the numbers; what it gives has a scale and a zero point."""

    _relu = False

    def _rescale(self, scale=1.0, zero_point=0):
        self.register_buffer("scale", flambeau.tensor(float(scale)))
        self.register_buffer("zero_point", flambeau.tensor(int(zero_point)))

    def forward(self, input):
        """What the module gives for a quantized tensor, quantized."""
        y = super().forward(input.dequantize())
        y = nn.functional.relu(y) if self._relu else y
        return again(y, float(self.scale), int(self.zero_point), input.dtype)

    def _get_name(self):
        return f"Quantized{type(self).__name__}"


class ScaleInState:
    """A scale and a zero point that are plain numbers, in the state_dict as tensors."""

    scale, zero_point = 1.0, 0

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[prefix + "scale"] = flambeau.tensor(self.scale)
        destination[prefix + "zero_point"] = flambeau.tensor(self.zero_point)

    def _load_from_state_dict(self, state_dict, prefix, metadata, strict, *lists):
        if prefix + "scale" in state_dict:
            self.scale = float(state_dict.pop(prefix + "scale"))
            self.zero_point = int(state_dict.pop(prefix + "zero_point"))
        # Not strict, as in PyTorch: other keys pass.
        super()._load_from_state_dict(state_dict, prefix, metadata, False, *lists)


def scale_after(mod):
    """The scale and zero point that the observer after a module found."""
    scale, zero_point = mod.activation_post_process.calculate_qparams()
    return float(scale), int(zero_point)


def again(values, scale, zero_point, dtype=flambeau.quint8):
    """Numbers quantized for the next module."""
    return flambeau.quantize_per_tensor(values, scale, zero_point, dtype)
