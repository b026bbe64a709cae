"""Adagrad: steps scaled by the sum of all squared gradients."""

import flambeau as torch

from .optimizer import EachParameter, check_options, check_ways, new_count, step_along

__all__ = ["Adagrad", "adagrad"]


class Adagrad(EachParameter):
    """Adagrad (Duchi et al., 2011).

    >>> import flambeau as torch
    >>> w = torch.nn.Parameter(torch.tensor([1.0]))
    >>> opt = torch.optim.Adagrad([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> opt.step()
    >>> w.data
    tensor([0.9000])
    """

    def __init__(
        self,
        params,
        lr=1e-2,
        lr_decay=0,
        weight_decay=0,
        initial_accumulator_value=0,
        eps=1e-10,
        foreach=None,
        *,
        maximize=False,
        differentiable=False,
        fused=None,
    ):
        check_options(lr, eps, weight_decay)
        if not 0.0 <= lr_decay:
            raise ValueError(f"Invalid lr_decay value: {lr_decay}")
        if not 0.0 <= initial_accumulator_value:
            raise ValueError(
                f"Invalid initial_accumulator_value value: {initial_accumulator_value}"
            )
        check_ways(foreach, fused, differentiable)
        super().__init__(
            params,
            {
                "lr": lr,
                "lr_decay": lr_decay,
                "eps": eps,
                "weight_decay": weight_decay,
                "initial_accumulator_value": initial_accumulator_value,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "fused": fused,
            },
        )
        for group in self.param_groups:
            for param in group["params"]:
                self._state_of(param, group)

    _formula = "adagrad"
    _states = ("sum",)

    def _fresh(self, param, group):
        value = group["initial_accumulator_value"]
        if param.is_complex():
            value = complex(value, value)
        return {"step": new_count(), "sum": torch.full_like(param, value)}

    def _options(self, group):
        return (group["lr"], group["lr_decay"], group["eps"])

    def share_memory(self):
        """Moves what is remembered to memory that other processes can map."""
        for state in self.state.values():
            state["sum"].share_memory_()

    def _update_sparse(self, param, grad, group):
        state = self._state_of(param, group)
        rate = group["lr"] / (1 + (self._count(state) - 1) * group["lr_decay"])
        at, values = tuple(grad.indices()), grad.values()
        total = state["sum"].index_put_(at, values * values, accumulate=True)
        param.index_put_(at, values / (total[at].sqrt() + group["eps"]) * -rate, accumulate=True)

    def _update(self, param, grad, group):
        state = self._state_of(param, group)
        step = self._count(state)
        rate = group["lr"] / (1 + (step - 1) * group["lr_decay"])
        total = state["sum"]
        if param.is_complex():
            param, grad, total = map(torch.view_as_real, (param, grad, total))
        total.addcmul_(grad, grad, value=1)
        step_along(param, grad, total.sqrt() + group["eps"], rate)


def adagrad(
    params,
    grads,
    state_sums,
    state_steps,
    fused=None,
    grad_scale=None,
    found_inf=None,
    has_sparse_grad=False,
    foreach=None,
    differentiable=False,
    has_complex=False,
    *,
    lr,
    weight_decay,
    lr_decay,
    eps,
    maximize,
):
    """`Adagrad`'s step as a function of tensors and their states, which it changes in place.

    There is one way to step, which takes all tensors: `foreach`, `fused`, `has_complex` and
    `has_sparse_grad` change nothing.
    """
    group = {
        "lr": lr,
        "lr_decay": lr_decay,
        "eps": eps,
        "weight_decay": weight_decay,
        "maximize": maximize,
        "differentiable": differentiable,
    }
    states = {
        "sum": state_sums,
        "step": state_steps,
    }
    Adagrad.step_on(group, params, grads, states, grad_scale, found_inf)
