# Order, sets and bins against NumPy.
import bisect

import numpy as np
import pytest

import flambeau as torch

LENGTHS = [1, 2, 40, 41, 300, 9000]


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32", "uint8"])
def test_sort_is_stable(n, dtype):
    a = np.random.default_rng(n).integers(0, 100, (3, n)).astype(dtype)
    x = torch.from_numpy(a)
    values, indices = x.sort(1, stable=True)
    np.testing.assert_array_equal(indices.numpy(), np.argsort(a, 1, kind="stable"))
    np.testing.assert_array_equal(values.numpy(), np.sort(a, 1))
    assert (x.gather(1, x.sort(1).indices) == values).all()
    down = x.sort(1, descending=True)
    np.testing.assert_array_equal(down.values.numpy(), np.sort(a, 1)[:, ::-1])
    assert (x.gather(1, down.indices) == down.values).all()


def test_sort_of_special_values():
    x = torch.tensor([float("nan"), 1.0, float("-inf"), -0.0, 0.0, float("inf")])
    assert x.sort().indices.tolist() == [2, 3, 4, 1, 5, 0]
    assert x.sort(descending=True).indices.tolist() == [0, 5, 1, 3, 4, 2]
    y = torch.tensor([2**62, -(2**62), 0])
    assert y.sort().values.tolist() == [-(2**62), 0, 2**62]


@pytest.mark.parametrize("n,k", [(5, 5), (1000, 10), (1000, 200), (64, 1)])
def test_topk(n, k):
    a = np.random.default_rng(k).permutation(3 * n).reshape(3, n).astype("float32")
    x = torch.from_numpy(a)
    np.testing.assert_array_equal(x.topk(k).values.numpy(), np.sort(a, 1)[:, ::-1][:, :k])
    np.testing.assert_array_equal(x.topk(k, largest=False).values.numpy(), np.sort(a, 1)[:, :k])


@pytest.mark.parametrize("narrow", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("n", [20, 100, 700])
def test_lines_of_many_equals(n, narrow):
    x = torch.from_numpy(np.random.default_rng(n).integers(0, 9, (4, n))).to(narrow)
    for k in (1, 3, n // 2, n):
        values, indices = x.topk(k)
        assert torch.equal(values, x.float().sort(1, descending=True).values[:, :k].to(narrow))
        assert torch.equal(x.gather(1, indices), values)
        assert all(len(set(line)) == k for line in indices.tolist())


def test_selection():
    x = torch.tensor([[3.0, 1, 2, 2], [0, 9, 9, 8]])
    assert x.kthvalue(2).values.tolist() == [2, 8]
    assert x.median(1).values.tolist() == [2, 8]
    assert x.mode(1).values.tolist() == [2, 9]
    assert torch.tensor([1.0, float("nan"), 3]).median().isnan()
    assert torch.tensor([1.0, float("nan"), 3]).nanmedian() == 1
    assert x.cummax(1).values.tolist() == [[3, 3, 3, 3], [0, 9, 9, 9]]


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x.sort(0).values,
        lambda x: x.topk(2).values,
        lambda x: x.kthvalue(2, 0).values,
        lambda x: x.median(1, keepdim=True).values,
        lambda x: x.median(),
        lambda x: x.cummin(1).values,
    ],
)
def test_gradients(f):
    x = torch.from_numpy(np.random.default_rng(3).permutation(12).reshape(3, 4) / 3.0)
    assert torch.autograd.gradcheck(f, [x.requires_grad_()])


@pytest.mark.parametrize("top", [10, 10**12])
def test_unique(top):
    a = np.random.default_rng(0).integers(-top, top, 1000)
    values, inverse, counts = torch.unique(
        torch.from_numpy(a), return_inverse=True, return_counts=True
    )
    want = np.unique(a, return_inverse=True, return_counts=True)
    for got, w in zip((values, inverse, counts), want):
        np.testing.assert_array_equal(got.numpy(), w)
    rows = torch.tensor([[1, 2], [0, 5], [1, 2]])
    assert torch.unique(rows, dim=0).tolist() == [[0, 5], [1, 2]]
    assert torch.unique_consecutive(torch.tensor([1, 1, 2, 1])).tolist() == [1, 2, 1]


