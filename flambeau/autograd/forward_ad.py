"""Forward-mode differentiation: dual numbers, whose tangents every operator passes on."""

from collections import namedtuple
from threading import local

from .. import _C, _levels

__all__ = [
    "UnpackedDualTensor",
    "dual_level",
    "enter_dual_level",
    "exit_dual_level",
    "make_dual",
    "unpack_dual",
]


class _State(local):
    level = 0  # of the open dual_level


_state = _State()


class UnpackedDualTensor(namedtuple("UnpackedDualTensor", ("primal", "tangent"))):
    """What unpack_dual gives: a view of the tensor, and its tangent or None."""


class _set_fwd_grad_enabled:
    """A block in which operators pass tangents on, or not, as `mode` says; also as a call."""

    def __init__(self, mode):
        self.before = _C._set_fwd_grad_enabled(mode)

    def __enter__(self):
        pass

    def __exit__(self, *exc):
        _C._set_fwd_grad_enabled(self.before)


_is_fwd_grad_enabled = _C._is_fwd_grad_enabled


def enter_dual_level():
    """Begins a level by hand; `dual_level` is the safer way."""
    if _state.level:
        raise RuntimeError(
            "Nested forward mode AD is not supported at the moment: use torch.func.jvp."
        )
    _state.level = _levels.new_level()  # what another level has left says nothing here
    _levels.duals.append(_state.level)
    _C._open_levels(1, 0)
    return 0


def exit_dual_level(*, level=None):
    """Ends the level that enter_dual_level() began: the tangents are gone with it."""
    if not _state.level:
        raise RuntimeError("Trying to exit a forward AD level but there is none that is open")
    if level not in (None, 0):
        raise RuntimeError(f"Trying to exit a forward AD level that was not the last one: {level}")
    _state.level = 0
    _levels.duals.pop()
    _C._open_levels(-1, 0)


class dual_level:
    """A block in which tensors may have tangents.

    >>> import flambeau as torch
    >>> import flambeau.autograd.forward_ad as fwAD
    >>> with fwAD.dual_level():
    ...     x = fwAD.make_dual(torch.tensor([1., 2.]), torch.tensor([1., 0.]))
    ...     fwAD.unpack_dual(x * x).tangent
    tensor([2., 0.])
    """

    def __enter__(self):
        return enter_dual_level()

    def __exit__(self, *exc):
        exit_dual_level()

    def __call__(self, function):
        from functools import wraps

        @wraps(function)
        def decorated(*args, **kwargs):
            with dual_level():
                return function(*args, **kwargs)

        return decorated


def __getattr__(name):
    if name == "_current_level":
        return 0 if _state.level else -1
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _check_pair(tensor, tangent):
    for what, t in (("primal", tensor), ("tangent", tangent)):
        if not (t.is_floating_point() or t.is_complex()):
            raise ValueError(f"Expected {what} to be floating point or complex, but got: {t.dtype}")
    if tensor.shape != tangent.shape:
        raise RuntimeError(
            "Trying to set a forward gradient that has a different size than that of the original "
            "Tensor, this is not supported. Tensor is of size "
            f"{list(tensor.shape)} while the given forward gradient is of size "
            f"{list(tangent.shape)}."
        )


def make_dual(tensor, tangent, *, level=None):
    """A view of `tensor` whose derivative is `tangent`.

    >>> import flambeau as torch
    >>> import flambeau.autograd.forward_ad as fwAD
    >>> with fwAD.dual_level():
    ...     x = fwAD.make_dual(torch.tensor(3.), torch.tensor(1.))
    ...     fwAD.unpack_dual(x.sin()).tangent
    tensor(-0.9900)
    """
    if not _state.level:
        raise RuntimeError(
            "Trying to create a dual Tensor for forward AD but no level exists, make sure to "
            "enter_dual_level() first."
        )
    _check_pair(tensor, tangent)
    if _levels.unpack_dual(tensor, _state.level)[1] is not None:
        raise RuntimeError(
            "Making a dual Tensor based on a Tensor that already has a forward gradient at the "
            "same level is not supported."
        )
    if _levels.unpack_dual(tangent, _state.level)[1] is not None:
        raise RuntimeError(
            "Trying to set a tangent that has a forward gradient at the same level is not "
            "supported."
        )
    return _levels.make_dual(tensor, tangent, _state.level)


def unpack_dual(tensor, *, level=None):
    """(a view of the tensor without its derivative, the derivative or None)."""
    if not _state.level:
        plain = _levels.innermost(tensor)
        return UnpackedDualTensor(plain.view_as(plain), None)
    if _levels.dual_of(tensor) is None and _levels.batch_of(tensor) is None:
        return UnpackedDualTensor(tensor.view_as(tensor), None)
    primal, tangent = _levels.unpack_dual(tensor, _state.level)
    return UnpackedDualTensor(primal.view_as(primal), tangent)
