"""Functions of networks against NumPy, and their gradients against differences."""

import itertools
import math

import numpy as np
import pytest

import flambeau as torch
import flambeau.nn.functional as F
from flambeau import nn


def draw(*shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape)


def t(x, grad=False):
    return torch.tensor(np.asarray(x).tolist(), dtype=torch.float64, requires_grad=grad)


def close(got, want):
    np.testing.assert_allclose(np.array(got.detach().tolist()), want, rtol=1e-9, atol=1e-12)


def check_gradient(function, *arrays):
    """The gradient of a weighted sum against central differences."""
    tensors = [t(a, grad=True) for a in arrays]
    out = function(*tensors)
    weights = draw(*out.shape, seed=9)
    grads = torch.autograd.grad((out * t(weights)).sum(), tensors)
    for i, (array, grad) in enumerate(zip(arrays, grads)):
        for place in itertools.islice(np.ndindex(array.shape), 0, None, max(1, array.size // 7)):
            values = []
            for step in (1e-6, -1e-6):
                moved = [a.copy() for a in arrays]
                moved[i][place] += step
                values.append((np.array(function(*map(t, moved)).tolist()) * weights).sum())
            assert float(grad[place]) == pytest.approx((values[0] - values[1]) / 2e-6, abs=1e-5)


ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "hardtanh": lambda x: np.clip(x, -1, 1),
    "relu6": lambda x: np.clip(x, 0, 6),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "softplus": lambda x: np.log1p(np.exp(x)),
    "logsigmoid": lambda x: -np.log1p(np.exp(-x)),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "tanhshrink": lambda x: x - np.tanh(x),
    "hardshrink": lambda x: np.where(np.abs(x) > 0.5, x, 0),
    "softshrink": lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0),
    "hardsigmoid": lambda x: np.clip(x + 3, 0, 6) / 6,
    "hardswish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "mish": lambda x: x * np.tanh(np.log1p(np.exp(x))),
    "gelu": lambda x: (
        x * np.array([0.5 * (1 + math.erf(v / math.sqrt(2))) for v in x.flat]).reshape(x.shape)
    ),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name):
    x = 3 * draw(5, 7)
    close(getattr(F, name)(t(x)), ACTIVATIONS[name](x))
    check_gradient(getattr(F, name), x)


@pytest.mark.parametrize("name", ["relu", "elu", "leaky_relu", "hardtanh", "silu", "relu6"])
def test_activations_in_place(name):
    x = t(draw(4))
    want = getattr(F, name)(x)
    assert getattr(F, name)(x, inplace=True) is x
    close(x, np.array(want.tolist()))


def test_softmax_and_cross_entropy():
    x, target = draw(6, 5), [0, 4, 2, 2, 1, 3]
    p = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    close(F.softmax(t(x), 1), p)
    close(F.log_softmax(t(x), 1), np.log(p))
    labels = torch.tensor(target)
    picked = -np.log(p)[range(6), target]
    close(F.cross_entropy(t(x), labels), picked.mean())
    close(F.cross_entropy(t(x), labels, reduction="none"), picked)
    w = np.arange(1.0, 6.0)
    share = w[target]
    close(F.cross_entropy(t(x), labels, weight=t(w)), (picked * share).sum() / share.sum())
    kept = np.array(target) != 2
    close(F.cross_entropy(t(x), labels, ignore_index=2), picked[kept].mean())
    smooth = 0.8 * picked + 0.2 * -np.log(p).mean(1)
    close(F.cross_entropy(t(x), labels, label_smoothing=0.2), smooth.mean())
    close(F.cross_entropy(t(x), t(p)), -(p * np.log(p)).sum(1).mean())
    check_gradient(lambda x: F.cross_entropy(x, labels), x)
    with pytest.raises(IndexError):
        F.cross_entropy(t(x), labels + 9)


