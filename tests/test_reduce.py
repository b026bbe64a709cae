"""Reductions: dimensions in every order and size of memory against NumPy."""

import itertools
import math

import numpy as np
import pytest

import flambeau as torch

RNG = np.random.default_rng(8)


def check(name, x, t, dims):
    wide = x.astype("float64")
    wanted = {
        "sum": wide.sum,
        "mean": wide.mean,
        "amax": wide.max,
        "amin": wide.min,
        "var": lambda dims: wide.var(dims, ddof=1),
    }[name](dims)
    got = getattr(torch, name)(t, dim=dims)
    np.testing.assert_allclose(got.numpy(), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 2, 3, 1), (3, 1, 0, 2)])
def test_every_set_of_dimensions(order):
    x = RNG.standard_normal((3, 5, 20, 7)).astype("float32").transpose(order)
    t = torch.from_numpy(np.ascontiguousarray(x.transpose(np.argsort(order)))).permute(order)
    assert np.array_equal(t.numpy(), x)
    for n in range(1, 5):
        for dims in itertools.combinations(range(4), n):
            for name in ("sum", "mean", "amax", "amin", "var"):
                check(name, x, t, dims)


@pytest.mark.parametrize("n", [1, 2, 3, 8, 17, 24, 25, 33, 64, 100])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32"])
def test_rows(n, dtype):
    x = (RNG.standard_normal((37, n)) * 100).astype(dtype)
    t = torch.from_numpy(x)
    np.testing.assert_allclose(t.sum(1).numpy(), x.astype("float64").sum(1), rtol=1e-5, atol=1e-3)
    assert np.array_equal(t.amax(1).numpy(), x.max(1))
    assert np.array_equal(t.amin(1).numpy(), x.min(1))
    values, places = t.max(1)
    assert np.array_equal(values.numpy(), x.max(1))
    assert np.array_equal(places.numpy(), x.argmax(1))
    assert np.array_equal(t.argmin(1).numpy(), x.argmin(1))
    np.testing.assert_array_equal((t > 50).any(1).numpy(), (x > 50).any(1))


@pytest.mark.parametrize("columns", [1, 2, 3, 10, 16, 17])
def test_few_columns(columns):
    for n in (5, 600, 9001):
        x = RNG.standard_normal((n, columns)).astype("float32")
        t = torch.from_numpy(x)
        np.testing.assert_allclose(t.sum(0).numpy(), x.sum(0, dtype="float64"), atol=2e-4)
        assert np.array_equal(t.amax(0).numpy(), x.max(0))
        assert np.array_equal(t.count_nonzero(0).numpy(), np.count_nonzero(x, 0))


@pytest.mark.parametrize("n", [3, 16, 40, 200, 5000])
def test_nan_is_the_extreme(n):
    for at in {0, n // 2, n - 1}:
        x = torch.arange(float(n)).repeat(20, 1)
        x[3, at] = math.nan
        x[4, at] = -math.inf
        for f in (torch.amax, torch.amin):
            assert f(x, 1).isnan().tolist() == [i == 3 for i in range(20)]
        assert x.max(1).indices[3] == at and x.argmin(1)[4] == at
        assert x.amin(1)[4] == -math.inf and x.amax(1)[4] == (n - 1 if at < n - 1 else n - 2)


def test_threads_do_not_matter():
    x = torch.from_numpy(RNG.standard_normal((64, 30, 50, 7)).astype("float32"))
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            dims = [(0, 2), (3,), (0, 1, 2), (1, 3), (2, 3)]
            results.append([f(x, dim=d) for d in dims for f in (torch.sum, torch.var, torch.amax)])
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_nansum():
    x = torch.tensor([[1.0, math.nan, math.inf], [2.0, 3.0, math.nan]], requires_grad=True)
    assert x.nansum(1).tolist() == [math.inf, 5.0] and x.nanmean(1)[1] == 2.5
    x.nansum().backward()
    assert x.grad.tolist() == [[1, 0, 1], [1, 1, 0]]


def test_a_number_has_a_dimension_to_ask_for():
    for kind in (
        torch.sum,
        torch.mean,
        torch.amax,
        torch.amin,
        torch.any,
        torch.all,
        torch.nansum,
        torch.logsumexp,
        torch.count_nonzero,
        torch.prod,
        torch.norm,
    ):
        for dim in (0, -1):
            x = torch.tensor(2.0)
            assert kind(x, dim=dim).shape == ()
            assert kind(x, dim=dim).item() == kind(torch.tensor([2.0]), dim=dim).item()
    assert torch.tensor(3.0).sum(dim=0, keepdim=True).item() == 3


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.bfloat16, torch.int64])
def test_rows_that_are_not_contiguous_give_the_same(kind):
    whole = torch.from_numpy(np.random.default_rng(1).integers(-99, 99, (6, 10, 80))).to(kind)
    views = [whole[..., ::2], whole[:, 1:, 3:50], whole[:, :, 5::3], whole[0].expand(6, 10, 80)]
    views += [whole[:, 0, :40].expand(3, 6, 40), whole.transpose(0, 2)[1:, ::2], whole[:, ::2]]
    for view in views:
        dense = view.clone(memory_format=torch.contiguous_format)
        for dims in [(), (-1,), (0,), (1, 2), (0, 2)]:
            assert torch.equal(view.sum(dims), dense.sum(dims))
            assert torch.equal(view.amax(dims), dense.amax(dims))
            if kind.is_floating_point:
                assert torch.allclose(view.var(dims), dense.var(dims), rtol=1e-2)
                assert torch.equal(view.nansum(dims), dense.nansum(dims))


def test_unbiased_and_keepdim_by_position():
    x = torch.tensor([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]])
    assert x.std(0, False).tolist() == [1.5, 1.5, 1.5]
    assert x.var(-1, False, True).shape == (2, 1)
    assert torch.var(x, 0, True, False).tolist() == [4.5, 4.5, 4.5]
    std, mean = torch.std_mean(x, 0, False, True)
    assert std.tolist() == [[1.5, 1.5, 1.5]] and mean.shape == (1, 3)


def test_spread_of_numbers_whose_squares_leave_the_range():
    x = torch.tensor([[1.0, 2.0, 3.0], [-1.0, 0.0, 1.0], [5.0, 5.0, 5.0]])
    for scale in (1e-25, 1e20, 1e30):
        got = (x * scale).std(1).double() / scale
        assert torch.allclose(got, torch.tensor([1.0, 1.0, 0.0]).double(), atol=1e-6)
        assert abs(torch.std_mean(x[0] * scale)[0].item() / scale - 1) < 1e-6
    assert (x * 1e20).var().item() == float("inf")
