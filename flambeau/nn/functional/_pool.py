"""Pooling made of other operators: power means, unpooling, windows at random places."""

import math

import flambeau as torch
from flambeau import _levels

from ..modules.utils import _ntuple
from ._dispatch import boolean_dispatch

__all__ = [
    "_fractional_max_pool2d",
    "_fractional_max_pool3d",
    "fractional_max_pool2d",
    "fractional_max_pool2d_with_indices",
    "fractional_max_pool3d",
    "fractional_max_pool3d_with_indices",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
]


def _lp_pool(input, norm_type, kernel_size, stride, ceil_mode, dims):
    kernel = _ntuple(dims)(kernel_size)
    F = torch.nn.functional
    average = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[dims - 1]
    mean = average(input**norm_type, kernel, stride, 0, ceil_mode)
    # Powers of negative numbers may be negative: the sign is kept outside of the root.
    total = mean.sign() * F.relu(mean.abs()) * math.prod(kernel)
    return total ** (1.0 / norm_type)


def lp_pool1d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """The p-norm of each window over the last dimension.

    >>> import flambeau as torch
    >>> torch.nn.functional.lp_pool1d(torch.tensor([[3.0, 4.0]]), 2, 2)
    tensor([[5.]])
    """
    return _lp_pool(input, norm_type, kernel_size, stride, ceil_mode, 1)


def lp_pool2d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """The p-norm of each window over the last two dimensions.

    >>> import flambeau as torch
    >>> torch.nn.functional.lp_pool2d(torch.ones(1, 4, 4), 2, 2)
    tensor([[[2., 2.],
             [2., 2.]]])
    """
    return _lp_pool(input, norm_type, kernel_size, stride, ceil_mode, 2)


def lp_pool3d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """The p-norm of each block over the last three dimensions.

    >>> import flambeau as torch
    >>> torch.nn.functional.lp_pool3d(torch.ones(1, 2, 2, 2), 3, 2).item()
    2.0
    """
    return _lp_pool(input, norm_type, kernel_size, stride, ceil_mode, 3)


def _sizes(name, what, value, dims):
    """A number for each dimension, from one for all or a tuple."""
    value = _ntuple(dims)(value)
    if len(value) != dims:
        raise RuntimeError(
            f"{name}: {what} must either be a single int or a tuple of {dims} ints, got {value}"
        )
    return value


def _max_unpool(input, indices, kernel_size, stride, padding, output_size, dims):
    name = f"max_unpool{dims}d"
    kernel = _sizes(name, "kernel_size", kernel_size, dims)
    padding = _sizes(name, "padding", padding, dims)
    stride = kernel if stride is None else _sizes(name, "stride", stride, dims)
    if input.dim() not in (dims + 1, dims + 2):
        raise RuntimeError(
            f"{name}: Input should be a {dims + 1}d or {dims + 2}d Tensor, but got a tensor with "
            f"{input.dim()} dimensions."
        )
    if indices.shape != input.shape:
        raise RuntimeError(
            f"{name}: Expected shape of indices to be same as that of the input tensor "
            f"({list(input.shape)}) but got indices tensor with shape: {list(indices.shape)}"
        )
    if indices.dtype != torch.int64:
        raise RuntimeError(f"elements in indices should be type int64 but got: {indices.dtype}")
    usual = [
        (n - 1) * s + k - 2 * p for n, s, k, p in zip(input.shape[-dims:], stride, kernel, padding)
    ]
    size = usual if output_size is None else _checked_size(output_size, usual, stride, dims)
    volume = math.prod(size)
    flat = indices.flatten(-dims)
    if flat.numel() and _levels.holds((flat < 0) | (flat >= volume)):
        raise RuntimeError(
            f"{name}: found an invalid max index: {int(flat.max())} (output volumes are of size "
            f"{'x'.join(map(str, size))})"
        )
    output = input.new_zeros((*input.shape[:-dims], volume))
    output = output.scatter(-1, flat, input.flatten(-dims))
    return output.reshape(*input.shape[:-dims], *size)


