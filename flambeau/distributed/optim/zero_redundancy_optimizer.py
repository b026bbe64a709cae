"""An optimizer whose state is spread over processes."""

import flambeau
import flambeau.distributed as dist
from flambeau.optim import Optimizer


class ZeroRedundancyOptimizer(Optimizer):
    """Each process keeps the state of some of the parameters, steps them and gives them to all.

    Parameters are dealt out by size, so that every process has about as much. The gradients must
    be the same everywhere, as DistributedDataParallel leaves them.

    >>> import flambeau as torch, flambeau.distributed as dist
    >>> from flambeau.distributed.optim import ZeroRedundancyOptimizer
    >>> dist.init_process_group("gloo", rank=0, world_size=1, store=dist.HashStore())
    >>> w = torch.ones(2, requires_grad=True)
    >>> optimizer = ZeroRedundancyOptimizer([w], optimizer_class=torch.optim.SGD, lr=0.5)
    >>> w.sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.5000, 0.5000], requires_grad=True)
    >>> dist.destroy_process_group()
    """

    def __init__(
        self,
        params,
        optimizer_class,
        process_group=None,
        parameters_as_bucket_view=False,
        overlap_with_ddp=False,
        **defaults,
    ):
        if overlap_with_ddp:
            raise ValueError("ZeroRedundancyOptimizer: overlap_with_ddp needs devices with streams")
        self.process_group = dist._get_default_group() if process_group is None else process_group
        self.rank, self.world_size = self.process_group.rank(), self.process_group.size()
        self._class, self._options = optimizer_class, defaults
        self._everything = []
        super().__init__(params, defaults)
        self._deal()

    def add_param_group(self, param_group):
        super().add_param_group(param_group)
        if hasattr(self, "optim"):
            self._deal()

    def _deal(self):
        """Gives each parameter, the largest first, to the process that has least."""
        load = [0] * self.world_size
        self._owner = {}
        params = [param for group in self.param_groups for param in group["params"]]
        for param in sorted(params, key=lambda p: -p.numel()):
            rank = load.index(min(load))
            self._owner[param] = rank
            load[rank] += param.numel()
        before = getattr(self, "optim", None)
        self.optim = self._class(self._own_groups(), **self._options)
        if before is not None:
            self.optim.state.update(
                {p: s for p, s in before.state.items() if self._owner.get(p) == self.rank}
            )
        self.state = self.optim.state
        for group, own in zip(self.param_groups, self.optim.param_groups):
            for name, value in own.items():
                group.setdefault(name, value)

    def _own_groups(self):
        return [
            {**group, "params": [p for p in group["params"] if self._owner[p] == self.rank]}
            for group in self.param_groups
        ]

    def step(self, closure=None, **kwargs):
        """Steps this process's parameters, then passes all of them on."""
        for group, own in zip(self.param_groups, self.optim.param_groups):
            own.update({name: value for name, value in group.items() if name != "params"})
        loss = self.optim.step(closure, **kwargs) if closure else self.optim.step(**kwargs)
        for group, own in zip(self.param_groups, self.optim.param_groups):
            group.update({name: value for name, value in own.items() if name != "params"})
        self._pass_on()
        return loss

    def _pass_on(self):
        with flambeau.no_grad():
            works = [
                dist.broadcast(param, group=self.process_group, async_op=True, group_src=rank)
                for param, rank in self._owner.items()
            ]
            for work in works:
                work.wait()

    def consolidate_state_dict(self, to=0):
        """Collects the whole state in the process `to`, for `state_dict()` there."""
        params = [param for group in self.param_groups for param in group["params"]]
        own = {i: self.optim.state[p] for i, p in enumerate(params) if p in self.optim.state}
        here = self.process_group.ranks[self.rank] == to
        parts = [None] * self.world_size if here else None
        dist.gather_object(own, parts, to, self.process_group)
        self._everything = parts if here else []

    def state_dict(self):
        """The whole state; consolidate_state_dict() must have collected it in this process."""
        if not self._everything:
            raise RuntimeError(
                "Optimizer state has not been consolidated on this rank. Please call "
                f"`consolidate_state_dict(to={self.rank})` on all ranks beforehand if you meant to "
                "save the global state."
            )
        state = {index: value for part in self._everything for index, value in part.items()}
        groups, start = [], 0
        for group in self.param_groups:
            count = len(group["params"])
            packed = {name: value for name, value in group.items() if name != "params"}
            groups.append({**packed, "params": list(range(start, start + count))})
            start += count
        return {"state": dict(sorted(state.items())), "param_groups": groups}

    def load_state_dict(self, state_dict):
        """Takes the state of this process's parameters from a whole state."""
        params = [param for group in self.param_groups for param in group["params"]]
        own = [p for group in self.optim.param_groups for p in group["params"]]
        places = {id(p): i for i, p in enumerate(params)}
        state = {
            i: state_dict["state"][places[id(p)]]
            for i, p in enumerate(own)
            if places[id(p)] in state_dict["state"]
        }
        groups, start = [], 0
        for ours, theirs in zip(self.optim.param_groups, state_dict["param_groups"]):
            count = len(ours["params"])
            groups.append({**theirs, "params": list(range(start, start + count))})
            start += count
        self.optim.load_state_dict({"state": state, "param_groups": groups})
        self.state = self.optim.state
        for group, given in zip(self.param_groups, state_dict["param_groups"]):
            group.update({name: value for name, value in given.items() if name != "params"})
