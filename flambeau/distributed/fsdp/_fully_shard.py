"""fully_shard(): a module whose parameters, gradients and optimizer states are spread."""

import dataclasses

import flambeau

from .. import distributed_c10d as c10d
from ._shards import Unit, units


@dataclasses.dataclass(frozen=True)
class MixedPrecisionPolicy:
    """The dtypes of parameters in the forward, of the sum of gradients, and of outputs."""

    param_dtype: object = None
    reduce_dtype: object = None
    output_dtype: object = None
    cast_forward_inputs: bool = True


@dataclasses.dataclass
class OffloadPolicy:
    """Parts stay on their device."""


@dataclasses.dataclass
class CPUOffloadPolicy(OffloadPolicy):
    """Parts lie in the CPU's memory, where they are anyway."""

    pin_memory: bool = True


class FSDPModule:
    """What fully_shard() makes of a module, besides its own class."""

    def unshard(self, async_op=False):
        """Makes the parameters whole until reshard() or the end of the next forward."""
        with flambeau.no_grad():
            for where, value in self._fsdp_unit.whole():
                for inner, name in where:
                    inner._parameters[name] = value

    def reshard(self):
        self._fsdp_unit.restore()

    def set_requires_gradient_sync(self, requires_gradient_sync, *, recurse=True):
        """Takes both: gradients are averaged at each backward, which adds up to the same."""


def _group_of(mesh):
    if mesh is None:
        return c10d._get_default_group()
    return mesh.get_group(0) if hasattr(mesh, "get_group") else mesh


_EXACT = MixedPrecisionPolicy()


def fully_shard(
    module,
    *,
    mesh=None,
    reshard_after_forward=None,
    shard_placement_fn=None,
    mp_policy=_EXACT,
    offload_policy=None,
    ignored_params=None,
):
    """Cuts the parameters of a module over the processes, in place; the innermost modules first.

    Before its forward the parameters are gathered, after it the parts are put back; the mean of
    the gradients goes to the parts. Gives the module, which is an FSDPModule then.

    >>> import flambeau as torch, flambeau.distributed as dist
    >>> from flambeau.distributed.fsdp import fully_shard
    >>> dist.init_process_group(rank=0, world_size=1, store=dist.HashStore())
    >>> model = fully_shard(torch.nn.Linear(2, 3))
    >>> model(torch.ones(1, 2)).shape, model.weight.shape
    (torch.Size([1, 3]), torch.Size([6]))
    >>> dist.destroy_process_group()
    """
    if shard_placement_fn is not None:
        raise ValueError("fully_shard(): parameters are cut flat, shard_placement_fn has no say")
    for each in module if isinstance(module, (list, tuple)) else [module]:
        each._fsdp_unit = Unit(each, _group_of(mesh), mp_policy, set(ignored_params or ()))
        cls = type(each)
        each.__class__ = type(f"FSDP{cls.__name__}", (FSDPModule, cls), {})
    return module


def clip_norm(module, max_norm, norm_type=2.0):
    """clip_grad_norm_() of gradients that lie in parts."""
    grads = [p.grad for p in module.parameters() if p.grad is not None]
    group = units(module)[0].group
    norms = flambeau.stack([flambeau.linalg.vector_norm(grad, norm_type) for grad in grads])
    total = flambeau.linalg.vector_norm(norms, norm_type).detach()
    if norm_type == float("inf"):
        c10d.all_reduce(total, c10d.ReduceOp.MAX, group)
    else:
        total = total**norm_type
        c10d.all_reduce(total, group=group)
        total = total ** (1 / norm_type)
    scale = (max_norm / (total + 1e-6)).clamp(max=1.0)
    for grad in grads:
        grad.mul_(scale)
    return total
