"""The tensor of integers that stand for numbers."""

import flambeau
from flambeau import _C, Tensor

from ._scheme import (
    per_channel_affine,
    per_channel_affine_float_qparams,
    per_tensor_affine,
    qscheme,
    range_of,
)

# What moves integers about, or compares them, and leaves the scale as it is.
_MOVES = frozenset(
    "view reshape flatten t transpose permute unsqueeze squeeze select narrow contiguous clone "
    "detach cpu chunk split unbind index_select unflatten expand expand_as view_as reshape_as "
    "flip swapaxes swapdims movedim alias detach_ repeat unfold tile T mT __getitem__ max min amax "
    "amin topk sort max_pool1d max_pool2d max_pool3d quantized_max_pool1d quantized_max_pool2d "
    "max_pool2d_with_indices data".split()
)
# What is computed on the numbers, and quantized again with the same scale.
_NUMBERS = frozenset(
    "relu relu6 hardtanh clamp clamp_min clamp_max clip mean std adaptive_avg_pool2d "
    "adaptive_avg_pool3d avg_pool2d avg_pool3d interpolate upsample pad constant_pad_nd "
    "leaky_relu elu celu threshold masked_fill where dropout hardswish pixel_shuffle "
    "channel_shuffle".split()
)
_COMPARISONS = frozenset("eq ne lt le gt ge __eq__ __ne__ __lt__ __le__ __gt__ __ge__".split())
_FACTS = frozenset(
    "size stride dim numel nelement element_size is_contiguous storage_offset data_ptr "
    "untyped_storage ndimension is_complex __len__ get_device is_shared requires_grad_ type "
    "share_memory_ is_same_size is_pinned is_inference _is_view is_nonzero".split()
)
_JOINS = frozenset("cat concat concatenate stack".split())


