"""What the processes of a group do together: collectives, messages, objects."""

import pickle

import flambeau

from ._group import ReduceOp, Work, _bytes, _flat, _tensor
from ._store import seconds_of
from ._world import _member, _peer, supports_complex


def _check_tensor(tensor, name):
    if not isinstance(tensor, flambeau.Tensor):
        raise TypeError(
            f"Invalid function argument. Expected parameter `{name}` of type torch.Tensor but got "
            f"{type(tensor)} instead."
        )
    if tensor.device.type != "cpu":
        raise RuntimeError(f"No backend type associated with device type {tensor.device.type}")


def _root(group, in_world, in_group, name):
    """The rank in a group of the process that gives or takes for all: by default the world's 0."""
    return _peer(group, 0 if in_world is None and in_group is None else in_world, in_group, name)


def _check_root_list(tensors, at_root, name, side):
    """A list of tensors is given in the process at the root, and only there."""
    if not at_root and tensors:
        raise ValueError(f"Argument ``{name}`` must NOT be specified on non-{side} ranks.")
    if at_root:
        if not tensors:
            raise ValueError(f"Argument ``{name}`` must be specified on {side} rank.")
        _check_tensors(tensors, name)


def _sources(group, src, group_src):
    """The ranks in the world that a message may come from: of one process, or of all others."""
    if src is None and group_src is None:
        return [group.ranks[peer] for peer in group._others()]
    return [group.ranks[_peer(group, src, group_src, "src")]]


def _check_tensors(tensors, name):
    if not isinstance(tensors, (list, tuple)):
        raise TypeError(
            f"Invalid function argument. Expected parameter `{name}` of type List[torch.Tensor] "
            f"but got {type(tensors)} instead."
        )
    for tensor in tensors:
        _check_tensor(tensor, name)


# -- collectives -----------------------------------------------------------------------------------


def all_reduce(tensor, op=ReduceOp.SUM, group=None, async_op=False):
    """Replaces the tensor, in every process, by the reduction over all of them.

    With async_op=True gives a Work to wait for; the tensor must be left alone until then.

    >>> import flambeau as torch, flambeau.distributed as dist
    >>> dist.init_process_group(rank=0, world_size=1, store=dist.HashStore())
    >>> x = torch.ones(2)
    >>> dist.all_reduce(x)
    >>> x
    tensor([1., 1.])
    >>> dist.destroy_process_group()
    """
    _check_tensor(tensor, "tensor")
    group = _member(group, "all_reduce")
    if group is None:
        return None
    if tensor.is_complex() and not supports_complex(op):
        raise ValueError(f"all_reduce does not support {op} on complex tensors")
    return group.run(lambda tag: group.reduce_all(tensor, op, tag), [tensor], async_op)


def all_reduce_coalesced(tensors, op=ReduceOp.SUM, group=None, async_op=False):
    """all_reduce() of several tensors in one call."""
    tensors = [tensors] if isinstance(tensors, flambeau.Tensor) else tensors
    _check_tensors(tensors, "tensor")
    group = _member(group, "all_reduce_coalesced")
    if group is None:
        return None

    def reduce(tag):
        flat = flambeau.cat([tensor.detach().reshape(-1) for tensor in tensors])
        group.reduce_all(flat, op, tag)
        for tensor, part in zip(tensors, flat.split([tensor.numel() for tensor in tensors])):
            tensor.detach().copy_(part.view(tensor.shape))

    return group.run(reduce, list(tensors), async_op)


def broadcast(tensor, src=None, group=None, async_op=False, group_src=None):
    """Gives everybody the tensor of the process `src`.

    >>> import flambeau as torch, flambeau.distributed as dist
    >>> dist.init_process_group(rank=0, world_size=1, store=dist.HashStore())
    >>> x = torch.ones(2)
    >>> dist.broadcast(x, src=0)
    >>> dist.destroy_process_group()
    """
    _check_tensor(tensor, "tensor")
    group = _member(group, "broadcast")
    if group is None:
        return None
    root = _root(group, src, group_src, "src")

    def run(tag):
        data = group.spread(_bytes_of_any(tensor) if group.rank() == root else None, root, tag)
        if group.rank() != root:
            group.fill(tensor, data)

    return group.run(run, [tensor], async_op)


def _bytes_of_any(tensor):
    return _bytes(_flat(tensor)[0])


def reduce(tensor, dst=None, op=ReduceOp.SUM, group=None, async_op=False, group_dst=None):
    """all_reduce() whose result only the process `dst` gets."""
    _check_tensor(tensor, "tensor")
    group = _member(group, "reduce")
    if group is None:
        return None
    root = _root(group, dst, group_dst, "dst")

    def run(tag):
        parts = group.collect(_bytes_of_any(tensor), root, tag)
        if parts is not None:
            made = group.combine([_tensor(part, tensor.dtype) for part in parts], op)
            tensor.detach().copy_(made.view(tensor.shape))

    return group.run(run, [tensor], async_op)