def test_places_and_bins():
    edges = torch.tensor([1.0, 3, 5])
    assert torch.bucketize(torch.tensor([0.0, 3, 9]), edges).tolist() == [0, 1, 3]
    assert torch.searchsorted(edges, torch.tensor([3.0]), right=True).tolist() == [2]
    assert torch.isin(torch.tensor([1, 2]), torch.tensor([2, 4])).tolist() == [False, True]
    assert torch.bincount(torch.tensor([0, 2, 2])).tolist() == [1, 0, 2]
    assert torch.histc(torch.tensor([0.0, 1, 1, 2]), 2, 0, 2).tolist() == [1, 3]
    assert torch.nn.functional.one_hot(torch.tensor([1, 0])).tolist() == [[0, 1], [1, 0]]
    with pytest.raises(RuntimeError):
        torch.bincount(torch.tensor([-1]))


@pytest.mark.parametrize("rows", [1, 4, 6])
def test_running_extremes(rows):
    a = np.random.default_rng(2).integers(0, 9, (rows, 50)).astype(np.float32)
    values, at = torch.from_numpy(a).cummax(1)
    assert np.array_equal(values.numpy(), np.maximum.accumulate(a, 1))
    assert np.array_equal(np.take_along_axis(a, at.numpy(), 1), values.numpy())
    latest = [[np.flatnonzero(r[: i + 1] == r[: i + 1].max())[-1] for i in range(50)] for r in a]
    assert at.tolist() == latest
    a[:, 3] = a[:, 7] = np.nan
    values, at = torch.from_numpy(a).cummin(1)
    assert np.isnan(values[:, 3:].numpy()).all()
    assert (at[:, 3:7] == 3).all() and (at[:, 7:] == 7).all()


def test_unique_consecutive():
    x = torch.tensor([[2, 2, 1], [1, 1, 2]])
    assert x.unique_consecutive().tolist() == [2, 1, 2]
    values, run, count = x.unique_consecutive(return_inverse=True, return_counts=True)
    assert values.tolist() == [2, 1, 2] and count.tolist() == [2, 3, 1]
    assert run.tolist() == [[0, 0, 1], [1, 1, 2]]
    assert torch.tensor([]).unique_consecutive(return_counts=True)[1].tolist() == []
    assert torch.tensor([1.0, float("nan"), float("nan")]).unique_consecutive().shape == (3,)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "int64", "int32", "uint8"])
@pytest.mark.parametrize("edges", [0, 1, 2, 7, 512, 513])
def test_searchsorted_of_any_count(edges, dtype):
    dtype = getattr(torch, dtype)
    wide = 200 if dtype in (torch.uint8, torch.bfloat16) else 600
    row = sorted((i * 37) % wide for i in range(edges))
    e = torch.tensor(row, dtype=torch.int64).to(dtype)
    row = e.tolist()
    order = [(i * 5) % edges for i in range(edges)] if edges % 5 else list(range(edges))
    shuffled, sorter = torch.empty_like(e), torch.empty(edges, dtype=torch.int64)
    for place, at in enumerate(order):
        shuffled[at], sorter[place] = e[place], at
    for count in (1, 15, 16, 17, 40):
        values = torch.tensor([(i * 91) % wide for i in range(count)]).to(dtype)
        for right, side in ((False, bisect.bisect_left), (True, bisect.bisect_right)):
            wanted = torch.tensor([side(row, v) for v in values.tolist()])
            assert torch.equal(torch.searchsorted(e, values, right=right), wanted)
            found = torch.searchsorted(shuffled, values, right=right, sorter=sorter)
            assert torch.equal(found, wanted)


def test_searchsorted_of_special_numbers():
    inf, nan = float("inf"), float("nan")
    edges = torch.tensor([-inf, -1.0, -0.0, 0.0, 1.0, inf, nan])
    values = torch.tensor([-inf, -0.5, 0.0, -0.0, 2.0, inf, nan, -nan] * 3)
    for t in (torch.float32, torch.float64, torch.bfloat16):
        left = torch.searchsorted(edges.to(t), values.to(t))
        right = torch.searchsorted(edges.to(t), values.to(t), right=True)
        assert left.tolist() == [0, 2, 2, 2, 5, 5, 6, 6] * 3
        assert right.tolist() == [1, 2, 4, 4, 5, 6, 7, 7] * 3


def test_searchsorted_row_by_row():
    edges = torch.tensor([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]])
    values = torch.tensor([[float(i) for i in range(20)]] * 2)
    found = torch.searchsorted(edges, values)
    assert found[0].tolist() == [0, 0, 1, 2] + [3] * 16
    assert found[1].tolist() == [0] * 11 + [1] * 9


def test_zeros_of_either_sign_are_one_mode():
    values, indices = torch.mode(torch.tensor([0.0, -0.0, 2.0, 2.0, 0.0]))
    assert (values, indices) == (0, 4) and not values.signbit()
