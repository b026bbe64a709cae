"""Pooling against windows walked one by one."""

import itertools

import numpy as np
import pytest

import flambeau as torch
import flambeau.nn.functional as F


def windows(size, out, kernel, stride, padding, dilation):
    """The places inside of the input of every window of one dimension."""
    for o in range(out):
        places = [o * stride - padding + k * dilation for k in range(kernel)]
        yield [p for p in places if 0 <= p < size]


def adaptive(size, out):
    return [range(o * size // out, -((o + 1) * size // -out)) for o in range(out)]


def pooled(x, axes, reduce):
    """reduce(values, flat places) of every block of the last dimensions of x."""
    lead = x.shape[: x.ndim - len(axes)]
    plane = x.shape[x.ndim - len(axes) :]
    flat = x.reshape(-1, *plane)
    axes = [list(a) for a in axes]
    out = []
    for p in flat:
        for block in itertools.product(*axes):
            at = list(itertools.product(*block))
            places = [np.ravel_multi_index(i, plane) for i in at]
            out.append(reduce(np.array([p[i] for i in at]), places))
    return np.array(out).reshape(*lead, *map(len, axes))


SHAPES = [
    (1, (2, 3, 37), 3, 2, 1, 1),
    (1, (2, 3, 37), 4, 3, 2, 2),
    (2, (2, 3, 11, 40), (3, 2), (2, 2), (1, 0), (1, 1)),
    (2, (3, 19, 21), (3, 3), (1, 1), (1, 1), (1, 1)),
    (2, (1, 2, 20, 23), (2, 3), (3, 1), (1, 1), (2, 3)),
    (3, (2, 2, 5, 6, 19), (2, 3, 2), (2, 1, 2), (1, 1, 0), (1, 1, 1)),
]


def spread(v, n):
    return (v,) * n if isinstance(v, int) else v


def axes_of(shape, n, kernel, stride, padding, dilation):
    for size, k, s, p, d in zip(
        shape[-n:], *(spread(v, n) for v in (kernel, stride, padding, dilation))
    ):
        yield windows(size, (size + 2 * p - d * (k - 1) - 1) // s + 1, k, s, p, d)


@pytest.mark.parametrize("n, shape, kernel, stride, padding, dilation", SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "bfloat16"])
def test_max_pool(n, shape, kernel, stride, padding, dilation, dtype):
    # Few values, so that windows hold equal ones: the first in memory order counts.
    x = np.random.default_rng(0).integers(-4, 5, shape)
    pool = getattr(F, f"max_pool{n}d")
    t = torch.tensor(x.tolist(), dtype=getattr(torch, dtype))
    axes = [list(a) for a in axes_of(shape, n, kernel, stride, padding, dilation)]
    best, places = pool(t, kernel, stride, padding, dilation, return_indices=True)
    assert best.dtype == t.dtype and places.dtype == torch.int64
    assert best.tolist() == pooled(x, axes, lambda v, p: v.max()).tolist()
    assert places.tolist() == pooled(x, axes, lambda v, p: p[int(v.argmax())]).tolist()
    assert pool(t, kernel, stride, padding, dilation).tolist() == best.tolist()


@pytest.mark.parametrize("n, shape, kernel, stride, padding, dilation", SHAPES)
@pytest.mark.parametrize("include", [True, False])
def test_avg_pool(n, shape, kernel, stride, padding, dilation, include):
    x = np.random.default_rng(0).standard_normal(shape)
    kernel, stride, padding = (spread(v, n) for v in (kernel, stride, padding))
    axes = [list(a) for a in axes_of(shape, n, kernel, stride, padding, 1)]
    area = int(np.prod(kernel))  # without ceil_mode no window passes the padding
    want = pooled(x, axes, lambda v, p: v.sum() / (area if include else len(v)))
    t = torch.tensor(x.tolist(), dtype=torch.float64)
    pool = getattr(F, f"avg_pool{n}d")
    got = pool(t, kernel, stride, padding, False, include)
    np.testing.assert_allclose(np.array(got.tolist()), want, atol=1e-12)


def test_channels_last_gives_the_same_and_stays():
    x = torch.randn(2, 5, 12, 13, dtype=torch.float64)
    y = x.contiguous(memory_format=torch.channels_last)
    for f in (
        lambda x: F.max_pool2d(x, 3, 2, 1),
        lambda x: F.max_pool2d(x, 3, 2, 1, return_indices=True)[1],
        lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
        lambda x: F.adaptive_avg_pool2d(x, (3, 5)),
        lambda x: F.adaptive_max_pool2d(x, (3, 5)),
        lambda x: F.interpolate(x, (7, 30), mode="bilinear"),
    ):
        got = f(y)
        assert torch.allclose(got.double(), f(x).double())
        assert got.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("size", [(1, 1), (3, 4), (7, 9), (20, 5)])
def test_adaptive(size):
    x = np.random.default_rng(0).standard_normal((2, 3, 7, 9))
    axes = [adaptive(7, size[0]), adaptive(9, size[1])]
    t = torch.tensor(x.tolist(), dtype=torch.float64)
    mean = pooled(x, axes, lambda v, p: v.mean())
    np.testing.assert_allclose(np.array(F.adaptive_avg_pool2d(t, size).tolist()), mean, atol=1e-12)
    best, places = F.adaptive_max_pool2d(t, size, return_indices=True)
    assert best.tolist() == pooled(x, axes, lambda v, p: v.max()).tolist()
    assert places.tolist() == pooled(x, axes, lambda v, p: p[int(v.argmax())]).tolist()


GRADIENTS = {
    "max1d": ((2, 11), lambda x: F.max_pool1d(x, 3, 2, 1)),
    "max2d": ((1, 2, 5, 6), lambda x: F.max_pool2d(x, 2, 1, 1, 2)),
    "max3d": ((2, 3, 4, 4), lambda x: F.max_pool3d(x, 2)),
    "avg2d": ((1, 2, 5, 6), lambda x: F.avg_pool2d(x, 3, 2, 1, True, False)),
    "avg divisor": ((1, 2, 5, 6), lambda x: F.avg_pool2d(x, 2, divisor_override=3)),
    "avg3d": ((2, 3, 4, 4), lambda x: F.avg_pool3d(x, 2, 1)),
    "adaptive avg": ((1, 2, 5, 6), lambda x: F.adaptive_avg_pool2d(x, (3, 4))),
    "adaptive max": ((1, 2, 5, 6), lambda x: F.adaptive_max_pool2d(x, (3, 4))),
    "lp": ((1, 2, 5, 6), lambda x: F.lp_pool2d(x, 2, 2)),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients(name):
    shape, f = GRADIENTS[name]
    x = torch.randperm(int(np.prod(shape))).reshape(shape).double().div(7).sub(1)
    x.requires_grad_()
    assert torch.autograd.gradcheck(f, (x,))
    assert torch.autograd.gradgradcheck(f, (x,))


def test_not_a_number_wins():
    x = torch.tensor([[1.0, float("nan"), 3.0, 2.0]])
    assert str(F.max_pool1d(x, 2).tolist()) == "[[nan, 3.0]]"
    low = torch.full((1, 3), -float("inf"))
    best, places = F.max_pool1d(low, 3, return_indices=True)
    assert best.item() == -float("inf") and places.item() == 0


def test_ceil_mode():
    x = torch.arange(1.0, 8.0).reshape(1, 7)
    assert F.max_pool1d(x, 2, 2, ceil_mode=True).tolist() == [[2, 4, 6, 7]]
    assert F.avg_pool1d(x, 2, 2, 0, True).tolist() == [[1.5, 3.5, 5.5, 7]]


def test_meta_and_empty():
    assert F.max_pool2d(torch.empty(2, 3, 8, 8, device="meta"), 2).shape == (2, 3, 4, 4)
    assert F.avg_pool2d(torch.empty(0, 3, 8, 8), 2).shape == (0, 3, 4, 4)
    assert F.adaptive_avg_pool3d(torch.empty(2, 1, 4, 4, 4), (2, None, 1)).shape == (2, 1, 2, 4, 1)


@pytest.mark.parametrize(
    "call",
    [
        lambda: F.max_pool2d(torch.ones(3, 4), 2),
        lambda: F.max_pool2d(torch.ones(1, 4, 4), 0),
        lambda: F.max_pool2d(torch.ones(1, 4, 4), 2, padding=2),
        lambda: F.max_pool2d(torch.ones(1, 4, 4), 2, padding=-1),
        lambda: F.max_pool2d(torch.ones(1, 4, 4), 5),
        lambda: F.max_pool2d(torch.ones(1, 4, 4), (2, 2, 2)),
        lambda: F.avg_pool2d(torch.ones(1, 4, 4), 2, divisor_override=0),
        lambda: F.avg_pool2d(torch.ones(1, 0, 4, 4), 2),
        lambda: F.adaptive_avg_pool2d(torch.ones(1, 4, 4), -1),
        lambda: F.max_pool2d(torch.ones(1, 4, 4, dtype=torch.complex64), 2),
    ],
)
def test_errors(call):
    with pytest.raises(RuntimeError):
        call()


@pytest.mark.parametrize("dims, size, output", [(2, (7, 9), (3, 4)), (3, (5, 6, 7), (2, 3, 1))])
def test_fractional_windows(dims, size, output):
    pool = F.fractional_max_pool2d if dims == 2 else F.fractional_max_pool3d
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    samples = torch.rand(2, 3, dims, dtype=torch.float64)
    best, places = pool(x, 2, output, return_indices=True, _random_samples=samples)
    assert torch.equal(x.flatten(2).gather(2, places.flatten(2)).reshape(best.shape), best)
    order = list(range(dims)) if dims == 3 else list(reversed(range(dims)))
    for n, c in np.ndindex(2, 3):
        axes = []
        for d, s in enumerate(order):
            u, wanted = float(samples[n, c, s]), output[d]
            alpha = (size[d] - 2) / (wanted - 1) if wanted > 1 else 0
            starts = [int((i + u) * alpha) - int(u * alpha) for i in range(wanted - 1)]
            axes.append([range(a, a + 2) for a in (*starts, size[d] - 2)])
        want = pooled(x[n, c].numpy(), axes, lambda v, p: v.max())
        assert best[n, c].tolist() == want.tolist()
    assert pool(x[:0], 2, output).shape == (0, 3, *output)


def test_gradient_of_power_means_where_they_are_undefined():
    x = torch.tensor([[-1.0, 4.0]], requires_grad=True)
    F.lp_pool1d(x, 1.5, 2).sum().backward()
    assert bool(x.grad.isnan().all())


def test_fractional_pools_of_nothing_and_bad_sizes():
    out = F.fractional_max_pool2d(torch.ones(0, 2, 8, 8, requires_grad=True), 2, output_size=3)
    assert out.shape == (0, 2, 3, 3) and out.requires_grad
    assert F.fractional_max_pool2d(torch.ones(1, 2, 8, 8), 2, output_size=(0, 3)).numel() == 0
    for x, kernel, samples in [
        (torch.ones(1, 0, 8, 8), 2, None),
        (torch.ones(1, 2, 8, 8), (2,), None),
        (torch.ones(2, 2, 8, 8), 2, torch.rand(1, 2, 2)),
    ]:
        with pytest.raises(RuntimeError):
            F.fractional_max_pool2d(x, kernel, output_size=3, _random_samples=samples)
    with pytest.raises(RuntimeError):
        F.max_unpool3d(torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1, dtype=torch.int64), (1, 1))


@pytest.mark.parametrize("name", ["max_pool2d", "adaptive_max_pool2d", "fractional_max_pool2d"])
def test_places_are_chosen_by_name_or_position(name):
    import inspect

    pool, alone = getattr(F, name), getattr(F, "_" + name)
    both = getattr(F, name + "_with_indices")
    position = list(inspect.signature(both).parameters).index("return_indices")
    x = torch.randn(1, 2, 6, 6)
    more = {"output_size": 3} if name.startswith("fractional") else {}

    def seeded(function, *args, **kwargs):
        torch.manual_seed(0)
        return function(*args, **kwargs)

    want, places = seeded(both, x, 2, **more)
    assert places.dtype == torch.int64
    for got in (seeded(pool, x, 2, **more), seeded(alone, x, 2, **more)):
        assert torch.equal(got, want)
    assert torch.equal(seeded(pool, x, 2, return_indices=True, **more)[1], places)
    values = {"max_pool2d": [None, 0, 1, False], "fractional_max_pool2d": [3, None]}.get(name, [])
    assert len(values) == position - 2
    assert torch.equal(seeded(pool, x, 2, *values, True)[1], places)
    with pytest.raises(TypeError):
        pool(x)


@pytest.mark.parametrize("size", [1, 3, 7, (1, 5)])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_maxima_of_large_windows(size, kind):
    a = np.random.default_rng(4).integers(0, 9, (2, 3, 40, 53)).astype(kind)  # many equals
    a[0, 1, 7, 5] = a[0, 1, 30, 50] = np.nan
    rows, columns = size if isinstance(size, tuple) else (size, size)
    axes = [adaptive(40, rows), adaptive(53, columns)]
    x = torch.from_numpy(a)
    best, places = F.adaptive_max_pool2d(x, size, return_indices=True)
    assert np.array_equal(F.adaptive_max_pool2d(x, size).numpy(), best.numpy(), equal_nan=True)
    for n in range(6):
        plane = a.reshape(6, 40, 53)[n]
        for i, j in itertools.product(range(rows), range(columns)):
            part = plane[np.ix_(axes[0][i], axes[1][j])]
            found = best.numpy().reshape(6, rows, columns)[n, i, j]
            at = int(places.numpy().reshape(6, rows, columns)[n, i, j])
            if np.isnan(part).any():  # the last of them
                r, c = np.argwhere(np.isnan(part))[-1]
                assert np.isnan(found)
            else:  # the first of equals
                r, c = np.unravel_index(part.argmax(), part.shape)
                assert found == part.max()
            assert at == axes[0][i][r] * 53 + axes[1][j][c]


@pytest.mark.parametrize("stride", [1, 2, 3, 4, 5])
def test_lines_dealt_out(stride):
    a = np.random.default_rng(5).standard_normal((2, 101))
    for kernel, padding in [(3, 1), (4, 2), (7, 0)]:
        padded = np.pad(a, ((0, 0), (padding, padding)), constant_values=-np.inf)
        parts = np.lib.stride_tricks.sliding_window_view(padded, kernel, 1)[:, ::stride]
        x = torch.from_numpy(a)
        assert np.array_equal(F.max_pool1d(x, kernel, stride, padding).numpy(), parts.max(-1))


def test_adaptive_pools_of_nothing_too_much_and_integers():
    assert F.adaptive_avg_pool3d(torch.ones(0, 4, 4, 4), 2).shape == (0, 2, 2, 2)
    assert F.adaptive_max_pool2d(torch.ones(0, 4, 4), 2).shape == (0, 2, 2)
    with pytest.raises(RuntimeError):
        F.adaptive_max_pool1d(torch.ones(2, 2, 2), 2**62)
    for pool in F.adaptive_avg_pool2d, F.adaptive_max_pool2d, F.avg_pool2d:
        with pytest.raises(NotImplementedError):
            pool(torch.ones(1, 4, 4, dtype=torch.int16), 2)
