"""The windows of flambeau itself: hann_window and the like, any float dtype, periodic at first."""

import flambeau

from . import op

_OPTIONS = (
    "*, ScalarType? dtype=None, Layout? layout=None, Device? device=None, "
    "bool requires_grad=False) -> Tensor"
)


def _window(name, length, periodic, dtype, layout, device, requires_grad, **parameters):
    from flambeau.signal import windows

    if not isinstance(length, int):
        raise TypeError(
            f"{name}_window(): argument 'window_length' must be int, not {type(length).__name__}"
        )
    if length < 0:
        raise RuntimeError(
            f"{name}_window requires non-negative window_length, got window_length={length}"
        )
    if layout not in (None, flambeau.strided):
        raise RuntimeError(f"{name}_window is not implemented for sparse types, got: {layout}")
    dtype = flambeau.get_default_dtype() if dtype is None else dtype
    if not dtype.is_floating_point:
        raise RuntimeError(f"{name}_window expects floating point dtypes, got: {dtype}")
    values = getattr(windows, name)(
        length, sym=not periodic, dtype=flambeau.float64, device=device, **parameters
    )
    return values.to(dtype).requires_grad_(requires_grad)


@op("bartlett_window(int window_length, bool periodic=True, " + _OPTIONS, method=False)
def bartlett_window(
    window_length, periodic=True, *, dtype=None, layout=None, device=None, pin_memory=False,
    requires_grad=False,
):  # fmt: skip
    """A triangle from 0 up to 1 and down; `periodic` leaves out the last of one more point.

    >>> import flambeau as torch
    >>> torch.bartlett_window(4)
    tensor([0.0000, 0.5000, 1.0000, 0.5000])
    """
    return _window("bartlett", window_length, periodic, dtype, layout, device, requires_grad)


@op("blackman_window(int window_length, bool periodic=True, " + _OPTIONS, method=False)
def blackman_window(
    window_length, periodic=True, *, dtype=None, layout=None, device=None, pin_memory=False,
    requires_grad=False,
):  # fmt: skip
    """0.42 - 0.5 cos(t) + 0.08 cos(2 t), t from 0 to 2 pi.

    >>> import flambeau as torch
    >>> torch.blackman_window(4)[2]
    tensor(1.)
    """
    return _window("blackman", window_length, periodic, dtype, layout, device, requires_grad)


@op("hann_window(int window_length, bool periodic=True, " + _OPTIONS, method=False)
def hann_window(
    window_length, periodic=True, *, dtype=None, layout=None, device=None, pin_memory=False,
    requires_grad=False,
):  # fmt: skip
    """0.5 - 0.5 cos(t), t from 0 to 2 pi.

    >>> import flambeau as torch
    >>> torch.hann_window(4)
    tensor([0.0000, 0.5000, 1.0000, 0.5000])
    """
    return _window("hann", window_length, periodic, dtype, layout, device, requires_grad)


@op(
    "hamming_window(int window_length, bool periodic=True, float alpha=0.54, float beta=0.46, "
    + _OPTIONS,
    method=False,
)
def hamming_window(
    window_length, periodic=True, alpha=0.54, beta=0.46, *, dtype=None, layout=None, device=None,
    pin_memory=False, requires_grad=False,
):  # fmt: skip
    """alpha - beta cos(t), t from 0 to 2 pi.

    >>> import flambeau as torch
    >>> torch.hamming_window(4)
    tensor([0.0800, 0.5400, 1.0000, 0.5400])
    """
    return _window(
        "general_cosine", window_length, periodic, dtype, layout, device, requires_grad,
        a=[alpha, beta],
    )  # fmt: skip


@op(
    "kaiser_window(int window_length, bool periodic=True, float beta=12.0, " + _OPTIONS,
    method=False,
)
def kaiser_window(
    window_length, periodic=True, beta=12.0, *, dtype=None, layout=None, device=None,
    pin_memory=False, requires_grad=False,
):  # fmt: skip
    """i0(beta sqrt(1 - u^2)) / i0(beta), u from -1 to 1.

    >>> import flambeau as torch
    >>> torch.kaiser_window(3, periodic=False, beta=2.0)
    tensor([0.4387, 1.0000, 0.4387])
    """
    return _window(
        "kaiser", window_length, periodic, dtype, layout, device, requires_grad, beta=beta
    )
