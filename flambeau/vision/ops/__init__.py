"""Operators of vision models: boxes, regions, losses, blocks."""

from .boxes import *
from .deform_conv import *
from .drop_block import *
from .feature_pyramid_network import FeaturePyramidNetwork, LastLevelMaxPool
from .losses import *
from .misc import *
from .poolers import *
from .roi import *
from .stochastic_depth import StochasticDepth, stochastic_depth
