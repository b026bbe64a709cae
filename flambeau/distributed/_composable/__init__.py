"""Functions that change a module for several processes."""

from ..fsdp import fully_shard

__all__ = ["fully_shard"]
