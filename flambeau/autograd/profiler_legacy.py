"""The profiler under its oldest name."""

from .profiler import profile  # noqa: F401