def _checked_size(output_size, usual, stride, dims):
    size = list(output_size)
    if len(size) == dims + 2:
        size = size[2:]
    if len(size) != dims:
        raise ValueError(
            f"output_size should be a sequence containing {dims} or {dims + 2} elements, but it "
            f"has a length of '{len(output_size)}'"
        )
    for dim, (n, expected, step) in enumerate(zip(size, usual, stride)):
        if not expected - step < n < expected + step:
            raise ValueError(
                f'invalid output_size "{tuple(size)}" (dim {dim} must be between '
                f"{expected - step} and {expected + step})"
            )
    return size


def max_unpool1d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """Puts values back where max_pool1d found them, and zeros elsewhere.

    >>> import flambeau as torch
    >>> torch.nn.functional.max_unpool1d(torch.ones(1, 2), torch.tensor([[1, 3]]), 2)
    tensor([[0., 1., 0., 1.]])
    """
    return _max_unpool(input, indices, kernel_size, stride, padding, output_size, 1)


def max_unpool2d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """Puts values back where max_pool2d found them, and zeros elsewhere.

    >>> import flambeau as torch
    >>> torch.nn.functional.max_unpool2d(torch.ones(1, 1, 1), torch.tensor([[[2]]]), 2)
    tensor([[[0., 0.],
             [1., 0.]]])
    """
    return _max_unpool(input, indices, kernel_size, stride, padding, output_size, 2)


def max_unpool3d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """Puts values back where max_pool3d found them, and zeros elsewhere.

    >>> import flambeau as torch
    >>> places = torch.tensor([[[[2]]]])
    >>> torch.nn.functional.max_unpool3d(torch.ones(1, 1, 1, 1), places, 2).sum()
    tensor(1.)
    """
    return _max_unpool(input, indices, kernel_size, stride, padding, output_size, 3)


def _starts(samples, length, wanted, window):
    """Where the windows of one dimension begin, [planes, wanted], for samples between 0 and 1."""
    place = {"dtype": torch.int64, "device": samples.device}
    last = torch.full((samples.shape[0], 1), length - window, **place)
    if wanted == 1:
        return last
    alpha = (length - window) / (wanted - 1)
    samples = samples.unsqueeze(1)
    steps = torch.arange(wanted - 1, dtype=samples.dtype, device=samples.device)
    starts = ((steps + samples) * alpha).long() - (samples * alpha).long()
    return torch.cat([starts, last], 1)


def _fractional(input, kernel_size, output_size, output_ratio, random_samples, dims):
    name = f"fractional_max_pool{dims}d"
    if output_size is None and output_ratio is None:
        raise ValueError(f"{name} requires specifying either an output_size or an output_ratio")
    kernel = _sizes(name, "kernel_size", kernel_size, dims)
    size = input.shape[-dims:]
    if output_size is None:
        ratios = _sizes(name, "output_ratio", output_ratio, dims)
        output = [int(n * ratio) for n, ratio in zip(size, ratios)]
    else:
        output = list(_sizes(name, "output_size", output_size, dims))
    if input.dim() not in (dims + 1, dims + 2):
        raise RuntimeError(
            f"{name}(): Expected {dims + 1}D or {dims + 2}D tensor, but got: {list(input.shape)}"
        )
    for n, o, k in zip(size, output, kernel):
        if o < 0 or o + k - 1 > n:
            raise RuntimeError(
                f"{name}(): pool size {k} and output size {o} do not fit an input of size {n}"
            )
    batch = input if input.dim() == dims + 2 else input.unsqueeze(0)
    number, channels = batch.shape[:2]
    if not math.prod(batch.shape[1:]):
        raise RuntimeError(
            f"{name}(): Expected input to have non-zero size for non-batch dimensions, but got "
            f"{list(input.shape)}"
        )
    if random_samples is None:
        random_samples = torch.rand(number, channels, dims, dtype=input.dtype, device=input.device)
    if (
        random_samples.dim() != 3
        or random_samples.shape[0] < number
        or tuple(random_samples.shape[1:]) != (channels, dims)
    ):
        raise RuntimeError(
            f"{name}(): Expect _random_samples of shape ({number}, {channels}, {dims}), got "
            f"{list(random_samples.shape)}"
        )
    shape = (*input.shape[:-dims], *output)
    if not math.prod(shape):
        return batch.reshape(-1)[:0].reshape(shape), torch.empty(shape, dtype=torch.int64)
    # Samples for a larger batch serve a smaller one.
    index = _places(random_samples[:number].flatten(0, 1), size, output, kernel)
    values = batch.reshape(number * channels, 1, math.prod(size))
    values = values.expand(-1, index.shape[1], -1).gather(2, index)  # [planes, window, outputs]
    best, which = values.max(1, keepdim=True)
    return best.reshape(shape), index.gather(1, which).reshape(shape)