def all_gather(tensor_list, tensor, group=None, async_op=False):
    """Fills a list with the tensors of all processes, by rank.

    >>> import flambeau as torch, flambeau.distributed as dist
    >>> dist.init_process_group(rank=0, world_size=1, store=dist.HashStore())
    >>> parts = [torch.empty(2)]
    >>> dist.all_gather(parts, torch.ones(2))
    >>> parts
    [tensor([1., 1.])]
    >>> dist.destroy_process_group()
    """
    _check_tensors(tensor_list, "tensor_list")
    _check_tensor(tensor, "tensor")
    group = _member(group, "all_gather")
    if group is None:
        return None
    if len(tensor_list) != group.size():
        raise ValueError(
            f"all_gather(): {len(tensor_list)} tensors for the results of {group.size()} processes"
        )

    def run(tag):
        for target, part in zip(
            tensor_list, group.exchange([_bytes_of_any(tensor)] * group.size(), tag)
        ):
            group.fill(target, part)

    return group.run(run, list(tensor_list), async_op)


def all_gather_coalesced(output_tensor_lists, input_tensor_list, group=None, async_op=False):
    """all_gather() of several tensors in one call."""
    works = [
        all_gather(list(outputs), tensor, group, async_op)
        for outputs, tensor in zip(output_tensor_lists, input_tensor_list)
    ]
    return works[-1] if works else None


def _rows(tensor, group, name):
    """A tensor as one part for each process, which are views of it."""
    if tensor.numel() % group.size():
        raise ValueError(f"{name} must be divisible by world_size")
    if not tensor.is_contiguous():
        raise ValueError(f"{name} must be contiguous")
    return (
        list(tensor.detach().reshape(-1).chunk(group.size()))
        if tensor.numel()
        else [tensor.detach().reshape(-1)] * group.size()
    )


def all_gather_into_tensor(output_tensor, input_tensor, group=None, async_op=False):
    """all_gather() into one tensor, the parts one after the other."""
    _check_tensor(input_tensor, "input_tensor")
    _check_tensor(output_tensor, "output_tensor")
    group = _member(group, "all_gather_into_tensor")
    if group is None:
        return None
    rows = _rows(output_tensor, group, "output tensor size")
    work = all_gather(rows, input_tensor, group, async_op)
    if work is not None:
        work._result = [output_tensor]
    return work


_all_gather_base = all_gather_into_tensor
all_gather_single = all_gather_into_tensor


def gather(tensor, gather_list=None, dst=None, group=None, async_op=False, group_dst=None):
    """Fills a list in the process `dst` with the tensors of all processes."""
    _check_tensor(tensor, "tensor")
    group = _member(group, "gather")
    if group is None:
        return None
    root = _root(group, dst, group_dst, "dst")
    _check_root_list(gather_list, group.rank() == root, "gather_list", "destination")

    def run(tag):
        parts = group.collect(_bytes_of_any(tensor), root, tag)
        for target, part in zip(gather_list or (), parts or ()):
            group.fill(target, part)

    return group.run(run, list(gather_list or ()), async_op)


def scatter(tensor, scatter_list=None, src=None, group=None, async_op=False, group_src=None):
    """Gives each process its tensor of a list in the process `src`."""
    _check_tensor(tensor, "tensor")
    group = _member(group, "scatter")
    if group is None:
        return None
    root = _root(group, src, group_src, "src")
    _check_root_list(scatter_list, group.rank() == root, "scatter_list", "source")

    def run(tag):
        if group.rank() == root:
            for peer in group._others():
                group._send(peer, tag, _bytes_of_any(scatter_list[peer]))
            tensor.detach().copy_(scatter_list[root].detach())
        else:
            group.fill(tensor, group._receive(root, tag))

    return group.run(run, [tensor], async_op)


def reduce_scatter(output, input_list, op=ReduceOp.SUM, group=None, async_op=False):
    """Reduces a list of tensors, one for each process, which gets the result of its own."""
    _check_tensor(output, "output")
    _check_tensors(input_list, "input_list")
    group = _member(group, "reduce_scatter")
    if group is None:
        return None
    if len(input_list) != group.size():
        raise ValueError(f"{len(input_list)} tensors to reduce for {group.size()} processes")

    def run(tag):
        parts = group.exchange([_bytes_of_any(part) for part in input_list], tag)
        made = group.combine([_tensor(part, output.dtype) for part in parts], op)
        output.detach().copy_(made.view(output.shape))

    return group.run(run, [output], async_op)


