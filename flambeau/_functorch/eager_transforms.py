"""The transforms of gradients where libraries look for them."""

from ..func import functionalize, grad, grad_and_value, hessian, jacfwd, jacrev, jvp, linearize, vjp
from ..func._grad import _chosen

__all__ = [
    "functionalize",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "linearize",
    "vjp",
]


def _slice_argnums(args, argnums, as_tuple=True):
    """The arguments of those numbers; a single one by itself unless `as_tuple`."""
    found = tuple(args[n] for n in _chosen(args, argnums))
    return found[0] if isinstance(argnums, int) and not as_tuple else found
