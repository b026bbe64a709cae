"""Fourier transforms against sums of exponentials, their gradients, shapes, norms and errors."""

import numpy as np
import pytest

import flambeau as torch
from flambeau.autograd import gradcheck, gradgradcheck

RNG = np.random.default_rng(0)
NORMS = [None, "backward", "forward", "ortho"]


def real(*shape):
    return torch.from_numpy(RNG.standard_normal(shape))


def complexes(*shape):
    return torch.from_numpy(RNG.standard_normal(shape) + 1j * RNG.standard_normal(shape))


def direct(x, dim, norm, sign):
    """The definition, as a product with the matrix of exponentials."""
    x = np.moveaxis(np.asarray(x), dim, -1)
    n = x.shape[-1]
    matrix = np.exp(sign * 2j * np.pi * np.outer(np.arange(n), np.arange(n)) / n)
    scaled = {None: sign > 0, "backward": sign > 0, "forward": sign < 0}
    factor = n**-0.5 if norm == "ortho" else 1 / n if scaled[norm] else 1
    return np.moveaxis(x @ matrix * factor, -1, dim)


def close(got, expected):
    np.testing.assert_allclose(got.detach().numpy(), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("n", [1, 2, 5, 8, 13])
def test_one_dimension(n, norm):
    x, y = complexes(3, n), real(3, n)
    for dim in (0, 1, -1):
        close(torch.fft.fft(x, dim=dim, norm=norm), direct(x, dim, norm, -1))
        close(torch.fft.ifft(x, dim=dim, norm=norm), direct(x, dim, norm, 1))
    half = direct(y, 1, norm, -1)[:, : n // 2 + 1]
    close(torch.fft.rfft(y, norm=norm), half)
    close(torch.fft.irfft(torch.from_numpy(half.copy()), n=n, norm=norm), y.numpy())
    close(torch.fft.ihfft(y, norm=norm), direct(y, 1, norm, 1)[:, : n // 2 + 1])
    close(torch.fft.hfft(torch.fft.ihfft(y, norm=norm), n=n, norm=norm), y.numpy())


@pytest.mark.parametrize("norm", NORMS)
def test_several_dimensions(norm):
    x, y = complexes(2, 3, 4), real(2, 3, 4)
    expected, mirrored = x.numpy(), y.numpy()
    for dim in (0, 2):
        expected, mirrored = direct(expected, dim, norm, -1), direct(mirrored, dim, norm, -1)
    close(torch.fft.fftn(x, dim=(0, 2), norm=norm), expected)
    close(torch.fft.ifftn(torch.from_numpy(expected), dim=(0, 2), norm=norm), x.numpy())
    half = torch.fft.rfftn(y, dim=(0, 2), norm=norm)
    close(half, mirrored[:, :, :3])
    close(torch.fft.irfftn(half, s=(2, 4), dim=(0, 2), norm=norm), y.numpy())
    back = torch.fft.ihfftn(y, dim=(0, 2), norm=norm)
    close(torch.fft.hfftn(back, s=(2, 4), dim=(0, 2), norm=norm), y.numpy())
    assert torch.equal(torch.fft.fft2(x), torch.fft.fftn(x, dim=(-2, -1)))
    assert torch.equal(torch.fft.ifft2(x), torch.fft.ifftn(x, dim=(-2, -1)))
    assert torch.equal(torch.fft.rfft2(y), torch.fft.rfftn(y, dim=(-2, -1)))
    assert torch.equal(torch.fft.irfft2(x), torch.fft.irfftn(x, dim=(-2, -1)))
    assert torch.equal(torch.fft.hfft2(x), torch.fft.hfftn(x, dim=(-2, -1)))
    assert torch.equal(torch.fft.ihfft2(y), torch.fft.ihfftn(y, dim=(-2, -1)))


SIZES = [7, 16, 31, 37, 60, 74, 97, 128, 210, 961, 1000, 1009]


def near(got, expected, double):
    error = np.abs(got.numpy() - expected).max() / np.sqrt((np.abs(expected) ** 2).mean())
    assert error < (1e-13 if double else 1e-5)


@pytest.mark.parametrize("double", [True, False])
@pytest.mark.parametrize("shape, dim", [((), 0), ((9,), 1), ((40,), 1), ((3,), 0), ((2, 19), 1)])
def test_many_lines_against_numpy(shape, dim, double):
    for n in SIZES:
        full = [*shape[:dim], n, *shape[dim:]]
        x = RNG.standard_normal(full)
        check_all_kinds(x, dim, n, double)


@pytest.mark.parametrize("n", [1 << 15, 3 << 14, 100_000, (1 << 16) - 2, 40_009])
def test_long_lines_against_numpy(n):
    for double in (True, False):
        check_all_kinds(RNG.standard_normal(n), 0, n, double)
    check_all_kinds(RNG.standard_normal((2, n)), 1, n, True)


def check_all_kinds(x, dim, n, double):
    z = x + 1j * np.flip(x)
    half = np.fft.rfft(x, axis=dim)
    dtype = torch.float64 if double else torch.float32
    real, both = torch.from_numpy(x).to(dtype), torch.from_numpy(z).to(dtype.to_complex())
    near(torch.fft.fft(both, dim=dim), np.fft.fft(z, axis=dim), double)
    near(torch.fft.ifft(both, dim=dim), np.fft.ifft(z, axis=dim), double)
    near(torch.fft.rfft(real, dim=dim), half, double)
    packed = torch.from_numpy(half).to(dtype.to_complex())
    near(torch.fft.irfft(packed, n=n, dim=dim), x, double)


def test_same_bits_on_any_number_of_threads():
    x = real(50, 600)
    y = real(1 << 17)
    results = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        results.append((torch.fft.rfft(x), torch.fft.fft(y)))
    for a, b in results[1:]:
        assert torch.equal(a, results[0][0]) and torch.equal(b, results[0][1])


def test_sizes():
    x = complexes(4, 6)
    close(torch.fft.fft(x, n=4), direct(x[:, :4], 1, None, -1))
    padded = torch.cat([x, x.new_zeros(4, 2)], 1)
    close(torch.fft.fft(x, n=8), direct(padded, 1, None, -1))
    assert torch.fft.fftn(x, s=(-1, 3)).shape == (4, 3)
    assert torch.fft.fftn(x, s=3).shape == (4, 3)
    assert torch.fft.irfft(x).shape == (4, 10)
    assert torch.fft.fft(x[:0]).shape == (0, 6)
    assert torch.fft.fftn(x[0, 0]).shape == ()
    close(torch.fft.fft(x.t(), dim=0), direct(x, 1, None, -1).T)


def test_types():
    x = torch.ones(4)
    assert torch.fft.fft(x).dtype == torch.complex64
    assert torch.fft.fft(x.double()).dtype == torch.complex128
    assert torch.fft.rfft(x.int()).dtype == torch.complex64
    assert torch.fft.irfft(x).dtype == torch.float32
    assert torch.fft.hfft(x.bool()).dtype == torch.float32
    assert torch.fft.fft(x.to("meta")).shape == (4,)


FUNCTIONS = [
    ("fft", "c", {"n": 4}),
    ("fft", "r", {}),
    ("ifft", "c", {"norm": "ortho"}),
    ("rfft", "r", {"n": 5}),
    ("rfft", "r", {"n": 8, "norm": "forward"}),
    ("irfft", "c", {}),
    ("irfft", "c", {"n": 5}),
    ("irfft", "r", {"n": 2}),
    ("hfft", "c", {"n": 1}),
    ("ihfft", "r", {"n": 3}),
    ("fftn", "c", {"s": (2, 3)}),
    ("ifftn", "r", {}),
    ("rfftn", "r", {"norm": "ortho"}),
    ("irfftn", "c", {"s": (3, 6)}),
    ("hfft2", "c", {}),
    ("ihfft2", "r", {}),
]


@pytest.mark.parametrize("name, kind, keywords", FUNCTIONS)
def test_gradients(name, kind, keywords):
    x = (complexes(2, 4) if kind == "c" else real(2, 4)).requires_grad_()

    def call(x):
        return getattr(torch.fft, name)(x, **keywords)

    assert gradcheck(call, (x,))
    assert gradgradcheck(call, (x,))


def test_out():
    x = real(4)
    out = torch.empty(0, dtype=torch.complex128)
    assert torch.fft.fft(x, out=out) is out
    close(out, torch.fft.fft(x).numpy())
    with pytest.raises(RuntimeError, match="complex output"):
        torch.fft.fft(x, out=torch.empty(4))


@pytest.mark.parametrize(
    "call, error",
    [
        (lambda x: torch.fft.fft(x, n=0), "data points"),
        (lambda x: torch.fft.fft(x, norm="none"), "normalization"),
        (lambda x: torch.fft.rfft(x + 0j), "real input"),
        (lambda x: torch.fft.ihfft(x + 0j), "real input"),
        (lambda x: torch.fft.rfftn(x + 0j), "real-valued"),
        (lambda x: torch.fft.fftn(x, dim=(0, -2)), "unique"),
        (lambda x: torch.fft.fftn(x, s=(2,), dim=(0, 1)), "same length"),
        (lambda x: torch.fft.fftn(x, s=(2, 2, 2)), "dimensions"),
        (lambda x: torch.fft.rfftn(x, dim=()), "at least one axis"),
        (lambda x: torch.fft.irfft(x[:, :1]), "data points"),
        (lambda x: torch.fft.fft(x.half()), "Unsupported dtype"),
    ],
)
def test_errors(call, error):
    with pytest.raises(RuntimeError, match=error):
        call(torch.ones(2, 3))


def test_index_errors():
    with pytest.raises(IndexError):
        torch.fft.fft(torch.ones(2), dim=1)
    with pytest.raises(IndexError):
        torch.fft.fft(torch.tensor(1.0))
    with pytest.raises(TypeError):
        torch.fft.fft(torch.ones(2), n=2.0)


def test_frequencies_and_shifts():
    assert torch.fft.fftfreq(5, 2.0).tolist() == pytest.approx([0, 0.1, 0.2, -0.2, -0.1])
    assert torch.fft.rfftfreq(5).tolist() == pytest.approx([0, 0.2, 0.4])
    assert torch.fft.fftfreq(4, dtype=torch.float64).dtype == torch.float64
    x = torch.arange(10).reshape(2, 5)
    assert torch.equal(torch.fft.ifftshift(torch.fft.fftshift(x)), x)
    assert torch.fft.fftshift(x, dim=1)[0].tolist() == [3, 4, 0, 1, 2]


# -- short-time transforms -------------------------------------------------------------------------
@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("normalized", [True, False])
def test_stft(center, normalized):
    x, window = real(2, 50), torch.hann_window(8, dtype=torch.float64)
    got = torch.stft(x, 10, 3, 8, window, center, "reflect", normalized, return_complex=True)
    signal = np.pad(x.numpy(), ((0, 0), (5, 5)), "reflect") if center else x.numpy()
    weights = np.pad(window.numpy(), 1)
    for t in range(got.shape[-1]):
        frame = signal[:, 3 * t : 3 * t + 10] * weights
        expected = direct(frame, 1, "ortho" if normalized else None, -1)[:, :6]
        close(got[:, :, t], expected)
    assert got.shape[-1] == (signal.shape[1] - 10) // 3 + 1


def test_stft_kinds():
    x = real(40)
    assert torch.stft(x, 8, return_complex=False).shape == (5, 21, 2)
    assert torch.stft(x, 8, onesided=False, return_complex=True).shape == (8, 21)
    assert torch.stft(x + 0j, 8).shape == (8, 21)
    assert x.stft(8, return_complex=True).dtype == torch.complex128
    aligned = torch.stft(x, 8, 2, 4, center=False, align_to_window=True, return_complex=True)
    assert aligned.shape == (5, 19)


@pytest.mark.parametrize("onesided", [True, False])
@pytest.mark.parametrize("normalized", [True, False])
def test_istft_inverts_stft(onesided, normalized):
    x, window = real(2, 60), torch.hamming_window(12, dtype=torch.float64)
    spectrum = torch.stft(
        x, 16, 4, 12, window, normalized=normalized, onesided=onesided, return_complex=True
    )
    back = torch.istft(
        spectrum, 16, 4, 12, window, normalized=normalized, onesided=onesided, length=60
    )
    close(back, x.numpy())
    assert spectrum.istft(16, 4, 12, window, normalized=normalized).shape == (2, 60)


def test_stft_gradients():
    x = real(1, 20).requires_grad_()
    window = torch.hann_window(8, dtype=torch.float64)
    assert gradcheck(lambda x: torch.stft(x, 8, window=window, return_complex=True), (x,))
    spectrum = torch.stft(x.detach(), 8, window=window, return_complex=True).requires_grad_()
    assert gradcheck(lambda s: torch.istft(s, 8, window=window), (spectrum,))


@pytest.mark.parametrize(
    "call",
    [
        lambda x: torch.stft(x, 8),
        lambda x: torch.stft(x.int(), 8, return_complex=True),
        lambda x: torch.stft(x, 80, center=False, return_complex=True),
        lambda x: torch.stft(x, 8, 0, return_complex=True),
        lambda x: torch.stft(x, 8, 2, 9, return_complex=True),
        lambda x: torch.stft(x, 8, window=torch.ones(7), return_complex=True),
        lambda x: torch.stft(x + 0j, 8, onesided=True),
        lambda x: torch.istft(x[:20].reshape(5, 4), 8),
        lambda x: torch.istft(x[:20].reshape(5, 4) + 0j, 10),
        lambda x: torch.istft(x[:20].reshape(5, 4) + 0j, 8, 9),
        lambda x: torch.istft(x[:20].reshape(5, 4) + 0j, 8, window=torch.zeros(8)),
    ],
)
def test_stft_errors(call):
    with pytest.raises(RuntimeError):
        call(torch.ones(40))