def reduce_scatter_tensor(output, input, op=ReduceOp.SUM, group=None, async_op=False):
    """reduce_scatter() of one tensor that holds the parts one after the other.

    >>> import flambeau as torch, flambeau.distributed as dist
    >>> dist.init_process_group(rank=0, world_size=1, store=dist.HashStore())
    >>> out = torch.empty(2)
    >>> dist.reduce_scatter_tensor(out, torch.ones(2))
    >>> dist.destroy_process_group()
    """
    _check_tensor(output, "output")
    _check_tensor(input, "input")
    group = _member(group, "reduce_scatter_tensor")
    if group is None:
        return None
    rows = _rows(input, group, "input tensor size")
    return reduce_scatter(output, rows, op, group, async_op)


_reduce_scatter_base = reduce_scatter_tensor
reduce_scatter_single = reduce_scatter_tensor


def all_to_all(output_tensor_list, input_tensor_list, group=None, async_op=False):
    """Sends input_tensor_list[i] to rank i, which gets it as output_tensor_list[this rank]."""
    _check_tensors(output_tensor_list, "output_tensor_list")
    _check_tensors(input_tensor_list, "input_tensor_list")
    group = _member(group, "all_to_all")
    if group is None:
        return None

    def run(tag):
        parts = group.exchange([_bytes_of_any(part) for part in input_tensor_list], tag)
        for target, part in zip(output_tensor_list, parts):
            group.fill(target, part)

    return group.run(run, list(output_tensor_list), async_op)


