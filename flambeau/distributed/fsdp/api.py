"""Options of FullyShardedDataParallel."""

import dataclasses
import enum


class ShardingStrategy(enum.Enum):
    """What PyTorch would cut over the processes; here it is always all."""

    FULL_SHARD = enum.auto()
    SHARD_GRAD_OP = enum.auto()
    NO_SHARD = enum.auto()
    HYBRID_SHARD = enum.auto()
    _HYBRID_SHARD_ZERO2 = enum.auto()


class BackwardPrefetch(enum.Enum):
    """When PyTorch would gather the next parameters in backward."""

    BACKWARD_PRE = enum.auto()
    BACKWARD_POST = enum.auto()


class StateDictType(enum.Enum):
    """Whole parameters in a state, or parts."""

    FULL_STATE_DICT = enum.auto()
    LOCAL_STATE_DICT = enum.auto()
    SHARDED_STATE_DICT = enum.auto()


class OptimStateKeyType(enum.Enum):
    """What names parameters in an optimizer's state."""

    PARAM_NAME = enum.auto()
    PARAM_ID = enum.auto()


@dataclasses.dataclass(frozen=True)
class MixedPrecision:
    """The dtypes of parameters in the forward, of the sum of gradients, and of buffers."""

    param_dtype: object = None
    reduce_dtype: object = None
    buffer_dtype: object = None
    keep_low_precision_grads: bool = False
    cast_forward_inputs: bool = False
    cast_root_forward_inputs: bool = True
    _module_classes_to_ignore: tuple = ()


@dataclasses.dataclass
class CPUOffload:
    """Whether parameters wait in the memory of the CPU, where they are anyway."""

    offload_params: bool = False


@dataclasses.dataclass
class StateDictConfig:
    """How states of a module are made."""

    offload_to_cpu: bool = False


@dataclasses.dataclass
class FullStateDictConfig(StateDictConfig):
    """How states with whole parameters are made."""

    rank0_only: bool = False


@dataclasses.dataclass
class LocalStateDictConfig(StateDictConfig):
    """How states with a process's own parts are made."""


@dataclasses.dataclass
class ShardedStateDictConfig(StateDictConfig):
    """How states with parts are made."""

    _use_dtensor: bool = False


@dataclasses.dataclass
class OptimStateDictConfig:
    """How states of an optimizer are made."""

    offload_to_cpu: bool = True


@dataclasses.dataclass
class FullOptimStateDictConfig(OptimStateDictConfig):
    """How an optimizer's states with whole tensors are made."""

    rank0_only: bool = False


@dataclasses.dataclass
class LocalOptimStateDictConfig(OptimStateDictConfig):
    """How an optimizer's states with a process's own parts are made."""

    offload_to_cpu: bool = False


@dataclasses.dataclass
class ShardedOptimStateDictConfig(OptimStateDictConfig):
    """How an optimizer's states with parts are made."""

    _use_dtensor: bool = False


@dataclasses.dataclass
class StateDictSettings:
    """How state dicts are made: their kind and the options for modules and optimizers."""

    state_dict_type: StateDictType
    state_dict_config: StateDictConfig
    optim_state_dict_config: OptimStateDictConfig
