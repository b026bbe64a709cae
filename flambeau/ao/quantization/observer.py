"""Observers: modules that watch numbers pass and say which scale and zero point they ask for."""

from collections import OrderedDict
from functools import partial

import flambeau
from flambeau import nn
from flambeau._quantized._fake import scale_of_range

_EPS = 2**-23


class _PartialWrapper:
    """A class with some of its arguments, that makes a new object at each call."""

    def __init__(self, p):
        self.p = p
        self.callable_args = {}

    def __call__(self, *args, **kwargs):
        late = {k: v() for k, v in self.callable_args.items() if k not in kwargs}
        return self.p(*args, **late, **kwargs)

    def __repr__(self):
        return f"{self.p!r}{self.callable_args!r}"

    def with_args(self, **kwargs):
        """The same with more arguments."""
        made = _PartialWrapper(partial(self.p, **kwargs))
        made.callable_args = dict(self.callable_args)
        return made

    def with_callable_args(self, **kwargs):
        """The same with arguments that are made by calls when the object is."""
        made = self.with_args()
        made.callable_args = {**self.callable_args, **kwargs}
        return made


class _WithArgs:
    @classmethod
    def with_args(cls, **kwargs):
        """A maker of such objects with these arguments.

        >>> from flambeau.ao.quantization import MinMaxObserver
        >>> MinMaxObserver.with_args(reduce_range=True)().quant_max
        127
        """
        return _PartialWrapper(partial(cls, **kwargs))

    @classmethod
    def with_callable_args(cls, **kwargs):
        """A maker whose arguments are made when the object is."""
        return _PartialWrapper(partial(cls)).with_callable_args(**kwargs)


class ObserverBase(_WithArgs, nn.Module):
    """What an observer is: forward() looks and passes on, calculate_qparams() says the scale."""

    def __init__(self, dtype, is_dynamic=False):
        super().__init__()
        self.dtype = dtype
        self.is_dynamic = is_dynamic

    def forward(self, x):
        """Looks at x and gives it back."""
        raise NotImplementedError

    def calculate_qparams(self, **kwargs):
        """(scale, zero point)."""
        raise NotImplementedError


def integer_range(dtype, quant_min, quant_max, reduce_range):
    """The least and the greatest integer to use."""
    if quant_min is not None and quant_max is not None:
        if reduce_range:
            return quant_min // 2, quant_max // 2
        return quant_min, quant_max
    if dtype in (flambeau.qint8, flambeau.int8):
        return (-64, 63) if reduce_range else (-128, 127)
    if dtype in (flambeau.quint8, flambeau.uint8):
        return (0, 127) if reduce_range else (0, 255)
    if dtype in (flambeau.qint32, flambeau.int32):
        return -(2**31), 2**31 - 1
    if dtype == flambeau.quint4x2:
        return 0, 15
    return 0, 255


class UniformQuantizationObserverBase(ObserverBase):
    """An observer whose integers stand for numbers at even distances."""

    eps: flambeau.Tensor

    def __init__(
        self,
        dtype=flambeau.quint8,
        qscheme=flambeau.per_tensor_affine,
        reduce_range=False,
        quant_min=None,
        quant_max=None,
        factory_kwargs=None,
        eps=_EPS,
        is_dynamic=False,
        **kwargs,
    ):
        super().__init__(dtype=dtype, is_dynamic=is_dynamic, **kwargs)
        self.qscheme = qscheme
        self.reduce_range = reduce_range
        self.register_buffer("eps", flambeau.tensor([eps]))
        self.has_customized_qrange = quant_min is not None and quant_max is not None
        self.quant_min, self.quant_max = integer_range(dtype, quant_min, quant_max, reduce_range)
        if self.quant_min >= self.quant_max:
            raise AssertionError("quant_min must be less than quant_max")

    def _calculate_qparams(self, min_val, max_val):
        if min_val.numel() == 0 or max_val.numel() == 0 or bool((min_val > max_val).any()):
            return flambeau.tensor([1.0]), flambeau.tensor([0])  # nothing has passed
        eps = self.eps.item()
        if self.qscheme is flambeau.per_channel_affine_float_qparams:
            scale = (max_val - min_val) / float(self.quant_max - self.quant_min)
            scale = flambeau.where(scale > eps, scale, flambeau.ones_like(scale))
            return scale, -min_val / scale
        symmetric = self.qscheme in (
            flambeau.per_tensor_symmetric,
            flambeau.per_channel_symmetric,
        )
        middle = 0
        if self.dtype in (flambeau.quint8, flambeau.uint8):
            own = (self.quant_min + self.quant_max) // 2
            middle = own if self.has_customized_qrange else 128
        scale, zero_point = scale_of_range(
            min_val, max_val, self.quant_min, self.quant_max, symmetric, eps, middle
        )
        return scale.reshape(-1), zero_point.reshape(-1)

    def calculate_qparams(self):
        """(scale, zero point) for the range that has been seen."""
        return self._calculate_qparams(self.min_val, self.max_val)

    def extra_repr(self):
        """The range that has been seen."""
        return f"min_val={self.min_val}, max_val={self.max_val}"

    def reset_min_max_vals(self):
        """Forgets what has been seen."""
        self.min_val = flambeau.tensor(float("inf"))
        self.max_val = flambeau.tensor(float("-inf"))


