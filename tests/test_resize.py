"""Interpolation against sums over the input's pixels."""

import numpy as np
import pytest

import flambeau as torch
import flambeau.nn.functional as F


def cubic(x, a):
    x = abs(x)
    if x < 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0


def matrix(n, out, mode, align=False, scale=None, antialias=False):
    """[out, n]: the weights of the pixels of one dimension."""
    m = np.zeros((out, n))
    step = 1 / scale if scale else n / out
    if align:
        step = (n - 1) / (out - 1) if out > 1 else 0.0
    for o in range(out):
        if mode == "nearest":
            m[o, min(int(np.floor(np.float32(o) * np.float32(step))), n - 1)] = 1
        elif mode == "nearest-exact":
            m[o, min(int((o + 0.5) * step), n - 1)] = 1
        elif antialias:
            wide = max(step, 1.0)
            reach = (2 if mode == "bicubic" else 1) * wide
            center = (o + 0.5) * step
            for i in range(max(0, int(center - reach + 0.5)), min(n, int(center + reach + 0.5))):
                x = (i + 0.5 - center) / wide
                m[o, i] = cubic(x, -0.5) if mode == "bicubic" else max(0.0, 1 - abs(x))
            m[o] /= m[o].sum()
        else:
            at = o * step if align else (o + 0.5) * step - 0.5
            if mode != "bicubic":
                at = max(at, 0.0)
            low = int(np.floor(at))
            for i in range(low - 1, low + 3):
                x = at - i
                w = cubic(x, -0.75) if mode == "bicubic" else max(0.0, 1 - abs(x))
                m[o, min(max(i, 0), n - 1)] += w
    return m


def resized(x, size, mode, align=False, antialias=False):
    for d, out in enumerate(size, 2):
        m = matrix(x.shape[d], out, mode, align, None, antialias)
        x = np.moveaxis(np.tensordot(m, x, (1, d)), 0, d)
    return x


CASES = [
    ((2, 3, 9), (21,), "linear"),
    ((2, 3, 9), (5,), "nearest"),
    ((2, 3, 9, 20), (15, 7), "nearest"),
    ((2, 3, 9, 20), (15, 7), "nearest-exact"),
    ((2, 3, 9, 20), (18, 40), "bilinear"),
    ((2, 3, 9, 20), (4, 37), "bicubic"),
    ((1, 2, 3, 4, 18), (5, 3, 36), "trilinear"),
    ((1, 2, 3, 4, 5), (6, 2, 5), "nearest"),
    ((1, 1, 1, 1), (3, 4), "bicubic"),
]


WIDE = [  # lines of many registers, several lines at once, places far apart and close together
    ((1, 2, 37, 131), (20, 59), "nearest"),
    ((1, 2, 40, 70), (80, 140), "nearest"),
    ((1, 2, 37, 300), (9, 31), "nearest-exact"),
    ((1, 2, 37, 131), (20, 59), "bilinear"),
    ((1, 2, 37, 131), (50, 259), "bilinear"),
    ((1, 2, 37, 300), (9, 31), "bilinear"),
    ((1, 2, 37, 131), (20, 59), "bicubic"),
]


@pytest.mark.parametrize("shape, size, mode", CASES + WIDE)
@pytest.mark.parametrize("align", [False, True])
def test_interpolate(shape, size, mode, align):
    if align and mode.startswith("nearest"):
        pytest.skip("has no corners to align")
    x = np.random.default_rng(0).standard_normal(shape)
    corners = None if mode.startswith("nearest") else align
    for dtype, atol in ((torch.float64, 1e-12), (torch.float32, 1e-6 * max(shape))):
        t = torch.tensor(x.tolist(), dtype=dtype)
        got = F.interpolate(t, size, mode=mode, align_corners=corners)
        assert got.dtype == dtype
        np.testing.assert_allclose(np.array(got.tolist()), resized(x, size, mode, align), atol=atol)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(5, 33), (40, 4)])
def test_antialias(mode, size):
    x = np.random.default_rng(0).standard_normal((1, 2, 20, 31))
    t = torch.tensor(x.tolist(), dtype=torch.float64)
    got = F.interpolate(t, size, mode=mode, antialias=True)
    want = resized(x, size, mode, antialias=True)
    np.testing.assert_allclose(np.array(got.tolist()), want, atol=1e-12)


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic", "nearest-exact"])
@pytest.mark.parametrize("shape", [(0, 2), (2, 0)])
def test_batches_of_no_images_have_a_gradient(mode, shape):
    x = torch.ones(*shape, 4, 4, requires_grad=True)
    out = F.interpolate(x, scale_factor=1.5, mode=mode)
    out.sum().backward()
    assert out.shape == (*shape, 6, 6) and x.grad.shape == x.shape


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "bfloat16", "float32", "int64"])
@pytest.mark.parametrize("channels", [1, 3, 4, 5])
def test_nearest_copies_whatever_the_type_and_layout(mode, dtype, channels):
    x = torch.arange(2 * channels * 9 * 21).view(2, channels, 9, 21) % 251
    for size in ((4, 50), (9, 42), (20, 5)):
        rows, columns = (
            torch.tensor(matrix(n, out, mode).argmax(1).tolist()) for n, out in zip((9, 21), size)
        )
        want = x[:, :, rows][..., columns]
        for layout in (torch.contiguous_format, torch.channels_last):
            given = x.to(getattr(torch, dtype)).contiguous(memory_format=layout)
            got = F.interpolate(given, size, mode=mode)
            assert got.dtype == given.dtype and got.is_contiguous(memory_format=layout)
            assert torch.equal(got.to(torch.int64), want)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("antialias", [False, True])
