# Reading and writing by index against NumPy: values, gradients, duplicates, errors.
import numpy as np
import pytest

import flambeau as torch


def values(*shape):
    return torch.from_numpy(np.random.default_rng(0).standard_normal(shape))


I = torch.tensor([2, 0, 2])


def test_index_select_and_gather():
    x = values(3, 4, 2)
    np.testing.assert_array_equal(x.index_select(0, I).numpy(), x.numpy()[[2, 0, 2]])
    at = torch.tensor([[[1, 0], [3, 3]]])
    want = np.take_along_axis(x.numpy()[:1], at.numpy(), 1)
    np.testing.assert_array_equal(x.gather(1, at).numpy(), want)


@pytest.mark.parametrize("n,width", [(5000, 1), (3000, 70), (7, 300)])
def test_index_add_adds_in_order(n, width):
    at = torch.from_numpy(np.random.default_rng(1).integers(0, 50, n))
    x = values(n, width)
    got = torch.zeros(50, width, dtype=torch.float64).index_add(0, at, x)
    want = np.zeros((50, width))
    np.add.at(want, at.numpy(), x.numpy())
    np.testing.assert_array_equal(got.numpy(), want)


def test_scatter_of_tensors_and_values():
    at = torch.tensor([[0, 1, 2, 0]])
    x = torch.zeros(3, 4).scatter(0, at, torch.tensor([[1.0, 2, 3, 4]]))
    assert x.tolist() == [[1, 0, 0, 4], [0, 2, 0, 0], [0, 0, 3, 0]]
    assert torch.zeros(3, 4).scatter(0, at, 5.0).sum() == 20
    r = torch.ones(2).scatter_reduce(0, torch.tensor([0, 0, 1]), torch.tensor([2.0, 3, 4]), "prod")
    assert r.tolist() == [6, 4]


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.bfloat16, torch.complex64])
def test_moves_every_dtype(dtype):
    x = torch.tensor([[0, 1], [1, 1], [1, 0]]).to(dtype)
    assert (x[I] == x.index_select(0, I)).all()
    assert x.masked_select(x != 0).shape == (4,)


FUNCTIONS = [
    lambda x: x.index_select(1, I),
    lambda x: x.gather(1, torch.tensor([[0, 1], [3, 3], [2, 2]])),
    lambda x: x[I],
    lambda x: x[:, I],
    lambda x: x[I, I],
    lambda x: x[x > 0],
    lambda x: x.masked_fill(x > 0, 3.0),
    lambda x: x.index_add(0, I, x * 2),
    lambda x: x.index_copy(0, torch.tensor([1, 0]), x[:2] * 3),
    lambda x: x.scatter_add(1, torch.tensor([[0, 0], [1, 2]]), x * x),
    lambda x: x.take(torch.tensor([[0, -1], [5, 5]])),
    lambda x: x.index_put((I,), x.sum(), accumulate=True),
]


@pytest.mark.parametrize("f", FUNCTIONS)
def test_gradients(f):
    x = values(3, 4).requires_grad_()
    assert torch.autograd.gradcheck(f, [x])
    assert torch.autograd.gradgradcheck(f, [x])


def test_masks_of_many_sizes():
    for n in (0, 1, 7, 8, 9, 16384, 40001):
        a = np.random.default_rng(n).standard_normal(n).astype("float32")
        x = torch.from_numpy(a)
        np.testing.assert_array_equal(x[x > 0].numpy(), a[a > 0])
        np.testing.assert_array_equal(x.nonzero()[:, 0].numpy(), a.nonzero()[0])
        y = torch.zeros_like(x).masked_scatter(x > 0, x[x > 0])
        np.testing.assert_array_equal(y.numpy(), np.maximum(a, 0))


def test_embedding():
    w = values(5, 3).requires_grad_()
    at = torch.tensor([[1, 4], [1, 0]])
    y = torch.nn.functional.embedding(at, w, padding_idx=1)
    np.testing.assert_array_equal(y.detach().numpy(), w.detach().numpy()[at.numpy()])
    y.sum().backward()
    assert w.grad[:, 0].tolist() == [1, 0, 0, 0, 1]


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_embedding_bag(mode):
    w = values(5, 3)
    at, offsets = torch.tensor([0, 3, 3, 4]), torch.tensor([0, 3, 3])
    y = torch.nn.functional.embedding_bag(at, w, offsets, mode=mode)
    rows = w.numpy()[[0, 3, 3]]
    np.testing.assert_allclose(y[0].numpy(), getattr(np, mode)(rows, 0), rtol=1e-12)
    np.testing.assert_allclose(y[2].numpy(), w.numpy()[4])
    assert (y[1] == 0).all()
    f = torch.nn.functional.embedding_bag
    assert torch.autograd.gradcheck(lambda w: f(at, w, offsets, mode=mode), [w.requires_grad_()])


