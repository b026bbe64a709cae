"""Normalizations without running statistics, where libraries look for them."""

from ..func import replace_all_batch_norm_modules_

__all__ = ["replace_all_batch_norm_modules_"]
