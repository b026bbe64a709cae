"""Making quantized tensors, and asking them."""

from functools import wraps

import flambeau

from ._scheme import range_of
from ._tensor import QuantizedTensor, numbers, quantized_integers

_SMALLEST_SCALE = 6.1e-5  # below it the reciprocal leaves float16's range


def recorded(function):
    """A function that objects which stand for tensors, as a tracer's proxies do, take over."""

    @wraps(function)
    def call(*args, **kwargs):
        for arg in args:
            for one in arg if isinstance(arg, (list, tuple)) else (arg,):
                plain = isinstance(one, (flambeau.Tensor, flambeau.dtype))
                if not plain and hasattr(type(one), "__torch_function__"):
                    return one.__torch_function__(call, (type(one),), args, kwargs)
        return function(*args, **kwargs)

    return call


def _plain_number(value):
    return value.item() if isinstance(value, flambeau.Tensor) else value


def _check_input(name, input):
    if isinstance(input, QuantizedTensor):
        raise NotImplementedError(f"{name}(): the tensor is quantized already")
    if input.dtype != flambeau.float32:
        raise RuntimeError(f"{name}(): expected a tensor of float32, got {input.dtype}")


@recorded
def quantize_per_tensor(input, scale, zero_point, dtype):
    """The nearest integers to input / scale + zero_point, as a quantized tensor.

    With lists or a tensor of tensors' scales, a tuple of them.

    >>> import flambeau as torch
    >>> torch.quantize_per_tensor(torch.tensor([1.0, 2.0]), 0.5, 10, torch.quint8).int_repr()
    tensor([12, 14], dtype=torch.uint8)
    """
    if isinstance(input, (tuple, list)):
        parts = zip(input, scale.tolist(), zero_point.tolist())
        return tuple(quantize_per_tensor(x, s, z, dtype) for x, s, z in parts)
    _check_input("quantize_per_tensor", input)
    q = dtype, float(_plain_number(scale)), int(_plain_number(zero_point)), None
    _, least, greatest = range_of(dtype)
    if not least <= q[2] <= greatest:
        raise RuntimeError(f"zero_point {q[2]} is out of the range [{least}, {greatest}]")
    return QuantizedTensor._made(quantized_integers(input, q), *q)


@recorded
def quantize_per_channel(input, scales, zero_points, axis, dtype):
    """The same with a scale and a zero point for each index of one dimension.

    >>> import flambeau as torch
    >>> scales, zeros = torch.tensor([1.0, 0.1]), torch.zeros(2, dtype=torch.int64)
    >>> torch.quantize_per_channel(torch.ones(2, 2), scales, zeros, 0, torch.qint8).int_repr()
    tensor([[ 1,  1],
            [10, 10]], dtype=torch.int8)
    """
    _check_input("quantize_per_channel", input)
    if scales.dim() != 1 or scales.numel() != input.size(axis):
        raise RuntimeError(
            f"quantize_per_channel(): {input.size(axis)} channels, but {scales.numel()} scales"
        )
    q = dtype, *_of_channels(scales, zero_points), axis
    return _by_channel(quantized_integers(input, q), *q)


@recorded
def quantize_per_tensor_dynamic(input, dtype, reduce_range):
    """Quantized with the scale that the tensor's own range asks for."""
    _check_input("quantize_per_tensor_dynamic", input)
    _, least, greatest = range_of(dtype)
    if reduce_range:
        least, greatest = int(least / 2), greatest // 2
    scale, zero_point = chosen_scale(input, least, greatest)
    return quantize_per_tensor(input, scale, zero_point, dtype)


def chosen_scale(input, least, greatest):
    """(scale, zero point) by which the range of a tensor fills the integers; zero stays exact."""
    low, high = (float(v) for v in input.detach().aminmax()) if input.numel() else (0.0, 0.0)
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / (greatest - least)
    if scale == 0 or scale == float("inf"):
        scale = 0.1
    if scale < _SMALLEST_SCALE:
        grown = _SMALLEST_SCALE / scale
        scale, low, high = _SMALLEST_SCALE, low * grown, high * grown
    below, above = least - low / scale, greatest - high / scale
    error_below = abs(least) + abs(low / scale)
    error_above = abs(greatest) + abs(high / scale)
    zero = below if error_below < error_above else above
    return scale, min(max(round(zero), least), greatest)


def _choose_qparams_per_tensor(input, reduce_range=False):
    """The scale and the zero point with which 8 bits (7 with reduce_range) hold the tensor."""
    return chosen_scale(input, 0, 127 if reduce_range else 255)


