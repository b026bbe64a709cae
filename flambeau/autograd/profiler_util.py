"""What the profiler gathers, where libraries look for it."""

# ruff: noqa: F401
from ..profiler._table import EventList, FunctionEvent, FunctionEventAvg
from ..profiler._table import _bytes as _format_memory
from ..profiler._table import _time as _format_time
