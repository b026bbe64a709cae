"""Stochastic gradient descent."""

import flambeau as torch

from .optimizer import EachParameter, check_options, check_ways, step_by

__all__ = ["SGD", "sgd"]


class SGD(EachParameter):
    """Steps against the gradient, with momentum if asked for.

    >>> import flambeau as torch
    >>> w = torch.nn.Parameter(torch.tensor([1.0]))
    >>> opt = torch.optim.SGD([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> opt.step()
    >>> w.data
    tensor([0.8000])
    """

    def __init__(
        self,
        params,
        lr=1e-3,
        momentum=0,
        dampening=0,
        weight_decay=0,
        nesterov=False,
        *,
        maximize=False,
        foreach=None,
        differentiable=False,
        fused=None,
    ):
        check_options(lr)
        if momentum < 0.0:
            raise ValueError(f"Invalid momentum value: {momentum}")
        check_options(lr, weight_decay=weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        check_ways(foreach, fused, differentiable)
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "maximize": maximize,
                "foreach": foreach,
                "differentiable": differentiable,
                "fused": fused,
            },
        )

    _formula = "sgd"
    _states = ("momentum_buffer",)

    def _native_step(self, group, params, grads):
        if group["momentum"] == 0:
            self._call_native(group, params, grads, [{}], 0.0)
            return
        old, new = ([], [], []), ([], [], [])  # parameters, gradients, states
        for param, grad in zip(params, grads):
            state = self.state[param]
            lists = old
            if state.get("momentum_buffer") is None:
                state["momentum_buffer"] = torch.empty_like(param)
                lists = new
            for values, value in zip(lists, (param, grad, state)):
                values.append(value)
        for lists, fresh in (old, 0.0), (new, 1.0):
            if lists[0]:
                self._call_native(group, *lists, fresh)

    def _options(self, group):
        return (group["lr"], group["momentum"], 1 - group["dampening"], group["nesterov"])

    def _update_sparse(self, param, grad, group):
        if group["momentum"] != 0:
            grad = self._with_momentum(param, grad, group)
        param.add_(grad, alpha=-group["lr"])

    def _update(self, param, grad, group):
        if group["momentum"] != 0:
            grad = self._with_momentum(param, grad, group)
        step_by(param, grad, group["lr"])

    def _with_momentum(self, param, grad, group):
        momentum, state = group["momentum"], self.state[param]
        buffer = state.get("momentum_buffer")
        if buffer is None:
            buffer = state["momentum_buffer"] = grad.detach().clone()
        else:
            buffer.mul_(momentum).add_(grad, alpha=1 - group["dampening"])
        return grad.add(buffer, alpha=momentum) if group["nesterov"] else buffer


def sgd(
    params,
    d_p_list,
    momentum_buffer_list,
    has_sparse_grad=False,
    foreach=None,
    fused=None,
    grad_scale=None,
    found_inf=None,
    *,
    weight_decay,
    momentum,
    lr,
    dampening,
    nesterov,
    maximize,
):
    """`SGD`'s step as a function of tensors and their states, which it changes in place.

    There is one way to step, which takes all tensors: `foreach`, `fused` and `has_sparse_grad`
    change nothing.
    """
    group = {
        "lr": lr,
        "momentum": momentum,
        "dampening": dampening,
        "weight_decay": weight_decay,
        "nesterov": nesterov,
        "maximize": maximize,
    }
    states = {
        "momentum_buffer": momentum_buffer_list,
    }
    SGD.step_on(group, params, d_p_list, states, grad_scale, found_inf)
