# Sums without nans, quantiles, covariances, distances, histograms, differences, against NumPy.
import math

import numpy as np
import pytest

import flambeau as torch

RNG = np.random.default_rng(3)
NAN = float("nan")


def both(*shape):
    a = RNG.normal(size=shape)
    return a, torch.from_numpy(a)


def close(x, y):
    np.testing.assert_allclose(x.detach().numpy(), y, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dim", [None, 0, 1])
def test_nansum_and_nanmean(dim):
    a, x = both(4, 5)
    a[1, 2] = a[3, 0] = np.nan
    close(x.nansum(dim), np.nansum(a, dim))
    close(x.nanmean(dim), np.nanmean(a, dim))
    x.requires_grad_()
    x.nanmean(dim).sum().backward()
    assert x.grad[1, 2] == 0 and torch.isfinite(x.grad).all()


@pytest.mark.parametrize("how", ["linear", "lower", "higher", "midpoint", "nearest"])
@pytest.mark.parametrize("dim", [None, 0, -1])
def test_quantile(how, dim):
    a, x = both(4, 6)
    q = np.array([0.0, 0.3, 0.77, 1.0])
    close(
        x.quantile(torch.from_numpy(q), dim, interpolation=how), np.quantile(a, q, dim, method=how)
    )
    close(
        x.quantile(0.4, dim, True, interpolation=how),
        np.quantile(a, 0.4, dim, method=how, keepdims=True),
    )
    a[2, 3] = np.nan
    close(x.nanquantile(0.4, dim, interpolation=how), np.nanquantile(a, 0.4, dim, method=how))
    assert torch.isnan(x.quantile(0.4, dim)).any()


def test_quantile_refuses():
    with pytest.raises(RuntimeError, match="non-empty"):
        torch.quantile(torch.empty(0), 0.5)
    with pytest.raises(RuntimeError, match="range"):
        torch.quantile(torch.ones(2), 1.5)
    with pytest.raises(RuntimeError, match="dtype"):
        torch.quantile(torch.ones(2, dtype=torch.int64), 0.5)


def test_cov_and_corrcoef():
    a, x = both(3, 8)
    w = np.arange(8)
    close(torch.cov(x), np.cov(a))
    close(torch.cov(x, fweights=torch.from_numpy(w)), np.cov(a, fweights=w))
    close(torch.cov(x, aweights=torch.from_numpy(w / 8)), np.cov(a, aweights=w / 8))
    close(torch.corrcoef(x), np.corrcoef(a))


@pytest.mark.parametrize("p", [0, 0.7, 1, 2, 3, float("inf")])
def test_cdist(p):
    a, x = both(2, 3, 4)
    b, y = both(5, 4)
    apart = np.abs(a[:, :, None] - b[None, None])
    want = (
        (apart != 0).sum(-1)
        if p == 0
        else apart.max(-1)
        if p == float("inf")
        else (apart**p).sum(-1) ** (1 / p)
    )
    close(torch.cdist(x, y, p), want)
    z = torch.ones(2, 3, requires_grad=True)
    torch.cdist(z, z, p).sum().backward()
    assert (z.grad == 0).all()


@pytest.mark.parametrize("p", [1.0, 2.0, np.inf])
def test_distances_of_many_rows(p):
    a, x = both(70, 5)
    b, y = both(2, 45, 5)
    want = np.linalg.norm(a[:, None] - b[:, None], p, axis=-1)
    close(torch.cdist(x, y, p, "donot_use_mm_for_euclid_dist"), want)
    rows, columns = np.triu_indices(70, 1)
    close(torch.pdist(x, p), np.linalg.norm(a[rows] - a[columns], p, axis=-1))
    exact = torch.vmap(lambda v: torch.cdist(x, v, p, "donot_use_mm_for_euclid_dist"))(y)
    close(exact, want)
    close(torch.vmap(lambda v: torch.pdist(v, p))(y)[1], torch.pdist(y[1], p).numpy())
    few, other = x[:4].clone().requires_grad_(), y[0, :3].clone().requires_grad_()
    for check in (torch.autograd.gradcheck, torch.autograd.gradgradcheck):
        assert check(lambda u, v: torch.cdist(u, v, p), (few, other))
        assert check(lambda u: torch.pdist(u, p), (few,))


def test_cdist_by_products_and_dist():
    a, x = both(30, 7)
    close(torch.cdist(x[4:], x[:4]), np.linalg.norm(a[4:, None] - a[None, :4], axis=-1))
    close(torch.dist(x[0], x[1], 3), (np.abs(a[0] - a[1]) ** 3).sum() ** (1 / 3))


def test_renorm():
    x = torch.tensor([[3.0, 4.0], [0.3, 0.4]])
    assert torch.renorm(x, 2, 0, 1).norm(dim=1).tolist() == pytest.approx([1, 0.5], rel=1e-6)
    y = x.clone()
    assert y.renorm_(2, 0, 1) is y
    assert torch.equal(y, torch.renorm(x, 2, 0, 1))


def test_histogram():
    a, x = both(200)
    hist, edges = torch.histogram(x, 7)
    want, want_edges = np.histogram(a, 7)
    close(hist, want)
    close(edges, want_edges)
    close(
        torch.histogram(x, 4, range=(-1.0, 1.0), density=True).hist,
        np.histogram(a, 4, (-1, 1), density=True)[0],
    )
    bins = np.array([-1.0, 0.0, 0.1, 2.0])
    w, weight = both(200)
    close(
        torch.histogram(x, torch.from_numpy(bins), weight=weight).hist,
        np.histogram(a, bins, weights=w)[0],
    )


def test_histogramdd():
    a, x = both(100, 2)
    hist, edges = torch.histogramdd(x, [3, 4], density=True)
    want, want_edges = np.histogramdd(a, [3, 4], density=True)
    close(hist, want)
    for e, w in zip(edges, want_edges):
        close(e, w)


@pytest.mark.parametrize("n", [1, 3])
def test_diff(n):
    a, x = both(4, 5)
    close(x.diff(n, 0), np.diff(a, n, 0))
    close(torch.diff(x, n, prepend=x[:, :1]), np.diff(a, n, prepend=a[:, :1]))
    out = torch.empty(0, dtype=torch.float64)
    assert torch.diff(x, n, out=out) is out
    close(out, np.diff(a, n))


@pytest.mark.parametrize("edge_order", [1, 2])
def test_gradient(edge_order):
    a, x = both(5, 4)
    for g, w in zip(
        torch.gradient(x, edge_order=edge_order), np.gradient(a, edge_order=edge_order)
    ):
        close(g, w)
    at = np.cumsum(RNG.uniform(0.5, 2, 5))
    (g,) = torch.gradient(x, spacing=[torch.from_numpy(at)], dim=0, edge_order=edge_order)
    close(g, np.gradient(a, at, axis=0, edge_order=edge_order))


def test_trapezoid():
    a, x = both(3, 6)
    at = np.cumsum(RNG.uniform(0.5, 2, 6))
    close(
        torch.trapezoid(x, torch.from_numpy(at)),
        np.trapezoid(a, at) if hasattr(np, "trapezoid") else np.trapz(a, at),
    )
    close(torch.cumulative_trapezoid(x, dx=0.5)[:, -1], torch.trapz(x, dx=0.5).numpy())


def test_trace_and_logcumsumexp_of_complex_numbers():
    z = torch.tensor([[1 + 2j, 3.0], [0, 2 - 1j]])
    assert torch.trace(z).item() == 3 + 1j
    a = RNG.normal(size=6) + 1j * RNG.normal(size=6)
    close(torch.from_numpy(a).logcumsumexp(0), np.log(np.cumsum(np.exp(a))))


def test_odds_and_ends():
    assert torch.is_nonzero(torch.tensor(2))
    assert torch.result_type(torch.ones(1, dtype=torch.int8), 1) == torch.int8
    assert [x.tolist() for x in torch.where(torch.tensor([[0, 1], [1, 0]]))] == [[0, 1], [1, 0]]
    assert torch.nonzero_static(torch.tensor([0, 1, 1]), size=1).tolist() == [[1]]
    assert torch.range(1, 3).tolist() == [1, 2, 3]
    assert torch.segment_reduce(
        torch.tensor([1.0, 2, 3]), "max", offsets=torch.tensor([0, 1, 3])
    ).tolist() == [1, 3]
    assert [x.dim() for x in torch.atleast_2d(torch.tensor(1), torch.tensor([1]))] == [2, 2]
    assert len([n for n in dir(torch.return_types) if n[0] != "_"]) >= 69


def test_memory_is_resizable_again_when_an_array_is_gone():
    x = torch.zeros(3)
    array = x.numpy()
    with pytest.raises(RuntimeError, match="not resizable"):
        x.resize_(100)
    del array
    assert x.resize_(100).numel() == 100


def test_out_of_another_dtype():
    x, at = torch.ones(2, 2), torch.zeros(2, 2, dtype=torch.int64)
    with pytest.raises(RuntimeError, match="dtype"):
        torch.gather(x, 1, at, out=torch.empty(2, 2, dtype=torch.float64))
    assert torch.add(x, x, out=torch.empty(2, 2, dtype=torch.float64)).dtype == torch.float64


def test_gradient_of_index_fill_counts_an_index_once():
    v = torch.tensor(2.0, requires_grad=True)
    torch.zeros(3).index_fill(0, torch.tensor([1, 1]), v).sum().backward()
    assert v.grad == 1


def test_histograms_of_what_lies_outside():
    nan, inf = float("nan"), float("inf")
    x = torch.tensor([-1.0, 0.0, 0.5, 1.0, 2.0, 2.5, 3.0, 3.1, nan, inf, -inf])
    edges, weight = torch.tensor([0.0, 1.0, 2.0, 3.0]), torch.arange(11.0)
    assert torch.histogram(x, edges).hist.tolist() == [2, 1, 3]
    assert torch.histogram(x, edges, weight=weight).hist.tolist() == [3, 3, 15]
    assert torch.histogram(x, 3, range=(0.0, 3.0)).hist.tolist() == [2, 1, 3]
    assert torch.histogram(x[1:3], torch.tensor([1.0])).hist.shape == (0,)
    points = torch.stack([x, x.nan_to_num()], 1)
    hist = torch.histogramdd(points, [edges, torch.tensor([0.0, 2.0, 4.0])]).hist
    assert hist.tolist() == [[2, 0], [1, 0], [0, 3]]


@pytest.mark.parametrize("reduce", ["sum", "mean", "max", "min", "prod"])
def test_segments_of_rows(reduce):
    torch.manual_seed(0)
    x = torch.rand(9, 2, 2, dtype=torch.float64, requires_grad=True)
    lengths = torch.tensor([2, 0, 3, 4])
    one = {"max": "amax", "min": "amin"}.get(reduce, reduce)
    empty = {"sum": 0, "mean": float("nan"), "max": -math.inf, "min": math.inf, "prod": 1}[reduce]
    parts = [getattr(p, one)(0) for p in (x[:2], x[2:5], x[5:])]
    wanted = torch.stack([parts[0], torch.full((2, 2), empty).double(), *parts[1:]])
    found = torch.segment_reduce(x, reduce, lengths=lengths)
    assert torch.allclose(found, wanted, equal_nan=True)
    offsets = torch.tensor([0, 2, 2, 5, 9])
    assert torch.equal(
        torch.segment_reduce(x, reduce, offsets=offsets).nan_to_num(), found.nan_to_num()
    )
    assert torch.allclose(
        torch.segment_reduce(x, reduce, offsets=offsets[2:], unsafe=True), wanted[2:]
    )
    pair = [torch.autograd.grad(t[[0, 2, 3]].square().sum(), x)[0] for t in (found, wanted)]
    assert torch.allclose(*pair)
    assert torch.segment_reduce(x[:0], reduce, lengths=lengths[:0]).shape == (0, 2, 2)
