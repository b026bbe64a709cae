"""Names for annotations: what counts as a number, a device, a size."""

import builtins
from collections.abc import Sequence
from typing import Any, TypeAlias

from flambeau import (  # noqa: F401
    Generator,
    Size,
    Tensor,
    UntypedStorage,
    device,
    dtype,
    layout,
    memory_format,
)

from .storage import TypedStorage

__all__ = ["Device", "FileLike", "IntLikeType", "Number", "Storage"]

_int = builtins.int
_float = builtins.float
_bool = builtins.bool
_complex = builtins.complex
_dtype = dtype
_device = device
_layout = layout
_size: TypeAlias = Size | list[int] | tuple[int, ...]
_TensorOrTensors: TypeAlias = Tensor | Sequence[Tensor]

Number: TypeAlias = int | float | bool
Device: TypeAlias = device | str | int | None
Storage: TypeAlias = UntypedStorage | TypedStorage
IntLikeType: TypeAlias = int
FileLike: TypeAlias = Any
