"""Adamax: Adam by the largest gradient instead of the mean square."""

import flambeau as torch

from .optimizer import EachParameter, check_options, new_count, step_along

__all__ = ["Adamax", "adamax"]


class Adamax(EachParameter):
    """Adamax (Kingma and Ba, 2015).

    >>> import flambeau as torch
    >>> w = torch.nn.Parameter(torch.tensor([1.0]))
    >>> opt = torch.optim.Adamax([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> opt.step()
    >>> w.data
    tensor([0.9000])
    """

    def __init__(
        self,
        params,
        lr=2e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0,
        foreach=None,
        *,
        maximize=False,
        differentiable=False,
        capturable=False,
    ):
        check_options(lr, eps, weight_decay, betas)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "capturable": capturable,
            },
        )

    _formula = "adamax"
    _states = (
        "exp_avg",
        "exp_inf",
    )

    def _fresh(self, param, group):
        return {
            "step": new_count(),
            "exp_avg": torch.zeros_like(param),
            "exp_inf": torch.zeros_like(param),
        }

    def _options(self, group):
        return (group["lr"], *group["betas"], group["eps"])

    def _update(self, param, grad, group):
        state = self._state_of(param, group)
        step = self._count(state)
        beta1, beta2 = group["betas"]
        mean, largest = state["exp_avg"], state["exp_inf"]
        if param.is_complex():
            param, grad, mean, largest = map(torch.view_as_real, (param, grad, mean, largest))
        mean.lerp_(grad, 1 - beta1)
        largest.copy_(torch.maximum(largest * beta2, grad.abs() + group["eps"]))
        step_along(param, mean, largest, group["lr"] / (1 - beta1**step))


def adamax(
    params,
    grads,
    exp_avgs,
    exp_infs,
    state_steps,
    foreach=None,
    maximize=False,
    differentiable=False,
    capturable=False,
    has_complex=False,
    *,
    eps,
    beta1,
    beta2,
    lr,
    weight_decay,
):
    """`Adamax`'s step as a function of tensors and their states, which it changes in place.

    There is one way to step, which takes all tensors: `foreach`, `capturable` and `has_complex`
    change nothing.
    """
    group = {
        "lr": lr,
        "betas": (beta1, beta2),
        "eps": eps,
        "weight_decay": weight_decay,
        "maximize": maximize,
        "differentiable": differentiable,
    }
    states = {
        "exp_avg": exp_avgs,
        "exp_inf": exp_infs,
        "step": state_steps,
    }
    Adamax.step_on(group, params, grads, states)
