"""Backward hooks of a module: two identity nodes around its forward that see the gradients."""

import flambeau as torch
from flambeau import Tensor


class ModuleGradients:
    """One call of a module: collects the gradients of its outputs, then those of its inputs.

    `wrap_inputs` and `wrap_outputs` pass the tensors through a node each; the nodes' backward
    calls the hooks.
    """

    def __init__(self, module, hooks, pre_hooks):
        self.module = module
        self.hooks = hooks
        self.pre_hooks = pre_hooks
        self.grad_outputs = None
        self.input_count = 0
        self.inputs_differ = False

    def wrap_inputs(self, args):
        places, tensors = _tensors(args)
        self.input_count = len(args)
        self.inputs_differ = torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
        if not self.inputs_differ or not self.hooks:
            return args
        return _put(args, places, _identity()(self._inputs_ready, places, *tensors))

    def wrap_outputs(self, result):
        if not isinstance(result, (Tensor, tuple)):
            import warnings

            warnings.warn(
                "For backward hooks to be called, module output should be a Tensor or a tuple of "
                f"Tensors but received {type(result)}",
                stacklevel=4,
            )
        values = result if isinstance(result, tuple) else (result,)
        places, tensors = _tensors(values)
        if not any(t.requires_grad for t in tensors):
            return result
        self.output_count = len(values)
        values = _put(values, places, _identity()(self._outputs_ready, places, *tensors))
        return values if isinstance(result, tuple) else values[0]

    def _outputs_ready(self, places, grads):
        self.grad_outputs = _spread(grads, places, self.output_count)
        for hook in self.pre_hooks:
            self._replace("grad_outputs", hook(self.module, self.grad_outputs))
        if not self.inputs_differ:
            for hook in self.hooks:
                new = hook(self.module, (None,) * self.input_count, self.grad_outputs)
                if new is not None and any(grad is not None for grad in new):
                    raise RuntimeError(
                        "Backward hook for Modules where no input requires gradient should "
                        "always return None or None for all gradients."
                    )
        return tuple(self.grad_outputs[place] for place in places)

    def _inputs_ready(self, places, grads):
        if self.grad_outputs is None:  # a second derivative, which leads past the outputs
            return grads
        self.grad_inputs = _spread(grads, places, self.input_count)
        for hook in self.hooks:
            self._replace("grad_inputs", hook(self.module, self.grad_inputs, self.grad_outputs))
        self.grad_outputs = None
        return tuple(self.grad_inputs[place] for place in places)

    def _replace(self, which, new):
        if new is None:
            return
        new = new if isinstance(new, tuple) else (new,)
        wanted = len(getattr(self, which))
        if len(new) != wanted:
            raise RuntimeError(
                f"Backward hook returned an invalid number of grad_{which[5:-1]}, "
                f"got {len(new)}, but expected {wanted}"
            )
        setattr(self, which, new)


def _tensors(values):
    places = [i for i, v in enumerate(values) if isinstance(v, Tensor)]
    return places, [values[i] for i in places]


def _put(values, places, tensors):
    values = list(values)
    for place, tensor in zip(places, tensors):
        values[place] = tensor
    return tuple(values)


def _spread(grads, places, count):
    return _put((None,) * count, places, grads)


_function = None


def _identity():
    """The autograd function, made on first use: few programs have backward hooks."""
    global _function
    if _function is None:

        class BackwardHookFunction(torch.autograd.Function):
            @staticmethod
            def forward(ctx, ready, places, *tensors):
                ctx.ready, ctx.places = ready, places
                ctx.set_materialize_grads(False)
                views = tuple(t.view_as(t) for t in tensors)
                # In-place changes of an integer tensor must not meet a node.
                constant = [v for v, t in zip(views, tensors) if not t.requires_grad]
                ctx.mark_non_differentiable(*constant)
                return views

            @staticmethod
            def backward(ctx, *grads):
                return (None, None, *ctx.ready(ctx.places, grads))

        _function = BackwardHookFunction
    return _function.apply