@pytest.mark.parametrize(
    "call,error",
    [
        (lambda x: x[torch.tensor([3])], IndexError),
        (lambda x: x.index_select(0, torch.tensor([-1])), IndexError),
        (lambda x: x.gather(0, torch.tensor([[9]])), RuntimeError),
        (lambda x: x.scatter_(0, torch.tensor([[9]]), 1.0), RuntimeError),
        (lambda x: x[torch.tensor([True, False])], IndexError),
        (lambda x: torch.nn.functional.embedding(torch.tensor([3]), x), IndexError),
        (lambda x: x.masked_fill(x, 0.0), RuntimeError),
    ],
)
def test_bad_input(call, error):
    x = values(3, 4)
    before = x.clone()
    with pytest.raises(error):
        call(x)
    assert (x == before).all()


@pytest.mark.parametrize("shape,dim", [((6, 5), 0), ((3, 8), 1), ((2, 6, 3), 1), ((5, 1), 0)])
def test_an_index_spread_over_whole_rows(shape, dim):
    a = np.random.default_rng(2).standard_normal(shape)
    n = shape[dim]
    at = torch.tensor([0, 2, 2, n - 1])
    spread = at.reshape([4 if d == dim else 1 for d in range(len(shape))])
    spread = spread.expand([4 if d == dim else s for d, s in enumerate(shape)])
    b = np.random.default_rng(3).standard_normal(spread.shape)
    x, source = torch.from_numpy(a).requires_grad_(), torch.from_numpy(b).requires_grad_()
    y = x.scatter_add(dim, spread, source)
    want = np.moveaxis(a.copy(), dim, 0)
    np.add.at(want, at.numpy(), np.moveaxis(b, dim, 0))
    np.testing.assert_array_equal(y.detach().numpy(), np.moveaxis(want, 0, dim))
    (y * x.detach()).sum().backward()
    picked = np.take(a, at.numpy(), dim)
    np.testing.assert_array_equal(source.grad.numpy(), picked)
    np.testing.assert_array_equal(x.gather(dim, spread).detach().numpy(), picked)
    most = x.detach().scatter_reduce(dim, spread, source.detach(), "amax")
    dense = x.detach().scatter_reduce(dim, spread.clone(), source.detach(), "amax")
    assert torch.equal(most, dense)
    for wrong in (-1, n):
        with pytest.raises(RuntimeError, match="out of bounds"):
            x.detach().scatter_add(
                dim, torch.full_like(spread[:1], wrong).expand_as(spread), source
            )


def test_copies_written_by_index_lie_row_by_row():
    x = torch.arange(12.0).reshape(3, 4).t()
    index = torch.zeros(4, 3, dtype=torch.int64)
    row = torch.tensor([0])
    for made in (
        x.scatter(0, index, x),
        x.scatter(0, index, 1.0),
        x.scatter_add(0, index, x),
        x.scatter_reduce(0, index, x, "amax"),
        x.index_add(0, row, x[:1]),
        x.index_copy(0, row, x[:1]),
        x.index_reduce(0, row, x[:1], "prod"),
    ):
        assert made.is_contiguous()
    assert x.scatter_add(0, index, x)[0].tolist() == [6.0, 26.0, 46.0]


def test_roll_takes_none_for_all_dimensions():
    assert torch.roll(torch.arange(4).reshape(2, 2), 1, None).tolist() == [[3, 0], [1, 2]]


def test_an_empty_dimension_has_nothing_to_select():
    with pytest.raises(RuntimeError, match="empty"):
        torch.empty(0, 3).index_select(0, torch.tensor([0]))
    assert torch.empty(0, 3).index_select(0, torch.tensor([], dtype=torch.int64)).shape == (0, 3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sums_of_many_halves_keep_growing(dtype):
    """In the type itself a sum of ones stops at 256 or 2,048."""
    at, ones = torch.zeros(6000, dtype=torch.int64), torch.ones(6000, dtype=dtype)
    total = torch.tensor(6000.0, dtype=dtype)
    zeros = torch.zeros(2, dtype=dtype)
    assert zeros.scatter_add(0, at, ones)[0] == total
    assert zeros.scatter_reduce(0, at, ones, "sum")[0] == total
    assert zeros.scatter_reduce(0, at, ones * 3, "mean", include_self=False)[0] == 3
    assert zeros.index_reduce(0, at, ones * 3, "mean", include_self=False)[0] == 3
    x = torch.tensor([1.0, 2.0], dtype=dtype, requires_grad=True)
    x.gather(0, at).sum().backward()
    assert x.grad.tolist() == [total.item(), 0]