def all_to_all_single(
    output, input, output_split_sizes=None, input_split_sizes=None, group=None, async_op=False
):
    """all_to_all() of one tensor cut along its first dimension, evenly or into the given sizes."""
    _check_tensor(output, "output")
    _check_tensor(input, "input")
    group = _member(group, "all_to_all_single")
    if group is None:
        return None

    def parts(tensor, sizes):
        if not sizes:
            if tensor.size(0) % group.size():
                raise ValueError("Tensor's dim 0 does not divide equally across group size")
            sizes = [tensor.size(0) // group.size()] * group.size()
        return list(tensor.detach().split(list(sizes)))

    outputs, inputs = parts(output, output_split_sizes), parts(input, input_split_sizes)
    work = all_to_all(outputs, inputs, group, async_op)
    if work is not None:
        work._result = [output]
    return work


def barrier(group=None, async_op=False, device_ids=None, timeout=None):
    """Returns once every process has come here; RuntimeError after the timeout, which is the
    group's unless given. `device_ids` are of devices other than the CPU."""
    group = _member(group, "barrier")
    if group is None:
        return None
    nothing = [b""] * group.size()
    return group.run(lambda tag: group.exchange(nothing, tag, timeout), [], async_op)


def monitored_barrier(group=None, timeout=None, wait_all_ranks=False):
    """A barrier that names, in the process of rank 0, those that did not come in time."""
    group = _member(group, "monitored_barrier")
    if group is None:
        return
    seconds = seconds_of(group.timeout if timeout is None else timeout)
    tag = group._tags()
    if group.rank():
        group._send(0, tag, b"")
        group._receive(0, tag)
        return
    missing = []
    for peer in group._others():
        try:
            group._mesh.receive([group.ranks[peer]], group._channel, tag, seconds)
        except RuntimeError as error:
            missing.append(peer)
            if not wait_all_ranks:
                raise RuntimeError(
                    f"Rank {peer} failed to pass monitoredBarrier in {seconds * 1000:.0f} ms"
                ) from error
    if missing:
        raise RuntimeError(
            f"Ranks {', '.join(map(str, missing))} failed to pass monitoredBarrier in "
            f"{seconds * 1000:.0f} ms"
        )
    for peer in group._others():
        group._send(peer, tag, b"")


# -- one process to another ------------------------------------------------------------------------


def isend(tensor, dst=None, group=None, tag=0, group_dst=None):
    """Sends a tensor to a process; a Work that is done once the tensor may be changed."""
    _check_tensor(tensor, "tensor")
    group = _member(group, "isend")
    if group is None:
        return None
    peer = _peer(group, dst, group_dst, "dst")
    if peer == group.rank():
        raise ValueError(
            "Invalid destination rank: destination rank should not be the same as "
            "the rank of the current process."
        )
    group._send(peer, tag, _bytes_of_any(tensor))
    return Work(result=[tensor])


def irecv(tensor, src=None, group=None, tag=0, group_src=None):
    """A Work that fills the tensor with one from the process `src`, or from any."""
    _check_tensor(tensor, "tensor")
    group = _member(group, "irecv")
    if group is None:
        return None
    peers = _sources(group, src, group_src)

    def run():
        peer, data = group._mesh.receive(peers, group._channel, tag, seconds_of(group.timeout))
        group.fill(tensor, data)
        return peer

    def ready():
        return group._mesh.ready(peers, group._channel, tag) is not None

    return Work(result=[tensor], run=run, ready=ready)


def send(tensor, dst=None, group=None, tag=0, group_dst=None):
    """Sends a tensor to a process."""
    isend(tensor, dst, group, tag, group_dst)


def recv(tensor, src=None, group=None, tag=0, group_src=None):
    """Fills the tensor with one from the process `src`, or from any; the rank it came from."""
    work = irecv(tensor, src, group, tag, group_src)
    if work is None:
        return -1
    work.wait()
    return work.source_rank()


class P2POp:
    """An isend or irecv of batch_isend_irecv()."""

    def __init__(self, op, tensor, peer=None, group=None, tag=0, group_peer=None):
        if op not in (isend, irecv):
            raise ValueError(
                "Invalid ``op``. Expected ``op`` to be of type "
                "``torch.distributed.isend`` or ``torch.distributed.irecv``."
            )
        self.op, self.tensor, self.group, self.tag = op, tensor, group, tag
        self.peer, self.group_peer = peer, group_peer


def batch_isend_irecv(p2p_op_list):
    """Starts several sends and receives; a Work for each."""
    return [
        each.op(each.tensor, each.peer, each.group, each.tag, each.group_peer)
        for each in p2p_op_list
    ]


# -- objects ---------------------------------------------------------------------------------------


def all_gather_object(object_list, obj, group=None):
    """Fills a list with the objects of all processes, which are pickled on the way.

    >>> import flambeau.distributed as dist
    >>> dist.init_process_group(rank=0, world_size=1, store=dist.HashStore())
    >>> found = [None]
    >>> dist.all_gather_object(found, {"loss": 0.5})
    >>> found
    [{'loss': 0.5}]
    >>> dist.destroy_process_group()
    """
    group = _member(group, "all_gather_object")
    if group is not None:
        object_list[:] = group.objects(obj, group._tags())


def gather_object(obj, object_gather_list=None, dst=None, group=None, group_dst=None):
    """Fills a list in the process `dst` with the objects of all processes."""
    group = _member(group, "gather_object")
    if group is None:
        return
    root = _root(group, dst, group_dst, "dst")
    if (group.rank() == root) != bool(object_gather_list):
        raise ValueError(
            "Argument ``object_gather_list`` must be specified on destination rank, and only there."
        )
    parts = group.collect(pickle.dumps(obj), root, group._tags())
    if parts is not None:
        object_gather_list[:] = map(pickle.loads, parts)


def broadcast_object_list(object_list, src=None, group=None, device=None, group_src=None):
    """Gives everybody the objects in the list of the process `src`."""
    group = _member(group, "broadcast_object_list")
    if group is None:
        return
    root = _root(group, src, group_src, "src")
    data = pickle.dumps(list(object_list)) if group.rank() == root else None
    data = group.spread(data, root, group._tags())
    if group.rank() != root:
        object_list[:] = pickle.loads(data)


def scatter_object_list(
    scatter_object_output_list, scatter_object_input_list=None, src=None, group=None,
    group_src=None,
):  # fmt: skip
    """Puts each process's object of a list in the process `src` into its own list's first place."""
    group = _member(group, "scatter_object_list")
    if group is None:
        return
    if not isinstance(scatter_object_output_list, list) or not scatter_object_output_list:
        raise ValueError(
            "Expected argument scatter_object_output_list to be a list of size at least 1."
        )
    root = _root(group, src, group_src, "src")
    tag = group._tags()
    if group.rank() == root:
        for peer in group._others():
            group._send(peer, tag, pickle.dumps(scatter_object_input_list[peer]))
        scatter_object_output_list[0] = scatter_object_input_list[root]
    else:
        scatter_object_output_list[0] = pickle.loads(group._receive(root, tag))


_OBJECTS = 1 << 62  # above the tags of tensors


def send_object_list(
    object_list, dst=None, group=None, device=None, group_dst=None, use_batch=False
):
    """Sends the objects of a list to a process."""
    group = _member(group, "send_object_list")
    if group is not None:
        peer = _peer(group, dst, group_dst, "dst")
        group._send(peer, _OBJECTS, pickle.dumps(list(object_list)))


def recv_object_list(
    object_list, src=None, group=None, device=None, group_src=None, use_batch=False
):
    """Fills a list with objects from a process, or from any; the rank they came from."""
    group = _member(group, "recv_object_list")
    if group is None:
        return -1
    peers = _sources(group, src, group_src)
    seconds = seconds_of(group.timeout)
    peer, data = group._mesh.receive(peers, group._channel, _OBJECTS, seconds)
    object_list[:] = pickle.loads(data)
    return peer
