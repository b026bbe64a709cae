"""The profiler under autograd's older name."""

# ruff: noqa: F401
from flambeau.profiler import profile as _profile
from flambeau.profiler import record_function
from flambeau.profiler._table import EventList, FunctionEvent, FunctionEventAvg

__all__ = """EventList FunctionEvent FunctionEventAvg emit_itt emit_nvtx profile
record_function""".split()


class profile(_profile):
    """`flambeau.profiler.profile` with the older arguments; enabled=False records nothing."""

    def __init__(self, enabled=True, *, use_cpu=True, use_kineto=True, **options):
        options.pop("use_device", None)
        super().__init__(**options)
        self.enabled = enabled

    def __enter__(self):
        return super().__enter__() if self.enabled else self

    @property
    def function_events(self):
        return self.events()

    def table(self, **options):
        """The events as text; arguments as of EventList.table()."""
        return self.events().table(**options)

    def total_average(self):
        return self.events().total_average()

    @property
    def self_cpu_time_total(self):
        return self.events().self_cpu_time_total


class emit_nvtx:
    """Marks for NVIDIA's profilers: an error, as there is no GPU."""

    def __init__(self, enabled=True, record_shapes=False):
        self.enabled = enabled

    def __enter__(self):
        if self.enabled:
            raise RuntimeError("NVTX functions not installed. Are you sure you have a CUDA build?")
        return self

    def __exit__(self, *exc):
        return False


emit_itt = emit_nvtx
