"""The old name of ao.nn.qat."""

from flambeau.ao.nn.qat import *
