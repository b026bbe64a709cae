"""Window functions: what a stretch of a signal is multiplied by before its spectrum is taken.

A symmetric window (`sym=True`) is for filters; a periodic one (`sym=False`) is the symmetric
window of M + 1 points without its last, for transforms of M.
"""

import flambeau as torch

__all__ = [
    "bartlett",
    "blackman",
    "cosine",
    "exponential",
    "gaussian",
    "general_cosine",
    "general_hamming",
    "hamming",
    "hann",
    "kaiser",
    "nuttall",
]


def _window(shape):
    """The public function of `shape(x, points, **parameters)`, x being 0, 1, ..., M - 1.

    It takes the arguments that all windows have, checks them and deals with M of 0 and 1.
    """
    name = shape.__name__

    def window(
        M, *, sym=True, dtype=None, layout=torch.strided, device=None, requires_grad=False,
        **parameters,
    ):  # fmt: skip
        if dtype is None:
            dtype = torch.get_default_dtype()
        if M < 0:
            raise ValueError(f"{name} requires non-negative window length, got M={M}")
        if layout is not torch.strided:
            raise ValueError(f"{name} is implemented for strided tensors only, got: {layout}")
        if dtype not in (torch.float32, torch.float64):
            raise ValueError(f"{name} expects float32 or float64 dtypes, got: {dtype}")
        x = torch.arange(M, dtype=torch.float64, device=device)
        values = shape(x, M if sym else M + 1, sym, **parameters)
        if M == 1:
            values = torch.ones_like(x)
        return values.to(dtype).requires_grad_(requires_grad)

    return window


def _cosines(x, points, a):
    """a[0] - a[1] cos(t) + a[2] cos(2 t) - ... for t from 0 to 2 pi."""
    step = 2 * torch.pi / max(points - 1, 1)
    total = torch.zeros_like(x)
    for k, c in enumerate(a):
        total = total + (-1) ** k * c * (x * (k * step)).cos()
    return total


@_window
def _general_cosine(x, points, sym, a):
    return _cosines(x, points, a)


@_window
def _bartlett(x, points, sym):
    return 1 - (2 * x / max(points - 1, 1) - 1).abs()


@_window
def _cosine(x, points, sym):
    return ((x + 0.5) * (torch.pi / max(points, 1))).sin()


@_window
def _exponential(x, points, sym, center, tau):
    if tau <= 0:
        raise ValueError(f"Tau must be positive, got: {tau} instead.")
    if sym and center is not None:
        raise ValueError("Center must be None for symmetric windows")
    return (-(x - ((points - 1) / 2 if center is None else center)).abs() / tau).exp()


@_window
def _gaussian(x, points, sym, std):
    if std <= 0:
        raise ValueError(f"Standard deviation must be positive, got: {std} instead.")
    return (-(((x - (points - 1) / 2) / std) ** 2) / 2).exp()


@_window
def _kaiser(x, points, sym, beta):
    if beta < 0:
        raise ValueError(f"beta must be non-negative, got: {beta} instead.")
    u = 2 * x / max(points - 1, 1) - 1
    top = torch.special.i0(torch.full((), beta, dtype=x.dtype))
    return torch.special.i0(beta * (1 - u * u).clamp(min=0).sqrt()) / top


# -- the public functions --------------------------------------------------------------------------
def general_cosine(
    M, *, a, sym=True, dtype=None, layout=torch.strided, device=None, requires_grad=False
):
    """A sum of cosines: a[0] - a[1] cos(t) + a[2] cos(2 t) - ..., t from 0 to 2 pi.

    >>> import flambeau as torch
    >>> torch.signal.windows.general_cosine(3, a=[0.5, 0.5])
    tensor([0., 1., 0.])
    """
    if not isinstance(a, (list, tuple)):
        raise TypeError("Coefficients must be a list/tuple")
    if not a:
        raise ValueError("Coefficients cannot be empty")
    return _general_cosine(
        M, a=a, sym=sym, dtype=dtype, layout=layout, device=device, requires_grad=requires_grad
    )


def general_hamming(
    M, *, alpha=0.54, sym=True, dtype=None, layout=torch.strided, device=None,
    requires_grad=False,
):  # fmt: skip
    """alpha - (1 - alpha) cos(t), t from 0 to 2 pi.

    >>> import flambeau as torch
    >>> torch.signal.windows.general_hamming(3, alpha=0.5)
    tensor([0., 1., 0.])
    """
    return general_cosine(
        M, a=[alpha, 1.0 - alpha], sym=sym, dtype=dtype, layout=layout, device=device,
        requires_grad=requires_grad,
    )  # fmt: skip


