"""A weight of small integers and its bias, and what is computed with them.

Products run on the numbers that the integers stand for: they are the integers' products times the
scales, within float32's rounding. The numbers are made at the first use and kept beside.
"""

import flambeau
from flambeau._quantized._functions import chosen_scale
from flambeau._quantized._tensor import QuantizedTensor

_FLOATS = (flambeau.float16, flambeau.float32)


def quantized_weight(weight, observer, precomputed=False):
    """A weight as integers, by the scale that an observer finds for it, or has found."""
    if observer.dtype == flambeau.float16:
        return weight.detach().to(flambeau.float16).to(flambeau.float32)
    switch = getattr(observer, "observer_enabled", None)
    if not precomputed and (switch is None or switch[0]):
        observer(weight.detach())
    scale, zero_point = observer.calculate_qparams()
    weight = weight.detach().to(flambeau.float32)
    if observer.qscheme in (flambeau.per_tensor_affine, flambeau.per_tensor_symmetric):
        return flambeau.quantize_per_tensor(weight, scale.item(), int(zero_point), observer.dtype)
    return flambeau.quantize_per_channel(
        weight, scale, zero_point, observer.ch_axis, observer.dtype
    )


def scheme_of(weight):
    """The text of a weight's scheme in a module's description."""
    return f", qscheme={weight.qscheme()}" if isinstance(weight, QuantizedTensor) else ""


class Packed:
    """A weight and its bias or None."""

    def __init__(self, weight, bias):
        self.weight, self.bias = weight, bias
        self._numbers = None

    def numbers(self):
        """The weight in float32."""
        if not isinstance(self.weight, QuantizedTensor):
            return self.weight
        if self._numbers is None:
            self._numbers = self.weight.dequantize()
        return self._numbers

    def unpack(self):
        """(weight, bias)."""
        return self.weight, self.bias

    def dynamic(self, x, reduce_range=True):
        """The product with x, which is rounded first where the weight is integers."""
        if isinstance(self.weight, QuantizedTensor):
            x = rounded(x, 127 if reduce_range else 255)
        return flambeau.nn.functional.linear(x, self.numbers(), self.bias)

    def __getstate__(self):
        return self.weight, self.bias

    def __setstate__(self, state):
        self.weight, self.bias = state
        self._numbers = None

    def __deepcopy__(self, memo):
        import copy

        made = type(self).__new__(type(self))
        made.__setstate__(copy.deepcopy(self.__getstate__(), memo))
        return made


def rounded(x, greatest=127):
    """x as the integers from 0 to `greatest` would hold it that its own range asks for."""
    scale, zero_point = chosen_scale(x, 0, greatest)
    x = x.detach().to(flambeau.float32)
    step = flambeau.tensor(scale, dtype=flambeau.float32)
    nearest = (x * (1 / step) + zero_point).round_().clamp_(0, greatest)
    return nearest.sub_(zero_point).mul_(step)
