"""flambeau.fft: discrete Fourier transforms of one, two and several dimensions."""

from operator import index

import flambeau

from . import internal, op, write_out

_ARGUMENTS = "Tensor input, int? n=None, int dim=-1, str? norm=None, *, Tensor? out=None) -> Tensor"
_PLANE = (
    "Tensor input, int[]? s=None, int[] dim=[-2, -1], str? norm=None, *, Tensor? out=None) "
    "-> Tensor"
)
_SPACE = (
    "Tensor input, int[]? s=None, int[]? dim=None, str? norm=None, *, Tensor? out=None) -> Tensor"
)


def _norm(norm, forward):
    """What the sums are divided by: 0 nothing, 1 the square root of their number, 2 the number."""
    if norm == "ortho":
        return 1
    if norm not in (None, "backward", "forward"):
        raise RuntimeError(f'Invalid normalization mode: "{norm}"')
    return 2 if (norm == "forward") == forward else 0


def _dim(input, dim):
    n = input.dim()
    if n == 0:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    if not -n <= dim < n:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {dim})"
        )
    return dim % n


def _points(n):
    if n < 1:
        raise RuntimeError(f"Invalid number of data points ({n}) specified")
    return n


def _inexact(input):
    """Integers as the default floating-point type."""
    if input.is_complex() or input.dtype in (flambeau.float32, flambeau.float64):
        return input
    if input.is_floating_point():
        raise RuntimeError(f"Unsupported dtype {input.dtype}")
    return input.to(flambeau.get_default_dtype())


def _complex(input):
    input = _inexact(input)
    return input if input.is_complex() else input.to(input.dtype.to_complex())


def _real(input, name):
    if input.is_complex():
        raise RuntimeError(f"{name} expects a real input tensor, but got {input.dtype}")
    return _inexact(input)


def _give(result, out, name):
    if out is None:
        return result
    if out.is_complex() != result.is_complex():
        kind = "complex" if result.is_complex() else "floating point"
        raise RuntimeError(f"{name} expects a {kind} output tensor, but got {out.dtype}")
    return write_out(name, result, out)


def _axes(input, s, dim, name=None):
    """The sizes and dimensions of a transform of several; `name`: at least one is needed."""
    s = [index(s)] if isinstance(s, int) else None if s is None else [index(n) for n in s]
    dim = [dim] if isinstance(dim, int) else None if dim is None else list(dim)
    if dim is not None:
        dim = [_dim(input, d) for d in dim]
        if len(set(dim)) < len(dim):
            raise RuntimeError("FFT dims must be unique")
        if s is not None and len(s) != len(dim):
            raise RuntimeError("When given, dim and shape arguments must have the same length")
    elif s is not None:
        if len(s) > input.dim():
            raise RuntimeError(
                f"Got shape with {len(s)} values but input tensor only has {input.dim()} "
                "dimensions."
            )
        dim = list(range(input.dim() - len(s), input.dim()))
    else:
        dim = list(range(input.dim()))
    if name and not dim:
        raise RuntimeError(f"{name} must transform at least one axis")
    return [-1] * len(dim) if s is None else s, dim


def _fitted(input, sizes, dims):
    """Cut or filled with zeros to the sizes given along dimensions; -1 leaves one as it is."""
    for n, d in zip(sizes, dims, strict=True):
        size = input.shape[d]
        if _points(size if n == -1 else n) < size:
            input = input.narrow(d, 0, n)
        elif n > size:
            zeros = list(input.shape)
            zeros[d] = n - size
            input = flambeau.cat([input, input.new_zeros(zeros)], d)
    return input


# -- the kinds, in one dimension and in several ----------------------------------------------------
def _to_complex(input, sizes, dims, norm, forward):
    input = _fitted(_complex(input), sizes, dims)
    return internal["_fft_complex"](input, dims, norm, forward) if dims else input


def _from_real(input, sizes, dims, norm):
    input = internal["_fft_from_real"](_fitted(input, sizes, dims), dims[-1], norm)
    if len(dims) > 1:
        input = internal["_fft_complex"](input, dims[:-1], norm, True)
    return input