def hamming(M, *, sym=True, dtype=None, layout=torch.strided, device=None, requires_grad=False):
    """0.54 - 0.46 cos(t), t from 0 to 2 pi.

    >>> import flambeau as torch
    >>> torch.signal.windows.hamming(3)
    tensor([0.0800, 1.0000, 0.0800])
    """
    return general_hamming(
        M, sym=sym, dtype=dtype, layout=layout, device=device, requires_grad=requires_grad
    )


def hann(M, *, sym=True, dtype=None, layout=torch.strided, device=None, requires_grad=False):
    """0.5 - 0.5 cos(t), t from 0 to 2 pi.

    >>> import flambeau as torch
    >>> torch.signal.windows.hann(4, sym=False)
    tensor([0.0000, 0.5000, 1.0000, 0.5000])
    """
    return general_hamming(
        M, alpha=0.5, sym=sym, dtype=dtype, layout=layout, device=device,
        requires_grad=requires_grad,
    )  # fmt: skip


def blackman(M, *, sym=True, dtype=None, layout=torch.strided, device=None, requires_grad=False):
    """0.42 - 0.5 cos(t) + 0.08 cos(2 t), t from 0 to 2 pi.

    >>> import flambeau as torch
    >>> torch.signal.windows.blackman(5)[2]
    tensor(1.)
    """
    return general_cosine(
        M, a=[0.42, 0.5, 0.08], sym=sym, dtype=dtype, layout=layout, device=device,
        requires_grad=requires_grad,
    )  # fmt: skip


def nuttall(M, *, sym=True, dtype=None, layout=torch.strided, device=None, requires_grad=False):
    """The minimum four-term window of Nuttall (1981).

    >>> import flambeau as torch
    >>> torch.signal.windows.nuttall(3)
    tensor([3.6280e-04, 1.0000e+00, 3.6280e-04])
    """
    return general_cosine(
        M, a=[0.3635819, 0.4891775, 0.1365995, 0.0106411], sym=sym, dtype=dtype, layout=layout,
        device=device, requires_grad=requires_grad,
    )  # fmt: skip


def bartlett(M, *, sym=True, dtype=None, layout=torch.strided, device=None, requires_grad=False):
    """A triangle from 0 up to 1 and down to 0.

    >>> import flambeau as torch
    >>> torch.signal.windows.bartlett(5)
    tensor([0.0000, 0.5000, 1.0000, 0.5000, 0.0000])
    """
    return _bartlett(
        M, sym=sym, dtype=dtype, layout=layout, device=device, requires_grad=requires_grad
    )


def cosine(M, *, sym=True, dtype=None, layout=torch.strided, device=None, requires_grad=False):
    """Half a wave of the sine, sampled in the middle of M equal parts.

    >>> import flambeau as torch
    >>> torch.signal.windows.cosine(3)
    tensor([0.5000, 1.0000, 0.5000])
    """
    return _cosine(
        M, sym=sym, dtype=dtype, layout=layout, device=device, requires_grad=requires_grad
    )


def exponential(
    M, *, center=None, tau=1.0, sym=True, dtype=None, layout=torch.strided, device=None,
    requires_grad=False,
):  # fmt: skip
    """exp(-|x - center| / tau); the center is in the middle unless given for a periodic window.

    >>> import flambeau as torch
    >>> torch.signal.windows.exponential(3)
    tensor([0.3679, 1.0000, 0.3679])
    """
    return _exponential(
        M, center=center, tau=tau, sym=sym, dtype=dtype, layout=layout, device=device,
        requires_grad=requires_grad,
    )  # fmt: skip


def gaussian(
    M, *, std=1.0, sym=True, dtype=None, layout=torch.strided, device=None, requires_grad=False
):
    """exp(-(x / std)^2 / 2), x from the middle.

    >>> import flambeau as torch
    >>> torch.signal.windows.gaussian(3)
    tensor([0.6065, 1.0000, 0.6065])
    """
    return _gaussian(
        M, std=std, sym=sym, dtype=dtype, layout=layout, device=device,
        requires_grad=requires_grad,
    )  # fmt: skip


def kaiser(
    M, *, beta=12.0, sym=True, dtype=None, layout=torch.strided, device=None, requires_grad=False
):
    """i0(beta sqrt(1 - u^2)) / i0(beta), u from -1 to 1: Kaiser's (1974) window of shape beta.

    >>> import flambeau as torch
    >>> torch.signal.windows.kaiser(3, beta=2.0)
    tensor([0.4387, 1.0000, 0.4387])
    """
    return _kaiser(
        M, beta=beta, sym=sym, dtype=dtype, layout=layout, device=device,
        requires_grad=requires_grad,
    )  # fmt: skip
