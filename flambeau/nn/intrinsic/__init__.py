"""The old name of ao.nn.intrinsic."""

from flambeau.ao.nn.intrinsic import *
