"""cuDNN: not part of this build. The flags are there because programs set them without asking."""

import contextlib

enabled = True
benchmark = False
benchmark_limit = None
deterministic = False
allow_tf32 = True
fp32_precision = "none"


def is_available():
    """Whether cuDNN can be used: not in this build."""
    return False


def is_acceptable(tensor):
    """Whether cuDNN can compute with a tensor: there is none."""
    return False


def version():
    """Its version: None, as there is none."""
    return None


def set_flags(
    _enabled=None,
    _benchmark=None,
    _benchmark_limit=None,
    _deterministic=None,
    _allow_tf32=None,
    _fp32_precision="none",
    _depthwise_kernel=None,
):
    """Sets those that are given; returns what the first, second, fourth and fifth were.

    The limit, precision and kernel belong to cuDNN alone, which is not here.
    """
    names = ("enabled", "benchmark", "deterministic", "allow_tf32")
    before = tuple(globals()[name] for name in names)
    for name, value in zip(names, (_enabled, _benchmark, _deterministic, _allow_tf32)):
        if value is not None:
            globals()[name] = value
    return before


@contextlib.contextmanager
def flags(
    enabled=False,
    benchmark=False,
    benchmark_limit=10,
    deterministic=False,
    allow_tf32=True,
    fp32_precision="none",
    depthwise_kernel="auto",
):
    """Within it the flags are as given."""
    before = set_flags(enabled, benchmark, benchmark_limit, deterministic, allow_tf32)
    try:
        yield
    finally:
        set_flags(*before[:2], None, *before[2:])
