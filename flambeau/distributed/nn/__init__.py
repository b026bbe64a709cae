"""Collectives through which gradients flow."""

from .functional import *
