"""Training with parameters that are spread over processes."""

from ._fully_shard import (
    CPUOffloadPolicy,
    FSDPModule,
    MixedPrecisionPolicy,
    OffloadPolicy,
    fully_shard,
)
from .fully_sharded_data_parallel import *
from .fully_sharded_data_parallel import FullyShardedDataParallel, __all__

__all__ = [
    *__all__,
    "CPUOffloadPolicy",
    "FSDPModule",
    "MixedPrecisionPolicy",
    "OffloadPolicy",
    "fully_shard",
]