class QuantizedTensor(Tensor):
    """Integers of 8 or 32 bits with a scale and a zero point, for all or for each channel."""

    @staticmethod
    def _made(integers, dtype, scale, zero_point, axis=None):
        made = Tensor._make_subclass(QuantizedTensor, integers.detach())
        made._q = dtype, scale, zero_point, axis
        return made

    @property
    def _scheme(self):
        _, _, zero_point, axis = self._q
        if axis is None:
            return per_tensor_affine
        floating = zero_point.dtype.is_floating_point
        return per_channel_affine_float_qparams if floating else per_channel_affine

    def _like(self, integers):
        return QuantizedTensor._made(integers, *self._q)

    @property
    def dtype(self):
        """torch.qint8, torch.quint8 or torch.qint32."""
        return self._q[0]

    is_quantized = True

    def is_floating_point(self):
        """False."""
        return False

    def is_signed(self):
        """Whether the integers have a sign."""
        return self._q[0] != flambeau.quint8

    def qscheme(self):
        """How the integers stand for numbers."""
        return self._scheme

    def q_scale(self):
        """What the integers are multiplied with."""
        if self._q[3] is not None:
            raise RuntimeError(f"q_scale(): expected torch.per_tensor_affine, got {self._scheme}")
        return self._q[1]

    def q_zero_point(self):
        """The integer that stands for zero."""
        if self._q[3] is not None:
            raise RuntimeError(
                f"q_zero_point(): expected torch.per_tensor_affine, got {self._scheme}"
            )
        return self._q[2]

    def _channels(self, name):
        if self._q[3] is None:
            raise RuntimeError(f"{name}(): expected a scheme by channels, got {self._scheme}")
        return self._q

    def q_per_channel_scales(self):
        """The scale of each channel."""
        return self._channels("q_per_channel_scales")[1]

    def q_per_channel_zero_points(self):
        """The zero point of each channel."""
        return self._channels("q_per_channel_zero_points")[2]

    def q_per_channel_axis(self):
        """The dimension that counts the channels."""
        return self._channels("q_per_channel_axis")[3]

    def _parts(self):
        """The integers, the dtype, and what a file says of the scale."""
        dtype, scale, zero_point, axis = self._q
        more = () if axis is None else (axis,)
        scheme = per_channel_affine if more else per_tensor_affine  # also for points in floats
        return _integers(self), dtype, scheme, scale, zero_point, *more

    def int_repr(self):
        """The integers."""
        return _integers(self).clone()

    def dequantize(self):
        """The numbers, in float32."""
        return numbers(self)

    def copy_(self, src, non_blocking=False):
        """Writes numbers, quantized with this tensor's scale, or integers of the same kind."""
        if isinstance(src, QuantizedTensor):
            if src.dtype != self.dtype:
                raise RuntimeError(
                    f"copy_(): {self.dtype} and {src.dtype} are not the same quantized dtype"
                )
            _integers(self).copy_(_integers(src))
            self._q = src._q
        else:
            _integers(self).copy_(quantized_integers(src, self._q))
        return self

    def to(self, *args, **kwargs):
        """On another device; to a dtype only to its own: dequantize() makes numbers of it."""
        wanted = [a for a in (*args, *kwargs.values()) if isinstance(a, flambeau.dtype)]
        if any(dtype != self.dtype for dtype in wanted):
            raise RuntimeError("to(): a quantized tensor has no other dtype: use dequantize()")
        rest = [a for a in args if not isinstance(a, flambeau.dtype)]
        kwargs = {name: value for name, value in kwargs.items() if name != "dtype"}
        return self._like(_integers(self).to(*rest, **kwargs)) if rest or kwargs else self

    def item(self):
        """The number of a tensor of one element."""
        return numbers(self).item()

    def equal(self, other):
        """Whether both have the same integers, scales and sizes."""
        same = isinstance(other, QuantizedTensor) and self._scheme is other._scheme
        return same and self.dtype == other.dtype and flambeau.equal(numbers(self), numbers(other))

    def __iter__(self):
        return iter(self.unbind(0))

    def __repr__(self, *, tensor_contents=None):
        return _text(self)

    __str__ = __repr__

    def __format__(self, spec):
        return format(self.item(), spec) if self.dim() == 0 and spec else _text(self)

    def __hash__(self):
        return id(self)

    def __deepcopy__(self, memo):
        if id(self) not in memo:
            memo[id(self)] = self._like(_integers(self).clone())
        return memo[id(self)]

    def __reduce_ex__(self, protocol):
        return QuantizedTensor._made, (_integers(self), *self._q)

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        name = getattr(func, "__name__", str(func))
        kwargs = kwargs or {}
        inplace = name.endswith("_") and not name.endswith("__")
        base = name[:-1] if inplace else name
        if name in ("__get__", "__set__") or name in _FACTS:
            return _plainly(func, args, kwargs)
        if base in _MOVES:
            return _moved(func, args, kwargs)
        if base in _NUMBERS:
            return _requantized(func, args, kwargs, inplace)
        if name in _COMPARISONS:
            return func(*map(_number_of, args), **kwargs)
        if name in _JOINS:
            return _joined(func, *args, **kwargs)
        if base in ("sigmoid", "tanh", "hardsigmoid"):
            scale, zero = (2 / 256, 128) if base == "tanh" else (1 / 256, 0)
            return _of_fixed_range(func(numbers(args[0])), args[0].dtype, scale, zero)
        if name == "equal":
            return cls.equal(*args)
        if name == "empty_like":
            return args[0]._like(flambeau.empty_like(_integers(args[0])))
        own = cls.__dict__.get(name)
        if own is not None:
            return own(*args, **kwargs)
        raise NotImplementedError(
            f"Could not run 'aten::{name}' with arguments from the 'QuantizedCPU' backend: "
            "dequantize() gives a tensor that it takes."
        )


def _plainly(func, args, kwargs):
    with _C.DisableTorchFunctionSubclass():
        return func(*args, **kwargs)


def _integers(tensor):
    """The integers as a plain tensor over the same memory."""
    return _plainly(Tensor.as_subclass, (tensor, Tensor), {})


def _along(values, axis, dim):
    """The values of the channels, shaped to go with a tensor of dim dimensions."""
    shape = [1] * dim
    shape[axis] = -1
    return values.to(flambeau.float32).view(shape)


