"""Stochastic gradient descent."""

import flambeau as torch
from flambeau import _C

from .optimizer import EachParameter, check_options, native_batches

__all__ = ["SGD"]


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

    def _step_group(self, group, params):
        batches, rest = native_batches(group)
        for params, grads in batches:
            if group["momentum"] == 0:
                self._native_step(group, params, grads, [], False)
                continue
            old, new = ([], [], []), ([], [], [])  # parameters, gradients, buffers
            for param, grad in zip(params, grads):
                state = self.state[param]
                buffer = state.get("momentum_buffer")
                lists = old
                if buffer is None:
                    buffer = state["momentum_buffer"] = torch.empty_like(param)
                    lists = new
                for values, value in zip(lists, (param, grad, buffer)):
                    values.append(value)
            self._native_step(group, *old, False)
            self._native_step(group, *new, True)
        super()._step_group(group, rest)

    @staticmethod
    def _native_step(group, params, grads, buffers, first):
        if params:
            _C._internal["_sgd_step"](
                params,
                grads,
                buffers,
                float(group["lr"]),
                float(group["momentum"]),
                float(group["dampening"]),
                float(group["weight_decay"]),
                bool(group["nesterov"]),
                bool(group["maximize"]),
                first,
            )

    def _update(self, param, grad, group):
        momentum = group["momentum"]
        if momentum != 0:
            state = self.state[param]
            buffer = state.get("momentum_buffer")
            if buffer is None:
                buffer = state["momentum_buffer"] = grad.detach().clone()
            else:
                buffer.mul_(momentum).add_(grad, alpha=1 - group["dampening"])
            grad = grad.add(buffer, alpha=momentum) if group["nesterov"] else buffer
        param.sub_(grad * group["lr"])
