"""Native operators whose arguments need a look first."""

import flambeau as torch
from flambeau._ops import functions

__all__ = ["hardtanh", "softshrink", "softsign"]

_hardtanh = functions["nn.functional.hardtanh"]
_softshrink = functions["nn.functional.softshrink"]
_softsign = functions["nn.functional.softsign"]


def hardtanh(input, min_val=-1.0, max_val=1.0, inplace=False):
    """x kept between min_val and max_val.

    >>> import flambeau as torch
    >>> torch.nn.functional.hardtanh(torch.tensor([-2.0, 0.5]))
    tensor([-1.0000,  0.5000])
    """
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    if not (input.is_floating_point() or input.dtype == torch.bool):
        min_val, max_val = int(min_val), int(max_val)
    return _hardtanh(input, min_val, max_val, inplace)


def softshrink(input, lambd=0.5):
    """x moved lambd towards zero, at most to it.

    >>> import flambeau as torch
    >>> torch.nn.functional.softshrink(torch.tensor([-2.0, 0.25]))
    tensor([-1.5000,  0.0000])
    """
    if not lambd >= 0:
        raise RuntimeError(f"lambda must be greater or equal to 0, but found to be {lambd}")
    return _softshrink(input, lambd)


def softsign(input):
    """``x / (1 + |x|)``.

    >>> import flambeau as torch
    >>> torch.nn.functional.softsign(torch.tensor([-1.0, 3.0]))
    tensor([-0.5000,  0.7500])
    """
    return input / (input.abs() + 1) if input.is_complex() else _softsign(input)
