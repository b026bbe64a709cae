"""Functions of functions: gradients, products with Jacobians, and batches, in any order.

>>> import flambeau as torch
>>> from flambeau.func import grad, vmap
>>> vmap(grad(torch.sin))(torch.zeros(3))
tensor([1., 1., 1.])
"""

from .._functorch.vmap import debug_unwrap, functionalize, vmap
from ._grad import grad, grad_and_value, linearize, vjp
from ._jacobian import hessian, jacfwd, jacrev
from ._jvp import jvp
from ._modules import functional_call, replace_all_batch_norm_modules_, stack_module_state
from ._rearrange import rearrange

__all__ = [
    "debug_unwrap",
    "functional_call",
    "functionalize",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "linearize",
    "rearrange",
    "replace_all_batch_norm_modules_",
    "stack_module_state",
    "vjp",
    "vmap",
]
