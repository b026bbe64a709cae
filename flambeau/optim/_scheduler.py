"""LRScheduler: the base of all schedules."""

import functools

from flambeau import Tensor

from .optimizer import Optimizer

EPOCH_DEPRECATION_WARNING = (
    "The epoch parameter in `scheduler.step()` was not necessary and is being deprecated where "
    "possible. Please use `scheduler.step()` to step the scheduler; with an epoch the closed form "
    "of the schedule is used, where there is one."
)


def number(rate):
    """A learning rate as a Python number."""
    return rate.item() if isinstance(rate, Tensor) else rate


def set_rate(group, rate):
    """Gives a group of parameters a learning rate; a tensor is filled in place."""
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(number(rate))
    else:
        group["lr"] = rate


def _copy(rate):
    return rate.clone() if isinstance(rate, Tensor) else rate


def _within_step(get_lr):
    """get_lr that says so when it is called by others than step: it may not be the last rate."""

    @functools.wraps(get_lr)
    def checked(self):
        if not self._get_lr_called_within_step:
            import warnings

            warnings.warn(
                "To get the last learning rate computed by the scheduler, please use "
                "`get_last_lr()`.",
                stacklevel=2,
            )
        return get_lr(self)

    return checked


class LRScheduler:
    """Changes the learning rates of an optimizer; a subclass defines ``get_lr``."""

    _get_lr_called_within_step = False

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "get_lr" in vars(cls) and cls.__module__.startswith(__package__):
            cls.get_lr = _within_step(cls.get_lr)

    def __init__(self, optimizer, last_epoch=-1):
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
        self.optimizer = optimizer
        if "step" in vars(optimizer):  # replaced before: whoever did knows of schedulers
            optimizer._step_at_schedule = optimizer.step
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", _copy(group["lr"]))
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{i}] when resuming "
                    "scheduler with last_epoch >= 0."
                )
        self.base_lrs = [_copy(group["initial_lr"]) for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._initial_step()

    def _initial_step(self):
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def _rates(self):
        """The learning rates as they are."""
        return [_copy(group["lr"]) for group in self.optimizer.param_groups]

    def state_dict(self):
        """All that the schedule remembers, but for the optimizer."""
        return {key: value for key, value in vars(self).items() if key != "optimizer"}

    def load_state_dict(self, state_dict):
        """Takes back what `state_dict` returned."""
        vars(self).update(state_dict)

    def get_last_lr(self):
        """The learning rates that the last step set."""
        return self._last_lr

    def get_lr(self):
        """The next learning rates; each subclass defines it."""
        raise NotImplementedError

    def step(self, epoch=None):
        """Goes on by one epoch, or to an epoch, and sets the learning rates."""
        if self._step_count == 1:
            self._warn_of_order()
        self._step_count += 1
        if epoch is None:
            self.last_epoch += 1
            self._apply(self._next_rates(self.get_lr))
        else:
            import warnings

            warnings.warn(EPOCH_DEPRECATION_WARNING, stacklevel=2)
            self._go_to(epoch)

    def _go_to(self, epoch):
        self.last_epoch = epoch
        self._apply(self._next_rates(getattr(self, "_get_closed_form_lr", self.get_lr)))

    def _warn_of_order(self):
        optimizer = self.optimizer
        if vars(optimizer).get("step") is not getattr(optimizer, "_step_at_schedule", None):
            what = (
                "Seems like `optimizer.step()` has been overridden after learning rate scheduler "
                "initialization. Please, make sure to call `optimizer.step()` before "
                "`lr_scheduler.step()`."
            )
        elif not getattr(optimizer, "_opt_called", False):
            what = (
                "Detected call of `lr_scheduler.step()` before `optimizer.step()`: call them in "
                "the opposite order, or the first value of the schedule is skipped."
            )
        else:
            return
        import warnings

        warnings.warn(
            f"{what} See how-to-adjust-learning-rate in the documentation of torch.optim.",
            stacklevel=3,
        )

    def _next_rates(self, get_lr):
        self._get_lr_called_within_step = True
        try:
            return get_lr()
        finally:
            self._get_lr_called_within_step = False

    def _apply(self, rates):
        for group, rate in zip(self.optimizer.param_groups, rates):
            set_rate(group, rate)
        self._last_lr = self._rates()
