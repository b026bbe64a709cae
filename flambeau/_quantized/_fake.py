"""Numbers rounded to what integers could hold, with gradients: training for quantization."""

import flambeau

from ._functions import _plain_number


class _Round(flambeau.autograd.Function):
    """Rounded to the grid; the gradient passes where the number is within the range."""

    @staticmethod
    def forward(ctx, x, scale, zero_point, least, greatest):
        nearest = (x * (1 / scale)).round() + zero_point
        kept = nearest.clamp(least, greatest)
        ctx.save_for_backward(nearest == kept)
        return ((kept - zero_point) * scale).to(x.dtype)

    @staticmethod
    def backward(ctx, grad):
        (within,) = ctx.saved_tensors
        return grad * within, None, None, None, None


def _check_range(quant_min, quant_max):
    if quant_min > quant_max:
        raise RuntimeError("`quant_min` should be less than or equal to `quant_max`.")


def fake_quantize_per_tensor_affine(input, scale, zero_point, quant_min, quant_max):
    """What quantizing and dequantizing makes of the numbers, with a gradient.

    >>> import flambeau as torch
    >>> torch.fake_quantize_per_tensor_affine(torch.tensor([0.26, 9.0]), 0.1, 0, -128, 127)
    tensor([0.3000, 9.0000])
    """
    _check_range(quant_min, quant_max)
    if isinstance(scale, flambeau.Tensor):
        scale = scale.detach().to(flambeau.float32)
    else:
        scale = flambeau.tensor(scale, dtype=flambeau.float32, device=input.device)
    zero_point = int(_plain_number(zero_point))
    return _Round.apply(input, scale, zero_point, quant_min, quant_max)


def fake_quantize_per_channel_affine(input, scale, zero_point, axis, quant_min, quant_max):
    """The same with a scale and a zero point for each index of one dimension."""
    _check_range(quant_min, quant_max)
    if scale.numel() != input.size(axis) or zero_point.numel() != input.size(axis):
        raise RuntimeError(
            "dimensions of scale and zero-point are not consistent with input tensor"
        )
    if zero_point.dtype not in (flambeau.int32, flambeau.float32, flambeau.float16):
        raise RuntimeError(f"Zero-point must be Int32, Float or Half, found {zero_point.dtype}")
    shape = [1] * input.dim()
    shape[axis] = -1
    scale, zero_point = scale.detach().view(shape), zero_point.view(shape)
    return _Round.apply(input, scale, zero_point, quant_min, quant_max)


def fused_moving_avg_obs_fake_quant(
    input,
    observer_on,
    fake_quant_on,
    running_min,
    running_max,
    scale,
    zero_point,
    averaging_const,
    quant_min,
    quant_max,
    ch_axis,
    per_row_fake_quant=False,
    symmetric_quant=False,
):
    """Follows the range of what passes, sets the scale by it, and rounds to it: one training step.

    running_min, running_max, scale and zero_point are written in place.
    """
    if observer_on.item():
        _follow(
            input.detach(), running_min, running_max, averaging_const, ch_axis, per_row_fake_quant
        )
        made = _exact_at_zero(running_min, running_max, quant_min, quant_max, symmetric_quant)
        for kept, new in zip((scale, zero_point), made, strict=True):
            kept.resize_(max(1, new.numel())).copy_(new)
    if not fake_quant_on.item():
        return input
    if per_row_fake_quant:
        return fake_quantize_per_channel_affine(
            input, scale, zero_point, ch_axis, quant_min, quant_max
        )
    return fake_quantize_per_tensor_affine(input, scale, zero_point, quant_min, quant_max)


def _follow(x, running_min, running_max, constant, axis, by_row):
    if by_row:
        rows = x.transpose(0, axis).flatten(1) if x.dim() > 1 else x.reshape(-1, 1)
        low, high = rows.amin(1), rows.amax(1)
    else:
        low, high = x.aminmax()
        low, high = low.reshape(running_min.shape), high.reshape(running_max.shape)
    for running, new in ((running_min, low), (running_max, high)):
        if running.numel() != new.numel() or running.isinf().any():
            running.resize_(new.shape).copy_(new)
        else:
            running.add_(new - running, alpha=constant)


def scale_of_range(low, high, quant_min, quant_max, symmetric, eps=2**-23, middle=None):
    """Scales and zero points by which a range of numbers fills a range of integers."""
    low, high = low.clamp(max=0.0), high.clamp(min=0.0)
    if symmetric:
        scale = flambeau.maximum(-low, high) / ((quant_max - quant_min) / 2)
        zero = flambeau.full_like(
            scale, (quant_min + quant_max + 1) // 2 if middle is None else middle
        )
        return scale.clamp(min=eps), zero.to(flambeau.int64)
    scale = ((high - low) / float(quant_max - quant_min)).clamp(min=eps)
    zero = quant_min - (low / scale).round()
    return scale, zero.clamp(quant_min, quant_max).to(flambeau.int64)


def _exact_at_zero(low, high, quant_min, quant_max, symmetric):
    """Scales as of scale_of_range(), but the integers' least and greatest are both reached."""
    low, high = low.clamp(max=0.0), high.clamp(min=0.0)
    scale, zero = scale_of_range(low, high, quant_min, quant_max, False)
    if symmetric:
        half = (quant_max - quant_min) // 2
        both = (low < 0) & (high > 0)
        level = flambeau.maximum(-low / (half + 1), high / half).clamp(min=2**-23)
        middle = flambeau.full_like(zero, (quant_min + quant_max + 1) // 2)
        scale, zero = flambeau.where(both, level, scale), flambeau.where(both, middle, zero)
    return scale, zero