def _to_real(input, sizes, dims, norm, forward=False):
    """The inverse transform; the one of the conjugate where `forward`."""
    last = dims[-1]
    n = _points(2 * (input.shape[last] - 1) if sizes[-1] == -1 else sizes[-1])
    input = _fitted(_complex(input), [*sizes[:-1], n // 2 + 1], dims)
    if forward:
        input = input.conj()
    if len(dims) > 1:
        input = internal["_fft_complex"](input, dims[:-1], norm, False)
    return internal["_fft_to_real"](input, n, last, norm)


def _line(input, n, dim):
    return [-1 if n is None else _points(index(n))], [_dim(input, dim)]


# -- one dimension ---------------------------------------------------------------------------------
@op("fft.fft(" + _ARGUMENTS)
def fft(input, n=None, dim=-1, norm=None, *, out=None):
    """The discrete Fourier transform along a dimension, of `n` elements: cut, or zeros added.

    `norm` "backward" (the default) leaves the sums as they are, "forward" divides by n, "ortho" by
    its square root; the inverse transforms divide by what makes up for it.

    >>> import flambeau as torch
    >>> torch.fft.fft(torch.tensor([1.0, 0.0, 0.0, 0.0]))
    tensor([1.+0.j, 1.+0.j, 1.+0.j, 1.+0.j])
    """
    return _give(_to_complex(input, *_line(input, n, dim), _norm(norm, True), True), out, "fft")


@op("fft.ifft(" + _ARGUMENTS)
def ifft(input, n=None, dim=-1, norm=None, *, out=None):
    """The inverse of `fft`.

    >>> import flambeau as torch
    >>> torch.fft.ifft(torch.fft.fft(torch.tensor([1.0, 2.0]))).real
    tensor([1., 2.])
    """
    return _give(_to_complex(input, *_line(input, n, dim), _norm(norm, False), False), out, "ifft")


@op("fft.rfft(" + _ARGUMENTS)
def rfft(input, n=None, dim=-1, norm=None, *, out=None):
    """The Fourier transform of real numbers: the n // 2 + 1 values that the others mirror.

    >>> import flambeau as torch
    >>> torch.fft.rfft(torch.ones(4)).shape
    torch.Size([3])
    """
    input = _real(input, "rfft")
    return _give(_from_real(input, *_line(input, n, dim), _norm(norm, True)), out, "rfft")


@op("fft.irfft(" + _ARGUMENTS)
def irfft(input, n=None, dim=-1, norm=None, *, out=None):
    """The inverse of `rfft`, to `n` real numbers: an even number unless told otherwise.

    >>> import flambeau as torch
    >>> torch.fft.irfft(torch.fft.rfft(torch.tensor([1.0, 2.0, 3.0])), n=3)
    tensor([1., 2., 3.])
    """
    return _give(_to_real(input, *_line(input, n, dim), _norm(norm, False)), out, "irfft")


@op("fft.hfft(" + _ARGUMENTS)
def hfft(input, n=None, dim=-1, norm=None, *, out=None):
    """The Fourier transform of a signal whose second half mirrors the first: real numbers.

    >>> import flambeau as torch
    >>> torch.fft.hfft(torch.ones(3, dtype=torch.complex64))
    tensor([4., 0., 0., 0.])
    """
    line = _line(input, n, dim)
    return _give(_to_real(input, *line, _norm(norm, True), forward=True), out, "hfft")


@op("fft.ihfft(" + _ARGUMENTS)
def ihfft(input, n=None, dim=-1, norm=None, *, out=None):
    """The inverse of `hfft`.

    >>> import flambeau as torch
    >>> torch.fft.ihfft(torch.tensor([4.0, 0.0, 0.0, 0.0])).real
    tensor([1., 1., 1.])
    """
    input = _real(input, "ihfft")
    result = _from_real(input, *_line(input, n, dim), _norm(norm, False)).conj()
    return _give(result, out, "ihfft")


# -- several dimensions ----------------------------------------------------------------------------
@op("fft.fftn(" + _SPACE)
def fftn(input, s=None, dim=None, norm=None, *, out=None):
    """The Fourier transform along several dimensions, of sizes `s` (-1: as it is): all if not told.

    >>> import flambeau as torch
    >>> torch.fft.fftn(torch.ones(2, 2))[0, 0]
    tensor(4.+0.j)
    """
    return _give(_to_complex(input, *_axes(input, s, dim), _norm(norm, True), True), out, "fftn")


@op("fft.ifftn(" + _SPACE)
def ifftn(input, s=None, dim=None, norm=None, *, out=None):
    """The inverse of `fftn`.

    >>> import flambeau as torch
    >>> torch.fft.ifftn(torch.ones(2, 2))[0, 0]
    tensor(1.+0.j)
    """
    return _give(_to_complex(input, *_axes(input, s, dim), _norm(norm, False), False), out, "ifftn")


@op("fft.rfftn(" + _SPACE)
def rfftn(input, s=None, dim=None, norm=None, *, out=None):
    """The Fourier transform of real numbers along several dimensions, half of the last one.

    >>> import flambeau as torch
    >>> torch.fft.rfftn(torch.ones(3, 4)).shape
    torch.Size([3, 3])
    """
    if input.is_complex():
        raise RuntimeError(f"rfftn expects a real-valued input tensor, but got {input.dtype}")
    axes = _axes(input, s, dim, "rfftn")
    return _give(_from_real(_inexact(input), *axes, _norm(norm, True)), out, "rfftn")


@op("fft.irfftn(" + _SPACE)
def irfftn(input, s=None, dim=None, norm=None, *, out=None):
    """The inverse of `rfftn`, to real numbers.

    >>> import flambeau as torch
    >>> torch.fft.irfftn(torch.fft.rfftn(torch.ones(2, 4)))
    tensor([[1., 1., 1., 1.],
            [1., 1., 1., 1.]])
    """
    return _give(
        _to_real(input, *_axes(input, s, dim, "irfftn"), _norm(norm, False)), out, "irfftn"
    )


@op("fft.hfftn(" + _SPACE)
def hfftn(input, s=None, dim=None, norm=None, *, out=None):
    """The Fourier transform of a signal that mirrors itself along the last dimension.

    >>> import flambeau as torch
    >>> torch.fft.hfftn(torch.ones(2, 3)).shape
    torch.Size([2, 4])
    """
    axes = _axes(input, s, dim, "hfftn")
    return _give(_to_real(input, *axes, _norm(norm, True), forward=True), out, "hfftn")


@op("fft.ihfftn(" + _SPACE)
def ihfftn(input, s=None, dim=None, norm=None, *, out=None):
    """The inverse of `hfftn`.

    >>> import flambeau as torch
    >>> torch.fft.ihfftn(torch.ones(2, 4)).shape
    torch.Size([2, 3])
    """
    if input.is_complex():
        raise RuntimeError(f"ihfftn expects a real-valued input tensor, but got {input.dtype}")
    axes = _axes(input, s, dim, "ihfftn")
    result = _from_real(_inexact(input), *axes, _norm(norm, False)).conj()
    return _give(result, out, "ihfftn")


# -- two dimensions --------------------------------------------------------------------------------
@op("fft.fft2(" + _PLANE)
def fft2(input, s=None, dim=(-2, -1), norm=None, *, out=None):
    """`fftn` along the last two dimensions.

    >>> import flambeau as torch
    >>> torch.fft.fft2(torch.ones(5, 2, 3)).shape
    torch.Size([5, 2, 3])
    """
    return fftn(input, s, dim, norm, out=out)


@op("fft.ifft2(" + _PLANE)
def ifft2(input, s=None, dim=(-2, -1), norm=None, *, out=None):
    """`ifftn` along the last two dimensions.

    >>> import flambeau as torch
    >>> torch.fft.ifft2(torch.ones(5, 2, 3)).shape
    torch.Size([5, 2, 3])
    """
    return ifftn(input, s, dim, norm, out=out)


@op("fft.rfft2(" + _PLANE)
def rfft2(input, s=None, dim=(-2, -1), norm=None, *, out=None):
    """`rfftn` along the last two dimensions.

    >>> import flambeau as torch
    >>> torch.fft.rfft2(torch.ones(5, 2, 3)).shape
    torch.Size([5, 2, 2])
    """
    return rfftn(input, s, dim, norm, out=out)


@op("fft.irfft2(" + _PLANE)
def irfft2(input, s=None, dim=(-2, -1), norm=None, *, out=None):
    """`irfftn` along the last two dimensions.

    >>> import flambeau as torch
    >>> torch.fft.irfft2(torch.ones(5, 2, 3)).shape
    torch.Size([5, 2, 4])
    """
    return irfftn(input, s, dim, norm, out=out)


@op("fft.hfft2(" + _PLANE)
def hfft2(input, s=None, dim=(-2, -1), norm=None, *, out=None):
    """`hfftn` along the last two dimensions.

    >>> import flambeau as torch
    >>> torch.fft.hfft2(torch.ones(5, 2, 3)).shape
    torch.Size([5, 2, 4])
    """
    return hfftn(input, s, dim, norm, out=out)


@op("fft.ihfft2(" + _PLANE)
def ihfft2(input, s=None, dim=(-2, -1), norm=None, *, out=None):
    """`ihfftn` along the last two dimensions.

    >>> import flambeau as torch
    >>> torch.fft.ihfft2(torch.ones(5, 2, 4)).shape
    torch.Size([5, 2, 3])
    """
    return ihfftn(input, s, dim, norm, out=out)


# -- frequencies -----------------------------------------------------------------------------------
def _frequencies(values, n, d, name, out, dtype, device, requires_grad):
    if dtype is not None and not (dtype.is_floating_point or dtype.is_complex):
        raise RuntimeError(f"{name} requires a floating point or complex dtype")
    result = values.to(flambeau.get_default_dtype() if dtype is None else dtype) / (n * d)
    if out is not None:
        return out.resize_(result.shape).copy_(result)
    result = result if device is None else result.to(device)
    return result.requires_grad_(requires_grad)


@op(
    "fft.fftfreq(int n, float d=1.0, *, Tensor? out=None, ScalarType? dtype=None, "
    "Layout? layout=strided, Device? device=None, bool requires_grad=False) -> Tensor"
)
def fftfreq(
    n, d=1.0, *, out=None, dtype=None, layout=None, device=None, requires_grad=False,
    pin_memory=False,
):  # fmt: skip
    """The frequencies of the values that `fft` gives for n samples at distance d.

    >>> import flambeau as torch
    >>> torch.fft.fftfreq(4)
    tensor([ 0.0000,  0.2500, -0.5000, -0.2500])
    """
    values = flambeau.arange(max(n, 0), device="cpu")
    values = values - n * (values >= (n + 1) // 2)
    return _frequencies(values, n, d, "fftfreq", out, dtype, device, requires_grad)


@op(
    "fft.rfftfreq(int n, float d=1.0, *, Tensor? out=None, ScalarType? dtype=None, "
    "Layout? layout=strided, Device? device=None, bool requires_grad=False) -> Tensor"
)
def rfftfreq(
    n, d=1.0, *, out=None, dtype=None, layout=None, device=None, requires_grad=False,
    pin_memory=False,
):  # fmt: skip
    """The frequencies of the values that `rfft` gives for n samples at distance d.

    >>> import flambeau as torch
    >>> torch.fft.rfftfreq(4)
    tensor([0.0000, 0.2500, 0.5000])
    """
    values = flambeau.arange(max(n // 2 + 1, 0), device="cpu")
    return _frequencies(values, n, d, "rfftfreq", out, dtype, device, requires_grad)


def _shifted(input, dim, by):
    if dim is None:
        dims = range(input.dim())
    else:
        dims = [_dim(input, d) for d in ([dim] if isinstance(dim, int) else dim)]
    return input.roll([by(input.shape[d]) for d in dims], list(dims))


@op("fft.fftshift(Tensor input, int[1]? dim=None) -> Tensor")
def fftshift(input, dim=None):
    """The values of `fftn` in order of their frequencies, zero in the middle.

    >>> import flambeau as torch
    >>> torch.fft.fftshift(torch.arange(4))
    tensor([2, 3, 0, 1])
    """
    return _shifted(input, dim, lambda n: n // 2)


@op("fft.ifftshift(Tensor input, int[1]? dim=None) -> Tensor")
def ifftshift(input, dim=None):
    """The inverse of `fftshift`.

    >>> import flambeau as torch
    >>> torch.fft.ifftshift(torch.arange(5))
    tensor([2, 3, 4, 0, 1])
    """
    return _shifted(input, dim, lambda n: (n + 1) // 2)
