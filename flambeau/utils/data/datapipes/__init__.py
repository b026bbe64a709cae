"""Datasets as steps in a row: each takes the one before and does one thing to what it yields."""

from . import datapipe, iter, map, utils
