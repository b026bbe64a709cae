"""Names that PyTorch keeps private and that libraries reach for all the same."""

from . import _C


def _log_api_usage_once(event):
    """Notes for PyTorch's authors which part of it a program used; nobody is told here."""


def _get_accelerator(check=False):
    """The device of the accelerator: the CPU where there is none."""
    return _C.device("cpu")


_C._TensorMeta = type(_C.Tensor)  # metaclasses derive from it
_C._log_api_usage_once = _log_api_usage_once
_C._get_accelerator = _get_accelerator
