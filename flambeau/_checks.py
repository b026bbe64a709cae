"""Conditions that must hold: torch._check and its relatives, which libraries call."""

import flambeau
from flambeau import _C


def _raise(error_type, message):
    if message is not None and not callable(message):
        raise TypeError("message must be a callable")
    text = "Expected cond to be True, but got False." if message is None else str(message())
    raise error_type(text)


def _check_with(error_type, cond, message=None):
    """Raises `error_type` with the text that `message()` gives, unless the bool `cond` holds.

    >>> import flambeau as torch
    >>> torch._check_with(ValueError, 1 < 2, lambda: "never said")
    """
    if not isinstance(cond, bool):
        hint = ". _check_tensor_all() takes tensors" if isinstance(cond, flambeau.Tensor) else ""
        raise TypeError(f"cond must be a bool, but got {type(cond).__name__}{hint}")
    if not cond:
        _raise(error_type, message)


def _check(cond, message=None):
    """RuntimeError unless `cond` holds."""
    _check_with(RuntimeError, cond, message)


def _check_index(cond, message=None):
    """IndexError unless `cond` holds."""
    _check_with(IndexError, cond, message)


def _check_value(cond, message=None):
    """ValueError unless `cond` holds."""
    _check_with(ValueError, cond, message)


def _check_type(cond, message=None):
    """TypeError unless `cond` holds."""
    _check_with(TypeError, cond, message)


def _check_not_implemented(cond, message=None):
    """NotImplementedError unless `cond` holds."""
    _check_with(NotImplementedError, cond, message)


def _check_is_size(i, message=None, *, max=None):
    """RuntimeError unless i >= 0, and i <= max where that is given."""
    _check(i >= 0, message)
    if max is not None:
        _check(i <= max, message)


def _check_tensor_all_with(error_type, cond, message=None):
    """Raises `error_type` unless all elements of the bool tensor `cond` are true."""
    if not isinstance(cond, flambeau.Tensor):
        raise TypeError(f"cond must be a tensor, but got {type(cond).__name__}")
    if cond.dtype != flambeau.bool:
        raise TypeError(f"cond tensor must have dtype torch.bool, but got {cond.dtype}")
    if not cond.all().item():
        _raise(error_type, message)


def _check_tensor_all(cond, message=None):
    """RuntimeError unless all elements of the bool tensor `cond` are true."""
    _check_tensor_all_with(RuntimeError, cond, message)


def _assert(condition, message):
    """AssertionError unless the condition holds.

    >>> import flambeau as torch
    >>> torch._assert(True, "never said")
    """
    if not isinstance(condition, (bool, flambeau.Tensor)) and _C._has_torch_function(condition):
        from .overrides import handle_torch_function

        return handle_torch_function(_assert, (condition,), condition, message)
    assert condition, message


def _assert_async(condition, message="Expected Tensor with single nonzero value, but got zero"):
    """RuntimeError if the one number of a tensor is zero."""
    if not bool(condition):
        raise RuntimeError(message)
