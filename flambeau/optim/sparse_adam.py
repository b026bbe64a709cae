"""Adam for sparse gradients: only the rows that a gradient has are remembered and moved."""

import flambeau as torch

from .optimizer import EachParameter, check_options

__all__ = ["SparseAdam"]


class SparseAdam(EachParameter):
    """Adam (Kingma and Ba, 2014) whose moments and steps touch only the gradient's rows.

    >>> import flambeau as torch
    >>> table = torch.nn.Embedding(10, 3, sparse=True)
    >>> opt = torch.optim.SparseAdam(table.parameters(), lr=0.1)
    >>> before = table.weight.detach().clone()
    >>> table(torch.tensor([2, 5])).sum().backward()
    >>> opt.step()
    >>> (table.weight != before).any(1).nonzero().flatten()
    tensor([2, 5])
    """

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, maximize=False):
        check_options(lr, eps)
        if not 0.0 < lr:
            raise ValueError(f"Invalid learning rate: {lr}")
        if not 0.0 < eps:
            raise ValueError(f"Invalid epsilon value: {eps}")
        for i, beta in enumerate(betas):
            if not 0.0 <= beta < 1.0:
                raise ValueError(f"Invalid beta parameter at index {i}: {beta}")
        options = {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize}
        super().__init__(params, options)
        sparse = [
            (g, i)
            for g, group in enumerate(self.param_groups)
            for i, param in enumerate(group["params"])
            if param.is_sparse
        ]
        if sparse:
            raise ValueError(
                f"Sparse params at indices {sparse}: SparseAdam requires dense parameter tensors"
            )

    def _fresh(self, param, group):
        return {
            "step": 0,
            "exp_avg": torch.zeros_like(param),
            "exp_avg_sq": torch.zeros_like(param),
        }

    def _update(self, param, grad, group):
        raise RuntimeError(
            "SparseAdam does not support dense gradients, please consider Adam instead"
        )

    def _update_sparse(self, param, grad, group):
        state = self._state_of(param, group)
        state["step"] += 1
        if grad._nnz() == 0:
            return
        beta1, beta2 = group["betas"]
        at, values = tuple(grad.indices()), grad.values()
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        new_mean = mean[at] + (values - mean[at]) * (1 - beta1)
        new_square = square[at] + (values * values - square[at]) * (1 - beta2)
        mean.index_put_(at, new_mean)
        square.index_put_(at, new_square)
        rate = group["lr"] * (1 - beta2 ** state["step"]) ** 0.5 / (1 - beta1 ** state["step"])
        step = new_mean / (new_square.sqrt() + group["eps"]) * -rate
        param.index_put_(at, step, accumulate=True)
