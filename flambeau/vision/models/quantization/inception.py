"""Inception v3 of integers."""

from flambeau.ao.nn.quantized import FloatFunctional

from .. import inception as plain
from ._build import Quantizable, quantized
from .googlenet import QuantizableBasicConv2d


def _block(kind):
    class Made(kind):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, conv_block=QuantizableBasicConv2d, **kwargs)
            self.myop = FloatFunctional()

        def _join(self, results):
            return self.myop.cat(results, 1)

    Made.__name__ = Made.__qualname__ = f"Quantizable{kind.__name__}"
    Made.__doc__ = f"{kind.__name__} that joins its branches by a module."
    return Made


class QuantizableInceptionE(plain.InceptionE):
    """InceptionE that joins its branches by modules: the inner ones, then all."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, conv_block=QuantizableBasicConv2d, **kwargs)
        self.myop1, self.myop2, self.myop3 = (FloatFunctional() for _ in range(3))

    def _join(self, results):
        first, *pairs, last = results
        inner = self.myop1.cat(pairs[:2], 1), self.myop2.cat(pairs[2:], 1)
        return self.myop3.cat([first, *inner, last], 1)


class QuantizableInceptionAux(plain.InceptionAux):
    """InceptionAux of convolutions whose relus are modules."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, conv_block=QuantizableBasicConv2d, **kwargs)


QuantizableInceptionA, QuantizableInceptionB = _block(plain.InceptionA), _block(plain.InceptionB)
QuantizableInceptionC, QuantizableInceptionD = _block(plain.InceptionC), _block(plain.InceptionD)


class QuantizableInception3(Quantizable, plain.Inception3):
    """Inception v3 that can be made of integers."""

    def __init__(self, *args, **kwargs):
        blocks = [
            QuantizableBasicConv2d,
            *(QuantizableInceptionA, QuantizableInceptionB, QuantizableInceptionC),
            *(QuantizableInceptionD, QuantizableInceptionE, QuantizableInceptionAux),
        ]
        super().__init__(*args, inception_blocks=blocks, **kwargs)


def _make(**options):
    return QuantizableInception3(**options)


Inception_V3_QuantizedWeights, inception_v3 = quantized(
    "inception_v3",
    "Inception_V3_QuantizedWeights",
    plain.Inception_V3_Weights,
    _make,
    plain._fit,
    plain._load,
)

__all__ = ["Inception_V3_QuantizedWeights", "QuantizableInception3", "inception_v3"]
