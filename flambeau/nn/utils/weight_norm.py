"""weight_norm in its older form, under the name of PyTorch's file."""

from ._reparametrize import WeightNorm, remove_weight_norm, weight_norm

__all__ = ["WeightNorm", "remove_weight_norm", "weight_norm"]
