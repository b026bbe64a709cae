"""Adadelta: steps as large as the last ones were, relative to the gradients."""

import flambeau as torch

from .optimizer import EachParameter, check_options, new_count, step_by

__all__ = ["Adadelta", "adadelta"]


class Adadelta(EachParameter):
    """Adadelta (Zeiler, 2012).

    >>> import flambeau as torch
    >>> w = torch.nn.Parameter(torch.tensor([1.0]))
    >>> opt = torch.optim.Adadelta([w])
    >>> (w * w).sum().backward()
    >>> opt.step()
    >>> w.data
    tensor([0.9968])
    """

    def __init__(
        self,
        params,
        lr=1.0,
        rho=0.9,
        eps=1e-6,
        weight_decay=0,
        foreach=None,
        *,
        capturable=False,
        maximize=False,
        differentiable=False,
    ):
        check_options(lr, eps, weight_decay)
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Invalid rho value: {rho}")
        super().__init__(
            params,
            {
                "lr": lr,
                "rho": rho,
                "eps": eps,
                "weight_decay": weight_decay,
                "maximize": maximize,
                "capturable": capturable,
                "foreach": foreach,
                "differentiable": differentiable,
            },
        )

    _formula = "adadelta"
    _states = (
        "square_avg",
        "acc_delta",
    )

    def _fresh(self, param, group):
        return {
            "step": new_count(),
            "square_avg": torch.zeros_like(param),
            "acc_delta": torch.zeros_like(param),
        }

    def _options(self, group):
        return (group["lr"], group["rho"], group["eps"])

    def _update(self, param, grad, group):
        state = self._state_of(param, group)
        self._count(state)
        rho, eps = group["rho"], group["eps"]
        square, moved = state["square_avg"], state["acc_delta"]
        if param.is_complex():
            param, grad, square, moved = map(torch.view_as_real, (param, grad, square, moved))
        square.mul_(rho).addcmul_(grad, grad, value=1 - rho)
        delta = (moved + eps).sqrt() / (square + eps).sqrt() * grad
        moved.mul_(rho).addcmul_(delta, delta, value=1 - rho)
        step_by(param, delta, group["lr"])


def adadelta(
    params,
    grads,
    square_avgs,
    acc_deltas,
    state_steps,
    capturable=False,
    foreach=None,
    differentiable=False,
    has_complex=False,
    *,
    lr,
    rho,
    eps,
    weight_decay,
    maximize,
):
    """`Adadelta`'s step as a function of tensors and their states, which it changes in place.

    There is one way to step, which takes all tensors: `foreach`, `capturable` and `has_complex`
    change nothing.
    """
    group = {
        "lr": lr,
        "rho": rho,
        "eps": eps,
        "weight_decay": weight_decay,
        "maximize": maximize,
        "differentiable": differentiable,
    }
    states = {
        "square_avg": square_avgs,
        "acc_delta": acc_deltas,
        "step": state_steps,
    }
    Adadelta.step_on(group, params, grads, states)