def check_by_tensor(name, qscheme):
    """NotImplementedError unless the scheme has one scale for the whole tensor."""
    if qscheme not in (flambeau.per_tensor_affine, flambeau.per_tensor_symmetric):
        raise NotImplementedError(f"{name} only supports per tensor schemes")


class MinMaxObserver(UniformQuantizationObserverBase):
    """The least and the greatest number of all that passed.

    >>> import flambeau as torch
    >>> seen = torch.ao.quantization.MinMaxObserver()
    >>> _ = seen(torch.tensor([-1.0, 1.55]))
    >>> seen.calculate_qparams()
    (tensor([0.0100]), tensor([100]))
    """

    def __init__(
        self,
        dtype=flambeau.quint8,
        qscheme=flambeau.per_tensor_affine,
        reduce_range=False,
        quant_min=None,
        quant_max=None,
        factory_kwargs=None,
        eps=_EPS,
        is_dynamic=False,
        **kwargs,
    ):
        check_by_tensor("MinMaxObserver", qscheme)
        super().__init__(
            dtype,
            qscheme,
            reduce_range,
            quant_min,
            quant_max,
            factory_kwargs,
            eps,
            is_dynamic,
            **kwargs,
        )
        self.register_buffer("min_val", flambeau.tensor(float("inf")))
        self.register_buffer("max_val", flambeau.tensor(float("-inf")))

    def _seen(self, low, high):
        self.min_val.copy_(flambeau.minimum(low, self.min_val))
        self.max_val.copy_(flambeau.maximum(high, self.max_val))

    def forward(self, x_orig):
        """Looks at the range of x and gives x back."""
        if x_orig.numel():
            self._seen(*x_orig.detach().to(self.min_val.dtype).aminmax())
        return x_orig


class MovingAverageMinMaxObserver(MinMaxObserver):
    """The ranges of the batches, averaged so that older ones count ever less."""

    def __init__(
        self,
        averaging_constant=0.01,
        dtype=flambeau.quint8,
        qscheme=flambeau.per_tensor_affine,
        reduce_range=False,
        quant_min=None,
        quant_max=None,
        eps=_EPS,
        is_dynamic=False,
        **kwargs,
    ):
        super().__init__(
            dtype,
            qscheme,
            reduce_range,
            quant_min,
            quant_max,
            eps=eps,
            is_dynamic=is_dynamic,
            **kwargs,
        )
        self.averaging_constant = averaging_constant

    def _seen(self, low, high):
        for kept, new in ((self.min_val, low), (self.max_val, high)):
            if kept.isinf():
                kept.copy_(new)
            else:
                kept.add_(new - kept, alpha=self.averaging_constant)