def _places(samples, size, output, kernel):
    """Flat positions of every element of every window of every plane: [planes, window, outputs]."""
    dims = len(size)
    # The samples come last dimension first in two dimensions, in order in three.
    order = range(dims) if dims == 3 else reversed(range(dims))
    flat = torch.zeros((), dtype=torch.int64, device=samples.device)
    for d, s in enumerate(order):
        starts = _starts(samples[:, s], size[d], output[d], kernel[d])
        before, after = [1] * d, [1] * (dims - d - 1)
        starts = starts.reshape(-1, *[1] * dims, *before, output[d], *after)
        within = torch.arange(kernel[d], device=samples.device)
        within = within.reshape(1, *before, kernel[d], *after, *[1] * dims)
        flat = flat * size[d] + (starts + within)
    return flat.reshape(samples.shape[0], math.prod(kernel), math.prod(output))


def fractional_max_pool2d_with_indices(
    input,
    kernel_size,
    output_size=None,
    output_ratio=None,
    return_indices=False,
    _random_samples=None,
):
    """`fractional_max_pool2d` and where in the input each maximum stood."""
    return _fractional(input, kernel_size, output_size, output_ratio, _random_samples, 2)


def fractional_max_pool3d_with_indices(
    input,
    kernel_size,
    output_size=None,
    output_ratio=None,
    return_indices=False,
    _random_samples=None,
):
    """`fractional_max_pool3d` and where in the input each maximum stood."""
    return _fractional(input, kernel_size, output_size, output_ratio, _random_samples, 3)


def _fractional_max_pool2d(
    input,
    kernel_size,
    output_size=None,
    output_ratio=None,
    return_indices=False,
    _random_samples=None,
):
    """Max pooling over windows at random places that give any output size.

    >>> import flambeau as torch
    >>> x = torch.ones(1, 1, 6, 6)
    >>> torch.nn.functional.fractional_max_pool2d(x, 2, output_ratio=0.5).shape
    torch.Size([1, 1, 3, 3])
    """
    return _fractional(input, kernel_size, output_size, output_ratio, _random_samples, 2)[0]


def _fractional_max_pool3d(
    input,
    kernel_size,
    output_size=None,
    output_ratio=None,
    return_indices=False,
    _random_samples=None,
):
    """Max pooling over blocks at random places that give any output size.

    >>> import flambeau as torch
    >>> x = torch.ones(1, 1, 4, 4, 4)
    >>> torch.nn.functional.fractional_max_pool3d(x, 2, output_size=2).shape
    torch.Size([1, 1, 2, 2, 2])
    """
    return _fractional(input, kernel_size, output_size, output_ratio, _random_samples, 3)[0]


def _chosen(n):
    name = f"fractional_max_pool{n}d"
    both, best = globals()[f"{name}_with_indices"], globals()[f"_{name}"]
    pool = boolean_dispatch("return_indices", 4, False, both, best, __name__, name)
    pool.__doc__ = best.__doc__
    return pool


fractional_max_pool2d, fractional_max_pool3d = _chosen(2), _chosen(3)
