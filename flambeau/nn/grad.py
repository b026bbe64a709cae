"""Gradients of convolutions by their inputs and weights, as functions."""

import flambeau as torch
from flambeau.nn import functional as F

__all__ = [f"conv{n}d_{what}" for n in (1, 2, 3) for what in ("input", "weight")]


def _gradient(made, wanted, grad_output):
    """The gradient of `made` by `wanted`, itself differentiable where the graph records."""
    (found,) = torch.autograd.grad(made, wanted, grad_output, create_graph=torch.is_grad_enabled())
    return found


def _define(n):
    convolve = getattr(F, f"conv{n}d")

    def by_input(input_size, weight, grad_output, stride=1, padding=0, dilation=1, groups=1):
        recorded = torch.is_grad_enabled()
        with torch.enable_grad():
            # The gradient does not depend on the input: any of this size will do.
            input = weight.new_zeros(1).expand(input_size).requires_grad_()
            made = convolve(input, weight, None, stride, padding, dilation, groups)
        with torch.set_grad_enabled(recorded):
            return _gradient(made, input, grad_output)

    def by_weight(input, weight_size, grad_output, stride=1, padding=0, dilation=1, groups=1):
        recorded = torch.is_grad_enabled()
        with torch.enable_grad():
            weight = input.new_zeros(1).expand(weight_size).requires_grad_()
            made = convolve(input, weight, None, stride, padding, dilation, groups)
        with torch.set_grad_enabled(recorded):
            return _gradient(made, weight, grad_output)

    for function, what in (by_input, "input"), (by_weight, "weight"):
        function.__name__ = function.__qualname__ = f"conv{n}d_{what}"
        function.__doc__ = f"""The gradient of `conv{n}d` with respect to its {what}.

        >>> import flambeau as torch
        >>> x, w = torch.ones(1, 1, *[3] * {n}), torch.ones(1, 1, *[3] * {n})
        >>> other = {{"input": (x.shape, w), "weight": (x, w.shape)}}["{what}"]
        >>> made = torch.nn.grad.conv{n}d_{what}(*other, torch.ones(1, 1, *[1] * {n}))
        >>> made.shape == x.shape
        True
        """
        yield function.__name__, function


for _n in (1, 2, 3):
    globals().update(_define(_n))
