"""Losses against sums written out, and their gradients."""

import itertools

import numpy as np
import pytest

import flambeau as torch
import flambeau.nn.functional as F


def cross_entropy(x, target, weight, ignored, smoothing, reduction):
    """x [N, C, K], target [N, K]."""
    classes = x.shape[1]
    top = x.max(1, keepdims=True)
    log_p = x - top - np.log(np.exp(x - top).sum(1, keepdims=True))
    w = np.ones(classes) if weight is None else weight
    losses, shares = np.zeros(target.shape), np.zeros(target.shape)
    for i in np.ndindex(target.shape):
        y = target[i]
        if y == ignored:
            continue
        row = -log_p[i[0], :, i[1]]
        losses[i] = (1 - smoothing) * w[y] * row[y] + smoothing / classes * (w * row).sum()
        shares[i] = w[y]
    if reduction == "none":
        return losses
    return losses.sum() / (shares.sum() if reduction == "mean" else 1)


SHAPES = [(5, 3, 1), (4, 37, 1), (2, 5, 21), (3, 100, 3)]
CASES = list(itertools.product(SHAPES, ("none", "mean", "sum"), (0.0, 0.3), (0, 1)))


@pytest.mark.parametrize("shape, reduction, smoothing, weighted", CASES)
def test_cross_entropy(shape, reduction, smoothing, weighted):
    rng = np.random.default_rng(0)
    x, target = rng.standard_normal(shape), rng.integers(0, shape[1], (shape[0], shape[2]))
    weight = rng.random(shape[1]) if weighted else None
    want = cross_entropy(x, target, weight, 1, smoothing, reduction)
    for dtype, rtol in ((torch.float64, 1e-10), (torch.float32, 1e-4)):
        t = torch.tensor(x.tolist(), dtype=dtype, requires_grad=True)
        y = torch.tensor(target.tolist())
        w = None if weight is None else torch.tensor(weight.tolist(), dtype=dtype)
        args = (w, None, 1, None, reduction, smoothing)
        got = F.cross_entropy(t, y, *args)
        assert got.dtype == dtype
        np.testing.assert_allclose(np.array(got.tolist()), want, rtol=rtol, atol=1e-6)
        # Rows of their own take the other way through the kernel.
        rows, flat = t.movedim(1, -1).reshape(-1, shape[1]), y.reshape(-1)
        again = F.cross_entropy(rows, flat, *args)
        assert torch.allclose(again, got.reshape(again.shape), rtol=1e-4)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("shape", [(4, 5), (2, 3, 4), (6,)])
def test_gradient_of_cross_entropy(shape, reduction, smoothing):
    x = torch.randn(*shape, dtype=torch.float64, requires_grad=True)
    classes = shape[0] if len(shape) == 1 else shape[1]
    target = torch.arange(x.numel() // classes).remainder(classes)
    target = target.reshape(() if len(shape) == 1 else (shape[0], *shape[2:]))
    weight = torch.rand(classes, dtype=torch.float64)
    f = lambda x: F.cross_entropy(x, target, weight, None, 2, None, reduction, smoothing)  # noqa
    assert torch.autograd.gradcheck(f, (x,))
    assert torch.autograd.gradgradcheck(f, (x,))


def test_cross_entropy_of_probabilities():
    x = torch.randn(4, 5, dtype=torch.float64, requires_grad=True)
    target = torch.tensor([0, 2, 4, 1])
    sharp = F.one_hot(target, 5).double()
    assert torch.allclose(F.cross_entropy(x, sharp), F.cross_entropy(x, target))
    assert torch.allclose(
        F.cross_entropy(x, sharp, label_smoothing=0.3),
        F.cross_entropy(x, target, label_smoothing=0.3),
    )


def test_cross_entropy_far_out():
    assert F.cross_entropy(torch.tensor([[1e4, 0.0]]), torch.tensor([0])).item() == 0
    assert F.cross_entropy(torch.tensor([[1e4, 0.0]]), torch.tensor([1])).item() == 1e4
    ignored = torch.tensor([[float("inf"), 0.0], [0.0, 0.0]])
    assert F.cross_entropy(ignored, torch.tensor([-100, 0])).item() == pytest.approx(np.log(2))


@pytest.mark.parametrize(
    "error, call",
    [
        (IndexError, lambda: F.cross_entropy(torch.ones(2, 3), torch.tensor([0, 3]))),
        (IndexError, lambda: F.cross_entropy(torch.ones(2, 3), torch.tensor([0, -1]))),
        (ValueError, lambda: F.cross_entropy(torch.ones(2, 3), torch.tensor([0]))),
        (RuntimeError, lambda: F.cross_entropy(torch.ones(2, 3), torch.tensor([0, 1]).int())),
        (RuntimeError, lambda: F.cross_entropy(torch.ones(2, 3).long(), torch.tensor([0, 1]))),
        (
            ValueError,
            lambda: F.cross_entropy(torch.ones(2, 3), torch.tensor([0, 1]), reduction="x"),
        ),
        (
            RuntimeError,
            lambda: F.cross_entropy(torch.ones(2, 3), torch.tensor([0, 1]), label_smoothing=2.0),
        ),
        (
            RuntimeError,
            lambda: F.cross_entropy(torch.ones(2, 3), torch.tensor([0, 1]), torch.ones(2)),
        ),
    ],
)
def test_errors_of_cross_entropy(error, call):
    with pytest.raises(error):
        call()


def test_linear_cross_entropy_with_further_dimensions():
    x, w = torch.randn(4, 3), torch.randn(2, 5, 3)
    target = torch.randint(0, 2, (4, 5))
    logits = torch.einsum("ni,cki->nck", x, w)
    got = F.linear_cross_entropy(x, w, target)
    assert torch.allclose(got, F.cross_entropy(logits, target))


def test_embedding_bag_scales_by_frequency():
    w = torch.randn(5, 3, requires_grad=True)
    index = torch.tensor([[0, 2], [2, 2]])
    F.embedding_bag(index, w, mode="sum", scale_grad_by_freq=True).sum().backward()
    assert w.grad[:, 0].tolist() == [1, 0, 1, 0, 0]
