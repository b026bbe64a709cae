"""L-BFGS: steps along directions that remember the curvature of the last steps."""

import flambeau as torch

from .optimizer import Optimizer, check_options

__all__ = ["LBFGS"]


class LBFGS(Optimizer):
    """Limited-memory BFGS; its step needs a closure that computes the loss anew.

    >>> import flambeau as torch
    >>> w = torch.nn.Parameter(torch.tensor([3.0]))
    >>> opt = torch.optim.LBFGS([w], line_search_fn="strong_wolfe")
    >>> def closure():
    ...     opt.zero_grad()
    ...     loss = (w * w).sum()
    ...     loss.backward()
    ...     return loss
    >>> opt.step(closure).item(), abs(w.item()) < 1e-3
    (9.0, True)
    """

    def __init__(
        self,
        params,
        lr=1,
        max_iter=20,
        max_eval=None,
        tolerance_grad=1e-7,
        tolerance_change=1e-9,
        history_size=100,
        line_search_fn=None,
    ):
        check_options(lr)
        super().__init__(
            params,
            {
                "lr": lr,
                "max_iter": max_iter,
                "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
                "tolerance_grad": tolerance_grad,
                "tolerance_change": tolerance_change,
                "history_size": history_size,
                "line_search_fn": line_search_fn,
            },
        )
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")
        self._params = self.param_groups[0]["params"]

    def _flat_grad(self):
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in self._params]
        return torch.cat(
            [(torch.view_as_real(p) if p.is_complex() else p).reshape(-1) for p in parts]
        )

    def _move(self, direction, t):
        start = 0
        for param in self._params:
            real = torch.view_as_real(param) if param.is_complex() else param
            part = direction[start : start + real.numel()].view_as(real)
            real.add_(part, alpha=t)
            start += real.numel()

    def _evaluate(self, closure, start, t, direction):
        """The loss and gradient at a step of size t from `start`; the parameters come back."""
        self._move(direction, t)
        loss = float(closure())
        grad = self._flat_grad()
        for param, value in zip(self._params, start):
            param.copy_(value)
        return loss, grad

    def step(self, closure):
        """Takes up to max_iter steps; returns the loss before the first."""
        with torch.no_grad():
            return self._minimize(torch.enable_grad()(closure))

    def _minimize(self, closure):
        group = self.param_groups[0]
        state = self.state[self._params[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        first = closure()
        loss = float(first)
        evaluations = 1
        state["func_evals"] += 1
        grad = self._flat_grad()
        if grad.abs().max() <= group["tolerance_grad"]:
            return first
        lr, search = group["lr"], group["line_search_fn"]
        lr = lr.item() if isinstance(lr, torch.Tensor) else lr
        if search not in (None, "strong_wolfe"):
            raise RuntimeError("only 'strong_wolfe' is supported")
        iterations = 0
        while iterations < group["max_iter"]:
            iterations += 1
            state["n_iter"] += 1
            direction = self._direction(state, grad, group["history_size"])
            state["prev_flat_grad"] = grad.clone()
            state["prev_loss"] = before = loss
            first_step = state["n_iter"] == 1
            size = float(grad.abs().sum())
            t = min(1.0, 1.0 / size) * lr if first_step and size else lr
            slope = grad.dot(direction)
            state["d"], state["t"] = direction, t
            if slope > -group["tolerance_change"]:
                break
            used = 0
            if search is not None:
                most = group["max_eval"] - evaluations
                loss, grad, t, used = self._search(closure, t, direction, loss, grad, slope, most)
                state["t"] = t
            else:
                self._move(direction, t)
                if iterations != group["max_iter"]:
                    # After the last step nobody needs the new loss.
                    loss = float(closure())
                    grad = self._flat_grad()
                    used = 1
            evaluations += used
            state["func_evals"] += used
            if (
                evaluations >= group["max_eval"]
                or grad.abs().max() <= group["tolerance_grad"]
                or (direction * t).abs().max() <= group["tolerance_change"]
                or abs(loss - before) < group["tolerance_change"]
            ):
                break
        return first

    def _search(self, closure, t, direction, loss, grad, slope, most):
        start = [p.clone() for p in self._params]

        def evaluate(t):
            return self._evaluate(closure, start, t, direction)

        tolerance = self.param_groups[0]["tolerance_change"]
        found = _strong_wolfe(evaluate, t, direction, loss, grad, slope, tolerance, most)
        self._move(direction, found[2])
        return found

    def _direction(self, state, grad, history):
        """Minus the gradient times the inverse Hessian that the last steps tell of."""
        if state["n_iter"] == 1:
            state["old_dirs"], state["old_stps"], state["ro"], state["H_diag"] = [], [], [], 1
            return grad.neg()
        change = grad - state["prev_flat_grad"]
        move = state["d"] * state["t"]
        curvature = change.dot(move)
        if curvature > 1e-10:
            if len(state["old_dirs"]) == history:
                for name in ("old_dirs", "old_stps", "ro"):
                    state[name].pop(0)
            state["old_dirs"].append(change)
            state["old_stps"].append(move)
            state["ro"].append(1.0 / curvature)
            state["H_diag"] = curvature / change.dot(change)
        pairs = list(zip(state["old_dirs"], state["old_stps"], state["ro"]))
        direction = grad.neg()
        weights = state.setdefault("al", [None] * history)
        for i, (change, move, ro) in reversed(list(enumerate(pairs))):
            weights[i] = move.dot(direction) * ro
            direction.add_(change, alpha=-weights[i])
        direction.mul_(state["H_diag"])
        for (change, move, ro), weight in zip(pairs, weights):
            direction.add_(move, alpha=weight - change.dot(direction) * ro)
        return direction


def _cubic_minimum(x1, f1, g1, x2, f2, g2, bounds=None):
    """Where the cubic through two points with given slopes is least, within bounds."""
    low, high = (min(x1, x2), max(x1, x2)) if bounds is None else bounds
    d1 = g1 + g2 - 3 * (f1 - f2) / (x1 - x2)
    square = d1**2 - g1 * g2
    if square < 0:
        return (low + high) / 2.0
    d2 = square**0.5
    if x1 <= x2:
        place = x2 - (x2 - x1) * ((g2 + d2 - d1) / (g2 - g1 + 2 * d2))
    else:
        place = x1 - (x1 - x2) * ((g1 + d2 - d1) / (g1 - g2 + 2 * d2))
    return min(max(place, low), high)


def _strong_wolfe(evaluate, t, direction, f, g, slope, tolerance, most, c1=1e-4, c2=0.9):
    """A step size that lowers the loss and the slope enough: (loss, gradient, t, evaluations).

    After the first there are at most `most` evaluations.
    """
    size = float(direction.abs().max())
    slope, used, iteration = float(slope), 0, 0

    def point(t):
        loss, grad = evaluate(t)
        return t, loss, grad.clone(), float(grad.dot(direction))

    last = (0.0, f, g, slope)
    new = point(t)
    used += 1
    bracket = None
    while iteration < most:
        if new[1] > f + c1 * new[0] * slope or (iteration > 1 and new[1] >= last[1]):
            bracket = [last, new]
            break
        if abs(new[3]) <= -c2 * slope:
            return new[1], new[2], new[0], used
        if new[3] >= 0:
            bracket = [last, new]
            break
        low, high = new[0] + 0.01 * (new[0] - last[0]), new[0] * 10
        t = _cubic_minimum(last[0], last[1], last[3], new[0], new[1], new[3], bounds=(low, high))
        last, new = new, point(t)
        used += 1
        iteration += 1
    if bracket is None:
        bracket = [(0.0, f, g, slope), new]
    return _zoom(point, bracket, f, slope, size, tolerance, c1, c2, most, iteration, used)


def _zoom(point, bracket, f, slope, size, tolerance, c1, c2, most, iteration, used):
    """Narrows an interval that holds a good step size down to one."""
    stalled = False
    best, other = (0, 1) if bracket[0][1] <= bracket[1][1] else (1, 0)
    while iteration < most:
        low, high = sorted(p[0] for p in bracket)
        if (high - low) * size < tolerance:
            break
        (x1, f1, _, g1), (x2, f2, _, g2) = bracket
        t = _cubic_minimum(x1, f1, g1, x2, f2, g2)
        margin = 0.1 * (high - low)
        if min(high - t, t - low) < margin:
            # Too near to an end: a step inwards, unless the last round gave one already.
            if stalled or t >= high or t <= low:
                t = high - margin if abs(t - high) < abs(t - low) else low + margin
                stalled = False
            else:
                stalled = True
        else:
            stalled = False
        new = point(t)
        used += 1
        iteration += 1
        if new[1] > f + c1 * t * slope or new[1] >= bracket[best][1]:
            bracket[other] = new
            best, other = (0, 1) if bracket[0][1] <= bracket[1][1] else (1, 0)
            continue
        if abs(new[3]) <= -c2 * slope:
            bracket[best] = new
            break
        if new[3] * (bracket[other][0] - bracket[best][0]) >= 0:
            bracket[other] = bracket[best]
        bracket[best] = new
    t, loss, grad, _ = bracket[best]
    return loss, grad, t, used