def rebuild(stored, offset, size, stride, scheme, scale, zero_point, axis=None):
    """The tensor over a storage of a file."""
    from flambeau import _utils

    kind, _, _ = range_of(stored.dtype)
    channels = (scale, zero_point)
    if axis is None:
        good = isinstance(scale, float) and isinstance(zero_point, int)
    else:
        good = isinstance(axis, int) and all(isinstance(t, Tensor) for t in channels)
        good = good and 0 <= axis < len(size) and all(t.shape == (size[axis],) for t in channels)
    if not good or not isinstance(scheme, qscheme):
        raise RuntimeError("rebuilding a quantized tensor: its scale does not go with it")
    storage = stored.untyped()
    _utils.check_within(storage.nbytes(), kind.itemsize, offset, size, stride)
    integers = _utils.tensor_on(storage, kind, offset, size, stride)
    return QuantizedTensor._made(integers, stored.dtype, scale, zero_point, axis)


def numbers(tensor):
    """What the integers stand for: (integer - zero point) * scale."""
    dtype, scale, zero_point, axis = tensor._q
    integers = _integers(tensor)
    if axis is None:
        exact = integers if dtype == flambeau.qint32 else integers.to(flambeau.float32)
        shifted = (exact - zero_point).to(flambeau.float32)
        return shifted * flambeau.tensor(scale, dtype=flambeau.float32)
    scale, zero_point = (_along(v, axis, integers.dim()) for v in (scale, zero_point))
    return (integers.to(flambeau.float32) - zero_point) * scale


def quantized_integers(x, q):
    """The integers nearest to x / scale + zero point."""
    dtype, scale, zero_point, axis = q
    kind, least, greatest = range_of(dtype)
    x = x.detach().to(flambeau.float32)
    if axis is None:
        inverse = 1 / flambeau.tensor(scale, dtype=flambeau.float32)
    else:
        scale, zero_point = (_along(v, axis, x.dim()) for v in (scale, zero_point))
        inverse = 1 / scale
    nearest = (x * inverse + zero_point).round().nan_to_num(nan=float(greatest))
    if dtype == flambeau.qint32:
        return nearest.to(flambeau.float64).clamp(least, greatest).to(kind)
    return nearest.clamp(least, greatest).to(kind)


def _number_of(value):
    return numbers(value) if isinstance(value, QuantizedTensor) else value


def _first(args, kwargs):
    return next(v for v in (*args, *kwargs.values()) if isinstance(v, QuantizedTensor))


def _moved(func, args, kwargs):
    like = _first(args, kwargs)
    plain = [_integers(a) if isinstance(a, QuantizedTensor) else a for a in args]
    kwargs = {k: _integers(v) if isinstance(v, QuantizedTensor) else v for k, v in kwargs.items()}
    kind = plain[0].dtype
    if func.__name__.startswith(("max_pool", "quantized_max_pool")):
        plain[0] = plain[0].to(flambeau.float32)  # exact: the integers have 8 bits
    result = func(*plain, **kwargs)

    def wrapped(value):
        if isinstance(value, Tensor):
            same = value.dtype == plain[0].dtype
            return like._like(value.to(kind)) if same else value
        if isinstance(value, (tuple, list)):
            return type(value)([wrapped(v) for v in value])
        return value

    return wrapped(result)


def _requantized(func, args, kwargs, inplace):
    like = _first(args, kwargs)
    made = func(*map(_number_of, args), **{k: _number_of(v) for k, v in kwargs.items()})
    made = made.detach()
    if inplace or kwargs.get("inplace"):
        _integers(like).copy_(quantized_integers(made, like._q))
        return like
    return like._like(quantized_integers(made, like._q))


def _joined(func, tensors, *args, **kwargs):
    like = tensors[0]
    made = func([_number_of(t) for t in tensors], *args, **kwargs)
    return like._like(quantized_integers(made, like._q))


def _of_fixed_range(values, dtype, scale, zero_point):
    if dtype == flambeau.qint8:
        zero_point -= 128
    q = dtype, scale, zero_point, None
    return QuantizedTensor._made(quantized_integers(values, q), *q)


def _text(tensor):
    from flambeau._tensor_str import _join, _tensor_str

    dtype, scale, zero_point, axis = tensor._q
    suffixes = [
        f"size={tuple(tensor.shape)}",
        f"dtype={dtype}",
        f"quantization_scheme={tensor._scheme}",
        f"scale={scale}",
        f"zero_point={zero_point}",
    ]
    if axis is not None:
        suffixes.append(f"axis={axis}")
    values = numbers(tensor)
    return _join("tensor(" + (_tensor_str(values, 7) if values.numel() else "[]"), suffixes, 7)
