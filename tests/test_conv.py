"""Convolutions against a plain sum in float64: sizes, strides, padding, dilation, groups."""

import itertools

import numpy as np
import pytest

import flambeau as torch

F = torch.nn.functional
RNG = np.random.default_rng(1)


def array(*shape, dtype="float64"):
    return RNG.standard_normal(shape).astype(dtype)


def reference(x, w, stride, padding, dilation, groups):
    """Convolution tap by tap, in float64."""
    n = x.ndim - 2
    x = np.pad(x.astype("float64"), [(0, 0), (0, 0)] + [(p, p) for p in padding])
    sizes = [
        (x.shape[2 + d] - dilation[d] * (w.shape[2 + d] - 1) - 1) // stride[d] + 1 for d in range(n)
    ]
    channels, filters = x.shape[1] // groups, w.shape[0] // groups
    out = np.zeros((x.shape[0], w.shape[0], *sizes))
    for tap in itertools.product(*[range(k) for k in w.shape[2:]]):
        at = tuple(
            slice(t * dilation[d], t * dilation[d] + (sizes[d] - 1) * stride[d] + 1, stride[d])
            for d, t in enumerate(tap)
        )
        for g in range(groups):
            c, f = slice(g * channels, (g + 1) * channels), slice(g * filters, (g + 1) * filters)
            seen, weight = x[(slice(None), c, *at)], w[(f, slice(None), *tap)]
            out[:, f] += np.einsum("nc...,fc->nf...", seen, weight)
    return out


def conv(n):
    return getattr(F, f"conv{n}d")


