"""ChannelShuffle, under the name of PyTorch's file."""

from .pixelshuffle import ChannelShuffle

__all__ = ["ChannelShuffle"]
