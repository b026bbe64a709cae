"""A module trained by several processes, each on its part of a batch."""

import contextlib

import flambeau
import flambeau.distributed as dist
from flambeau.distributed.algorithms.join import Join, Joinable, JoinHook
from flambeau.nn import Module

__all__ = ["DistributedDataParallel"]


class DistributedDataParallel(Module, Joinable):
    """Averages the gradients of a module over all processes of a group, while backward runs.

    At the start every process gets the parameters and buffers of rank 0. Gradients travel in
    buckets of `bucket_cap_mb`, last parameters first. With `find_unused_parameters` each forward
    looks which parameters its result depends on, and the others count as zero; parameters that no
    process used keep their gradient. Buffers are those of rank 0 at each forward, unless
    `broadcast_buffers` is False. State keys carry the prefix `module.`. `output_device` and `dim`
    are of GPUs, and `check_reduction` is PyTorch's of old: none changes anything.

    >>> import flambeau as torch
    >>> import flambeau.distributed as dist
    >>> dist.init_process_group("gloo", rank=0, world_size=1, store=dist.HashStore())
    >>> model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(2, 1))
    >>> model(torch.ones(3, 2)).sum().backward()
    >>> model.module.weight.grad
    tensor([[3., 3.]])
    >>> dist.destroy_process_group()
    """

    def __init__(
        self,
        module,
        device_ids=None,
        output_device=None,
        dim=0,
        broadcast_buffers=True,
        init_sync=True,
        process_group=None,
        bucket_cap_mb=None,
        find_unused_parameters=False,
        check_reduction=False,
        gradient_as_bucket_view=False,
        static_graph=False,
        device_mesh=None,
    ):
        super().__init__()
        if device_mesh is not None:
            if process_group is not None:
                raise RuntimeError("Cannot specify both process_group and device_mesh arguments.")
            process_group = device_mesh.get_group()
        self.process_group = dist._get_default_group() if process_group is None else process_group
        if device_ids and any(flambeau.device(device).type != "cpu" for device in device_ids):
            raise ValueError("DistributedDataParallel: this build has no devices but the CPU")
        ignored = getattr(module, "_ddp_params_and_buffers_to_ignore", ())
        self._named = {n: p for n, p in module.named_parameters() if n not in ignored}
        params = [p for p in self._named.values() if p.requires_grad]
        if not params:
            raise RuntimeError(
                "DistributedDataParallel is not needed when a module doesn't have any parameter "
                "that requires a gradient."
            )
        if any(isinstance(p, flambeau.nn.parameter.UninitializedParameter) for p in params):
            raise RuntimeError(
                "Modules with uninitialized parameters can't be used with "
                "`DistributedDataParallel`. Run a dummy forward pass to correctly initialize the "
                "modules"
            )
        self.module = module
        self.dim = dim
        self.device_ids = None
        self.output_device = None
        self.device = params[0].device
        self.broadcast_buffers = broadcast_buffers is not False
        self.find_unused_parameters = find_unused_parameters
        self.gradient_as_bucket_view = gradient_as_bucket_view
        self.static_graph = static_graph
        self.require_backward_grad_sync = True
        self.require_forward_param_sync = True
        self._ignored = set(ignored)
        if init_sync:
            self._verify(params)
            self._from_first([*self._named.values(), *self._buffers_here()])
        first = 1024 * 1024 if bucket_cap_mb is None else int(bucket_cap_mb * 1024 * 1024)
        nbytes = int((25 if bucket_cap_mb is None else bucket_cap_mb) * 1024 * 1024)
        self.reducer = dist._reducer.Reducer(
            params,
            self.process_group,
            nbytes,
            min(first, nbytes),
            find_unused_parameters or static_graph,
            gradient_as_bucket_view,
        )

    def _buffers_here(self):
        return [b for n, b in self.module.named_buffers() if n not in self._ignored]

    def _verify(self, params):
        """RuntimeError where the modules of two processes differ in their parameters."""
        shapes = [tuple(p.shape) for p in params]
        everywhere = [None] * self.process_group.size()
        dist.all_gather_object(everywhere, shapes, self.process_group)
        for rank, other in enumerate(everywhere):
            if other != shapes:
                raise RuntimeError(
                    f"DDP expects same model across all ranks, but Rank {dist.get_rank()} has "
                    f"{len(shapes)} params, while rank {rank} has inconsistent {len(other)} params."
                    if len(other) != len(shapes)
                    else f"DDP: the shapes of parameters differ from those of rank {rank}"
                )

    def _from_first(self, tensors, source=0):
        """Gives every process the values that rank 0 (or another) has."""
        if self.process_group.size() == 1:
            return
        kinds = {}
        for tensor in tensors:
            kinds.setdefault((tensor.dtype, tensor.device), []).append(tensor.detach())
        for same in kinds.values():
            flat = flambeau.cat([tensor.reshape(-1) for tensor in same])
            dist.broadcast(flat, group=self.process_group, group_src=source)
            if self.process_group.rank() != source:
                for tensor, part in zip(same, flat.split([tensor.numel() for tensor in same])):
                    tensor.copy_(part.view(tensor.shape))

    def forward(self, *inputs, **kwargs):
        recording = flambeau.is_grad_enabled() and self.require_backward_grad_sync
        if recording and Join._open:
            Join.notify_join_context(self)
        if self.broadcast_buffers and self.require_forward_param_sync:
            buffers = self._buffers_here()
            if buffers:
                self._from_first(buffers)
        output = self.module(*inputs, **kwargs)
        self.reducer.enabled = recording
        if recording:
            self.reducer.prepare(output)
            self.require_forward_param_sync = True
        else:
            self.require_forward_param_sync = False
        return output

    @contextlib.contextmanager
    def no_sync(self):
        """Within it gradients add up here and do not travel; the next backward outside sends all.

        >>> with model.no_sync():  # doctest: +SKIP
        ...     loss_fn(model(first)).backward()
        >>> loss_fn(model(second)).backward()  # doctest: +SKIP
        """
        before = self.require_backward_grad_sync
        self.require_backward_grad_sync = False
        try:
            yield
        finally:
            self.require_backward_grad_sync = before

    def register_comm_hook(self, state, hook):
        """hook(state, bucket) instead of averaging: gives a Future of the bucket's new content."""
        if not callable(hook):
            raise TypeError("Communication hook must be callable.")
        if self.reducer.hook is not None:
            raise RuntimeError("register_comm_hook can only be called once.")
        self.reducer.hook = state, hook

    def join(
        self, divide_by_initial_world_size=True, enable=True, throw_on_early_termination=False
    ):
        """A context around a training loop in which processes may have fewer batches than others.

        The mean is over all processes at each step, also over those that are done.
        """
        if not divide_by_initial_world_size:
            raise ValueError("join(): only divide_by_initial_world_size=True")
        return Join([self], enable, throw_on_early_termination)

    def join_hook(self, **kwargs):
        return _Done(self)

    @property
    def join_process_group(self):
        return self.process_group

    def _set_static_graph(self):
        self.static_graph = True

    @staticmethod
    def _set_params_and_buffers_to_ignore_for_model(module, params_and_buffers_to_ignore):
        module._ddp_params_and_buffers_to_ignore = params_and_buffers_to_ignore


class _Done(JoinHook):
    """Stands in for the forward and backward of a process without batches: zeros."""

    def __init__(self, ddp):
        self._ddp = ddp

    def main_hook(self):
        ddp = self._ddp
        buffers = ddp._buffers_here()
        if ddp.broadcast_buffers and buffers:
            ddp._from_first(buffers)
        ddp.reducer.contribute_zeros()

    def post_hook(self, is_last_joiner):
        """Gives everybody the state of the first process that had batches to the end."""
        ddp = self._ddp
        rank = ddp.process_group.rank()
        first = flambeau.tensor([rank if is_last_joiner else ddp.process_group.size()])
        dist.all_reduce(first, dist.ReduceOp.MIN, ddp.process_group)
        ddp._from_first([*ddp._named.values(), *ddp._buffers_here()], int(first))


def _find_tensors(obj):
    """The tensors in nested lists, tuples, dictionaries and dataclasses."""
    import dataclasses

    if isinstance(obj, flambeau.Tensor):
        return [obj]
    if dataclasses.is_dataclass(obj):
        obj = vars(obj)
    if isinstance(obj, dict):
        obj = obj.values()
    elif not isinstance(obj, (list, tuple)):
        return []
    return [tensor for item in obj for tensor in _find_tensors(item)]
