"""Operators written in Python, with their own gradient."""

from .. import _C

__all__ = [
    "BackwardCFunction",
    "Function",
    "FunctionCtx",
    "FunctionMeta",
    "InplaceFunction",
    "NestedIOFunction",
    "once_differentiable",
]

FunctionCtx = _C._FunctionBase


def _bound(cls, *args, **kwargs):
    """The arguments of cls.apply in forward's order, defaults among them."""
    from inspect import signature

    context = () if cls._separate_context else (None,)
    bound = signature(cls.forward).bind(*context, *args, **kwargs)
    bound.apply_defaults()
    return bound.args[len(context) :]


class BackwardCFunction(FunctionCtx):
    """What ctx and the grad_fn of a Function's results are."""

    @property
    def saved_variables(self):
        """An older name of saved_tensors."""
        from warnings import warn

        warn("'saved_variables' is deprecated; use 'saved_tensors'", DeprecationWarning, 2)
        return self.saved_tensors

    @property
    def _raw_saved_tensors(self):
        """Each of saved_tensors as an object that takes hooks of its own."""
        from .graph import SavedTensor

        count = len(self.saved_tensors)
        return tuple(SavedTensor._of(self, "saved_tensors", i) for i in range(count))


class FunctionMeta(type):
    """Gives every Function a class of its own for its contexts: grad_fn is a FooBackward."""

    def __init__(cls, name, bases, namespace):
        super().__init__(name, bases, namespace)
        fields = {"_forward_cls": cls, "__module__": cls.__module__}
        cls._backward_cls = type(name + "Backward", (BackwardCFunction,), fields)
        base = next((c for c in cls.__mro__[1:] if c.__dict__.get("_root")), None)
        if base is None:
            return
        cls._separate_context = cls.setup_context is not base.setup_context
        own, vjp = cls.backward is not base.backward, cls.vjp is not base.vjp
        cls._backward_name = "_ambiguous" if own and vjp else "vjp" if vjp else "backward"


class Function(FunctionCtx, metaclass=FunctionMeta):
    """Base of operators with their own gradient: two static methods, and `apply` to call them.

    `forward(ctx, *args)` computes, and keeps with `ctx.save_for_backward` what the gradient needs;
    `backward(ctx, *grads)` gives a gradient, or None, for every argument of forward. With a static
    method `setup_context(ctx, inputs, output)`, forward takes no ctx.

    >>> import flambeau as torch
    >>> class Cube(torch.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x ** 3
    ...
    ...     @staticmethod
    ...     def backward(ctx, grad):
    ...         x, = ctx.saved_tensors
    ...         return grad * 3 * x ** 2
    >>> x = torch.tensor(2., requires_grad=True)
    >>> Cube.apply(x).backward()
    >>> x.grad
    tensor(12.)
    """

    _root = True
    _separate_context = False
    _backward_name = "backward"
    generate_vmap_rule = False

    def __init__(self, *args, **kwargs):
        from warnings import warn

        warn(
            f"{type(self)} should not be instantiated. Methods on autograd functions are all "
            "static, so you should invoke them on the class itself. Instantiating an autograd "
            "function will raise an error in a future version of PyTorch.",
            DeprecationWarning,
            stacklevel=2,
        )

    def __call__(self, *args, **kwargs):
        """An error: it is `apply` that runs a Function."""
        raise RuntimeError(
            "Legacy autograd function with non-static forward method is deprecated. Please use "
            "new-style autograd function with static forward method."
        )

    @staticmethod
    def _ambiguous(ctx, *grads):
        raise RuntimeError(
            "Implementing both 'backward' and 'vjp' for a custom Function is not allowed. You "
            "should only implement one of them."
        )

    @staticmethod
    def forward(*args, **kwargs):
        """forward(ctx, *args), or forward(*args) beside a setup_context: the results."""
        raise NotImplementedError(
            "You must implement the forward function for custom autograd.Function."
        )

    @staticmethod
    def setup_context(ctx, inputs, output):
        """Keeps in ctx what backward needs; forward then takes no ctx."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx, *grad_outputs):
        """backward(ctx, *grads): a gradient for every argument of forward."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom "
            "autograd.Function to use it with backward mode AD."
        )

    vjp = backward

    @staticmethod
    def jvp(ctx, *grad_inputs):
        """jvp(ctx, *tangents): the tangents of the results, one or None for each argument given."""
        raise NotImplementedError(
            "You must implement the jvp function for custom autograd.Function to use it with "
            "forward mode AD."
        )

    @staticmethod
    def vmap(info, in_dims, *args):
        """vmap(info, in_dims, *args): (results, out_dims) for a batch; info has batch_size and
        randomness. Or set generate_vmap_rule = True, for functions made of torch's operators."""
        raise NotImplementedError(
            "To use autograd.Function with vmap, you must either override the vmap staticmethod or "
            "set generate_vmap_rule=True."
        )


