"""RAdam: Adam that trusts its scaling only when enough gradients stand behind it."""

import flambeau as torch

from .optimizer import EachParameter, check_options, new_count

__all__ = ["RAdam", "radam"]


class RAdam(EachParameter):
    """Rectified Adam (Liu et al., 2020).

    >>> import flambeau as torch
    >>> w = torch.nn.Parameter(torch.tensor([1.0]))
    >>> opt = torch.optim.RAdam([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> opt.step()
    >>> w.data
    tensor([0.8000])
    """

    def __init__(
        self,
        params,
        lr=1e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0,
        decoupled_weight_decay=False,
        *,
        foreach=None,
        maximize=False,
        capturable=False,
        differentiable=False,
    ):
        check_options(lr, eps, weight_decay, betas)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "maximize": maximize,
                "foreach": foreach,
                "capturable": capturable,
                "decoupled_weight_decay": decoupled_weight_decay,
                "differentiable": differentiable,
            },
        )

    _formula = "radam"
    _states = (
        "exp_avg",
        "exp_avg_sq",
    )

    def _fresh(self, param, group):
        return {
            "step": new_count(),
            "exp_avg": torch.zeros_like(param),
            "exp_avg_sq": torch.zeros_like(param),
        }

    def _options(self, group):
        return (group["lr"], *group["betas"], group["eps"], self._shrink(group))

    def _update(self, param, grad, group):
        state = self._state_of(param, group)
        step = self._count(state)
        lr, (beta1, beta2) = group["lr"], group["betas"]
        if group["decoupled_weight_decay"] and group["weight_decay"] != 0:
            param.mul_(1 - lr * group["weight_decay"])
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        if param.is_complex():
            param, grad, mean, square = map(torch.view_as_real, (param, grad, mean, square))
        mean.lerp_(grad, 1 - beta1)
        square.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        correction1, correction2 = 1 - beta1**step, 1 - beta2**step
        update = mean / correction1
        # How many gradients the mean square stands for, now and at most.
        most = 2 / (1 - beta2) - 1
        now = most - 2 * step * beta2**step / correction2
        if now > 5.0:
            rectified = (now - 4) * (now - 2) * most / ((most - 4) * (most - 2) * now)
            root = square.sqrt() + group["eps"]
            update = update / root * (correction2**0.5 * rectified**0.5)
        param.sub_(update * lr)


def radam(
    params,
    grads,
    exp_avgs,
    exp_avg_sqs,
    state_steps,
    decoupled_weight_decay=False,
    foreach=None,
    differentiable=False,
    capturable=False,
    has_complex=False,
    maximize=False,
    *,
    beta1,
    beta2,
    lr,
    weight_decay,
    eps,
):
    """`RAdam`'s step as a function of tensors and their states, which it changes in place.

    There is one way to step, which takes all tensors: `foreach`, `capturable` and `has_complex`
    change nothing.
    """
    group = {
        "lr": lr,
        "betas": (beta1, beta2),
        "eps": eps,
        "weight_decay": weight_decay,
        "decoupled_weight_decay": decoupled_weight_decay,
        "maximize": maximize,
        "differentiable": differentiable,
    }
    states = {
        "exp_avg": exp_avgs,
        "exp_avg_sq": exp_avg_sqs,
        "step": state_steps,
    }
    RAdam.step_on(group, params, grads, states)
