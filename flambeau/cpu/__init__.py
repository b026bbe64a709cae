"""The CPU as a device: what programs that run on any device ask of it."""

from contextlib import contextmanager

__all__ = """Event Stream StreamContext current_device current_stream device_count
get_capabilities is_available is_initialized set_device stream synchronize""".split()


def is_available():
    """Whether there is a CPU: yes."""
    return True


def is_initialized():
    """Whether the device is ready: always."""
    return True


def device_count():
    """How many there are: one."""
    return 1


def current_device():
    """The device in use."""
    return "cpu"


def set_device(device):
    """Chooses the device: there is one."""


def synchronize(device=None):
    """Waits for what was started: every operator has finished when it returns."""


class Stream:
    """An order of work. The CPU has one."""

    def __init__(self, priority=-1):
        pass

    def wait_stream(self, stream):
        pass

    def record_event(self):
        return Event()

    def wait_event(self, event):
        pass


class Event:
    """A moment in a stream, passed once recorded."""

    def query(self):
        return True

    def record(self, stream=None):
        pass

    def synchronize(self):
        pass

    def wait(self, stream=None):
        pass


_stream = Stream()


def current_stream(device=None):
    """The one stream."""
    return _stream


@contextmanager
def StreamContext(stream):
    """Work within goes to the stream: to the one there is."""
    yield


stream = StreamContext


def get_capabilities():
    """The processor's architecture and the kernel level in use.

    >>> import flambeau as torch
    >>> sorted(torch.cpu.get_capabilities())
    ['architecture', 'level']
    """
    import platform

    from flambeau import _C

    return {"architecture": platform.machine(), "level": _C._isa_level()}


def __getattr__(name):
    if name == "amp":
        from importlib import import_module

        return import_module(f"{__name__}.amp")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
