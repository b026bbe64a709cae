"""The class of compiled modules, of which there are none."""

from flambeau import nn


class OptimizedModule(nn.Module):
    """What PyTorch's `compile` makes of a module; here `compile` gives the module itself."""