class InplaceFunction(Function):
    """A Function that may work in place: `apply(x, ..., inplace)` is its business."""


class NestedIOFunction(Function):
    """A Function as older programs write it, whose arguments and results may be nested.

    Its methods are not static: `forward(self, *args)` and `backward(self, *grads)` (or
    `forward_extended`, `backward_extended`) work on the nested containers.
    """

    @classmethod
    def apply(cls, *args):
        from ..utils._pytree import tree_flatten, tree_unflatten

        leaves, spec = tree_flatten(args)
        shapes = {}

        class Flat(Function):
            @staticmethod
            def forward(ctx, *leaves):
                nested = tree_unflatten(leaves, spec)
                run = getattr(cls, "forward_extended", None) or cls.forward
                found, shapes["out"] = tree_flatten(run(ctx, *nested))
                return tuple(found)

            @staticmethod
            def backward(ctx, *grads):
                run = getattr(cls, "backward_extended", None) or cls.backward
                given = tree_unflatten(grads, shapes["out"])
                single = shapes["out"].is_leaf() or not isinstance(given, tuple)
                found = run(ctx, given) if single else run(ctx, *given)
                return tuple(tree_flatten(found)[0])

        Flat.__name__ = Flat.__qualname__ = cls.__name__
        return tree_unflatten(Flat.apply(*leaves), shapes["out"])


class _Same(Function):
    """Passes tensors on; what happens to their gradients is to be said."""

    @staticmethod
    def forward(ctx, owner, *tensors):
        ctx.owner = owner
        ctx.set_materialize_grads(False)
        return tuple(t.detach() for t in tensors)

    @staticmethod
    def backward(ctx, *grads):
        return None, *ctx.owner.backward(grads)


class UndefinedGrad:
    """`UndefinedGrad()(*tensors)` gives them with no gradient flowing back: None, not zeros."""

    def __call__(self, *tensors):
        found = _Same.apply(self, *tensors)
        return found[0] if len(found) == 1 else found

    def backward(self, grads):
        return [None] * len(grads)


class DelayedError(UndefinedGrad):
    """`DelayedError(message, count)(*tensors)` gives tensors whose backward raises an error."""

    def __init__(self, message, count):
        self.message = message

    def backward(self, grads):
        raise RuntimeError(self.message)


_once = DelayedError(
    "trying to differentiate twice a function that was marked with @once_differentiable", 1
)


def once_differentiable(fn):
    """Decorates a backward that cannot be differentiated itself: doing so becomes an error.

    >>> import flambeau as torch
    >>> from flambeau.autograd.function import once_differentiable
    >>> class Double(torch.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         return x * 2
    ...
    ...     @staticmethod
    ...     @once_differentiable
    ...     def backward(ctx, grad):
    ...         return grad * 2
    """
    from functools import wraps

    from .grad_mode import no_grad

    @wraps(fn)
    def wrapper(ctx, *args):
        with no_grad():
            outputs = fn(ctx, *args)
        if not _C.is_grad_enabled():
            return outputs
        if not any(isinstance(a, _C.Tensor) and a.requires_grad for a in args):
            return outputs
        single = not isinstance(outputs, tuple)
        items = (outputs,) if single else outputs
        found = [o.detach().requires_grad_() for o in items if o is not None]
        passed = iter(_Same.apply(_once, *found))
        items = tuple(None if o is None else next(passed) for o in items)
        return items[0] if single else items

    return wrapper
