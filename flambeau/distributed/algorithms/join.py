"""Training on when some processes have run out of batches."""

import flambeau
import flambeau.distributed as dist

__all__ = ["Join", "JoinHook", "Joinable"]


class JoinHook:
    """What a process that has no batches left does at each of the others' steps, and at the end."""

    def main_hook(self):
        """Answers the collectives of one step of the others."""

    def post_hook(self, is_last_joiner):
        """Called once all processes have come to the end."""


class Joinable:
    """What can be joined: it gives its hook and names its group."""

    def join_hook(self, **kwargs):
        raise NotImplementedError

    @property
    def join_device(self):
        return flambeau.device("cpu")

    @property
    def join_process_group(self):
        return dist._get_default_group()


class Join:
    """A context around a training loop whose length differs between processes.

    Each step announces itself by `Join.notify_join_context(joinable)`, as
    DistributedDataParallel does in its forward; processes that are done answer with the hooks'
    main_hook() until all are.

    >>> from flambeau.distributed.algorithms.join import Join
    >>> with Join([model]):  # doctest: +SKIP
    ...     for batch in my_part:
    ...         loss_fn(model(batch)).backward()
    """

    _open = []

    def __init__(self, joinables, enable=True, throw_on_early_termination=False, **kwargs):
        if not joinables:
            raise ValueError("The join context manager requires at least one joinable")
        self._joinables = list(joinables)
        self._hooks = [joinable.join_hook(**kwargs) for joinable in self._joinables]
        self._group = self._joinables[0].join_process_group
        self._enable = enable
        self._throw = throw_on_early_termination

    def __enter__(self):
        Join._open.append(self)
        return self

    def _going(self, here):
        """How many processes still have batches."""
        count = flambeau.tensor([int(here)])
        dist.all_reduce(count, group=self._group)
        return int(count)

    def __exit__(self, kind, value, trace):
        Join._open.remove(self)
        if not self._enable or kind:
            return
        last = True
        while self._going(False):
            last = False
            if self._throw:
                raise RuntimeError(_EARLY)
            for hook in self._hooks:
                hook.main_hook()
        for hook in self._hooks:
            hook.post_hook(last)

    @staticmethod
    def notify_join_context(joinable):
        """Announces a step to the processes that are done."""
        for context in Join._open:
            if context._enable and context._joinables[0] is joinable:
                going = context._going(True)
                if context._throw and going < context._group.size():
                    raise RuntimeError(_EARLY)


_EARLY = "Detected at least one rank that exhausted inputs. Throwing across all ranks."