LOSSES = {
    "l1_loss": lambda x, y: np.abs(x - y),
    "mse_loss": lambda x, y: (x - y) ** 2,
    "smooth_l1_loss": lambda x, y: np.where(abs(x - y) < 1, (x - y) ** 2 / 2, abs(x - y) - 0.5),
    "huber_loss": lambda x, y: np.where(abs(x - y) < 1, (x - y) ** 2 / 2, abs(x - y) - 0.5),
    "soft_margin_loss": lambda x, y: np.log1p(np.exp(-y * x)),
    "binary_cross_entropy_with_logits": lambda x, y: np.log1p(np.exp(-x)) + (1 - y) * x,
    "poisson_nll_loss": lambda x, y: np.exp(x) - y * x,
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses(name):
    x, y = draw(4, 3), 2 * draw(4, 3, seed=1)
    want = LOSSES[name](x, y)
    loss = getattr(F, name)
    close(loss(t(x), t(y), reduction="none"), want)
    close(loss(t(x), t(y), reduction="sum"), want.sum())
    close(loss(t(x), t(y)), want.mean())
    check_gradient(lambda x: loss(x, t(y)), x)
    with pytest.raises((ValueError, RuntimeError)):
        loss(t(x), t(y), reduction="some")


def windows(x, k, s):
    n = (x.shape[-1] - k) // s + 1
    return np.stack([x[..., i * s : i * s + k] for i in range(n)], -2)


def test_pooling():
    x = draw(2, 3, 9)
    close(F.max_pool1d(t(x), 3, 2), windows(x, 3, 2).max(-1))
    close(F.avg_pool1d(t(x), 3, 2), windows(x, 3, 2).mean(-1))
    close(F.adaptive_avg_pool1d(t(x), 3), x.reshape(2, 3, 3, 3).mean(-1))
    image = draw(2, 3, 6, 8)
    blocks = image.reshape(2, 3, 3, 2, 4, 2)
    close(F.max_pool2d(t(image), 2), blocks.max((3, 5)))
    close(F.avg_pool2d(t(image), 2), blocks.mean((3, 5)))
    close(F.adaptive_max_pool2d(t(image), (3, 4)), blocks.max((3, 5)))
    for pool in (F.max_pool2d, F.avg_pool2d):
        check_gradient(lambda x, pool=pool: pool(x, 3, 2, 1), image[:1])
    best, places = F.max_pool2d(t(image), 2, return_indices=True)
    back = F.max_unpool2d(best, places, 2)
    close(
        back, np.where(blocks == blocks.max((3, 5), keepdims=True), blocks, 0).reshape(image.shape)
    )
    assert F.max_pool2d(torch.ones(1, 1, 5, 5), 2, ceil_mode=True).shape == (1, 1, 3, 3)
    with pytest.raises(RuntimeError):
        F.max_pool2d(torch.ones(1, 1, 5, 5), 2, padding=2)


def test_norms():
    x, w, b = draw(4, 6, 5), draw(6, seed=1), draw(6, seed=2)
    mean, var = x.mean((0, 2), keepdims=True), x.var((0, 2), keepdims=True)
    want = (x - mean) / np.sqrt(var + 1e-5) * w[:, None] + b[:, None]
    running_mean, running_var = (
        torch.zeros(6, dtype=torch.float64),
        torch.ones(6, dtype=torch.float64),
    )
    close(F.batch_norm(t(x), running_mean, running_var, t(w), t(b), training=True), want)
    close(running_mean, 0.1 * mean.ravel())
    close(running_var, 0.9 + 0.1 * x.var((0, 2), ddof=1))
    check_gradient(lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True), x, w, b)
    mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    close(F.layer_norm(t(x), (5,)), (x - mean) / np.sqrt(var + 1e-5))
    close(F.instance_norm(t(x)), (x - mean) / np.sqrt(var + 1e-5))
    groups = x.reshape(4, 2, 15)
    normal = (groups - groups.mean(-1, keepdims=True)) / np.sqrt(
        groups.var(-1, keepdims=True) + 1e-5
    )
    close(F.group_norm(t(x), 2), normal.reshape(x.shape))
    close(F.rms_norm(t(x), (5,), eps=1e-5), x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5))


@pytest.mark.parametrize(
    "mode, kind", [("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap")]
)
def test_padding(mode, kind):
    x = draw(2, 3, 4, 5)
    want = np.pad(x, [(0, 0), (0, 0), (2, 1), (1, 3)], kind)
    close(F.pad(t(x), (1, 3, 2, 1), mode), want)
    check_gradient(lambda x: F.pad(x, (1, 3, 2, 1), mode), x)
    with pytest.raises(NotImplementedError):
        F.pad(t(x), (1, 1), mode)


