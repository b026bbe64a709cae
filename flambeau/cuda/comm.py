"""Tensors sent between GPUs, where programs look for it too."""

from flambeau.nn.parallel.comm import *  # noqa: F403
