"""RMSprop: steps scaled by a running mean of squared gradients."""

import flambeau as torch

from .optimizer import EachParameter, check_options, new_count, step_along, step_by

__all__ = ["RMSprop", "rmsprop"]


class RMSprop(EachParameter):
    """RMSprop (Hinton's lecture 6e); `centered` subtracts the squared mean gradient.

    >>> import flambeau as torch
    >>> w = torch.nn.Parameter(torch.tensor([1.0]))
    >>> opt = torch.optim.RMSprop([w], lr=0.01)
    >>> (w * w).sum().backward()
    >>> opt.step()
    >>> w.data
    tensor([0.9000])
    """

    def __init__(
        self,
        params,
        lr=1e-2,
        alpha=0.99,
        eps=1e-8,
        weight_decay=0,
        momentum=0,
        centered=False,
        capturable=False,
        foreach=None,
        maximize=False,
        differentiable=False,
    ):
        check_options(lr, eps, weight_decay)
        if not 0.0 <= momentum:
            raise ValueError(f"Invalid momentum value: {momentum}")
        if not 0.0 <= alpha:
            raise ValueError(f"Invalid alpha value: {alpha}")
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "alpha": alpha,
                "eps": eps,
                "centered": centered,
                "weight_decay": weight_decay,
                "capturable": capturable,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
            },
        )

    _formula = "rmsprop"
    _states = (
        "square_avg",
        "grad_avg",
        "momentum_buffer",
    )

    def _fresh(self, param, group):
        state = {"step": new_count(), "square_avg": torch.zeros_like(param)}
        if group["momentum"] > 0:
            state["momentum_buffer"] = torch.zeros_like(param)
        if group["centered"]:
            state["grad_avg"] = torch.zeros_like(param)
        return state

    def _options(self, group):
        return (group["lr"], group["alpha"], group["eps"], group["momentum"])

    def _update(self, param, grad, group):
        state = self._state_of(param, group)
        self._count(state)
        if param.is_complex():
            param, grad = torch.view_as_real(param), torch.view_as_real(grad)
            state = {k: torch.view_as_real(v) for k, v in state.items() if k != "step"}
        alpha = group["alpha"]
        square = state["square_avg"]
        square.mul_(alpha).addcmul_(grad, grad, value=1 - alpha)
        if group["centered"]:
            mean = state["grad_avg"]
            mean.lerp_(grad, 1 - alpha)
            root = (square - mean * mean).sqrt()
        else:
            root = square.sqrt()
        root = root + group["eps"]
        if group["momentum"] > 0:
            step = state["momentum_buffer"].mul_(group["momentum"]).addcdiv_(grad, root)
            step_by(param, step, group["lr"])
        else:
            step_along(param, grad, root, group["lr"])


def rmsprop(
    params,
    grads,
    square_avgs,
    grad_avgs,
    momentum_buffer_list,
    state_steps,
    foreach=None,
    maximize=False,
    differentiable=False,
    capturable=False,
    has_complex=False,
    *,
    lr,
    alpha,
    eps,
    weight_decay,
    momentum,
    centered,
):
    """`RMSprop`'s step as a function of tensors and their states, which it changes in place.

    There is one way to step, which takes all tensors: `foreach`, `capturable` and `has_complex`
    change nothing.
    """
    group = {
        "lr": lr,
        "alpha": alpha,
        "eps": eps,
        "weight_decay": weight_decay,
        "momentum": momentum,
        "centered": centered,
        "maximize": maximize,
        "differentiable": differentiable,
    }
    states = {
        "square_avg": square_avgs,
        "grad_avg": grad_avgs,
        "momentum_buffer": momentum_buffer_list,
        "step": state_steps,
    }
    RMSprop.step_on(group, params, grads, states)
