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


ERRORS = {
    "l1_loss": (lambda e: np.abs(e), {}),
    "mse_loss": (lambda e: e * e, {}),
    "smooth_l1_loss": (lambda e: np.where(abs(e) < 0.7, e * e / 1.4, abs(e) - 0.35), {"beta": 0.7}),
    "huber_loss": (
        lambda e: np.where(abs(e) <= 0.7, e * e / 2, 0.7 * (abs(e) - 0.35)),
        {"delta": 0.7},
    ),
}


@pytest.mark.parametrize("name", ERRORS)
@pytest.mark.parametrize("shape", [(5, 4), (4,), (70, 3, 4)])
def test_losses_of_a_difference(name, shape):
    value, options = ERRORS[name]
    loss = getattr(F, name)
    x = torch.randn(*shape, dtype=torch.float64, requires_grad=True)
    z = torch.randn(*shape, dtype=torch.float64, requires_grad=True)
    want = value(x.detach().numpy() - z.detach().numpy())
    for reduction, reduce in (("none", np.array), ("mean", np.mean), ("sum", np.sum)):
        got = loss(x, z, reduction=reduction, **options)
        np.testing.assert_allclose(got.detach().numpy(), reduce(want), rtol=1e-12)
    if x.numel() < 30:
        f = lambda x, z: loss(x, z, reduction="none", **options)  # noqa: E731
        assert torch.autograd.gradcheck(f, (x, z))
        assert torch.autograd.gradgradcheck(f, (x, z))


def test_integers_keep_their_type_without_a_reduction():
    x, z = torch.tensor([1, 5]), torch.tensor([4, 3])
    assert F.mse_loss(x, z, reduction="none").tolist() == [9, 4]
    assert F.l1_loss(x, z, reduction="none").dtype == torch.int64


def test_logits_far_out():
    x = torch.tensor([1e3, -1e3, 1e3, -1e3], dtype=torch.float64, requires_grad=True)
    z = torch.tensor([1.0, 0.0, 0.0, 1.0], dtype=torch.float64)
    loss = F.binary_cross_entropy_with_logits(x, z, reduction="none")
    assert loss.tolist() == [0, 0, 1e3, 1e3]
    assert torch.autograd.grad(loss.sum(), x)[0].tolist() == [0, 0, 1, -1]


def test_sure_and_wrong_probabilities():
    x = torch.tensor([0.0, 1.0, 0.5, 1.0], dtype=torch.float64, requires_grad=True)
    z = torch.tensor([1.0, 0.0, 1.0, 1.0], dtype=torch.float64)
    loss = F.binary_cross_entropy(x, z, reduction="none")
    assert loss[:2].tolist() == [100, 100] and loss[3] == 0
    (slope,) = torch.autograd.grad(loss.sum(), x, create_graph=True)
    assert slope.tolist() == [-1e12, 1e12, -2, 0]
    assert torch.autograd.grad(slope[2], x)[0].tolist() == [0, 0, 4, 0]
    logits = torch.tensor([50.0, -200.0], requires_grad=True)  # a sigmoid that is 1 or 0
    F.binary_cross_entropy(logits.sigmoid(), torch.tensor([0.0, 1.0])).backward()
    assert logits.grad.tolist() == [0, 0]


