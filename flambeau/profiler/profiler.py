"""The profiler where PyTorch keeps it."""

from . import (  # noqa: F401
    ExecutionTraceObserver,
    ProfilerAction,
    profile,
    schedule,
    supported_activities,
    tensorboard_trace_handler,
)

_KinetoProfile = profile


def _default_schedule_fn(step):
    """Every step is recorded."""
    return ProfilerAction.RECORD
