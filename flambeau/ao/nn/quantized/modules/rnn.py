"""LSTM and attention of integers, which calibration makes."""

from flambeau.ao.nn.quantizable import modules as quantizable


class _Converted:
    """A quantizable layer whose parts are quantized."""

    @classmethod
    def from_float(cls, *args, **kwargs):
        """NotImplementedError: it is made of an observed one."""
        raise NotImplementedError(f"A quantized.{cls.__name__} is made by from_observed()")

    @classmethod
    def from_observed(cls, other):
        """Of a quantizable layer through which data has passed."""
        from flambeau.ao.quantization import convert

        made = convert(other.eval(), inplace=False)
        made.__class__ = cls
        return made

    def _get_name(self):
        return f"Quantized{type(self).__name__}"


class LSTM(_Converted, quantizable.LSTM):
    """quantizable.LSTM with weights and activations of integers."""

    _FLOAT_MODULE = quantizable.LSTM


class MultiheadAttention(_Converted, quantizable.MultiheadAttention):
    """quantizable.MultiheadAttention with weights and activations of integers."""

    _FLOAT_MODULE = quantizable.MultiheadAttention

    @classmethod
    def from_observed(cls, other):
        """Of a quantizable layer through which data has passed."""
        made = super().from_observed(other)
        for name in [name for name in made._parameters if "proj" in name]:  # the parts have them
            setattr(made, name, None)
        return made
