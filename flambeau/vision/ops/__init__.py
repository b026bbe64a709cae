"""Operators of vision models: boxes, regions, losses, blocks."""

from .boxes import *  # noqa: F403
from .deform_conv import *  # noqa: F403
from .drop_block import *  # noqa: F403
from .feature_pyramid_network import FeaturePyramidNetwork, LastLevelMaxPool
from .losses import *  # noqa: F403
from .misc import *  # noqa: F403
from .poolers import *  # noqa: F403
from .roi import *  # noqa: F403
from .stochastic_depth import StochasticDepth, stochastic_depth
