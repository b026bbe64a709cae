"""Averages of parameters over processes."""

import flambeau
import flambeau.distributed as dist


def get_params_to_average(params):
    """Those with a gradient, of parameters or of an optimizer's groups."""
    found = []
    for each in params:
        inner = each["params"] if isinstance(each, dict) else [each]
        found += [p for p in inner if p.grad is not None]
    return found


def average_parameters(params, process_group):
    """Makes each parameter its mean over the group."""
    group = dist._get_default_group() if process_group is None else process_group
    if dist.get_rank(group) < 0:
        return
    with flambeau.no_grad():
        for p in params:
            dist.all_reduce(p.div_(group.size()), group=group)


def average_parameters_or_parameter_groups(params, process_group):
    """The same for parameters or an optimizer's groups: of those with a gradient."""
    average_parameters(get_params_to_average(params), process_group)
