"""How integers stand for numbers: the five schemes, and the range of each quantized dtype."""

import flambeau


class qscheme:
    """A way to quantize: torch.per_tensor_affine and four more."""

    def __init__(self, name):
        self._name = name
        self.__module__ = "flambeau"  # where pickles find it

    def __repr__(self):
        return f"torch.{self._name}"

    def __reduce__(self):
        return self._name

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self


per_tensor_affine = qscheme("per_tensor_affine")
per_tensor_symmetric = qscheme("per_tensor_symmetric")
per_channel_affine = qscheme("per_channel_affine")
per_channel_symmetric = qscheme("per_channel_symmetric")
per_channel_affine_float_qparams = qscheme("per_channel_affine_float_qparams")

# dtype -> (the dtype of its integers, the least, the greatest)
RANGES = {
    flambeau.qint8: (flambeau.int8, -128, 127),
    flambeau.quint8: (flambeau.uint8, 0, 255),
    flambeau.qint32: (flambeau.int32, -(2**31), 2**31 - 1),
}


def range_of(dtype):
    """(integers' dtype, least, greatest) of a quantized dtype."""
    if dtype not in RANGES:
        raise RuntimeError(
            f"Creation of quantized tensor requires quantized dtype like torch.quint8, got {dtype}"
        )
    return RANGES[dtype]
