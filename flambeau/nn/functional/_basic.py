"""Batch and layer normalization, fused where they can be, and attention."""

import math

import flambeau as torch
from flambeau._ops import internal

_attention = internal["_attention"]

__all__ = ["batch_norm", "scaled_dot_product_attention"]


def batch_norm(
    input,
    running_mean,
    running_var,
    weight=None,
    bias=None,
    training=False,
    momentum=0.1,
    eps=1e-5,
):
    """Normalizes each channel of (N, C, *) over the batch, or by running statistics."""
    channels = input.shape[1] if input.dim() > 1 else input.numel()
    for name in ("running_mean", "running_var"):
        tensor = running_mean if name == "running_mean" else running_var
        if tensor is None:
            if not training:
                raise RuntimeError(f"{name} must be defined in evaluation mode")
        elif tensor.numel() != channels or (input.dim() < 2 and input.numel()):
            raise RuntimeError(f"{name} should contain {channels} elements not {tensor.numel()}")
    state = (running_mean, running_var, weight, bias)
    tensors = (input, weight, bias)
    half = input.dtype in (torch.float16, torch.bfloat16)
    if half and input.numel() and all(t is None or t.dtype == torch.float32 for t in state):
        wanted = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)
        if not training and not wanted and input.dim() > 1 and input.dtype == torch.bfloat16:
            fixed = internal["_batch_norm_fixed"]
            return fixed(input, weight, bias, running_mean, running_var, eps)
        output = batch_norm(input.float(), *state, training, momentum, eps)
        return output.to(input.dtype)
    fused = fusible(input, channels, weight, bias, layout=True)
    if not training:
        if fused and fusible(input, channels, running_mean, running_var, layout=True):
            fixed = internal["_batch_norm_fixed"]
            return fixed(input, weight, bias, running_mean, running_var, eps)
        return _scaled(input, running_mean, running_var, weight, bias, eps)
    count = input.numel() // max(channels, 1)
    if count == 1:
        raise ValueError(
            f"Expected more than 1 value per channel when training, got input size {input.shape}"
        )
    if fused:
        output, mean, variance = internal["_batch_norm"](input, weight, bias, eps)
    else:
        wide = input.float() if input.dtype in (torch.float16, torch.bfloat16) else input
        dims = [d for d in range(input.dim()) if d != 1]
        mean = wide.mean(dims)
        centered = wide - mean.reshape(_channel_shape(wide))
        variance = (centered * centered).mean(dims)
        output = _scaled(wide, mean, variance, weight, bias, eps).to(input.dtype)
    if count:
        with torch.no_grad():
            if running_mean is not None:
                running_mean.lerp_(mean.to(running_mean.dtype), momentum)
            if running_var is not None:
                unbiased = variance * (count / (count - 1))
                running_var.lerp_(unbiased.to(running_var.dtype), momentum)
    return output


def _channel_shape(input):
    return [1, -1, *[1] * (input.dim() - 2)]


def _scaled(input, mean, variance, weight, bias, eps):
    """What batch normalization does with its statistics."""
    shape = _channel_shape(input)
    if input.numel() == 0:
        output = input * 1  # there is no mean; the weights have gradients, of zero
    else:
        output = (input - mean.reshape(shape)) * (variance + eps).rsqrt().reshape(shape)
    if weight is not None:
        output = output * weight.reshape(shape)
    if bias is not None:
        output = output + bias.reshape(shape)
    return output.to(input.dtype)


def fusible(input, channels, *parameters, layout=False):
    """Whether a native operator of float32 or float64 serves these tensors; `layout`: any."""
    return (
        input.dtype in (torch.float32, torch.float64)
        and input.dim() >= 2
        and input.numel() > 0
        and (layout or input.is_contiguous())
        and all(
            p is None
            or (p.dtype == input.dtype and p.device == input.device and p.shape == (channels,))
            for p in parameters
        )
    )


def _is_fused(query, key, value, mask):
    """Whether the native operator takes these; gradients of a mask are left to the composite."""
    shape = query.shape
    return (
        2 < len(shape) < 5
        and query.dtype == key.dtype == value.dtype
        and query.is_floating_point()
        and shape[:-2] == key.shape[:-2] == value.shape[:-2]
        and shape[-1] == key.shape[-1]
        and key.shape[-2] == value.shape[-2]
        and (mask is None or _is_addend(mask, query, key.shape[-2]))
    )


def _is_addend(mask, query, source):
    wanted = (source, *reversed(query.shape[:-1]))
    return (
        not mask.requires_grad
        and mask.dtype in (query.dtype, torch.bool)
        and mask.dim() <= len(wanted)
        and all(n in (1, w) for n, w in zip(reversed(mask.shape), wanted))
    )


def _fused_attention(query, key, value, mask, is_causal, scale):
    shape = query.shape
    if len(shape) == 3:
        query, key, value = query[:, None], key[:, None], value[:, None]
    if mask is not None:
        if mask.dtype == torch.bool:
            mask = query.new_zeros(mask.shape).masked_fill_(~mask, -math.inf)
        if len(shape) == 3 and mask.dim() == 3:
            mask = mask[:, None]
        mask = mask.reshape((1,) * (4 - mask.dim()) + tuple(mask.shape))
    output = _attention(query, key, value, mask, is_causal, scale)[0]
    return output[:, 0] if len(shape) == 3 else output


def scaled_dot_product_attention(
    query,
    key,
    value,
    attn_mask=None,
    dropout_p=0.0,
    is_causal=False,
    scale=None,
    enable_gqa=False,
):
    """``softmax(query @ key.T * scale + mask) @ value``.

    Shapes: query (..., L, E), key (..., S, E), value (..., S, Ev), result (..., L, Ev). A boolean
    mask is True where a key may be attended to.

    >>> import flambeau as torch
    >>> q = torch.ones(1, 2, 4)
    >>> torch.nn.functional.scaled_dot_product_attention(q, q, q).shape
    torch.Size([1, 2, 4])
    """
    F = torch.nn.functional
    if min(query.dim(), key.dim(), value.dim()) < 2:
        raise RuntimeError(
            "Expected query, key, and value to all be at least 2 dimensional, but got shapes "
            f"{list(query.shape)}, {list(key.shape)} and {list(value.shape)}"
        )
    if is_causal and attn_mask is not None:
        raise RuntimeError("Explicit attn_mask should not be set when is_causal=True")
    if enable_gqa:
        key = key.repeat_interleave(query.shape[-3] // key.shape[-3], -3)
        value = value.repeat_interleave(query.shape[-3] // value.shape[-3], -3)
    scale = 1 / math.sqrt(max(query.shape[-1], 1)) if scale is None else scale
    if dropout_p == 0.0 and _is_fused(query, key, value, attn_mask):
        return _fused_attention(query, key, value, attn_mask, is_causal, scale)
    scores = (query * scale) @ key.transpose(-2, -1)
    if is_causal:
        length, source = scores.shape[-2:]
        attn_mask = torch.ones((length, source), dtype=torch.bool, device=query.device).tril()
    hidden = None  # where a query may attend to nothing, it gets zeros
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attn_mask, -math.inf)
        hidden = ~attn_mask.any(-1, keepdim=True)
    elif attn_mask is not None:
        hidden = (attn_mask == -math.inf).all(-1, keepdim=True)
        scores = scores + attn_mask.masked_fill(hidden, 0)
    attention = F.softmax(scores, -1)
    if hidden is not None:
        attention = attention.masked_fill(hidden, 0)
    if dropout_p > 0.0:
        attention = F.dropout(attention, dropout_p)
    return attention @ value
