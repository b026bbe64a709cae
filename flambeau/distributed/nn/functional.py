"""Collectives whose gradients are collectives again: new tensors, nothing is changed in place.

>>> import flambeau as torch
>>> import flambeau.distributed as dist, flambeau.distributed.nn.functional as df
>>> dist.init_process_group("gloo", rank=0, world_size=1, store=dist.HashStore())
>>> x = torch.ones(2, requires_grad=True)
>>> df.all_reduce(2 * x).sum().backward()
>>> x.grad
tensor([2., 2.])
>>> dist.destroy_process_group()
"""

import flambeau
from flambeau.autograd import Function

from .. import distributed_c10d as c10d
from ..distributed_c10d import ReduceOp, group

__all__ = [
    "all_gather",
    "all_reduce",
    "all_to_all",
    "all_to_all_single",
    "broadcast",
    "gather",
    "reduce",
    "reduce_scatter",
    "scatter",
]


def _of(group):
    return c10d._get_default_group() if group is None else group


class _AllReduce(Function):
    @staticmethod
    def forward(ctx, op, group, tensor):
        ctx.op, ctx.group = op, group
        made = tensor.clone(memory_format=flambeau.contiguous_format)
        c10d.all_reduce(made, op, group)
        return made

    @staticmethod
    def backward(ctx, grad):
        if ctx.op not in (ReduceOp.SUM, ReduceOp.AVG):
            raise RuntimeError(f"all_reduce with {ctx.op} has no gradient")
        return None, None, _AllReduce.apply(ctx.op, ctx.group, grad)


class _Broadcast(Function):
    @staticmethod
    def forward(ctx, src, group, tensor):
        ctx.src, ctx.group = src, group
        made = tensor.clone(memory_format=flambeau.contiguous_format)
        c10d.broadcast(made, src, group)
        return made

    @staticmethod
    def backward(ctx, grad):
        total = _Reduce.apply(ctx.src, ReduceOp.SUM, ctx.group, grad)
        return None, None, total if c10d.get_rank() == ctx.src else flambeau.zeros_like(total)


class _Reduce(Function):
    @staticmethod
    def forward(ctx, dst, op, group, tensor):
        ctx.dst, ctx.op, ctx.group = dst, op, group
        made = tensor.clone(memory_format=flambeau.contiguous_format)
        c10d.reduce(made, dst, op, group)
        return made

    @staticmethod
    def backward(ctx, grad):
        return None, None, None, _Broadcast.apply(ctx.dst, ctx.group, grad)


class _AllToAll(Function):
    """Tensors to all processes and from all of them; the gradients go back."""

    @staticmethod
    def forward(ctx, group, shapes, *tensors):
        ctx.group, ctx.shapes = group, [tensor.shape for tensor in tensors]
        made = [tensors[0].new_empty(shape) for shape in shapes]
        c10d.all_to_all(made, [tensor.contiguous() for tensor in tensors], group)
        return tuple(made)

    @staticmethod
    def backward(ctx, *grads):
        return None, None, *_AllToAll.apply(ctx.group, ctx.shapes, *grads)


def all_reduce(tensor, op=ReduceOp.SUM, group=group.WORLD):
    """The reduction over all processes."""
    return _AllReduce.apply(op, _of(group), tensor)


def broadcast(tensor, src, group=group.WORLD):
    """The tensor of the process `src`."""
    return _Broadcast.apply(src, _of(group), tensor)


def reduce(tensor, dst, op=ReduceOp.SUM, group=group.WORLD):
    """The reduction in the process `dst`; elsewhere the tensor."""
    return _Reduce.apply(dst, op, _of(group), tensor)


def all_to_all(output_tensor_list, input_tensor_list, group=group.WORLD):
    """What every process sent to this one, in tensors of the shapes of the output list."""
    shapes = [tensor.shape for tensor in output_tensor_list]
    return _AllToAll.apply(_of(group), shapes, *input_tensor_list)


def all_to_all_single(
    output, input, output_split_sizes=None, input_split_sizes=None, group=group.WORLD
):
    """all_to_all() of one tensor, cut and joined along its first dimension."""
    size = _of(group).size()
    outgoing = input.split(list(input_split_sizes or [input.size(0) // size] * size))
    incoming = output.split(list(output_split_sizes or [output.size(0) // size] * size))
    return flambeau.cat(all_to_all(incoming, outgoing, group))


def all_gather(tensor, group=group.WORLD):
    """The tensors of all processes, by rank."""
    size = _of(group).size()
    return all_to_all([tensor] * size, [tensor] * size, group)


def reduce_scatter(output, input_list, op=ReduceOp.SUM, group=group.WORLD):
    """The sum over the processes of their tensors for this one."""
    if op is not ReduceOp.SUM:
        raise ValueError("reduce_scatter: only sums have gradients here")
    return flambeau.stack(all_to_all([output] * len(input_list), input_list, group)).sum(0)


def gather(tensor, dst=0, group=group.WORLD):
    """The tensors of all processes in the process `dst`; zeros elsewhere."""
    here = _of(group).rank() == c10d.get_group_rank(_of(group), dst)
    parts = all_gather(tensor, group)
    return parts if here else tuple(part * 0 for part in parts)


def scatter(tensors, src=0, group=group.WORLD):
    """This process's tensor of the list in the process `src`."""
    place = c10d.get_group_rank(_of(group), src)
    return all_to_all([tensors[0]] * len(tensors), tensors, group)[place]
