"""Collectives that give new tensors.

>>> import flambeau as torch, flambeau.distributed as dist
>>> from flambeau.distributed import _functional_collectives as funcol
>>> dist.init_process_group(rank=0, world_size=1, store=dist.HashStore())
>>> funcol.all_reduce(torch.ones(1), "sum", dist.group.WORLD)
tensor([1.])
>>> dist.destroy_process_group()
"""

import flambeau

from . import distributed_c10d as c10d
from .nn import functional as _nn


class AsyncCollectiveTensor(flambeau.Tensor):
    """A result still under way; here results are there when the call returns."""


def _group(group):
    if isinstance(group, (list, tuple)) and group and isinstance(group[0], int):
        return c10d.new_group(list(group), use_local_synchronization=True)
    if isinstance(group, tuple):
        return group[0].get_group(group[1])
    return group.get_group() if hasattr(group, "get_group") else group


def _op(name):
    return getattr(c10d.ReduceOp, name.upper())


def all_reduce(self, reduceOp, group, tag=""):
    """The reduction over all processes."""
    return _nn.all_reduce(self, _op(reduceOp), _group(group))


def all_gather_tensor(self, gather_dim, group, tag=""):
    """The tensors of all processes, joined along a dimension."""
    return flambeau.cat(_nn.all_gather(self.contiguous(), _group(group)), gather_dim)


def reduce_scatter_tensor(self, reduceOp, scatter_dim, group, tag=""):
    """This process's part of the sum."""
    group = c10d._get_default_group() if group is None else _group(group)
    parts = [part.contiguous() for part in self.chunk(group.size(), scatter_dim)]
    made = _nn.reduce_scatter(parts[group.rank()], parts, c10d.ReduceOp.SUM, group)
    return made / group.size() if reduceOp.lower() == "avg" else made


def all_to_all_single(self, output_split_sizes, input_split_sizes, group, tag=""):
    """Parts of the first dimension to all processes, and theirs in return."""
    group = c10d._get_default_group() if group is None else _group(group)
    rows = sum(output_split_sizes) if output_split_sizes else self.size(0)
    output = self.new_empty((rows, *self.shape[1:]))
    return _nn.all_to_all_single(output, self, output_split_sizes, input_split_sizes, group)


def broadcast(self, src, group, tag=""):
    """The tensor of the process `src`."""
    return _nn.broadcast(self, src, _group(group))


def wait_tensor(tensor):
    """The tensor: it is there."""
    return tensor


all_reduce_autograd = all_reduce
all_gather_tensor_autograd = all_gather_tensor
reduce_scatter_tensor_autograd = reduce_scatter_tensor
all_to_all_single_autograd = all_to_all_single
