"""Fake quantization: modules that round numbers as integers would, while a network is trained."""

import flambeau
from flambeau import nn

from .observer import (
    HistogramObserver,
    MovingAverageMinMaxObserver,
    MovingAveragePerChannelMinMaxObserver,
    _WithArgs,
    default_fixed_qparams_range_0to1_observer,
    default_fixed_qparams_range_neg1to1_observer,
)


class FakeQuantizeBase(_WithArgs, nn.Module):
    """What is common: two switches, for rounding and for observing."""

    def __init__(self):
        super().__init__()
        one = flambeau.tensor([1], dtype=flambeau.uint8)
        self.register_buffer("fake_quant_enabled", one.clone())
        self.register_buffer("observer_enabled", one.clone())

    def enable_fake_quant(self, enabled=True):
        """Rounds, or passes numbers on as they are."""
        self.fake_quant_enabled[0] = 1 if enabled else 0

    def disable_fake_quant(self):
        """Passes numbers on as they are."""
        self.enable_fake_quant(False)

    def enable_observer(self, enabled=True):
        """Follows the range of the numbers, or leaves the scale as it is."""
        self.observer_enabled[0] = 1 if enabled else 0

    def disable_observer(self):
        """Leaves the scale as it is."""
        self.enable_observer(False)


_SYMMETRIC = (flambeau.per_tensor_symmetric, flambeau.per_channel_symmetric)
_AFFINE = (flambeau.per_tensor_affine, flambeau.per_channel_affine)


def _is_by_channel(qscheme):
    return qscheme in (
        flambeau.per_channel_affine,
        flambeau.per_channel_symmetric,
        flambeau.per_channel_affine_float_qparams,
    )


class FakeQuantize(FakeQuantizeBase):
    """Rounds numbers to the integers that an observer's scale gives, and back.

    >>> import flambeau as torch
    >>> rounds = torch.ao.quantization.FakeQuantize(quant_min=0, quant_max=15)
    >>> rounds(torch.tensor([0.0, 0.42, 1.5]))
    tensor([0.0000, 0.4000, 1.5000])
    """

    def __init__(
        self,
        observer=MovingAverageMinMaxObserver,
        quant_min=None,
        quant_max=None,
        is_dynamic=False,
        **observer_kwargs,
    ):
        super().__init__()
        if quant_min is not None and quant_max is not None:
            if quant_min > quant_max:
                raise AssertionError("quant_min must be less than or equal to quant_max")
            observer_kwargs.update(quant_min=quant_min, quant_max=quant_max)
        observer_kwargs["is_dynamic"] = is_dynamic
        self.activation_post_process = observer(**observer_kwargs)
        watching = self.activation_post_process
        self.quant_min, self.quant_max = watching.quant_min, watching.quant_max
        self.is_dynamic = is_dynamic
        self.register_buffer("scale", flambeau.tensor([1.0]))
        kind = flambeau.float32 if self._floating_zero() else flambeau.int32
        self.register_buffer("zero_point", flambeau.tensor([0], dtype=kind))
        self.dtype = watching.dtype
        self.qscheme = watching.qscheme
        self.ch_axis = getattr(watching, "ch_axis", -1)
        self.is_per_channel = _is_by_channel(self.qscheme)

    def _floating_zero(self):
        return self.activation_post_process.qscheme is flambeau.per_channel_affine_float_qparams

    def calculate_qparams(self):
        """The observer's scale and zero point."""
        return self.activation_post_process.calculate_qparams()

    def _take_scale(self):
        scale, zero_point = self.calculate_qparams()
        for name, new in (("scale", scale), ("zero_point", zero_point)):
            kept = getattr(self, name)
            kept.resize_(new.shape).copy_(new)

    def _rounded(self, X):
        if self.is_per_channel:
            return flambeau.fake_quantize_per_channel_affine(
                X, self.scale, self.zero_point, self.ch_axis, self.quant_min, self.quant_max
            )
        return flambeau.fake_quantize_per_tensor_affine(
            X, self.scale, self.zero_point, self.quant_min, self.quant_max
        )

    def forward(self, X):
        """Observes X and rounds it, as the switches say."""
        if self.observer_enabled[0] == 1:
            self.activation_post_process(X.detach())
            self._take_scale()
        return self._rounded(X) if self.fake_quant_enabled[0] == 1 else X

    def extra_repr(self):
        """The switches, the scale and the range."""
        return (
            f"fake_quant_enabled={self.fake_quant_enabled}, "
            f"observer_enabled={self.observer_enabled}, scale={self.scale}, "
            f"zero_point={self.zero_point}, dtype={self.dtype}, quant_min={self.quant_min}, "
            f"quant_max={self.quant_max}, qscheme={self.qscheme}{self._reduced()}"
        )

    def _reduced(self):
        return f", reduce_range={self.activation_post_process.reduce_range}"

    def _load_from_state_dict(self, state_dict, prefix, *rest):
        for name in ("scale", "zero_point"):
            if prefix + name in state_dict:
                getattr(self, name).resize_(state_dict[prefix + name].shape)
        super()._load_from_state_dict(state_dict, prefix, *rest)


class FixedQParamsFakeQuantize(FakeQuantize):
    """Rounds with a scale that is known beforehand."""

    def __init__(self, observer):
        FakeQuantizeBase.__init__(self)
        self.activation_post_process = watching = observer()
        self.quant_min, self.quant_max = watching.quant_min, watching.quant_max
        self.dtype, self.qscheme = watching.dtype, watching.qscheme
        self.is_dynamic, self.is_per_channel, self.ch_axis = False, False, -1
        self.register_buffer("scale", watching.scale.clone())
        self.register_buffer("zero_point", watching.zero_point.clone())
        self.disable_observer()

    def calculate_qparams(self):
        """The scale and the zero point."""
        return self.scale, self.zero_point

    def _reduced(self):
        return ""