def test_constant_padding_cuts_too():
    x = draw(2, 3)
    close(F.pad(t(x), (-1, 2), value=7), np.pad(x[:, 1:], [(0, 0), (0, 2)], constant_values=7))


def test_unfold_and_fold_are_each_others_transpose():
    x, kernel = draw(1, 2, 5, 6), (2, 3)
    columns = F.unfold(t(x), kernel, padding=1, stride=2)
    other = draw(*columns.shape, seed=3)
    image = F.fold(t(other), (5, 6), kernel, padding=1, stride=2)
    left = (np.array(columns.tolist()) * other).sum()
    assert left == pytest.approx((np.array(image.tolist()) * x).sum())


def test_images():
    x = draw(1, 4, 2, 3)
    close(F.pixel_unshuffle(F.pixel_shuffle(t(x), 2), 2), x)
    close(F.interpolate(t(x), scale_factor=2), x.repeat(2, 2).repeat(2, 3))
    line = t([[[0.0, 1.0, 2.0]]])
    close(F.interpolate(line, 5, mode="linear", align_corners=True), [[[0, 0.5, 1, 1.5, 2]]])
    close(F.interpolate(line, 6, mode="linear"), [[[0, 0.25, 0.75, 1.25, 1.75, 2]]])
    theta = t([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    grid = F.affine_grid(theta, (1, 4, 2, 3), align_corners=False)
    close(F.grid_sample(t(x), grid, align_corners=False), x)


def test_embedding_bag_and_one_hot():
    w = draw(5, 3)
    index = torch.tensor([1, 2, 4, 3])
    offsets = torch.tensor([0, 3, 3])
    close(F.embedding(index, t(w)), w[[1, 2, 4, 3]])
    close(
        F.embedding_bag(index, t(w), offsets, mode="sum"), [w[[1, 2, 4]].sum(0), np.zeros(3), w[3]]
    )
    close(
        F.embedding_bag(index, t(w), offsets, mode="max"), [w[[1, 2, 4]].max(0), np.zeros(3), w[3]]
    )
    assert F.one_hot(torch.tensor([2, 0]), 3).tolist() == [[0, 0, 1], [1, 0, 0]]
    with pytest.raises(RuntimeError):
        F.one_hot(torch.tensor([3]), 3)


def test_distances():
    a, b = draw(4, 3), draw(4, 3, seed=1)
    close(F.pairwise_distance(t(a), t(b), eps=0), np.linalg.norm(a - b, axis=1))
    cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    close(F.cosine_similarity(t(a), t(b)), cosine)
    close(F.normalize(t(a)), a / np.linalg.norm(a, axis=1, keepdims=True))
    close(
        F.pdist(t(a)), [np.linalg.norm(a[i] - a[j]) for i, j in itertools.combinations(range(4), 2)]
    )


def test_attention():
    q, k, v = draw(2, 3, 4), draw(2, 5, 4, seed=1), draw(2, 5, 6, seed=2)
    scores = np.exp(q @ k.transpose(0, 2, 1) / 2)
    want = scores / scores.sum(-1, keepdims=True) @ v
    close(F.scaled_dot_product_attention(t(q), t(k), t(v)), want)
    causal = F.scaled_dot_product_attention(t(q), t(q), t(q), is_causal=True)
    close(causal[:, 0], q[:, 0])


def test_ctc_sums_over_all_alignments():
    log_p = np.log(np.full((3, 1, 3), 1 / 3))
    # "ab" in three steps: aab, abb, a-b, -ab, ab-
    loss = F.ctc_loss(t(log_p), torch.tensor([[1, 2]]), (3,), (2,), reduction="sum")
    assert float(loss) == pytest.approx(-math.log(5 / 27))


def test_dropout_keeps_the_mean():
    x = torch.ones(100, 100)
    y = F.dropout(x, 0.25)
    assert float(y.mean()) == pytest.approx(1, abs=0.05)
    assert sorted(y.unique().tolist()) == pytest.approx([0, 4 / 3])
    assert F.dropout(x, 0.25, training=False) is x
    whole = F.dropout2d(torch.ones(50, 4, 3, 3)).sum((2, 3))
    assert set(whole.unique().tolist()) <= {0.0, 18.0}
    with pytest.raises(ValueError):
        F.dropout(x, 1.5)


def test_warnings_of_what_is_ambiguous_or_old():
    x, theta = torch.ones(2, 2), torch.ones(1, 2, 3)
    for call, words in [
        (lambda: F.softmax(x), "Implicit dimension choice for softmax"),
        (lambda: nn.LogSoftmax()(x), "Implicit dimension choice for log_softmax"),
        (lambda: F.mse_loss(x, x, reduce=False), "reduction='none'"),
        (lambda: nn.MSELoss(size_average=False), "reduction='sum'"),
        (lambda: F.kl_div(x, x), "batchmean"),
        (lambda: F.affine_grid(theta, (1, 1, 2, 2)), "align_corners"),
        (lambda: F.upsample(torch.ones(1, 1, 2), scale_factor=2), "interpolate"),
        (lambda: F.dropout2d(torch.ones(2, 2, 2)), "3D input"),
        (lambda: F.dropout3d(x), "2-D input"),
    ]:
        with pytest.warns(UserWarning, match=words):
            call()


def test_embedding_bag_checks_indices_and_factors():
    table = torch.ones(4, 2)
    for index in (-1, 4):
        with pytest.raises(RuntimeError, match="idx < num_embeddings"):
            F.embedding_bag(torch.tensor([[index]]), table)
    with pytest.raises(RuntimeError, match="same type"):
        factors = torch.ones(1, 1, dtype=torch.float64)
        F.embedding_bag(torch.tensor([[0]]), table, per_sample_weights=factors, mode="sum")


def test_sparse_gradients_keep_their_indices():
    table, index = torch.ones(4, 2, requires_grad=True), torch.tensor([1, 2])
    F.embedding(index, table, sparse=True).sum().backward()
    index[0] = 3
    assert table.grad._indices().tolist() == [[1, 2]]


def test_whole_numbers_as_a_pretrained_table():
    table = nn.Embedding.from_pretrained(torch.tensor([[1, 2], [3, 4]]))
    assert table(torch.tensor([1])).tolist() == [[3, 4]]


def test_nothing_and_not_a_number_go_through():
    assert F.softshrink(torch.tensor([float("nan"), 0.2])).isnan().tolist() == [True, False]
    assert F.instance_norm(torch.ones(4, 3, 0)).shape == (4, 3, 0)
    assert F.adaptive_avg_pool2d(torch.ones(1, 1, 3, 5, 6), 1).shape == (1, 1, 3, 1, 1)


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("dtype", ["uint8", "bfloat16", "float32", "float64", "complex128"])
def test_padded_lines_of_any_length(mode, dtype):
    dtype = getattr(torch, dtype)
    for height, width in ((4, 4), (5, 9), (9, 33), (4, 70)):
        x = (torch.arange(6 * height * width) % 100).reshape(2, 3, height, width).to(dtype)
        for left, right, top, bottom in ((1, 1, 1, 1), (3, 0, 0, 2), (2, 3, 1, 0), (-1, 2, 1, -2)):
            if mode == "circular" and min(left, bottom) < 0:
                continue
            padded = F.pad(
                x, (left, right, top, bottom), mode, *((7,) if mode == "constant" else ())
            )
            for dim, before, n in ((3, left, width), (2, top, height)):
                at = torch.arange(padded.shape[dim]) - before
                inside = (at >= 0) & (at < n)
                if mode == "circular":
                    at = at % n
                elif mode == "reflect":
                    at = at.abs()
                    at = torch.where(at < n, at, 2 * (n - 1) - at)
                wanted = at.clamp(0, n - 1)
                if dim == 3:
                    columns, column_inside = wanted, inside
            made = x[:, :, wanted][..., columns]
            if mode == "constant":
                made = made.masked_fill(~(inside[:, None] & column_inside), 7)
            assert torch.equal(padded, made)


def test_pixel_shuffles_keep_channels_last():
    x = torch.randn(2, 8, 4, 6)
    last = x.contiguous(memory_format=torch.channels_last)
    for shuffle in (F.pixel_shuffle, F.pixel_unshuffle):
        y = shuffle(last, 2)
        assert y.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(y, shuffle(x, 2))