# dimensions, batch, channels, filters, sizes, kernel, stride, padding, dilation, groups
CASES = [
    (1, 2, 3, 4, (20,), (3,), (1,), (1,), (1,), 1),
    (1, 1, 4, 6, (37,), (5,), (2,), (3,), (2,), 2),
    (2, 2, 1, 6, (28, 28), (5, 5), (1, 1), (2, 2), (1, 1), 1),
    (2, 3, 6, 16, (14, 14), (5, 5), (1, 1), (0, 0), (1, 1), 1),
    (2, 1, 3, 5, (9, 33), (3, 2), (2, 1), (1, 0), (1, 2), 1),
    (2, 2, 8, 8, (17, 17), (3, 3), (1, 1), (1, 1), (1, 1), 8),
    (2, 2, 4, 8, (16, 18), (3, 3), (3, 2), (2, 1), (2, 1), 4),
    (2, 1, 20, 17, (7, 7), (3, 3), (1, 1), (1, 1), (1, 1), 1),
    (2, 2, 16, 33, (8, 8), (1, 1), (1, 1), (0, 0), (1, 1), 1),
    (2, 2, 6, 4, (12, 12), (1, 1), (2, 2), (0, 0), (1, 1), 2),
    (2, 1, 40, 30, (35, 50), (3, 3), (2, 2), (1, 1), (1, 1), 1),
    (2, 1, 2, 3, (5, 5), (3, 3), (1, 1), (4, 4), (1, 1), 1),
    (2, 9, 35, 33, (4, 5), (3, 3), (1, 1), (1, 1), (1, 1), 1),  # several images at a time
    (2, 5, 3, 130, (7, 7), (3, 3), (2, 2), (1, 1), (1, 1), 1),
    (2, 3, 10, 7, (9, 11), (1, 1), (2, 3), (0, 0), (1, 1), 1),
    (2, 3, 9, 9, (10, 13), (5, 3), (2, 1), (2, 1), (1, 2), 9),  # depthwise
    (2, 2, 6, 6, (19, 23), (3, 3), (1, 1), (2, 3), (2, 2), 6),
    (2, 1, 5, 10, (17, 30), (5, 5), (1, 1), (12, 12), (6, 6), 5),
    # Depthwise on small planes: channels in the lanes.
    (2, 2, 35, 35, (7, 7), (5, 5), (1, 1), (2, 2), (1, 1), 35),
    (2, 1, 20, 20, (9, 14), (7, 5), (1, 1), (3, 2), (1, 1), 20),
    (2, 3, 16, 16, (13, 13), (3, 3), (2, 2), (1, 1), (1, 1), 16),
    (2, 1, 33, 33, (6, 3), (3, 3), (1, 1), (5, 4), (2, 2), 33),
    (1, 2, 17, 17, (8,), (3,), (1,), (1,), (1,), 17),
    # Large enough for minimal filtering.
    (2, 4, 33, 40, (14, 15), (3, 3), (1, 1), (1, 1), (1, 1), 1),
    (2, 1, 140, 66, (33, 19), (3, 3), (1, 1), (1, 1), (1, 1), 1),
    (2, 9, 70, 64, (7, 7), (3, 3), (1, 1), (2, 2), (1, 1), 2),
    (2, 2, 32, 32, (20, 70), (3, 3), (1, 1), (0, 0), (1, 1), 1),
    (3, 1, 16, 33, (6, 9, 12), (3, 3, 3), (1, 1, 1), (1, 1, 1), (1, 1, 1), 1),
    (2, 2, 5, 10, (6, 7), (3, 3), (2, 3), (1, 0), (1, 1), 5),
    (1, 2, 4, 4, (70,), (9,), (3,), (4,), (1,), 4),
    (3, 2, 3, 4, (6, 7, 17), (3, 2, 3), (1, 2, 1), (1, 0, 1), (1, 1, 2), 1),
    (3, 1, 4, 4, (5, 6, 7), (2, 3, 3), (2, 1, 2), (1, 1, 1), (1, 1, 1), 2),
    # Long single lines, in parts.
    (1, 2, 12, 40, (5001,), (7,), (2,), (3,), (3,), 2),
    (1, 1, 130, 20, (1100,), (2,), (1,), (1,), (1,), 1),
    # Few positions under many filters.
    (2, 2, 60, 33, (6, 2), (5, 1), (3, 1), (2, 0), (1, 1), 1),
    (2, 1, 30, 40, (5, 7), (3, 3), (2, 3), (1, 2), (1, 1), 1),
    (2, 2, 40, 30, (3, 3), (3, 3), (1, 1), (1, 1), (1, 1), 1),
    (3, 1, 20, 70, (5, 4, 3), (3, 2, 3), (2, 1, 2), (1, 0, 1), (1, 2, 1), 1),
    # Dilated: phases as images, and taps one by one.
    (2, 1, 33, 40, (29, 31), (3, 3), (1, 1), (2, 2), (2, 2), 1),
    (2, 3, 64, 64, (21, 24), (3, 3), (1, 1), (2, 4), (3, 2), 2),
    (2, 2, 32, 32, (40, 28), (3, 3), (1, 1), (3, 1), (2, 4), 1),
    (2, 1, 40, 33, (14, 9), (3, 3), (1, 1), (6, 6), (6, 6), 1),
    (2, 3, 64, 70, (7, 8), (3, 2), (1, 1), (12, 3), (12, 5), 2),
    (2, 2, 33, 35, (5, 5), (3, 3), (1, 1), (9, 9), (9, 9), 1),
    (1, 2, 32, 32, (2100,), (3,), (1,), (900,), (900,), 1),
    (3, 1, 32, 32, (7, 3, 9), (3, 1, 2), (1, 1, 1), (4, 0, 2), (4, 1, 5), 1),
]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_and_threads(case, dtype):
    n, batch, channels, filters, sizes, kernel, *geometry, groups = case
    x = array(batch, channels, *sizes, dtype=dtype)
    w = array(filters, channels // groups, *kernel, dtype=dtype)
    b = array(filters, dtype=dtype)
    expected = reference(x, w, *geometry, groups) + b.reshape(-1, *[1] * n)
    results = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        t = [torch.from_numpy(a).requires_grad_() for a in (x, w, b)]
        y = conv(n)(*t, *geometry, groups)
        y.backward(torch.ones_like(y))
        results.append([y.detach().numpy()] + [a.grad.numpy() for a in t])
    tolerance = 1e-4 if dtype == "float32" else 1e-10
    np.testing.assert_allclose(results[0][0], expected, rtol=tolerance, atol=tolerance * 10)
    for other in results[1:]:
        for p, q in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(p, q)


@pytest.mark.parametrize("case", CASES)
def test_gradients(case):
    """<conv(x, w), g> is linear in x and in w: the gradients must give it back."""
    n, batch, channels, filters, sizes, kernel, *geometry, groups = case
    x = torch.from_numpy(array(batch, channels, *sizes)).requires_grad_()
    w = torch.from_numpy(array(filters, channels // groups, *kernel)).requires_grad_()
    y = conv(n)(x, w, None, *geometry, groups)
    g = array(*y.shape)
    gx, gw = torch.autograd.grad(y, (x, w), torch.from_numpy(g))
    dx, dw = array(*x.shape), array(*w.shape)
    moved_x = reference(dx, w.detach().numpy(), *geometry, groups)
    moved_w = reference(x.detach().numpy(), dw, *geometry, groups)
    np.testing.assert_allclose((gx.numpy() * dx).sum(), (moved_x * g).sum(), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose((gw.numpy() * dw).sum(), (moved_w * g).sum(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_gradients_of_float32(case):
    """They are those of float64, but for rounding."""
    n, batch, channels, filters, sizes, kernel, *geometry, groups = case
    x, w = array(batch, channels, *sizes), array(filters, channels // groups, *kernel)
    g, results = None, []
    for dtype in (torch.float64, torch.float32):
        t = [torch.from_numpy(a).to(dtype).requires_grad_() for a in (x, w)]
        y = conv(n)(*t, None, *geometry, groups)
        g = array(*y.shape) if g is None else g
        results.append(torch.autograd.grad(y, t, torch.from_numpy(g).to(dtype)))
    for expected, got in zip(*results, strict=True):
        scale = float(expected.abs().max())
        np.testing.assert_allclose(got.numpy(), expected.numpy(), rtol=1e-4, atol=2e-6 * scale)


def test_phases_of_many_images_go_in_parts():
    x = array(9, 64, 120, 120, dtype="float32")
    w = array(32, 64, 3, 3, dtype="float32")
    g = array(9, 32, 120, 120, dtype="float32")
    tx, tg = torch.from_numpy(x), torch.from_numpy(g)
    tw = torch.from_numpy(w).requires_grad_()
    y = F.conv2d(tx, tw, padding=2, dilation=2)
    one_by_one = [F.conv2d(tx[i : i + 1], tw, padding=2, dilation=2) for i in range(9)]
    np.testing.assert_array_equal(y.detach().numpy(), torch.cat(one_by_one).detach().numpy())
    got = torch.autograd.grad(y, tw, tg)[0].numpy()
    parts = [
        torch.autograd.grad(p, tw, tg[i : i + 1])[0].double() for i, p in enumerate(one_by_one)
    ]
    np.testing.assert_allclose(got, sum(parts).numpy(), rtol=1e-3, atol=2e-2)


def test_dilated_sums_of_what_is_not_finite_stay_in_their_place():
    x = np.ones((1, 32, 28, 28), dtype="float32")
    x[0, 3, 5, 7] = np.inf
    w = torch.ones(32, 32, 3, 3, requires_grad=True)
    y = F.conv2d(torch.from_numpy(x), w, padding=2, dilation=2)
    seen = np.zeros((28, 28), dtype=bool)
    seen[3:8:2, 5:10:2] = True
    np.testing.assert_array_equal(np.isposinf(y[0, 5].detach().numpy()), seen)
    assert np.isfinite(y.detach().numpy()).sum() == y.numel() - 32 * 9
    y.backward(torch.ones_like(y))
    assert np.isposinf(w.grad[:, 3].numpy()).all()
    assert np.isfinite(w.grad[:, 1].numpy()).all()


def test_what_is_not_finite_stays_in_its_place():
    x = np.ones((2, 32, 16, 16), dtype="float32")
    x[0, 3, 5, 7], x[1, 0, 0, 0] = np.inf, np.nan
    w = np.ones((32, 32, 3, 3), dtype="float32")
    tx = torch.from_numpy(x).requires_grad_()
    tw = torch.from_numpy(w).requires_grad_()
    y = F.conv2d(tx, tw, padding=1)
    seen = np.zeros((16, 16), dtype=bool)
    seen[4:7, 6:9] = True
    np.testing.assert_array_equal(np.isposinf(y[0, 5].detach().numpy()), seen)
    assert np.isnan(y[1].detach().numpy()).sum() == 32 * 4
    assert np.isfinite(y.detach().numpy()).sum() == y.numel() - 32 * 13
    y.backward(torch.ones_like(y))
    assert bool(tx.grad.isfinite().all())
    assert np.isinf(tw.grad[:, 3].numpy()).all()
    assert np.isfinite(tw.grad[:, 1].numpy()).all()


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("stride, padding, extra, dilation, groups", [
    (1, 0, 0, 1, 1), (2, 1, 1, 1, 1), (3, 2, 0, 1, 2), (2, 1, 1, 2, 2),
])  # fmt: skip
def test_transposed_is_the_gradient_of_a_convolution(n, stride, padding, extra, dilation, groups):
    y = array(2, 4, *[5] * n)
    w, b = array(4, 3, *[3] * n), array(3 * groups)
    f = getattr(F, f"conv_transpose{n}d")
    arguments = (stride, padding, extra, groups, dilation)
    out = f(torch.from_numpy(y), torch.from_numpy(w), torch.from_numpy(b), *arguments)
    x = array(*out.shape)
    forward = reference(x, w, *[[v] * n for v in (stride, padding, dilation)], groups)
    assert forward.shape == y.shape
    plain = out.numpy() - b.reshape(-1, *[1] * n)
    np.testing.assert_allclose((plain * x).sum(), (forward * y).sum(), rtol=1e-9, atol=1e-9)


def test_second_gradients():
    x = torch.from_numpy(array(2, 2, 5, 6)).requires_grad_()
    w = torch.from_numpy(array(4, 1, 3, 2)).requires_grad_()
    b = torch.from_numpy(array(4)).requires_grad_()

    def f(x, w, b):
        return F.conv2d(x, w, b, stride=(2, 1), padding=1, groups=2)

    assert torch.autograd.gradcheck(f, (x, w, b))
    assert torch.autograd.gradgradcheck(f, (x, w, b))

    def g(x, w):
        return F.conv_transpose2d(x, w, None, 2, 1, 1)

    w = torch.from_numpy(array(2, 3, 3, 3)).requires_grad_()
    assert torch.autograd.gradcheck(g, (x, w))
    assert torch.autograd.gradgradcheck(g, (x, w))


def test_named_padding():
    x, w = torch.from_numpy(array(1, 2, 9, 10)), torch.from_numpy(array(3, 2, 3, 4))
    same = F.conv2d(x, w, padding="same", dilation=(1, 2))
    assert same.shape == (1, 3, 9, 10)
    valid = F.conv2d(x, w, padding="valid")
    np.testing.assert_allclose(valid.numpy(), F.conv2d(x, w).numpy())
    odd = torch.from_numpy(array(3, 2, 3, 3))
    np.testing.assert_allclose(
        F.conv2d(x, odd, padding="same").numpy(), F.conv2d(x, odd, padding=1).numpy()
    )


def test_unbatched_and_empty():
    x, w = torch.ones(3, 8, 8), torch.ones(4, 3, 3, 3)
    assert F.conv2d(x, w).shape == (4, 6, 6)
    assert F.conv_transpose2d(x, torch.ones(3, 2, 3, 3)).shape == (2, 10, 10)
    assert F.conv2d(torch.ones(0, 3, 8, 8), w).shape == (0, 4, 6, 6)
    assert torch.conv2d(x.unsqueeze(0), w).tolist() == [[[[27.0] * 6] * 6] * 4]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.int64])
def test_other_types(dtype):
    x = torch.arange(2 * 3 * 6).reshape(2, 3, 6).to(dtype)
    w = torch.ones(2, 3, 2, dtype=dtype)
    y = F.conv1d(x, w)
    assert y.dtype == dtype
    expected = reference(np.arange(36.0).reshape(2, 3, 6), np.ones((2, 3, 2)), (1,), (0,), (1,), 1)
    np.testing.assert_allclose(y.to(torch.float64).numpy(), expected, rtol=1e-2)


def test_complex():
    x, w = array(1, 2, 8) + 1j * array(1, 2, 8), array(3, 2, 3) + 1j * array(3, 2, 3)
    y = F.conv1d(torch.from_numpy(x), torch.from_numpy(w)).numpy()
    rr, ri, ir, ii = (
        reference(p, q, (1,), (0,), (1,), 1) for p in (x.real, x.imag) for q in (w.real, w.imag)
    )
    expected = rr - ii + 1j * (ri + ir)
    np.testing.assert_allclose(y, expected, rtol=1e-9, atol=1e-9)


BAD = [
    ({"x": (8, 8)}, "but got input of size"),
    ({"w": (4, 3, 3)}, "4-dimensional weight"),
    ({"x": (1, 2, 8, 8)}, "to have 3 channels, but got 2"),
    ({"b": (3,)}, "1-dimensional with 4 elements"),
    ({"x": (1, 3, 2, 2)}, "Kernel size can't be greater"),
    ({"stride": 0}, "non-positive stride"),
    ({"padding": -1}, "negative padding"),
    ({"dilation": 0}, "dilation should be greater than zero"),
    ({"groups": 0}, "non-positive groups"),
    ({"groups": 3}, "divisible by 3"),
    ({"padding": "half"}, "Invalid padding string"),
    ({"padding": "same", "stride": 2}, "strided"),
    ({"stride": (1, 2, 3)}, "list of 2 values"),
]


@pytest.mark.parametrize("change, message", BAD)
def test_errors(change, message):
    change = dict(change)
    x = torch.ones(change.pop("x", (1, 3, 8, 8)))
    w = torch.ones(change.pop("w", (4, 3, 3, 3)))
    b = torch.ones(change.pop("b", (4,)))
    with pytest.raises(RuntimeError, match=message):
        F.conv2d(x, w, b, **change)


def test_errors_of_types():
    x = torch.ones(1, 3, 8, 8)
    with pytest.raises(RuntimeError, match="should be the same"):
        F.conv2d(x, torch.ones(4, 3, 3, 3, dtype=torch.float64))
    with pytest.raises(RuntimeError, match="output padding must be smaller"):
        F.conv_transpose2d(x, torch.ones(3, 4, 3, 3), output_padding=1)


def test_meta():
    x, w = torch.empty(2, 3, 8, 8, device="meta"), torch.empty(4, 3, 3, 3, device="meta")
    assert F.conv2d(x, w, stride=2, padding=1).shape == (2, 4, 4, 4)


@pytest.mark.parametrize("size", [14, 5])  # by minimal filtering, and packed
def test_a_weight_that_changes_is_packed_again(size):
    x = array(5, 40, size, size, dtype="float32")
    module = torch.nn.Conv2d(40, 48, 3, padding=1, bias=False)
    w, tx = module.weight, torch.from_numpy(x)

    def check():
        with torch.no_grad():
            for _ in range(3):
                y = module(tx)
                expected = reference(x, w.detach().clone().numpy(), (1, 1), (1, 1), (1, 1), 1)
                np.testing.assert_allclose(y.numpy(), expected, rtol=1e-4, atol=1e-4)

    check()
    with torch.no_grad():
        w.mul_(2)
    check()
    w.data.add_(0.1)
    check()
    module.load_state_dict({"weight": torch.randn(48, 40, 3, 3)})
    check()
    w.detach().numpy()[3] = 1
    check()
    w.data = torch.randn(48, 40, 3, 3)
    check()
    with torch.no_grad():
        w.view(-1)[::7] = 0
    check()


@pytest.mark.parametrize("n", [1, 2, 3])
def test_gradients_as_functions(n):
    conv = getattr(torch.nn.functional, f"conv{n}d")
    by_input = getattr(torch.nn.grad, f"conv{n}d_input")
    by_weight = getattr(torch.nn.grad, f"conv{n}d_weight")
    x = torch.randn(2, 4, *[6] * n, requires_grad=True)
    w = torch.randn(6, 2, *[3] * n, requires_grad=True)
    options = {"stride": 2, "padding": 1, "groups": 2}
    y = conv(x, w, None, **options)
    g = torch.randn_like(y)
    want = torch.autograd.grad(y, (x, w), g)
    for got, wanted in (
        (by_input(x.shape, w, g, **options), want[0]),
        (by_weight(x, w.shape, g, **options), want[1]),
    ):
        assert got.requires_grad and torch.allclose(got, wanted, atol=1e-5)
    with torch.no_grad():
        assert not by_input(x.shape, w, g, **options).requires_grad


def test_convolution_of_no_channels_is_its_bias():
    x, weight = torch.ones(2, 0, 4, 5), torch.ones(3, 0, 2, 2)
    bias = torch.tensor([1.0, 2.0, 3.0])
    for t in x, weight, bias:
        t.requires_grad_()
    y = F.conv2d(x, weight, bias)
    assert y.shape == (2, 3, 3, 4) and y[1, :, 2, 3].tolist() == [1.0, 2.0, 3.0]
    y.sum().backward()
    assert bias.grad.tolist() == [24.0] * 3
    assert weight.grad.shape == weight.shape and x.grad.shape == x.shape