class PerChannelMinMaxObserver(UniformQuantizationObserverBase):
    """The range of each channel."""

    def __init__(
        self,
        ch_axis=0,
        dtype=flambeau.quint8,
        qscheme=flambeau.per_channel_affine,
        reduce_range=False,
        quant_min=None,
        quant_max=None,
        factory_kwargs=None,
        eps=_EPS,
        is_dynamic=False,
        **kwargs,
    ):
        if is_dynamic:
            raise NotImplementedError(
                "PerChannelMinMaxObserver doesn't support dynamic quantization"
            )
        super().__init__(
            dtype,
            qscheme,
            reduce_range,
            quant_min,
            quant_max,
            factory_kwargs,
            eps,
            is_dynamic,
            **kwargs,
        )
        self.ch_axis = ch_axis
        self.register_buffer("min_val", flambeau.tensor([]))
        self.register_buffer("max_val", flambeau.tensor([]))

    def _seen(self, low, high):
        if self.min_val.numel():
            low, high = flambeau.minimum(low, self.min_val), flambeau.maximum(high, self.max_val)
        self._keep(low, high)

    def _keep(self, low, high):
        self.min_val.resize_(low.shape).copy_(low)
        self.max_val.resize_(high.shape).copy_(high)

    def forward(self, x_orig):
        """Looks at the range of each channel of x and gives x back."""
        if x_orig.numel():
            x = x_orig.detach().to(self.min_val.dtype).transpose(0, self.ch_axis)
            rows = x.reshape(x.size(0), -1)
            self._seen(rows.amin(1), rows.amax(1))
        return x_orig

    def reset_min_max_vals(self):
        """Forgets what has been seen."""
        self.min_val, self.max_val = flambeau.rand(0), flambeau.rand(0)

    def _load_from_state_dict(self, state_dict, prefix, *rest):
        for name in ("min_val", "max_val"):
            if prefix + name in state_dict:
                getattr(self, name).resize_(state_dict[prefix + name].shape)
        super()._load_from_state_dict(state_dict, prefix, *rest)


class MovingAveragePerChannelMinMaxObserver(PerChannelMinMaxObserver):
    """The ranges of the channels, averaged over the batches."""

    def __init__(
        self,
        averaging_constant=0.01,
        ch_axis=0,
        dtype=flambeau.quint8,
        qscheme=flambeau.per_channel_affine,
        reduce_range=False,
        quant_min=None,
        quant_max=None,
        eps=_EPS,
        is_dynamic=False,
        **kwargs,
    ):
        super().__init__(
            ch_axis,
            dtype,
            qscheme,
            reduce_range,
            quant_min,
            quant_max,
            eps=eps,
            is_dynamic=is_dynamic,
            **kwargs,
        )
        self.averaging_constant = averaging_constant

    def _seen(self, low, high):
        if self.min_val.numel():
            low = self.min_val + self.averaging_constant * (low - self.min_val)
            high = self.max_val + self.averaging_constant * (high - self.max_val)
        self._keep(low, high)


class FixedQParamsObserver(ObserverBase):
    """A scale and a zero point that are known beforehand."""

    def __init__(
        self,
        scale,
        zero_point,
        dtype=flambeau.quint8,
        qscheme=flambeau.per_tensor_affine,
        quant_min=0,
        quant_max=255,
        is_dynamic=False,
        **kwargs,
    ):
        super().__init__(dtype=dtype, is_dynamic=is_dynamic, **kwargs)
        self.quant_min, self.quant_max = quant_min, quant_max
        self.register_buffer("scale", flambeau.tensor([scale], dtype=flambeau.float32))
        self.register_buffer("zero_point", flambeau.tensor([zero_point], dtype=flambeau.int32))
        self.qscheme = qscheme

    def forward(self, X):
        """X."""
        return X

    def calculate_qparams(self):
        """(scale, zero point)."""
        return self.scale, self.zero_point


class PlaceholderObserver(ObserverBase):
    """Says only which dtype is wanted; the scale is found when the network runs."""

    def __init__(
        self,
        dtype=flambeau.float32,
        custom_op_name="",
        compute_dtype=None,
        quant_min=None,
        quant_max=None,
        qscheme=None,
        eps=None,
        is_dynamic=False,
    ):
        super().__init__(dtype=dtype, is_dynamic=is_dynamic)
        self.quant_min, self.quant_max = quant_min, quant_max
        self.qscheme = flambeau.per_tensor_affine if qscheme is None else qscheme
        self.eps = eps
        self.custom_op = custom_op_name
        if compute_dtype:
            self.is_dynamic = True

    def forward(self, x):
        """x."""
        return x

    def extra_repr(self):
        """What is wanted."""
        return f"dtype={self.dtype}, is_dynamic={self.is_dynamic}"

    def calculate_qparams(self):
        """An exception: a placeholder has seen nothing."""
        raise Exception("calculate_qparams should not be called for PlaceholderObserver")