def test_names_of_torch_itself():
    x, z = torch.randn(4, 3), torch.rand(4, 3)
    same = torch.allclose
    assert same(torch.kl_div(x, z, 2), F.kl_div(x, z, reduction="sum"))
    want = F.binary_cross_entropy_with_logits(x, z, reduction="none")
    assert same(torch.binary_cross_entropy_with_logits(x, z, None, None, 0), want)
    want = F.triplet_margin_loss(x, z, x - z, reduction="none")
    assert same(torch.triplet_margin_loss(x, z, x - z), want)  # nothing is reduced unless asked
    assert same(torch.cdist(x, z), torch.cdist(x, z, compute_mode="use_mm_for_euclid_dist"), 1e-3)
    assert same(torch.pdist(x), F.pdist(x))
    with pytest.raises(ValueError):
        torch.kl_div(x, z, 3)
    bags, where, sizes, winners = torch.embedding_bag(
        x, torch.tensor([0, 2, 2, 1]), torch.tensor([0, 1]), mode=2
    )
    assert same(bags, torch.stack([x[0], torch.maximum(x[1], x[2])]))
    assert where.tolist() == [0, 1, 1, 1] and sizes.tolist() == [1, 3]
    assert winners[0].tolist() == [0, 0, 0]


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("shape", [(4, 5), (2, 3, 4), (6,)])
def test_nll_loss_is_the_second_half_of_cross_entropy(reduction, shape):
    x = torch.randn(*shape, dtype=torch.float64, requires_grad=True)
    dim = 0 if len(shape) == 1 else 1
    target = torch.arange(x.numel() // shape[dim]).remainder(shape[dim])
    target = target.reshape(() if len(shape) == 1 else (shape[0], *shape[2:]))
    weight = torch.rand(shape[dim], dtype=torch.float64)
    args = (target, weight, None, 2, None, reduction)
    got = F.nll_loss(x.log_softmax(dim), *args)
    assert torch.allclose(got, F.cross_entropy(x, *args))
    assert torch.autograd.gradcheck(lambda x: F.nll_loss(x, *args), (x,))
    assert torch.autograd.gradgradcheck(lambda x: F.nll_loss(x * x, *args), (x,))


def test_one_example_has_its_class_with_or_without_a_dimension():
    x = torch.tensor([-1.0, -2.0, -3.0], requires_grad=True)
    for reduction in ("none", "sum", "mean"):
        for target in (torch.tensor(1), torch.tensor([1])):
            assert F.nll_loss(x, target, reduction=reduction).item() == 2
            loss = F.cross_entropy(x, target, reduction=reduction)
            assert loss.shape == () and loss.item() == pytest.approx(1.40760594)
    for loss in (F.nll_loss, F.cross_entropy):
        with pytest.raises(ValueError, match="must have size 1"):
            loss(x, torch.tensor([0, 1]))
        with pytest.raises(TypeError, match="must be Tensor, not list"):
            loss(x, [1])


def test_errors_of_nll_loss():
    x = torch.zeros(2, 3)
    with pytest.raises(IndexError):
        F.nll_loss(x, torch.tensor([0, 3]))
    with pytest.raises(ValueError):
        F.nll_loss(x, torch.tensor([0]))
    with pytest.raises(ValueError):
        F.nll_loss(x, torch.tensor([0, 1]), reduction="all")
    with pytest.raises(RuntimeError):
        F.nll_loss(x, torch.tensor([0.0, 1.0]))


def test_reductions_have_numbers():
    names = torch.nn.functional._Reduction
    assert names is torch.nn._reduction
    assert [names.get_enum(r) for r in ("none", "mean", "sum", "elementwise_mean")] == [0, 1, 2, 1]
    assert names.legacy_get_string(False, None, emit_warning=False) == "sum"
    assert names.legacy_get_enum(None, False, emit_warning=False) == 0
    with pytest.raises(ValueError):
        names.get_enum("median")


@pytest.mark.parametrize("far", [0.0, 1e3, -1e5])
@pytest.mark.parametrize("shape", [(3, 40), (2, 5, 7)])
@pytest.mark.parametrize("smoothing", [0.0, 0.25])
def test_cross_entropy_far_from_zero(far, shape, smoothing):
    torch.manual_seed(0)
    near = torch.randn(shape) * 2
    near = (near * 8).round() / 8  # the sum with `far` is exact
    target = torch.randint(5, (shape[0], *shape[2:]))
    found = []
    for x in (near.double(), near + far):
        x.requires_grad_()
        loss = F.cross_entropy(x, target, label_smoothing=smoothing)
        loss.backward()
        found += [loss.detach().double(), x.grad.double()]
    assert torch.allclose(found[0], found[2], rtol=1e-6)
    assert torch.allclose(found[1], found[3], rtol=1e-6, atol=2e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("classes", [1, 2, 3, 16, 17, 100, 129])
def test_cross_entropy_of_few_classes_and_any_number_of_rows(classes, dtype):
    torch.manual_seed(0)
    weight = torch.rand(classes, dtype=dtype)
    for rows in (1, 7, 16, 37):
        x = torch.randn(rows, classes, dtype=dtype)
        target = torch.arange(rows) % classes
        target[rows // 2] = -100
        for w in (None, weight):
            found = F.cross_entropy(x, target, weight=w, reduction="none")
            picked = -x.double().log_softmax(1).gather(1, target.clamp(min=0)[:, None])[:, 0]
            if w is not None:
                picked = picked * w.double()[target.clamp(min=0)]
            picked[rows // 2] = 0
            assert torch.allclose(found.double(), picked, rtol=1e-5, atol=1e-6)


def test_cross_entropy_is_the_same_on_any_number_of_threads():
    torch.manual_seed(0)
    x, target = torch.randn(4000, 10), torch.randint(10, (4000,))
    before, found = torch.get_num_threads(), []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found.append(F.cross_entropy(x, target, reduction="none"))
    torch.set_num_threads(before)
    assert torch.equal(*found)


def test_probabilities_are_checked():
    good, bad = torch.tensor([0.0, 1.0]), torch.tensor([0.5, float("nan")])
    for x, y, what in ((bad, good, "input"), (good + 1, good, "input"), (good, bad, "target")):
        with pytest.raises(RuntimeError, match=f"elements of {what} should be between 0 and 1"):
            F.binary_cross_entropy(x, y)
    assert F.multi_margin_loss(torch.ones(0, 3), torch.ones(0, dtype=torch.int64)) == 0
