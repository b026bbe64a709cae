"""The old name of ao.nn.quantizable."""

from flambeau.ao.nn.quantizable import *
