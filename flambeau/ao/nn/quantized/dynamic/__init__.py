"""Modules with weights of integers that take and give floats."""

from .modules import *
