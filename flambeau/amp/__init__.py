"""Automatic mixed precision: `autocast` for the forward, `GradScaler` for small gradients.

>>> import flambeau as torch
>>> with torch.amp.autocast("cpu"):
...     (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
torch.bfloat16
"""

from .autocast_mode import autocast, custom_bwd, custom_fwd, is_autocast_available
from .grad_scaler import GradScaler

__all__ = ["GradScaler", "autocast", "custom_bwd", "custom_fwd", "is_autocast_available"]
