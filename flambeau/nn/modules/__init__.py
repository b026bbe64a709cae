"""All layers, by family."""

from . import activation, attention, channelshuffle
from .activation import *
from .adaptive import *
from .attention import *
from .batchnorm import *
from .container import *
from .conv import *
from .distance import *
from .dropout import *
from .flatten import *
from .fold import *
from .instancenorm import *
from .linear import *
from .loss import *
from .module import Module
from .normalization import *
from .padding import *
from .pixelshuffle import *
from .pooling import *
from .rnn import *
from .sparse import *
from .transformer import *
from .upsampling import *

# Programs and pickles look for it beside the activations, where PyTorch has it.
activation.MultiheadAttention = attention.MultiheadAttention
attention.MultiheadAttention.__module__ = activation.__name__

__all__ = sorted(name for name, value in globals().items() if isinstance(value, type))