class FusedMovingAvgObsFakeQuantize(FakeQuantize):
    """A moving average and the rounding by it, in one."""

    def __init__(
        self,
        observer=MovingAverageMinMaxObserver,
        quant_min=0,
        quant_max=255,
        is_dynamic=False,
        **observer_kwargs,
    ):
        super().__init__(observer, quant_min, quant_max, is_dynamic, **observer_kwargs)
        for name in ("fake_quant_enabled", "observer_enabled"):
            self.register_buffer(name, flambeau.tensor([1]))
        if self.qscheme not in _SYMMETRIC + _AFFINE:
            raise ValueError(f"FusedMovingAvgObsFakeQuantize: {self.qscheme} is not supported")
        self.is_symmetric_quant = self.qscheme in _SYMMETRIC

    def forward(self, X):
        """Observes X and rounds it, as the switches say."""
        watching = self.activation_post_process
        return flambeau.fused_moving_avg_obs_fake_quant(
            X,
            self.observer_enabled,
            self.fake_quant_enabled,
            watching.min_val,
            watching.max_val,
            self.scale,
            self.zero_point,
            watching.averaging_constant,
            self.quant_min,
            self.quant_max,
            self.ch_axis,
            self.is_per_channel,
            self.is_symmetric_quant,
        )


def _affine(**kwargs):
    return FakeQuantize.with_args(
        observer=MovingAverageMinMaxObserver,
        quant_min=0,
        quant_max=255,
        dtype=flambeau.quint8,
        qscheme=flambeau.per_tensor_affine,
        **kwargs,
    )


_WEIGHT = {"quant_min": -128, "quant_max": 127, "dtype": flambeau.qint8}
default_fake_quant = _affine(reduce_range=True)
default_dynamic_fake_quant = _affine(is_dynamic=True, averaging_constant=1)
default_weight_fake_quant = FakeQuantize.with_args(
    observer=MovingAverageMinMaxObserver,
    **_WEIGHT,
    qscheme=flambeau.per_tensor_symmetric,
    reduce_range=False,
)
default_per_channel_weight_fake_quant = FakeQuantize.with_args(
    observer=MovingAveragePerChannelMinMaxObserver,
    **_WEIGHT,
    qscheme=flambeau.per_channel_symmetric,
    reduce_range=False,
    ch_axis=0,
)
default_fused_act_fake_quant = FusedMovingAvgObsFakeQuantize.with_args(
    observer=MovingAverageMinMaxObserver, quant_min=0, quant_max=255, dtype=flambeau.quint8
)
default_fused_wt_fake_quant = FusedMovingAvgObsFakeQuantize.with_args(
    observer=MovingAverageMinMaxObserver, **_WEIGHT, qscheme=flambeau.per_tensor_symmetric
)
default_fused_per_channel_wt_fake_quant = FusedMovingAvgObsFakeQuantize.with_args(
    observer=MovingAveragePerChannelMinMaxObserver,
    **_WEIGHT,
    qscheme=flambeau.per_channel_symmetric,
)
default_fixed_qparams_range_0to1_fake_quant = FixedQParamsFakeQuantize.with_args(
    observer=default_fixed_qparams_range_0to1_observer
)
default_fixed_qparams_range_neg1to1_fake_quant = FixedQParamsFakeQuantize.with_args(
    observer=default_fixed_qparams_range_neg1to1_observer
)
default_affine_fixed_qparams_fake_quant = default_fixed_qparams_range_0to1_fake_quant
default_symmetric_fixed_qparams_fake_quant = default_fixed_qparams_range_neg1to1_fake_quant
default_histogram_fake_quant = FakeQuantize.with_args(
    observer=HistogramObserver,
    quant_min=0,
    quant_max=255,
    dtype=flambeau.quint8,
    qscheme=flambeau.per_tensor_affine,
    reduce_range=True,
)
default_embedding_fake_quant = FakeQuantize.with_args(
    observer=MovingAveragePerChannelMinMaxObserver,
    qscheme=flambeau.per_channel_affine_float_qparams,
    dtype=flambeau.quint8,
    quant_min=0,
    quant_max=255,
    ch_axis=0,
    averaging_constant=1,
)
_EVEN = {"quant_min": -127, "quant_max": 127, "dtype": flambeau.qint8, "eps": 2**-12}
fused_wt_fake_quant_range_neg_127_to_127 = FusedMovingAvgObsFakeQuantize.with_args(
    observer=MovingAverageMinMaxObserver, **_EVEN, qscheme=flambeau.per_tensor_symmetric
)
fused_per_channel_wt_fake_quant_range_neg_127_to_127 = FusedMovingAvgObsFakeQuantize.with_args(
    observer=MovingAveragePerChannelMinMaxObserver,
    **_EVEN,
    qscheme=flambeau.per_channel_symmetric,
)


def _switch(name, doc):
    def switch(mod):
        if isinstance(mod, FakeQuantizeBase):
            getattr(mod, name)()

    switch.__name__ = switch.__qualname__ = name
    switch.__doc__ = doc
    return switch


disable_fake_quant = _switch("disable_fake_quant", "For model.apply(): rounding ends.")
enable_fake_quant = _switch("enable_fake_quant", "For model.apply(): rounding begins.")
disable_observer = _switch("disable_observer", "For model.apply(): scales stay as they are.")
enable_observer = _switch("enable_observer", "For model.apply(): scales follow the numbers.")


__all__ = [
    name
    for name, value in list(globals().items())
    if name[0] != "_"
    and (name.startswith(("default_", "fused_")) or getattr(value, "__module__", "") == __name__)
]
