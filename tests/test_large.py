"""What only larger sizes reach: blocks, parts and shares of kernels, and the memory behind them."""

import math

import numpy as np
import pytest

import flambeau as torch
from flambeau import _C

RNG = np.random.default_rng(3)


def floats(*shape):
    return RNG.standard_normal(shape).astype("float32")


def close(result, expected, tolerance=1e-5):
    np.testing.assert_allclose(result.numpy(), expected, rtol=tolerance, atol=tolerance)


# -- products of one block of rows
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(
    "m, k, n", [(9, 700, 300), (33, 350, 271), (64, 90, 1030), (130, 641, 257)]
)
def test_products_of_few_rows(m, k, n, transposed):
    a, b, bias = floats(m, k), floats(k, n), floats(n)
    right = torch.tensor(np.ascontiguousarray(b.T)).t() if transposed else torch.tensor(b)
    left = torch.tensor(a)
    expected = a.astype("float64") @ b
    close(left @ right, expected, 2e-4)
    close(torch.tensor(np.ascontiguousarray(a.T)).t() @ right, expected, 2e-4)
    close(torch.addmm(torch.tensor(bias), left, right), expected + bias, 2e-4)
    close(torch.addmm(torch.ones(m, n), left, right, alpha=0.5), 0.5 * expected + 1, 2e-4)


# -- masks
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_masks_over_several_blocks(share):
    x = floats(3, 20000)
    chosen = RNG.random(x.shape) < share
    t, mask = torch.tensor(x), torch.tensor(chosen)
    assert np.array_equal(t[mask].numpy(), x[chosen])
    assert np.array_equal(mask.nonzero().numpy(), np.argwhere(chosen))
    put = torch.arange(x.size).float()
    filled = t.masked_scatter(mask, put)
    expected = x.copy()
    expected[chosen] = np.arange(chosen.sum())
    assert np.array_equal(filled.numpy(), expected)
    zeroed = t.clone()
    zeroed[mask] = 0.0
    assert np.array_equal(zeroed.numpy(), np.where(chosen, 0, x))


def test_a_mask_among_other_dimensions():
    x = torch.arange(24.0).reshape(2, 3, 4)
    mask = torch.tensor([True, False, True])
    assert torch.equal(x[:, mask], x[:, [0, 2]])
    assert torch.equal(x[mask[:2]], x[[0]])
    both = torch.tensor([[True, False, True, False]] * 3)
    assert torch.equal(x[:, both], torch.stack([x[:, i, j] for i in range(3) for j in (0, 2)], 1))
    y = x.clone().requires_grad_()
    y[:, mask].sum().backward()
    assert torch.equal(y.grad, mask.float().reshape(1, 3, 1).expand(2, 3, 4))
    with pytest.raises(IndexError, match="shape of the mask"):
        x[mask]


# -- sums in parts
def test_a_long_scatter_add_has_the_same_bits_on_any_number_of_threads():
    index, x = RNG.integers(0, 50, 100001), floats(100001)
    results = []
    for threads in (1, 2, 3):
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        results.append(torch.ones(50).scatter_add_(0, torch.tensor(index), torch.tensor(x)))
        torch.set_num_threads(before)
    close(results[0], 1 + np.bincount(index, x.astype("float64"), 50), 1e-4)
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])
    counts = torch.zeros(50, dtype=torch.int64)
    counts.scatter_add_(0, torch.tensor(index), torch.ones(100001, dtype=torch.int64))
    assert np.array_equal(counts.numpy(), np.bincount(index, minlength=50))


@pytest.mark.parametrize(
    "shape, dim", [((7, 33), 1), ((50, 37), 0), ((3, 19, 40), 1), ((1001,), 0)]
)
def test_running_sums_side_by_side(shape, dim):
    x = RNG.standard_normal(shape)
    close(torch.tensor(x).cumsum(dim), x.cumsum(dim), 1e-12)
    close(torch.tensor(x.astype("float32")).cumsum(dim), x.cumsum(dim), 1e-5)
    close(torch.tensor(x).cumprod(dim), x.cumprod(dim), 1e-12)


@pytest.mark.parametrize(
    "shape, dim",
    [
        ((5, 100), 1),
        ((9, 37), 0),
        ((2, 21, 130), 1),
        ((2, 64, 19), 1),
        ((65, 3), 0),
        ((300, 17), 0),
    ],
)
def test_softmax_along_any_dimension(shape, dim):
    x, g = RNG.standard_normal(shape), RNG.standard_normal(shape)
    e = np.exp(x - x.max(dim, keepdims=True))
    y = e / e.sum(dim, keepdims=True)
    t = torch.tensor(x, requires_grad=True)
    out = t.softmax(dim)
    out.backward(torch.tensor(g))
    close(out.detach(), y, 1e-12)
    close(t.grad, y * (g - (g * y).sum(dim, keepdims=True)), 1e-12)
    close(t.detach().log_softmax(dim), np.log(y), 1e-11)


# -- gelu
def test_gelu_keeps_its_digits_where_the_error_function_cancels():
    x = np.linspace(-9, 9, 2001)
    exact = np.array([0.5 * v * math.erfc(-v / math.sqrt(2)) for v in x])
    y = torch.nn.functional.gelu(torch.tensor(x.astype("float32")))
    np.testing.assert_allclose(y.numpy(), exact, rtol=0, atol=1e-6)
    near = x > -4
    np.testing.assert_allclose(y.numpy()[near], exact[near], rtol=5e-6, atol=1e-9)
    ends = torch.nn.functional.gelu(torch.tensor([math.inf, -30.0, 0.0, math.nan]))
    assert ends[0] == math.inf and ends[1] == 0 and ends[2] == 0 and ends[3].isnan()


# -- memory
def test_large_memory_is_cut_and_joined_again():
    start = _C._memory_stats()["in_use"]
    torch.empty(32 << 20, dtype=torch.uint8)  # freed at once
    fresh = _C._memory_stats()["system_allocations"]
    many = [torch.full((1 << 20,), i, dtype=torch.uint8) for i in range(8)]
    assert [int(t[-1]) for t in many] == list(range(8))
    assert _C._memory_stats()["in_use"] - start >= 8 << 20
    del many
    one = torch.zeros(32 << 20, dtype=torch.uint8)
    assert _C._memory_stats()["system_allocations"] == fresh
    assert not one.any()
    del one
    assert _C._memory_stats()["in_use"] == start
    _C._empty_cache()
    assert torch.ones(3 << 20).sum() == 3 << 20
