"""Anomaly mode: a failing or nan-making backward tells where its forward was."""

from .. import _C

__all__ = ["detect_anomaly", "set_detect_anomaly"]


class set_detect_anomaly:
    """Turns anomaly mode on or off; as a context manager, for the block.

    Args:
        mode: on or off.
        check_nan: whether a nan in a gradient is an error.

    >>> import flambeau as torch
    >>> with torch.autograd.set_detect_anomaly(True):
    ...     torch.is_anomaly_enabled()
    True
    """

    def __init__(self, mode, check_nan=True):
        self.before = _C._exchange_anomaly(mode), _C._exchange_anomaly_check_nan(check_nan)

    def __enter__(self):
        pass

    def __exit__(self, *exc):
        _C._exchange_anomaly(self.before[0])
        _C._exchange_anomaly_check_nan(self.before[1])


class detect_anomaly:
    """A block in anomaly mode: it costs time, so it is for debugging only.

    >>> import flambeau as torch
    >>> with torch.autograd.detect_anomaly():
    ...     x = torch.ones(1, requires_grad=True) * 2
    >>> "traceback_" in x.grad_fn.metadata
    True
    """

    def __init__(self, check_nan=True):
        from warnings import warn

        self.check_nan = check_nan
        warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should "
            "only be enabled for debugging.",
            stacklevel=2,
        )

    def __enter__(self):
        self.inner = set_detect_anomaly(True, self.check_nan)

    def __exit__(self, *exc):
        self.inner.__exit__(*exc)
