"""When models that are trained apart are averaged."""

import flambeau.distributed as dist

from . import utils

__all__ = ["ModelAverager", "PeriodicModelAverager"]


class ModelAverager:
    """The base of them: `step` counts the calls."""

    def __init__(self, process_group=None):
        self.process_group = dist._get_default_group() if process_group is None else process_group
        self.step = 0

    def average_parameters(self, params):
        """Averages them if it is time."""
        raise NotImplementedError


class PeriodicModelAverager(ModelAverager):
    """Averages at each `period`-th call, from call `warmup_steps` on."""

    def __init__(self, period, warmup_steps=0, process_group=None):
        super().__init__(process_group)
        if warmup_steps < 0:
            raise ValueError("Arg ``warmup_steps`` must be a non-negative number.")
        if period < 1:
            raise ValueError("Arg ``period`` must be a positive value.")
        self.warmup_steps, self.period = warmup_steps, period

    def average_parameters(self, params):
        """Averages the parameters that have a gradient, if it is time; counts the call."""
        if self.step >= self.warmup_steps and (self.step - self.warmup_steps) % self.period == 0:
            utils.average_parameters_or_parameter_groups(params, self.process_group)
        self.step += 1
