"""`functorch.compile`: graphs of the operators that functions run."""

from ...fx.experimental.proxy_tensor import make_fx

__all__ = ["make_fx"]
