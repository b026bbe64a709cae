"""Adam: steps scaled by running means of the gradient and of its square."""

import flambeau as torch

from .optimizer import EachParameter, check_options, check_ways, new_count, step_along

__all__ = ["Adam", "adam"]


class Adam(EachParameter):
    """Adam (Kingma and Ba, 2015).

    >>> import flambeau as torch
    >>> w = torch.nn.Parameter(torch.tensor([1.0]))
    >>> opt = torch.optim.Adam([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> opt.step()
    >>> w.data
    tensor([0.9000])
    """

    def __init__(
        self,
        params,
        lr=1e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0,
        amsgrad=False,
        *,
        foreach=None,
        maximize=False,
        capturable=False,
        differentiable=False,
        fused=None,
        decoupled_weight_decay=False,
    ):
        check_options(lr, eps, weight_decay, betas)
        if isinstance(lr, torch.Tensor) and foreach and not capturable:
            raise ValueError(
                "lr as a Tensor is not supported for capturable=False and foreach=True"
            )
        check_ways(foreach, fused, differentiable)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "amsgrad": amsgrad,
                "maximize": maximize,
                "foreach": foreach,
                "capturable": capturable,
                "differentiable": differentiable,
                "fused": fused,
                "decoupled_weight_decay": decoupled_weight_decay,
            },
        )

    _formula = "adam"
    _states = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")

    def _fresh(self, param, group):
        state = {"step": new_count(), "exp_avg": torch.zeros_like(param)}
        state["exp_avg_sq"] = torch.zeros_like(param)
        if group["amsgrad"]:
            state["max_exp_avg_sq"] = torch.zeros_like(param)
        return state

    def _options(self, group):
        return (group["lr"], *group["betas"], group["eps"], self._shrink(group))

    def _update(self, param, grad, group):
        state = self._state_of(param, group)
        step = self._count(state)
        beta1, beta2 = (float(beta) for beta in group["betas"])
        lr = group["lr"]
        if group["decoupled_weight_decay"] and group["weight_decay"] != 0:
            param.mul_(1 - lr * group["weight_decay"])
        if param.is_complex():
            param, grad = torch.view_as_real(param), torch.view_as_real(grad)
            state = {k: torch.view_as_real(v) for k, v in state.items() if k != "step"}
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        mean.lerp_(grad, 1 - beta1)
        square.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        if group["amsgrad"]:
            largest = state["max_exp_avg_sq"]
            square = torch.maximum(largest.clone(), square)
            largest.copy_(square)
        root = square.sqrt() / (1 - beta2**step) ** 0.5 + group["eps"]
        step_along(param, mean, root, lr / (1 - beta1**step))


def adam(
    params,
    grads,
    exp_avgs,
    exp_avg_sqs,
    max_exp_avg_sqs,
    state_steps,
    foreach=None,
    capturable=False,
    differentiable=False,
    fused=None,
    grad_scale=None,
    found_inf=None,
    has_complex=False,
    decoupled_weight_decay=False,
    *,
    amsgrad,
    beta1,
    beta2,
    lr,
    weight_decay,
    eps,
    maximize,
):
    """`Adam`'s step as a function of tensors and their states, which it changes in place.

    There is one way to step, which takes all tensors: `foreach`, `capturable`, `fused` and
    `has_complex` change nothing.
    """
    group = {
        "lr": lr,
        "betas": (beta1, beta2),
        "eps": eps,
        "weight_decay": weight_decay,
        "amsgrad": amsgrad,
        "maximize": maximize,
        "differentiable": differentiable,
        "decoupled_weight_decay": decoupled_weight_decay,
    }
    states = {
        "exp_avg": exp_avgs,
        "exp_avg_sq": exp_avg_sqs,
        "max_exp_avg_sq": max_exp_avg_sqs,
        "step": state_steps,
    }
    Adam.step_on(group, params, grads, states, grad_scale, found_inf)
