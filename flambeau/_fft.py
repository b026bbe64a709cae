"""The three kinds of Fourier transform over NumPy's pocketfft, each the other's gradient.

`norm` is NumPy's word for the direction that the function computes: the gradient goes in the other
direction with the same factor, which there has the opposite word.
"""

import numpy

import flambeau
from flambeau.autograd import Function

OPPOSITE = {"backward": "forward", "forward": "backward", "ortho": "ortho"}


def _run(transform, x, sizes, dtype, *args, **kwargs):
    """A NumPy transform of a tensor; of a meta tensor, its shape alone."""
    if x.is_meta:
        return flambeau.empty(sizes, dtype=dtype, device="meta")
    array = transform(x.detach().numpy(), *args, **kwargs)
    # NumPy before 2.0 computes in double precision whatever it is given.
    return flambeau.from_numpy(array).to(dtype)


class Complex(Function):
    """Complex numbers to as many complex numbers, along several dimensions."""

    @staticmethod
    def forward(ctx, x, dims, norm, forward):
        ctx.call = dims, OPPOSITE[norm], not forward
        transform = numpy.fft.fftn if forward else numpy.fft.ifftn
        return _run(transform, x, x.shape, x.dtype, axes=dims, norm=norm)

    @staticmethod
    def backward(ctx, grad):
        return Complex.apply(grad, *ctx.call), None, None, None


class FromReal(Function):
    """n real numbers to the n // 2 + 1 complex ones that the others mirror."""

    @staticmethod
    def forward(ctx, x, dim, norm):
        ctx.dim, ctx.norm, ctx.size = dim, norm, x.shape[dim]
        sizes = list(x.shape)
        sizes[dim] = sizes[dim] // 2 + 1
        return _run(numpy.fft.rfft, x, sizes, x.dtype.to_complex(), axis=dim, norm=norm)

    @staticmethod
    def backward(ctx, grad):
        full = resized(grad, ctx.dim, ctx.size)
        return Complex.apply(full, (ctx.dim,), OPPOSITE[ctx.norm], False).real, None, None


class ToReal(Function):
    """n // 2 + 1 complex numbers, the others being their mirror images, to n real ones."""

    @staticmethod
    def forward(ctx, x, n, dim, norm):
        ctx.n, ctx.dim, ctx.norm = n, dim, norm
        sizes = list(x.shape)
        sizes[dim] = n
        return _run(numpy.fft.irfft, x, sizes, x.dtype.to_real(), n=n, axis=dim, norm=norm)

    @staticmethod
    def backward(ctx, grad):
        half = FromReal.apply(grad, ctx.dim, OPPOSITE[ctx.norm])
        times = half.new_full((half.shape[ctx.dim],), 2, dtype=grad.dtype)  # each and its image
        times[(ctx.n + 1) // 2 :] = 1
        times[0] = 1
        shape = [1] * half.dim()
        shape[ctx.dim] = -1
        return half * times.view(shape), None, None, None


def resized(x, dim, n):
    """x cut or filled with zeros to n elements along a dimension."""
    size = x.shape[dim]
    if size == n:
        return x
    if size > n:
        return x.narrow(dim, 0, n)
    sizes = list(x.shape)
    sizes[dim] = n - size
    return flambeau.cat([x, x.new_zeros(sizes)], dim)
