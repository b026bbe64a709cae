"""Operators that take functions, where PyTorch keeps them."""

from .associative_scan import associative_scan
from .control_flow import cond, scan, while_loop

__all__ = ["associative_scan", "cond", "scan", "while_loop"]
