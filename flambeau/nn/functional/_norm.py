"""Normalizations made of batch and layer normalization."""

import math

import flambeau as torch
from flambeau._ops import internal

from ._basic import fusible

__all__ = ["group_norm", "instance_norm", "local_response_norm", "rms_norm"]


def _per_channel(tensor, input):
    """A tensor of one value for each channel, shaped to meet an input of (N, C, *)."""
    return tensor.reshape(1, -1, *[1] * (input.dim() - 2))


def _affine(output, weight, bias):
    if weight is not None:
        output = output * _per_channel(weight, output)
    if bias is not None:
        output = output + _per_channel(bias, output)
    return output


def group_norm(input, num_groups, weight=None, bias=None, eps=1e-5):
    """Normalizes each of several groups of channels of each sample.

    >>> import flambeau as torch
    >>> torch.nn.functional.group_norm(torch.ones(2, 6, 5), 3).shape
    torch.Size([2, 6, 5])
    """
    if input.dim() < 2:
        raise RuntimeError(
            f"Expected at least 2 dimensions for input tensor but received {input.dim()}"
        )
    if num_groups <= 0:
        raise RuntimeError(f"Expected num groups to be greater than 0, got {num_groups}")
    if input.shape[1] % num_groups:
        raise RuntimeError(
            "Expected number of channels in input to be divisible by num_groups, but got input "
            f"of shape {list(input.shape)} and num_groups={num_groups}"
        )
    if input.numel() == num_groups:
        raise ValueError(
            "Expected more than 1 value per channel when training, got input size "
            f"{list(input.shape)}"
        )
    for name, tensor in (("weight", weight), ("bias", bias)):
        if tensor is not None and tuple(tensor.shape) != (input.shape[1],):
            raise RuntimeError(
                f"Expected {name} to be a vector of size equal to the number of channels in "
                f"input, but got {name} of shape {list(tensor.shape)} and input of shape "
                f"{list(input.shape)}"
            )
    if input.dtype in (torch.float16, torch.bfloat16):
        x, weight, bias = (None if t is None else t.float() for t in (input, weight, bias))
        return group_norm(x, num_groups, weight, bias, eps).to(input.dtype)
    if fusible(input, input.shape[1], weight, bias, layout=True):
        return internal["_group_norm"](input, weight, bias, num_groups, eps)[0]
    if input.numel() == 0:
        return _affine(input * 1, weight, bias)
    size = math.prod(input.shape[1:]) // num_groups
    groups = input.reshape(input.shape[0], num_groups, size)
    output = torch.nn.functional.layer_norm(groups, (size,), eps=eps)
    return _affine(output.reshape(input.shape), weight, bias)


def instance_norm(
    input,
    running_mean=None,
    running_var=None,
    weight=None,
    bias=None,
    use_input_stats=True,
    momentum=0.1,
    eps=1e-5,
):
    """Normalizes each channel of each sample; input (N, C, *).

    >>> import flambeau as torch
    >>> torch.nn.functional.instance_norm(torch.ones(2, 3, 4)).shape
    torch.Size([2, 3, 4])
    """
    if use_input_stats and math.prod(input.shape[2:]) == 1:
        raise ValueError(
            f"Expected more than 1 spatial element when training, got input size {input.shape}"
        )
    if not use_input_stats and (running_mean is None or running_var is None):
        raise RuntimeError(
            "Expected running_mean and running_var to be defined when use_input_stats is False"
        )
    if input.numel() == 0:
        return _affine(input * 1, weight, bias)
    number, channels = input.shape[:2]
    plain = use_input_stats and running_mean is None
    if plain and fusible(input, channels, weight, bias, layout=True):
        return internal["_group_norm"](input, weight, bias, channels, eps)[0]
    # Each channel of each sample as a channel of one sample.
    flat = input.reshape(1, number * channels, *input.shape[2:])

    def repeat(tensor):
        return None if tensor is None else tensor.repeat(number)

    mean, variance = repeat(running_mean), repeat(running_var)
    output = torch.nn.functional.batch_norm(
        flat, mean, variance, repeat(weight), repeat(bias), use_input_stats, momentum, eps
    )
    if use_input_stats:
        with torch.no_grad():
            for running, new in ((running_mean, mean), (running_var, variance)):
                if running is not None:
                    running.copy_(new.view(number, channels).mean(0))
    return output.reshape(input.shape)


def rms_norm(input, normalized_shape, weight=None, eps=None):
    """Divides by the root of the mean square over the last dimensions.

    >>> import flambeau as torch
    >>> torch.nn.functional.rms_norm(torch.tensor([3.0, 3.0]), (2,))
    tensor([1., 1.])
    """
    normalized_shape = tuple(normalized_shape)
    dims = len(normalized_shape)
    if dims == 0:
        raise RuntimeError("Expected normalized_shape to be at least 1-dimensional, got []")
    if tuple(input.shape[-dims:]) != normalized_shape:
        raise RuntimeError(
            f"Given normalized_shape={list(normalized_shape)}, expected input with shape "
            f"[*, {', '.join(map(str, normalized_shape))}], but got input of size "
            f"{list(input.shape)}"
        )
    if weight is not None and tuple(weight.shape) != normalized_shape:
        raise RuntimeError(
            "Expected weight to be of same shape as normalized_shape, but got weight of shape "
            f"{list(weight.shape)} and normalized_shape = {list(normalized_shape)}"
        )
    wide = input.float() if input.dtype in (torch.float16, torch.bfloat16) else input
    if eps is None:
        eps = torch.finfo(wide.dtype).eps
    n = math.prod(normalized_shape)
    flat = weight if weight is None or dims == 1 else weight.reshape(-1)
    rows = wide.contiguous().reshape(-1, n) if input.numel() else input
    if flat is not None and wide is not input:
        flat = flat.float()
    if fusible(rows, n, flat):
        output = internal["_rms_norm"](rows, flat, eps)[0]
        return output.reshape(input.shape).to(input.dtype)
    square = wide * wide
    mean = square.mean(tuple(range(-dims, 0)), keepdim=True)
    output = (wide * (mean + eps).rsqrt()).to(input.dtype)
    return output if weight is None else output * weight


def local_response_norm(input, size, alpha=1e-4, beta=0.75, k=1.0):
    """Divides each channel by a power of the energy of its neighbour channels.

    >>> import flambeau as torch
    >>> torch.nn.functional.local_response_norm(torch.zeros(1, 2, 3), 2).sum()
    tensor(0.)
    """
    if input.dim() < 3:
        raise ValueError(
            f"Expected 3D or higher dimensionality input (got {input.dim()} dimensions)"
        )
    if input.numel() == 0:
        return input
    channels = input.shape[1]
    sides = [0, 0] * (input.dim() - 2) + [size // 2, (size - 1) // 2]
    square = torch.nn.functional.pad(input * input, sides)
    energy = square.narrow(1, 0, channels)
    for i in range(1, size):
        energy = energy + square.narrow(1, i, channels)
    return input / (energy * (alpha / size) + k) ** beta
