"""What is made of a module: an observer for its activations and one for its weight."""

from collections import namedtuple

import flambeau
from flambeau import nn

from .fake_quantize import (
    FakeQuantizeBase,
    FusedMovingAvgObsFakeQuantize,
    default_dynamic_fake_quant,
    default_embedding_fake_quant,
    default_fake_quant,
    default_fused_act_fake_quant,
    default_fused_wt_fake_quant,
    default_per_channel_weight_fake_quant,
    default_weight_fake_quant,
    fused_per_channel_wt_fake_quant_range_neg_127_to_127,
    fused_wt_fake_quant_range_neg_127_to_127,
)
from .observer import (
    HistogramObserver,
    MinMaxObserver,
    MovingAverageMinMaxObserver,
    MovingAveragePerChannelMinMaxObserver,
    NoopObserver,
    ObserverBase,
    PlaceholderObserver,
    ReuseInputObserver,
    default_debug_observer,
    default_dynamic_quant_observer,
    default_float_qparams_observer,
    default_observer,
    default_per_channel_weight_observer,
    default_placeholder_observer,
    default_weight_observer,
    per_channel_weight_observer_range_neg_127_to_127,
    weight_observer_range_neg_127_to_127,
)


class QConfig(namedtuple("QConfig", ["activation", "weight"])):
    """Makers of the observers of the activation and of the weight.

    >>> import flambeau as torch
    >>> q = torch.ao.quantization
    >>> kept = q.QConfig(activation=q.MinMaxObserver, weight=q.default_weight_observer)
    >>> kept.weight().dtype
    torch.qint8
    """

    __slots__ = ()

    def __new__(cls, activation, weight):
        if isinstance(activation, nn.Module) or isinstance(weight, nn.Module):
            raise ValueError(
                "QConfig received observer instance, please pass observer class instead. "
                "Use MyObserver.with_args(x=1) to override arguments to constructor if needed"
            )
        return super().__new__(cls, activation, weight)


default_qconfig = QConfig(default_observer, default_weight_observer)
default_debug_qconfig = QConfig(default_debug_observer, default_weight_observer)
default_per_channel_qconfig = QConfig(default_observer, default_per_channel_weight_observer)
default_dynamic_qconfig = QConfig(default_dynamic_quant_observer, default_weight_observer)
per_channel_dynamic_qconfig = QConfig(
    default_dynamic_quant_observer, default_per_channel_weight_observer
)
float16_dynamic_qconfig = QConfig(
    PlaceholderObserver.with_args(dtype=flambeau.float16, is_dynamic=True),
    PlaceholderObserver.with_args(dtype=flambeau.float16),
)
float16_static_qconfig = QConfig(
    PlaceholderObserver.with_args(dtype=flambeau.float16),
    PlaceholderObserver.with_args(dtype=flambeau.float16),
)
float_qparams_weight_only_qconfig = QConfig(
    default_placeholder_observer, default_float_qparams_observer
)
default_qat_qconfig = QConfig(default_fake_quant, default_weight_fake_quant)
default_dynamic_qat_qconfig = QConfig(default_dynamic_fake_quant, default_weight_fake_quant)
default_weight_only_qconfig = QConfig(nn.Identity, default_weight_fake_quant)
default_quint8_weight_qconfig = QConfig(HistogramObserver, MinMaxObserver)
default_reuse_input_qconfig = QConfig(ReuseInputObserver, NoopObserver)
default_activation_only_qconfig = QConfig(default_fake_quant, nn.Identity)
default_qat_qconfig_v2 = QConfig(default_fused_act_fake_quant, default_fused_wt_fake_quant)
default_embedding_qat_qconfig = QConfig(
    NoopObserver.with_args(dtype=flambeau.float32), default_embedding_fake_quant
)
_signed = HistogramObserver.with_args(dtype=flambeau.qint8, reduce_range=False, eps=2**-12)
default_symmetric_qnnpack_qconfig = QConfig(_signed, weight_observer_range_neg_127_to_127)
default_per_channel_symmetric_qnnpack_qconfig = QConfig(
    _signed, per_channel_weight_observer_range_neg_127_to_127
)
_signed_qat = FusedMovingAvgObsFakeQuantize.with_args(
    observer=MovingAverageMinMaxObserver,
    quant_min=-128,
    quant_max=127,
    dtype=flambeau.qint8,
    reduce_range=False,
    eps=2**-12,
)
default_symmetric_qnnpack_qat_qconfig = QConfig(
    _signed_qat, fused_wt_fake_quant_range_neg_127_to_127
)
default_per_channel_symmetric_qnnpack_qat_qconfig = QConfig(
    _signed_qat, fused_per_channel_wt_fake_quant_range_neg_127_to_127
)

_BACKENDS = ("fbgemm", "x86", "qnnpack", "onednn")
_BY_CHANNEL = ("fbgemm", "x86", "onednn")
_REDUCED = ("fbgemm", "x86")  # products of 8 bits could overflow 16


def _check_backend(backend):
    if backend not in _BACKENDS:
        raise AssertionError(f"backend: {backend} not supported, one of {_BACKENDS} is")


def get_default_qconfig(backend="x86", version=0):
    """Observers for a network that is trained already."""
    _check_backend(backend)
    if version != 0:
        raise AssertionError(f"version {version} of get_default_qconfig is not supported")
    activation = HistogramObserver.with_args(reduce_range=backend in _REDUCED)
    by_channel = backend in _BY_CHANNEL
    return QConfig(
        activation, default_per_channel_weight_observer if by_channel else default_weight_observer
    )


def get_default_qat_qconfig(backend="x86", version=1):
    """Fake quantization for a network that is to be trained."""
    _check_backend(backend)
    if version not in (0, 1):
        raise AssertionError(f"version {version} of get_default_qat_qconfig is not supported")
    kind = FusedMovingAvgObsFakeQuantize if version else default_fake_quant.p.func
    activation = kind.with_args(
        observer=MovingAverageMinMaxObserver,
        quant_min=0,
        quant_max=255,
        reduce_range=backend in _REDUCED,
    )
    if backend not in _BY_CHANNEL:
        return QConfig(activation, default_weight_fake_quant)
    if not version:
        return QConfig(activation, default_per_channel_weight_fake_quant)
    weight = FusedMovingAvgObsFakeQuantize.with_args(
        observer=MovingAveragePerChannelMinMaxObserver,
        quant_min=-128,
        quant_max=127,
        dtype=flambeau.qint8,
        qscheme=flambeau.per_channel_symmetric,
    )
    return QConfig(activation, weight)


def qconfig_equals(q1, q2):
    """Whether two make the same observers."""
    return repr(q1) == repr(q2)


ObserverOrFakeQuantize = ObserverBase | FakeQuantizeBase
QConfigAny = QConfig | None
__all__ = ["QConfig", "QConfigAny", "ObserverOrFakeQuantize", "get_default_qconfig"]
__all__ += ["get_default_qat_qconfig", "qconfig_equals"]
__all__ += [name for name in list(globals()) if name.endswith(("_qconfig", "_qconfig_v2"))]
