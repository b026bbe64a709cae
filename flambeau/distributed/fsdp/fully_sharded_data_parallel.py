"""FullyShardedDataParallel: fully_shard() as a wrapper."""

import contextlib

import flambeau
from flambeau.nn import Module

from ..utils import _sync_module_states
from ._fully_shard import (
    MixedPrecisionPolicy,
    _group_of,
    clip_norm,
    full_state_dict,
    fully_shard,
    load_full_state_dict,
)
from ._shards import units
from .api import (
    BackwardPrefetch,
    CPUOffload,
    FullOptimStateDictConfig,
    FullStateDictConfig,
    LocalOptimStateDictConfig,
    LocalStateDictConfig,
    MixedPrecision,
    OptimStateDictConfig,
    OptimStateKeyType,
    ShardedOptimStateDictConfig,
    ShardedStateDictConfig,
    ShardingStrategy,
    StateDictConfig,
    StateDictType,
)
from .wrap import chosen

__all__ = [
    "BackwardPrefetch",
    "CPUOffload",
    "FullOptimStateDictConfig",
    "FullStateDictConfig",
    "FullyShardedDataParallel",
    "LocalOptimStateDictConfig",
    "LocalStateDictConfig",
    "MixedPrecision",
    "OptimStateDictConfig",
    "OptimStateKeyType",
    "ShardedOptimStateDictConfig",
    "ShardedStateDictConfig",
    "ShardingStrategy",
    "StateDictConfig",
    "StateDictType",
]


class FullyShardedDataParallel(Module):
    """Trains a module whose parameters are spread over the processes.

    `auto_wrap_policy` picks the modules inside that are gathered by themselves;
    `sync_module_states` gives all processes the first one's values before they are cut. Parameters,
    gradients and optimizer states are spread whatever the `sharding_strategy`. `state_dict()` has
    the whole parameters under the module's own names. All happens on the CPU, one gathering after
    the other: `cpu_offload`, `backward_prefetch`, `forward_prefetch`, `limit_all_gathers`,
    `device_id` and `use_orig_params` change nothing.

    >>> import flambeau as torch, flambeau.distributed as dist
    >>> from flambeau.distributed.fsdp import FullyShardedDataParallel
    >>> dist.init_process_group(rank=0, world_size=1, store=dist.HashStore())
    >>> model = FullyShardedDataParallel(torch.nn.Linear(2, 3))
    >>> model.state_dict()["weight"].shape
    torch.Size([3, 2])
    >>> dist.destroy_process_group()
    """

    def __init__(
        self,
        module,
        process_group=None,
        sharding_strategy=None,
        cpu_offload=None,
        auto_wrap_policy=None,
        backward_prefetch=BackwardPrefetch.BACKWARD_PRE,
        mixed_precision=None,
        ignored_modules=None,
        param_init_fn=None,
        device_id=None,
        sync_module_states=False,
        forward_prefetch=False,
        limit_all_gathers=True,
        use_orig_params=False,
        ignored_states=None,
        device_mesh=None,
    ):
        super().__init__()
        if param_init_fn is not None:
            for inner in module.modules():
                if any(p.is_meta for p in inner.parameters(recurse=False)):
                    param_init_fn(inner)
        self.sharding_strategy = sharding_strategy or ShardingStrategy.FULL_SHARD
        self.mixed_precision = mixed_precision or MixedPrecision()
        ignored = {p for inner in ignored_modules or () for p in inner.parameters()}
        for state in ignored_states or ():
            ignored.update(state.parameters() if isinstance(state, Module) else [state])
        precision = self.mixed_precision
        options = {
            "mesh": device_mesh if process_group is None else process_group,
            "mp_policy": MixedPrecisionPolicy(
                precision.param_dtype,
                precision.reduce_dtype or precision.param_dtype,
                cast_forward_inputs=precision.cast_root_forward_inputs,
            ),
            "ignored_params": ignored,
        }
        if sync_module_states:
            group = _group_of(options["mesh"])
            _sync_module_states(module, group, 0, group.ranks[0])
        for inner in chosen(module, auto_wrap_policy):
            if not hasattr(inner, "_fsdp_unit"):
                fully_shard(inner, **options)
        self._fsdp_wrapped_module = fully_shard(module, **options)

    @property
    def module(self):
        return self._fsdp_wrapped_module

    def __getattr__(self, name):
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self._modules["_fsdp_wrapped_module"], name)

    def forward(self, *args, **kwargs):
        return self._fsdp_wrapped_module(*args, **kwargs)

    def named_parameters(self, prefix="", recurse=True, remove_duplicate=True):
        yield from self.module.named_parameters(prefix, recurse, remove_duplicate)

    def state_dict(self, *args, **kwargs):
        return full_state_dict(self.module)

    def load_state_dict(self, state_dict, strict=True, assign=False):
        return load_full_state_dict(self.module, state_dict, strict)

    def clip_grad_norm_(self, max_norm, norm_type=2.0):
        """Scales the gradients so that the norm of all of them is at most so much; the norm."""
        return clip_norm(self.module, max_norm, norm_type)

    @contextlib.contextmanager
    def no_sync(self):
        """Gradients are averaged at each backward, which adds up to the same."""
        yield

    @staticmethod
    @contextlib.contextmanager
    def summon_full_params(
        module, recurse=True, writeback=True, rank0_only=False, offload_to_cpu=False,
        with_grads=False,
    ):  # fmt: skip
        """Within it the parameters of all modules are whole, in every process; changes are kept if
        `writeback`. Gradients stay in parts."""
        whole = []
        with flambeau.no_grad():
            for unit in units(module):
                for (part, _), (where, value) in zip(unit.params, unit.whole()):
                    value = flambeau.nn.Parameter(value.clone())
                    whole.append((part, value))
                    for inner, name in where:
                        inner._parameters[name] = value
        try:
            yield
        finally:
            for unit in units(module):
                unit.restore()
            if writeback:
                for part, value in whole:
                    part.take_whole(value)

    @staticmethod
    @contextlib.contextmanager
    def state_dict_type(module, state_dict_type, state_dict_config=None, optim_config=None):
        """FULL_STATE_DICT, which is what state_dict() gives anyway."""
        if state_dict_type is not StateDictType.FULL_STATE_DICT:
            raise ValueError(f"state_dict_type(): {state_dict_type} is not supported")
        yield

    @staticmethod
    def fsdp_modules(module, root_only=False):
        found = [m for m in module.modules() if isinstance(m, FullyShardedDataParallel)]
        return found[:1] if root_only else found