def test_bytes_stay_bytes(mode, antialias):
    x = np.random.default_rng(0).integers(0, 256, (1, 3, 13, 17))
    t = torch.tensor(x.tolist(), dtype=torch.uint8)
    got = F.interpolate(t, (13, 9), mode=mode, antialias=antialias)
    assert got.dtype == torch.uint8
    want = resized(x.astype(float), (13, 9), mode, antialias=antialias).clip(0, 255)
    assert np.abs(np.array(got.tolist()) - want).max() < 0.6


def test_scale_factor_is_the_step_unless_computed_again():
    x = torch.arange(5.0).reshape(1, 1, 5)
    kept = F.interpolate(x, scale_factor=1.5, mode="linear")
    again = F.interpolate(x, scale_factor=1.5, mode="linear", recompute_scale_factor=True)
    assert kept.shape == again.shape == (1, 1, 7)
    line = np.arange(5.0)
    np.testing.assert_allclose(kept[0, 0].tolist(), matrix(5, 7, "linear", scale=1.5) @ line)
    np.testing.assert_allclose(again[0, 0].tolist(), matrix(5, 7, "linear") @ line, rtol=1e-6)


@pytest.mark.parametrize("shape, size, mode", CASES)
def test_gradients(shape, size, mode):
    small = tuple(min(n, 6) for n in shape)
    x = torch.randn(*small, dtype=torch.float64, requires_grad=True)
    out = tuple(min(n, 7) for n in size)
    assert torch.autograd.gradcheck(lambda x: F.interpolate(x, out, mode=mode), (x,))
    assert torch.autograd.gradgradcheck(lambda x: F.interpolate(x, out, mode=mode), (x,))


def test_gradient_of_antialias():
    x = torch.randn(1, 1, 7, 6, dtype=torch.float64, requires_grad=True)
    f = lambda x: F.interpolate(x, (3, 4), mode="bicubic", antialias=True)  # noqa: E731
    assert torch.autograd.gradcheck(f, (x,))


@pytest.mark.parametrize(
    "error, call",
    [
        (ValueError, lambda x: F.interpolate(x)),
        (ValueError, lambda x: F.interpolate(x, 4, 2)),
        (ValueError, lambda x: F.interpolate(x, 4, mode="nearest", align_corners=True)),
        (NotImplementedError, lambda x: F.interpolate(x, 4, mode="cubic")),
        (NotImplementedError, lambda x: F.interpolate(x, 4, mode="linear")),
        (RuntimeError, lambda x: F.interpolate(x, 0)),
        (ValueError, lambda x: F.interpolate(x, 4, mode="nearest", antialias=True)),
    ],
)
def test_errors(error, call):
    with pytest.raises(error):
        call(torch.ones(1, 1, 3, 3))


def test_places_between_pixels_are_numbers_of_the_inputs_type():
    # a zigzag of 0 and 1 shows how far between two pixels each result lies
    x = (torch.arange(192) % 2).float()[None, None]
    step = np.float32(192) / np.float32(960)
    at = (float(step) * (np.arange(960) + 0.5) - 0.5).astype(np.float32)  # rounded once
    at = np.maximum(at, 0)
    rest = at - np.floor(at)
    wanted = np.where(np.floor(at) % 2 == 0, rest, np.float32(1) - rest)
    wanted[at >= 191] = 1
    assert np.array_equal(F.interpolate(x, 960, mode="linear")[0, 0].numpy(), wanted)


def test_shapes_of_meta_tensors_take_no_time():
    x = torch.empty(2, 3, 2 * 10**8, device="meta")
    assert torch.nn.functional.interpolate(x, scale_factor=2).shape == (2, 3, 4 * 10**8)
    image = torch.empty(1, 3, 8, 8, dtype=torch.uint8, device="meta")
    got = torch.nn.functional.interpolate(image, size=(4, 2), mode="bilinear")
    assert got.shape == (1, 3, 4, 2) and got.dtype == torch.uint8


@pytest.mark.parametrize("size", [(31, 300), (5, 300), (31, 12)])
def test_of_two_neighbours_the_second_is_rounded_first(size):
    # PyTorch's compiled loops multiply the second by its weight and add the first in one step
    rng = np.random.default_rng(0)
    x = rng.standard_normal((5, 12)).astype(np.float32)

    def shares(n, out):
        at = (float(np.float32(n) / np.float32(out)) * (np.arange(out) + 0.5) - 0.5).astype("f")
        at = np.maximum(at, 0)
        low = at.astype(np.int64)
        share = at - low.astype(np.float32)
        return low, np.minimum(low + 1, n - 1), np.where(low == n - 1, 0, share)

    def between(first, second, share, fused):
        rest, wide = np.float32(1) - share, np.float64 if fused else np.float32
        product = (first.astype(wide) * rest.astype(wide)).astype(wide)
        return (product + second * share).astype(np.float32)

    (top, below, down), (left, right, across) = (shares(*p) for p in zip(x.shape, size))
    found = F.interpolate(torch.tensor(x)[None, None], size, mode="bilinear")[0, 0].numpy()
    wanted = []
    for fused in (True, False):  # processors without the one step round both
        rows = between(x[:, left], x[:, right], across, fused)
        wanted.append(between(rows[top], rows[below], down[:, None], fused))
    assert any(np.array_equal(found, w) for w in wanted)
