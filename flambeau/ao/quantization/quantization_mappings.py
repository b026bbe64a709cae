"""Which module each module becomes."""

import copy

from flambeau import nn
from flambeau.ao.nn import intrinsic as nni
from flambeau.ao.nn import qat, quantizable, quantized
from flambeau.ao.nn.quantized import dynamic

from .stubs import DeQuantStub, QuantStub

_SAME_NAME = (
    "BatchNorm2d BatchNorm3d Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d "
    "Dropout ELU Embedding EmbeddingBag GroupNorm Hardswish InstanceNorm1d InstanceNorm2d "
    "InstanceNorm3d LayerNorm LeakyReLU Linear PReLU ReLU6"
).split()

_STATIC = {
    QuantStub: quantized.Quantize,
    DeQuantStub: quantized.DeQuantize,
    **{getattr(nn, name): getattr(quantized, name) for name in _SAME_NAME},
    nn.modules.linear.NonDynamicallyQuantizableLinear: quantized.Linear,
    quantized.FloatFunctional: quantized.QFunctional,
    nni.BNReLU2d: quantized.BNReLU2d,
    nni.BNReLU3d: quantized.BNReLU3d,
    nni.LinearReLU: quantized.LinearReLU,
    **{getattr(nni, f"ConvReLU{n}d"): getattr(quantized, f"ConvReLU{n}d") for n in (1, 2, 3)},
    **{getattr(qat, f"Conv{n}d"): getattr(quantized, f"Conv{n}d") for n in (1, 2, 3)},
    **{getattr(qat, f"ConvReLU{n}d"): getattr(quantized, f"ConvReLU{n}d") for n in (1, 2, 3)},
    **{getattr(qat, f"ConvBn{n}d"): getattr(quantized, f"Conv{n}d") for n in (1, 2, 3)},
    **{getattr(qat, f"ConvBnReLU{n}d"): getattr(quantized, f"ConvReLU{n}d") for n in (1, 2, 3)},
    qat.Linear: quantized.Linear,
    qat.LinearReLU: quantized.LinearReLU,
    qat.LinearBn1d: quantized.Linear,
    qat.Embedding: quantized.Embedding,
    qat.EmbeddingBag: quantized.EmbeddingBag,
}
_QAT = {
    **{getattr(nn, f"Conv{n}d"): getattr(qat, f"Conv{n}d") for n in (2, 3)},
    nn.Linear: qat.Linear,
    nn.modules.linear.NonDynamicallyQuantizableLinear: qat.Linear,
    nni.LinearReLU: qat.LinearReLU,
    nni.LinearBn1d: qat.LinearBn1d,
    **{
        getattr(nni, f"{kind}{n}d"): getattr(qat, f"{kind}{n}d")
        for kind in ("ConvReLU", "ConvBn", "ConvBnReLU")
        for n in (1, 2, 3)
        if (kind, n) != ("ConvReLU", 1)
    },
}
_DYNAMIC = {
    nn.Linear: dynamic.Linear,
    nn.modules.linear.NonDynamicallyQuantizableLinear: dynamic.Linear,
    nni.LinearReLU: dynamic.LinearReLU,
    nn.LSTM: dynamic.LSTM,
    nn.GRU: dynamic.GRU,
    nn.LSTMCell: dynamic.LSTMCell,
    nn.GRUCell: dynamic.GRUCell,
    nn.RNNCell: dynamic.RNNCell,
    nn.Embedding: quantized.Embedding,
    nn.EmbeddingBag: quantized.EmbeddingBag,
}


def get_default_static_quant_module_mappings():
    """Modules of a calibrated network -> quantized ones."""
    return copy.copy(_STATIC)


def get_default_qat_module_mappings():
    """Modules -> those that train with fake quantization."""
    return copy.copy(_QAT)


def get_default_dynamic_quant_module_mappings():
    """Modules -> those that quantize their input as they run."""
    return copy.copy(_DYNAMIC)


def get_default_qconfig_propagation_list():
    """The modules that take a qconfig."""
    return {*_STATIC, *_QAT, *_DYNAMIC}


def no_observer_set():
    """Modules after which nothing is observed."""
    whole = {quantizable.LSTM, quantizable.MultiheadAttention}
    return {quantized.Quantize, nn.Dropout, DeQuantStub, *whole}


def _class_of(kind, table, more):
    found = {**table, **(more or {})}.get(kind)
    if found is None:
        raise AssertionError(
            f"Floating point module class {kind} does not have a corresponding quantized module "
            "class"
        )
    return copy.deepcopy(found)


def get_static_quant_module_class(float_module_class, additional_static_quant_mapping=None):
    """What a module becomes after calibration."""
    return _class_of(float_module_class, _STATIC, additional_static_quant_mapping)


def get_dynamic_quant_module_class(float_module_class, additional_dynamic_quant_mapping=None):
    """What a module becomes that quantizes its input as it runs."""
    return _class_of(float_module_class, _DYNAMIC, additional_dynamic_quant_mapping)
