"""An optimizer made to work on other parameters and state for a while."""

from collections import defaultdict
from contextlib import contextmanager

__all__ = ["swap_in_optimizer_params_and_state"]


@contextmanager
def swap_in_optimizer_params_and_state(optimizer, swapin_parameters, swapin_optim_state):
    """Within it, an optimizer has other parameters, in the order of its own, and another state.

    The state is in the form of ``optimizer.state_dict()``; its tensors are those that steps
    change, so in-place changes stay with the caller's.

    >>> import flambeau as torch
    >>> w, other = torch.nn.Parameter(torch.ones(1)), torch.nn.Parameter(torch.zeros(1))
    >>> opt = torch.optim.SGD([w], lr=1.0)
    >>> other.grad = torch.ones(1)
    >>> swap = torch.optim.swap_in_optimizer_params_and_state
    >>> with swap(opt, {"w": other}, opt.state_dict()):
    ...     opt.step()
    >>> w.item(), other.item()
    (1.0, -1.0)
    """
    params = list(swapin_parameters.values())
    own = sum(len(group["params"]) for group in optimizer.param_groups)
    if len(params) != own:
        raise ValueError(
            f"swap_in_optimizer_params_and_state(): {len(params)} parameters for an optimizer of "
            f"{own}"
        )
    groups = [dict(group) for group in swapin_optim_state["param_groups"]]
    if [len(g["params"]) for g in groups] != [len(g["params"]) for g in optimizer.param_groups]:
        raise ValueError(
            "swap_in_optimizer_params_and_state(): the state's parameter groups are not the "
            "optimizer's"
        )
    numbers = [number for group in groups for number in group["params"]]
    by_number = dict(zip(numbers, params))
    for group in groups:
        group["params"] = [by_number[number] for number in group["params"]]
    state = defaultdict(dict)
    for key, value in swapin_optim_state["state"].items():
        state[by_number.get(key, key)] = dict(value)
    before = optimizer.param_groups, optimizer.state
    optimizer.param_groups, optimizer.state = groups, state
    try:
        yield
    finally:
        optimizer.param_groups, optimizer.state = before
