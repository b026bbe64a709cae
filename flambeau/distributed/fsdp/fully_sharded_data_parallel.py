"""FullyShardedDataParallel: fully_shard() as a wrapper."""

import contextlib
from collections import OrderedDict

import flambeau
from flambeau.nn import Module

from .. import distributed_c10d as c10d
from ..utils import _sync_module_states
from ._fully_shard import (
    MixedPrecisionPolicy,
    _group_of,
    clip_norm,
    fully_shard,
)
from ._shards import units, whole
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
    StateDictSettings,
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
    "StateDictSettings",
    "StateDictType",
]

_CONFIGS = {
    StateDictType.FULL_STATE_DICT: (FullStateDictConfig, FullOptimStateDictConfig),
    StateDictType.LOCAL_STATE_DICT: (LocalStateDictConfig, LocalOptimStateDictConfig),
    StateDictType.SHARDED_STATE_DICT: (ShardedStateDictConfig, ShardedOptimStateDictConfig),
}


def _take_plain_names(module, state_dict, prefix, *rest):
    inner = f"{prefix}_fsdp_wrapped_module."
    for name in [n for n in state_dict if n.startswith(prefix) and not n.startswith(inner)]:
        state_dict[inner + name.removeprefix(prefix)] = state_dict.pop(name)


class FullyShardedDataParallel(Module):
    """Trains a module whose parameters are spread over the processes.

    `auto_wrap_policy` picks the modules inside that are gathered by themselves;
    `sync_module_states` gives all processes the first one's values before they are cut. Parameters,
    gradients and optimizer states are spread whatever the `sharding_strategy`. `state_dict()` has
    the whole parameters under the module's own names, or as `state_dict_type()` says; whole
    parameters and parts are loaded. All happens on the CPU, one gathering after
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
        self._settings = StateDictSettings(
            StateDictType.FULL_STATE_DICT, FullStateDictConfig(), FullOptimStateDictConfig()
        )
        self.register_load_state_dict_pre_hook(_take_plain_names)

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

    def state_dict(self, *, destination=None, prefix="", keep_vars=False):
        destination = OrderedDict() if destination is None else destination
        state, settings = self.module.state_dict(keep_vars=True), self._settings
        if settings.state_dict_type is StateDictType.FULL_STATE_DICT:
            state = {name: whole(value) for name, value in state.items()}
            if settings.state_dict_config.rank0_only and self._rank():
                return destination
        for name, value in state.items():
            kept = keep_vars or not isinstance(value, flambeau.Tensor)
            destination[prefix + name] = value if kept else value.detach()
        return destination

    def load_state_dict(self, state_dict, strict=True, assign=False):
        if assign:
            raise ValueError("load_state_dict(): parameters in parts cannot be assigned")
        return super().load_state_dict(state_dict, strict)

    def _rank(self):
        return self.module._fsdp_unit.group.rank()

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
        """Within it the parameters of all modules are whole, `with_grads` their gradients, too.

        Not `recurse`: those of the outermost unit alone; `rank0_only`: in the group's first process
        alone. Changes are kept if `writeback`, which then is all processes' to make.
        """
        if rank0_only and writeback:
            raise NotImplementedError("summon_full_params(): rank0_only with writeback")
        summoned, held = units(module)[: None if recurse else 1], []
        for unit in summoned:
            for part, where in unit.params:
                value = flambeau.nn.Parameter(part.full_tensor(), part.requires_grad)
                if with_grads and part.grad is not None:
                    value.grad = part.whole_of(part.grad)
                held.append((part, value))
                for inner, name in where if not (rank0_only and unit.group.rank()) else ():
                    inner._parameters[name] = value
        try:
            yield
        finally:
            for unit in summoned:
                unit.restore()
            for part, value in held if writeback else ():
                part.take_whole(value)
                if with_grads and value.grad is not None:
                    part.grad = part.part_of(value.grad)

    @staticmethod
    def set_state_dict_type(
        module, state_dict_type, state_dict_config=None, optim_state_dict_config=None
    ):
        """What state_dict() and optim_state_dict() give from now on: whole tensors or parts (the
        other two types). Returns the settings until now."""
        model, optim = _CONFIGS[state_dict_type]
        made = StateDictSettings(
            state_dict_type, state_dict_config or model(), optim_state_dict_config or optim()
        )
        for given, wanted in (
            (made.state_dict_config, model),
            (made.optim_state_dict_config, optim),
        ):
            if type(given) is not wanted:
                raise RuntimeError(
                    f"Expected state_dict_config of type {wanted} but got {type(given)}"
                )
        wrappers = FullyShardedDataParallel.fsdp_modules(module)
        before = FullyShardedDataParallel.get_state_dict_type(module)
        for wrapper in wrappers:
            wrapper._settings = made
        return before

    @staticmethod
    def get_state_dict_type(module):
        """The settings that set_state_dict_type() made."""
        wrappers = FullyShardedDataParallel.fsdp_modules(module, root_only=True)
        if not wrappers:
            raise AssertionError("state_dict_type(): a model without FullyShardedDataParallel")
        return wrappers[0]._settings

    @staticmethod
    @contextlib.contextmanager
    def state_dict_type(
        module, state_dict_type, state_dict_config=None, optim_state_dict_config=None
    ):
        """set_state_dict_type() within a block."""
        before = FullyShardedDataParallel.set_state_dict_type(
            module, state_dict_type, state_dict_config, optim_state_dict_config
        )
        try:
            yield
        finally:
            FullyShardedDataParallel.set_state_dict_type(
                module,
                before.state_dict_type,
                before.state_dict_config,
                before.optim_state_dict_config,
            )

    @staticmethod
    def optim_state_dict(model, optim, optim_state_dict=None, group=None):
        """The state of an optimizer under the parameters' names, whole or in parts as
        set_state_dict_type() says; `optim_state_dict` stands in for optim.state_dict()."""
        from ..checkpoint.state_dict import StateDictOptions, named_state

        settings = FullyShardedDataParallel.get_state_dict_type(model)
        full = settings.state_dict_type is StateDictType.FULL_STATE_DICT
        given = optim.state_dict() if optim_state_dict is None else optim_state_dict
        made = named_state(model, optim, given, StateDictOptions(full_state_dict=full))
        left_out = full and settings.optim_state_dict_config.rank0_only
        return {} if left_out and c10d.get_rank(group) else made

    @staticmethod
    def optim_state_dict_to_load(
        model, optim, optim_state_dict, is_named_optimizer=False, load_directly=False, group=None
    ):
        """What optim.load_state_dict() takes of what optim_state_dict() gave; `load_directly` loads
        it. The state is in every process, whatever the `group`."""
        from ..checkpoint.state_dict import numbered_state

        if is_named_optimizer:
            raise ValueError("optim_state_dict_to_load(): optimizers number their parameters here")
        made = numbered_state(model, optim, optim_state_dict)
        if load_directly:
            optim.load_state_dict(made)
        return made

    @staticmethod
    def fsdp_modules(module, root_only=False):
        found = [m for m in module.modules() if isinstance(m, FullyShardedDataParallel)]
        return found[:1] if root_only else found
