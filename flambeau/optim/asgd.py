"""Averaged stochastic gradient descent."""

import flambeau as torch

from .optimizer import EachParameter, check_options, new_count

__all__ = ["ASGD", "asgd"]


class ASGD(EachParameter):
    """Gradient descent that keeps the mean of the weights too (Polyak and Juditsky, 1992).

    >>> import flambeau as torch
    >>> w = torch.nn.Parameter(torch.tensor([1.0]))
    >>> opt = torch.optim.ASGD([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> opt.step()
    >>> w.data
    tensor([0.8000])
    """

    def __init__(
        self,
        params,
        lr=1e-2,
        lambd=1e-4,
        alpha=0.75,
        t0=1e6,
        weight_decay=0,
        foreach=None,
        maximize=False,
        differentiable=False,
        capturable=False,
    ):
        check_options(lr, weight_decay=weight_decay)
        super().__init__(
            params,
            {
                "lr": lr,
                "lambd": lambd,
                "alpha": alpha,
                "t0": t0,
                "weight_decay": weight_decay,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "capturable": capturable,
            },
        )

    _formula = "asgd"
    _states = ("ax",)
    _numbers = (
        "eta",
        "mu",
    )

    def _fresh(self, param, group):
        return {
            "step": new_count(),
            "eta": torch.as_tensor(group["lr"], dtype=torch.float32).clone(),
            "mu": torch.ones((), dtype=torch.float32),
            "ax": torch.zeros_like(param),
        }

    def _options(self, group):
        return (group["lr"], group["lambd"], group["alpha"], group["t0"])

    def _update(self, param, grad, group):
        state = self._state_of(param, group)
        lr, lambd = group["lr"], group["lambd"]
        step = self._count(state)
        mean = state["ax"]
        if param.is_complex():
            param, grad, mean = map(torch.view_as_real, (param, grad, mean))
        eta, mu = state["eta"].item(), state["mu"].item()
        param.mul_(1 - lambd * eta).add_(grad, alpha=-eta)
        if mu == 1:
            mean.copy_(param)
        else:
            mean.add_(param - mean, alpha=mu)
        state["eta"].fill_(float(lr / (1 + lambd * lr * step) ** group["alpha"]))
        state["mu"].fill_(1 / max(1, step - group["t0"]))


def asgd(
    params,
    grads,
    axs,
    mus,
    etas,
    state_steps,
    foreach=None,
    maximize=False,
    differentiable=False,
    capturable=False,
    has_complex=False,
    *,
    lambd,
    lr,
    t0,
    alpha,
    weight_decay,
):
    """`ASGD`'s step as a function of tensors and their states, which it changes in place.

    There is one way to step, which takes all tensors: `foreach`, `capturable` and `has_complex`
    change nothing.
    """
    group = {
        "lr": lr,
        "lambd": lambd,
        "alpha": alpha,
        "t0": t0,
        "weight_decay": weight_decay,
        "maximize": maximize,
        "differentiable": differentiable,
    }
    states = {
        "ax": axs,
        "mu": mus,
        "eta": etas,
        "step": state_steps,
    }
    ASGD.step_on(group, params, grads, states)
