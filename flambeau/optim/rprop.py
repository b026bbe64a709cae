"""Rprop: steps by the sign of the gradient alone."""

import flambeau as torch

from .optimizer import EachParameter, check_options, new_count

__all__ = ["Rprop", "rprop"]


class Rprop(EachParameter):
    """Resilient backpropagation (Riedmiller and Braun, 1993), for full batches.

    >>> import flambeau as torch
    >>> w = torch.nn.Parameter(torch.tensor([1.0]))
    >>> opt = torch.optim.Rprop([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> opt.step()
    >>> w.data
    tensor([0.9000])
    """

    def __init__(
        self,
        params,
        lr=1e-2,
        etas=(0.5, 1.2),
        step_sizes=(1e-6, 50),
        *,
        capturable=False,
        foreach=None,
        maximize=False,
        differentiable=False,
    ):
        check_options(lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        super().__init__(
            params,
            {
                "lr": lr,
                "etas": etas,
                "step_sizes": step_sizes,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "capturable": capturable,
            },
        )

    _formula = "rprop"
    _states = (
        "prev",
        "step_size",
    )

    def _fresh(self, param, group):
        lr = float(group["lr"])
        first = complex(lr, lr) if param.is_complex() else lr
        return {
            "step": new_count(),
            "prev": torch.zeros_like(param),
            "step_size": torch.full_like(param, first),
        }

    def _options(self, group):
        return (*group["step_sizes"], *group["etas"])

    def _update(self, param, grad, group):
        state = self._state_of(param, group)
        self._count(state)
        before, size = state["prev"], state["step_size"]
        if param.is_complex():
            param, grad, before, size = map(torch.view_as_real, (param, grad, before, size))
        shrink, grow = group["etas"]
        agreement = grad * before
        one = torch.ones_like(agreement)
        factor = torch.where(
            agreement > 0, one * grow, torch.where(agreement < 0, one * shrink, one)
        )
        size.mul_(factor).clamp_(*group["step_sizes"])
        # After an overshoot there is no step, and the next gradient counts as the first.
        grad = torch.where(agreement < 0, torch.zeros_like(grad), grad)
        param.sub_(grad.sign() * size)
        before.copy_(grad)


def rprop(
    params,
    grads,
    prevs,
    step_sizes,
    state_steps,
    foreach=None,
    capturable=False,
    maximize=False,
    differentiable=False,
    has_complex=False,
    *,
    step_size_min,
    step_size_max,
    etaminus,
    etaplus,
):
    """`Rprop`'s step as a function of tensors and their states, which it changes in place.

    There is one way to step, which takes all tensors: `foreach`, `capturable` and `has_complex`
    change nothing.
    """
    group = {
        "etas": (etaminus, etaplus),
        "step_sizes": (step_size_min, step_size_max),
        "maximize": maximize,
        "differentiable": differentiable,
    }
    states = {
        "prev": prevs,
        "step_size": step_sizes,
        "step": state_steps,
    }
    Rprop.step_on(group, params, grads, states)