@recorded
def dequantize(input=None, *, tensors=None):
    """The numbers of a quantized tensor in float32; of each where there are several.

    >>> import flambeau as torch
    >>> torch.dequantize(torch.quantize_per_tensor(torch.ones(2), 0.3, 0, torch.qint8))
    tensor([0.9000, 0.9000])
    """
    input = tensors if input is None else input
    if isinstance(input, (tuple, list)):
        return tuple(dequantize(t) for t in input)
    return numbers(input) if isinstance(input, QuantizedTensor) else input.to(flambeau.float32)


def _empty_affine_quantized(
    *size, dtype=None, device=None, scale=1.0, zero_point=0, memory_format=None
):
    """A quantized tensor whose integers are not set."""
    size = size[0] if len(size) == 1 and not isinstance(size[0], int) else size
    kind, _, _ = range_of(dtype)
    made = flambeau.empty(size, dtype=kind, device=device)
    return QuantizedTensor._made(made, dtype, float(scale), int(zero_point))


def _empty_per_channel_affine_quantized(
    size, *, scales, zero_points, axis, dtype=None, device=None, memory_format=None
):
    """The same with a scale for each channel."""
    made = flambeau.empty(size, dtype=range_of(dtype)[0], device=device)
    return _by_channel(made, dtype, scales, zero_points, axis)


_DTYPES = {
    flambeau.int8: flambeau.qint8,
    flambeau.uint8: flambeau.quint8,
    flambeau.int32: flambeau.qint32,
}


def _of_channels(scales, zero_points):
    """The scales and zero points of channels in the dtypes that they are kept in."""
    if zero_points.dtype.is_floating_point:
        return scales.detach().to(flambeau.float32), zero_points.to(flambeau.float32)
    return scales.detach().to(flambeau.float64), zero_points.to(flambeau.int64)


def _by_channel(integers, dtype, scales, zero_points, axis):
    scales, zeros = _of_channels(scales, zero_points)
    return QuantizedTensor._made(integers, dtype, scales, zeros, axis)


def _make_per_tensor_quantized_tensor(input, scale, zero_point):
    """A quantized tensor of given integers."""
    made = input.clone()
    return QuantizedTensor._made(made, _DTYPES[input.dtype], float(scale), int(zero_point))


def _make_per_channel_quantized_tensor(input, scale, zero_point, axis):
    """A quantized tensor of given integers, with a scale for each channel."""
    return _by_channel(input.clone(), _DTYPES[input.dtype], scale, zero_point, axis)


def _pooling(dims):
    def pool(input, kernel_size, stride=(), padding=0, dilation=1, ceil_mode=False):
        if not isinstance(input, QuantizedTensor):
            raise NotImplementedError(f"{pool.__name__}(): the tensor is not quantized")
        function = getattr(flambeau.nn.functional, f"max_pool{dims}d")
        return function(input, kernel_size, stride or None, padding, dilation, ceil_mode)

    pool.__name__ = pool.__qualname__ = f"quantized_max_pool{dims}d"
    pool.__doc__ = f"max_pool{dims}d() of a quantized tensor, with the same scale and zero point."
    return pool


quantized_max_pool1d, quantized_max_pool2d, quantized_max_pool3d = map(_pooling, (1, 2, 3))


def quantized_batch_norm(input, weight, bias, mean, var, eps, output_scale, output_zero_point):
    """Batch normalization of a quantized tensor (N, C, ...) by given means and variances (C,).

    >>> import flambeau as torch
    >>> x = torch.quantize_per_tensor(torch.ones(1, 1, 1, 2), 0.5, 0, torch.quint8)
    >>> one, zero = torch.ones(1), torch.zeros(1)
    >>> torch.quantized_batch_norm(x, one, one, zero, one, 0.0, 0.5, 0).dequantize()
    tensor([[[[2., 2.]]]])
    """
    if weight is None or bias is None:
        raise RuntimeError(f"{'Weight' if weight is None else 'Bias'} must be provided")
    made = flambeau.nn.functional.batch_norm(numbers(input), mean, var, weight, bias, eps=eps)
    return quantize_per_tensor(made, output_scale, output_zero_point, input.dtype)


def _asker(name):
    def ask(input):
        if not isinstance(input, QuantizedTensor):
            raise NotImplementedError(f"{name}(): the tensor is not quantized")
        return getattr(input, name)()

    ask.__name__ = name
    ask.__doc__ = f"Tensor.{name}() of a quantized tensor."
    return ask


q_scale = _asker("q_scale")
q_zero_point = _asker("q_zero_point")
q_per_channel_scales = _asker("q_per_channel_scales")
q_per_channel_zero_points = _asker("q_per_channel_zero_points")
q_per_channel_axis = _asker("q_per_channel_axis")
