"""Memory formats of the weights of convolutions."""

from ..modules import conv

__all__ = ["convert_conv2d_weight_memory_format", "convert_conv3d_weight_memory_format"]


def _convert(module, memory_format, dims, layers):
    for part in module.modules():
        if isinstance(part, layers) and part.weight.dim() == dims:
            part.weight.data = part.weight.detach().contiguous(memory_format=memory_format)
    return module


def convert_conv2d_weight_memory_format(module, memory_format):
    """Puts the weights of all 2-d convolutions into a memory format.

    >>> import flambeau as torch
    >>> layer = torch.nn.utils.convert_conv2d_weight_memory_format(
    ...     torch.nn.Conv2d(2, 3, 3), torch.channels_last)
    >>> layer.weight.is_contiguous(memory_format=torch.channels_last)
    True
    """
    return _convert(module, memory_format, 4, (conv.Conv2d, conv.ConvTranspose2d))


def convert_conv3d_weight_memory_format(module, memory_format):
    """Puts the weights of all 3-d convolutions into a memory format."""
    return _convert(module, memory_format, 5, (conv.Conv3d, conv.ConvTranspose3d))
