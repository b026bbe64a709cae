"""Operators that take functions, where PyTorch keeps them."""

from .associative_scan import associative_scan
