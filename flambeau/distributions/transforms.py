"""Transforms: invertible functions of tensors with the logarithm of their Jacobian.

>>> import flambeau as torch
>>> from flambeau.distributions import transforms as T
>>> T.ComposeTransform([T.AffineTransform(1.0, 2.0), T.ExpTransform()])(torch.tensor(0.0))
tensor(2.7183)
"""

from . import _maps, _transform
from ._maps import *  # noqa: F403
from ._transform import *  # noqa: F403
from ._transform import _InverseTransform  # noqa: F401 (libraries ask for it)

__all__ = sorted(_maps.__all__ + _transform.__all__)