class NoopObserver(ObserverBase):
    """Looks at nothing: for float16."""

    def __init__(self, dtype=flambeau.float16, custom_op_name=""):
        super().__init__(dtype=dtype, is_dynamic=False)
        self.custom_op = custom_op_name

    def forward(self, x):
        """x."""
        return x

    def calculate_qparams(self):
        """An exception: there is no scale."""
        raise Exception("calculate_qparams should not be called for NoopObserver")


class ReuseInputObserver(NoopObserver):
    """For what only moves numbers: the scale is the input's."""

    def __init__(self):
        super().__init__(flambeau.quint8)


class RecordingObserver(ObserverBase):
    """Keeps every tensor that passes."""

    def __init__(self, dtype=flambeau.quint8):
        super().__init__(dtype=dtype, is_dynamic=False)
        self.tensor_val = []

    def forward(self, x):
        """Keeps a copy of x and gives x back."""
        self.tensor_val.append(x.clone())
        return x

    def get_tensor_value(self):
        """The tensors."""
        return self.tensor_val


from ._histogram import HistogramObserver  # noqa: E402 (made of the above)

default_observer = MinMaxObserver.with_args(quant_min=0, quant_max=127)
default_weight_observer = MinMaxObserver.with_args(
    dtype=flambeau.qint8, qscheme=flambeau.per_tensor_symmetric
)
default_histogram_observer = HistogramObserver.with_args(quant_min=0, quant_max=127)
default_per_channel_weight_observer = PerChannelMinMaxObserver.with_args(
    dtype=flambeau.qint8, qscheme=flambeau.per_channel_symmetric
)
default_dynamic_quant_observer = PlaceholderObserver.with_args(
    dtype=flambeau.quint8, quant_min=0, quant_max=255, is_dynamic=True
)
default_float_qparams_observer = PerChannelMinMaxObserver.with_args(
    dtype=flambeau.quint8, qscheme=flambeau.per_channel_affine_float_qparams, ch_axis=0
)
default_placeholder_observer = PlaceholderObserver
default_debug_observer = RecordingObserver
default_reuse_input_observer = ReuseInputObserver
default_fixed_qparams_range_0to1_observer = FixedQParamsObserver.with_args(
    scale=1.0 / 256.0, zero_point=0, dtype=flambeau.quint8, quant_min=0, quant_max=255
)
default_fixed_qparams_range_neg1to1_observer = FixedQParamsObserver.with_args(
    scale=2.0 / 256.0, zero_point=128, dtype=flambeau.quint8, quant_min=0, quant_max=255
)
default_affine_fixed_qparams_observer = default_fixed_qparams_range_0to1_observer
default_symmetric_fixed_qparams_observer = default_fixed_qparams_range_neg1to1_observer
_EVEN = {"dtype": flambeau.qint8, "quant_min": -127, "quant_max": 127, "eps": 2**-12}
weight_observer_range_neg_127_to_127 = MinMaxObserver.with_args(
    **_EVEN, qscheme=flambeau.per_tensor_symmetric
)
per_channel_weight_observer_range_neg_127_to_127 = PerChannelMinMaxObserver.with_args(
    **_EVEN, qscheme=flambeau.per_channel_symmetric
)


def get_observer_state_dict(mod):
    """What the observers of a prepared network have seen, as entries of its state_dict().

    >>> import flambeau as torch
    >>> q = torch.ao.quantization
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 2)).eval()
    >>> net.qconfig = q.default_qconfig
    >>> seen = q.get_observer_state_dict(q.prepare(net))
    >>> [name for name in seen if name.endswith("min_val")]
    ['0.activation_post_process.min_val']
    """
    return OrderedDict((k, v) for k, v in mod.state_dict().items() if _PLACE in k)


def load_observer_state_dict(mod, obs_dict):
    """Gives the observers of a prepared network what get_observer_state_dict() said of another."""
    own = {k for k in mod.state_dict() if _PLACE in k}
    if own - obs_dict.keys():
        raise RuntimeError(
            f"Missing keys for observer {sorted(own - obs_dict.keys())} in state_dict"
        )
    if obs_dict.keys() - own:
        names = sorted(obs_dict.keys() - own)
        raise RuntimeError(f"Unexpected keys for observer {names} in state_dict")
    mod.load_state_dict(obs_dict, strict=False)


_PLACE = "activation_post_process"

__all__ = [
    name
    for name in list(globals())
    if name.endswith(("Observer", "ObserverBase", "_observer", "_127_to_127", "_state_dict"))
]
