"""Adafactor: the mean square of a matrix's gradient kept as a row and a column."""

import flambeau as torch

from .optimizer import EachParameter, check_options, new_count

__all__ = ["Adafactor", "adafactor"]


class Adafactor(EachParameter):
    """Adafactor (Shazeer and Stern, 2018).

    >>> import flambeau as torch
    >>> w = torch.nn.Parameter(torch.ones(2, 2))
    >>> opt = torch.optim.Adafactor([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> opt.step()
    >>> bool((w < 1).all())
    True
    """

    def __init__(
        self,
        params,
        lr=1e-2,
        beta2_decay=-0.8,
        eps=(None, 1e-3),
        d=1.0,
        weight_decay=0.0,
        *,
        foreach=None,
        maximize=False,
    ):
        check_options(lr)
        if beta2_decay > 0:
            raise ValueError(f"beta2_decay should be <= 0 but is: {beta2_decay}")
        if eps[0] is not None and eps[0] < 0:
            raise ValueError(f"epsilon1 should be >= 0 but is: {eps[0]}")
        if eps[1] < 0:
            raise ValueError(f"epsilon2 should be >= 0 but is: {eps[1]}")
        if d < 1.0:
            raise ValueError(f"Clipping threshold d should be >= 1 but is: {d}")
        if weight_decay < 0:
            raise ValueError(f"weight_decay should be >= 0 but is: {weight_decay}")
        super().__init__(
            params,
            {
                "lr": lr,
                "beta2_decay": beta2_decay,
                "eps": eps,
                "d": d,
                "weight_decay": weight_decay,
                "foreach": foreach,
                "maximize": maximize,
            },
        )

    @staticmethod
    def _gradient(param, grad, group):
        return -grad if group["maximize"] else grad

    def _update(self, param, grad, group):
        if param.is_complex():
            raise RuntimeError("Adafactor does not support complex parameters")
        state = self.state[param]
        matrix = grad.dim() > 1
        if not state:
            state["step"] = new_count()
            if matrix:
                *batch, rows, columns = grad.shape
                state["row_var"] = grad.new_zeros((*batch, rows, 1))
                state["col_var"] = grad.new_zeros((*batch, 1, columns))
            else:
                state["variance"] = torch.zeros_like(grad)
        step = self._count(state)
        eps1, eps2 = group["eps"]
        eps1 = torch.finfo(param.dtype).eps if eps1 is None else eps1
        fresh = step ** group["beta2_decay"]
        rate = min(float(group["lr"]), 1 / step**0.5)
        size = (param.norm(2) / param.numel() ** 0.5).item()
        if group["weight_decay"] != 0:
            param.mul_(1 - group["lr"] * group["weight_decay"])
        square = grad * grad
        if matrix:
            rows = state["row_var"].lerp_(square.mean(-1, keepdim=True), fresh)
            columns = state["col_var"].lerp_(square.mean(-2, keepdim=True), fresh)
            estimate = rows @ columns / rows.mean(-2, keepdim=True).clamp(min=eps1)
        else:
            estimate = state["variance"].lerp_(square, fresh).clone()
        update = estimate.clamp_(min=eps1 * eps1).rsqrt_().mul_(grad)
        largest = max(1.0, (update.norm(2) / (update.numel() ** 0.5 * group["d"])).item())
        param.add_(update, alpha=-max(eps2, size) * rate / largest)


def adafactor(
    params,
    grads,
    row_vars,
    col_vars,
    variances,
    state_steps,
    foreach=None,
    grad_scale=None,
    found_inf=None,
    has_complex=False,
    *,
    d,
    lr,
    beta2_decay,
    weight_decay,
    eps1,
    eps2,
    maximize,
):
    """`Adafactor`'s step as a function of tensors and their states, which it changes in place.

    There is one way to step, which takes all tensors: `foreach` and `has_complex` change nothing.
    """
    group = {
        "lr": lr,
        "beta2_decay": beta2_decay,
        "eps": (eps1, eps2),
        "d": d,
        "weight_decay": weight_decay,
        "maximize": maximize,
    }
    states = {
        "row_var": row_vars,
        "col_var": col_vars,
        "variance": variances,
        "step": state_steps,
    }
    Adafactor.step_on(group, params, grads, states, grad_scale, found_inf)
