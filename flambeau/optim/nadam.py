"""NAdam: Adam with Nesterov's momentum."""

import flambeau as torch

from .optimizer import EachParameter, check_options, new_count, step_along

__all__ = ["NAdam", "nadam"]


class NAdam(EachParameter):
    """Adam with Nesterov's momentum (Dozat, 2016).

    >>> import flambeau as torch
    >>> w = torch.nn.Parameter(torch.tensor([1.0]))
    >>> opt = torch.optim.NAdam([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> opt.step()
    >>> bool(w < 1)
    True
    """

    def __init__(
        self,
        params,
        lr=2e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0,
        momentum_decay=4e-3,
        decoupled_weight_decay=False,
        *,
        foreach=None,
        maximize=False,
        capturable=False,
        differentiable=False,
    ):
        check_options(lr, eps, weight_decay, betas)
        if not 0.0 <= momentum_decay:
            raise ValueError(f"Invalid momentum_decay value: {momentum_decay}")
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "momentum_decay": momentum_decay,
                "decoupled_weight_decay": decoupled_weight_decay,
                "maximize": maximize,
                "foreach": foreach,
                "capturable": capturable,
                "differentiable": differentiable,
            },
        )

    _formula = "nadam"
    _states = (
        "exp_avg",
        "exp_avg_sq",
    )
    _numbers = ("mu_product",)

    def _fresh(self, param, group):
        return {
            "step": new_count(),
            "mu_product": torch.ones((), dtype=torch.float32),
            "exp_avg": torch.zeros_like(param),
            "exp_avg_sq": torch.zeros_like(param),
        }

    def _options(self, group):
        return (
            group["lr"],
            *group["betas"],
            group["eps"],
            group["momentum_decay"],
            self._shrink(group),
        )

    def _update(self, param, grad, group):
        state = self._state_of(param, group)
        step = self._count(state)
        lr, (beta1, beta2), decay = group["lr"], group["betas"], group["momentum_decay"]
        if group["decoupled_weight_decay"] and group["weight_decay"] != 0:
            param.mul_(1 - lr * group["weight_decay"])
        mu = beta1 * (1.0 - 0.5 * 0.96 ** (step * decay))
        mu_next = beta1 * (1.0 - 0.5 * 0.96 ** ((step + 1) * decay))
        state["mu_product"].mul_(mu)
        product = state["mu_product"]
        product = product.double() if group["differentiable"] else product.item()
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        if param.is_complex():
            param, grad, mean, square = map(torch.view_as_real, (param, grad, mean, square))
        mean.lerp_(grad, 1 - beta1)
        square.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        root = (square / (1 - beta2**step)).sqrt() + group["eps"]
        step_along(param, grad, root, lr * (1.0 - mu) / (1.0 - product))
        step_along(param, mean, root, lr * mu_next / (1.0 - product * mu_next))


def nadam(
    params,
    grads,
    exp_avgs,
    exp_avg_sqs,
    mu_products,
    state_steps,
    decoupled_weight_decay=False,
    foreach=None,
    capturable=False,
    differentiable=False,
    has_complex=False,
    maximize=False,
    *,
    beta1,
    beta2,
    lr,
    weight_decay,
    momentum_decay,
    eps,
):
    """`NAdam`'s step as a function of tensors and their states, which it changes in place.

    There is one way to step, which takes all tensors: `foreach`, `capturable` and `has_complex`
    change nothing.
    """
    group = {
        "lr": lr,
        "betas": (beta1, beta2),
        "eps": eps,
        "weight_decay": weight_decay,
        "momentum_decay": momentum_decay,
        "decoupled_weight_decay": decoupled_weight_decay,
        "maximize": maximize,
        "differentiable": differentiable,
    }
    states = {
        "exp_avg": exp_avgs,
        "exp_avg_sq": exp_avg_sqs,
        "mu_product": mu_products,
        "step": state_steps,
    }
    NAdam.step_on(group, params, grads, states)
