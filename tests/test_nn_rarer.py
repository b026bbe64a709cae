"""Rarer layers and functions: matrices in groups, synchronized batches, older names."""

import numpy as np
import pytest

import flambeau as torch
import flambeau.nn.functional as F
from flambeau import nn


def test_sync_batch_norm_is_batch_norm_of_one_process():
    net = nn.Sequential(nn.Conv1d(2, 3, 1), nn.BatchNorm1d(3))
    x = torch.randn(4, 2, 5)
    want = net(x)
    other = nn.SyncBatchNorm.convert_sync_batchnorm(net)
    assert type(other[1]) is nn.SyncBatchNorm and other[1].weight is net[1].weight
    assert torch.allclose(other(x), want)
    with pytest.raises(RuntimeError):
        nn.SyncBatchNorm(3, process_group=object())


def test_older_names():
    x = torch.randn(2, 3, 4, 4)
    assert torch.equal(nn.CrossMapLRN2d(2)(x), nn.LocalResponseNorm(2)(x))
    target = torch.randint(0, 3, (2, 4, 4))
    with pytest.warns(FutureWarning):
        older = nn.NLLLoss2d()
    assert torch.equal(older(x, target), nn.NLLLoss()(x, target))
    with pytest.warns(FutureWarning):
        held = nn.Container(a=nn.Linear(1, 1))
    assert list(held.state_dict()) == ["a.weight", "a.bias"]


def test_factory_kwargs():
    assert nn.factory_kwargs(None) == {}
    assert nn.factory_kwargs({"factory_kwargs": {"dtype": 1}, "device": 2}) == {
        "dtype": 1,
        "device": 2,
    }
    for wrong in ({"shape": 1}, {"factory_kwargs": {"dtype": 1}, "dtype": 1}):
        with pytest.raises(TypeError):
            nn.factory_kwargs(wrong)


def test_grouped_mm():
    a, b = torch.randn(5, 4), torch.randn(2, 4, 3)
    ends = torch.tensor([2, 5])
    want = torch.cat([a[:2] @ b[0], a[2:] @ b[1]])
    assert torch.allclose(F.grouped_mm(a, b, offs=ends), want)
    assert torch.allclose(
        F.grouped_mm(b.mT, a.t(), offs=ends),
        torch.cat([b[0].t() @ a[:2].t(), b[1].t() @ a[2:].t()], 1),
    )
    assert torch.allclose(F.grouped_mm(b, b.mT), b @ b.mT)
    both = F.grouped_mm(a.t(), a, offs=ends)
    assert torch.allclose(both, torch.stack([a[:2].t() @ a[:2], a[2:].t() @ a[2:]]))
    with pytest.raises(RuntimeError):
        F.grouped_mm(a, b)


def test_scaled_mm():
    kind = F.ScalingType
    a, b = torch.randn(4, 6), torch.randn(6, 5)
    rows, columns = torch.rand(4, 1) + 1, torch.rand(1, 5) + 1
    got = F.scaled_mm(a, b, rows, kind.RowWise, columns, kind.RowWise, output_dtype=torch.float32)
    assert torch.allclose(got, (a * rows) @ (b * columns), atol=1e-5)
    wide, scales = torch.randn(2, 256), torch.rand(2, 2)
    got = F.scaled_mm(
        wide,
        wide.t(),
        scales,
        kind.BlockWise1x128,
        torch.ones(()),
        kind.TensorWise,
        output_dtype=torch.float32,
    )
    want = (wide * scales.repeat_interleave(128, 1)) @ wide.t()
    assert torch.allclose(got, want, atol=1e-4)


def test_scaled_grouped_mm():
    rows = F.ScalingType.RowWise
    spans, ends = [slice(0, 2), slice(2, 5), slice(5, 9)], torch.tensor([2, 5, 9])

    def product(a, b, scale_a, scale_b, offs=None):
        f32 = torch.float32
        return F.scaled_grouped_mm(a, b, scale_a, rows, scale_b, rows, offs=offs, output_dtype=f32)

    a, b, long = torch.randn(3, 4, 8), torch.randn(3, 8, 5), torch.randn(9, 8)
    of_a, of_b, of_long = torch.rand(3, 4), torch.rand(3, 5), torch.rand(9)
    full_a, full_b, full = a * of_a[..., None], b * of_b[:, None], long * of_long[:, None]
    assert torch.allclose(product(a, b, of_a, of_b), full_a @ full_b, atol=1e-5)
    got = product(long, b, of_long, of_b, ends)
    want = torch.cat([full[s] @ full_b[g] for g, s in enumerate(spans)])
    assert torch.allclose(got, want, atol=1e-5)
    got = product(a, long.T, of_a, of_long, ends)
    want = torch.cat([full_a[g] @ full[s].T for g, s in enumerate(spans)], 1)
    assert torch.allclose(got, want, atol=1e-5)
    left, right = torch.randn(4, 9), torch.randn(9, 5)
    got = product(left, right, of_a.reshape(-1), of_b.reshape(-1), ends)
    want = [(left[:, s] * of_a[g, :, None]) @ (right[s] * of_b[g]) for g, s in enumerate(spans)]
    assert torch.allclose(got, torch.stack(want), atol=1e-5)
    with pytest.raises(RuntimeError, match="offs"):
        product(long, b, of_long, of_b)


def test_conv_tbc():
    x, w, b = torch.randn(7, 2, 3), torch.randn(3, 3, 4), torch.randn(4)
    want = F.conv1d(x.permute(1, 2, 0), w.permute(2, 1, 0), b, padding=1).permute(2, 0, 1)
    assert torch.allclose(torch.conv_tbc(x, w, b, 1), want)


def test_checked_arguments():
    with pytest.raises(ValueError):
        F.hardtanh(torch.ones(1), 1.0, -1.0)
    with pytest.raises(RuntimeError):
        F.softshrink(torch.ones(1), -0.5)
    assert F.hardtanh(torch.arange(-3, 4), -0.5, 2.5).tolist() == [0, 0, 0, 0, 1, 2, 2]
    assert F.softsign(torch.tensor([3j])).item() == 0.75j


def test_circular_padding_cuts_first():
    x = torch.arange(5.0).reshape(1, 1, 5)
    assert F.pad(x, (-1, 2), mode="circular").flatten().tolist() == [1, 2, 3, 4, 1, 2]


META = {
    "unpool": lambda x: F.max_unpool2d(x, torch.zeros(2, 3, 4, 4, dtype=torch.int64).to("meta"), 2),
    "fractional": lambda x: F.fractional_max_pool2d(x, 2, 2),
    "bce": lambda x: F.binary_cross_entropy(x, x),
    "margin": lambda x: F.multi_margin_loss(x[0, 0], torch.empty(4, device="meta").long()),
    "bag": lambda x: F.embedding_bag(
        torch.empty(2, 2, device="meta").long(),
        x[0, 0],
        per_sample_weights=x[0, 0, :2, :2],
        mode="sum",
    ),
    "norm": lambda x: F.group_norm(x, 3),
    "interpolate": lambda x: F.interpolate(x, scale_factor=2, mode="bicubic"),
    "cross entropy": lambda x: F.cross_entropy(x, torch.empty(2, 4, 4, device="meta").long()),
    "grid": lambda x: F.grid_sample(x, torch.empty(2, 5, 6, 2, device="meta"), align_corners=True),
    "ctc": lambda x: F.ctc_loss(x[0], torch.empty(4, 2, device="meta").long(), (3,) * 4, (2,) * 4),
}


@pytest.mark.parametrize("name", META)
def test_meta_tensors_have_shapes_only(name):
    x = torch.empty(2, 3, 4, 4, device="meta", requires_grad=True)
    y = META[name](x)
    assert y.is_meta
    (g,) = torch.autograd.grad(y.sum(), x)
    assert g.is_meta and g.shape == x.shape


PADS = {
    "constant": [(1, 2), (-1, 2, 0, 3), (2, -3), (1, 1, 1, 1, 1, 1)],
    "reflect": [(1, 2), (3, 0, 1, 2), (-1, 2, 2, 0)],
    "replicate": [(1, 2), (4, 0, 1, 2), (-1, 5, 2, 0)],
    "circular": [(1, 2), (4, 0, 1, 2), (-1, 2, 2, 0)],
}


def padded(x, pad, mode):
    """By NumPy, one dimension after another."""
    names = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    for i in range(len(pad) // 2):
        d, (before, after) = x.ndim - 1 - i, pad[2 * i : 2 * i + 2]
        cut = [slice(None)] * d
        stop = x.shape[d] + after if mode == "circular" and after < 0 else None
        if mode == "circular":
            x = x[(*cut, slice(max(-before, 0), stop))]
            before, after = max(before, 0), max(after, 0)
        sides = [(0, 0)] * x.ndim
        sides[d] = (max(before, 0), max(after, 0))
        options = {"constant_values": 7} if mode == "constant" else {}
        x = np.pad(x, sides, names.get(mode, "constant"), **options)
        x = x[(*cut, slice(max(-before, 0), after if after < 0 else None))]
    return x


@pytest.mark.parametrize("mode, pad", [(m, p) for m, pads in PADS.items() for p in pads])
@pytest.mark.parametrize("dtype", [torch.float64, torch.int16, torch.complex64, torch.bfloat16])
def test_padding(mode, pad, dtype):
    x = np.arange(120).reshape(2, 3, 4, 5)[:, :, :, : 4 + len(pad) % 3]
    if mode != "constant" and len(pad) == 2:
        x = x[0]
    value = 7 if mode == "constant" else None
    got = F.pad(torch.tensor(x.tolist(), dtype=dtype), pad, mode, value)
    assert got.dtype == dtype
    assert got.tolist() == torch.tensor(padded(x, pad, mode).tolist(), dtype=dtype).tolist()
    if dtype == torch.float64:
        t = torch.tensor(x.tolist(), dtype=dtype, requires_grad=True)
        f = lambda t: F.pad(t, pad, mode, value)  # noqa: E731
        assert torch.autograd.gradcheck(f, (t,))
        assert torch.autograd.gradgradcheck(f, (t,))


def test_padding_keeps_channels_last():
    x = torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    for mode in PADS:
        y = F.pad(x, (1, 1, 2, 0), mode)
        assert y.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(y, F.pad(x.contiguous(), (1, 1, 2, 0), mode))


@pytest.mark.parametrize(
    "error, call",
    [
        (RuntimeError, lambda x: F.pad(x, (1,))),
        (RuntimeError, lambda x: F.pad(x, (1,) * 10)),
        (RuntimeError, lambda x: F.pad(x, (-3, -3))),
        (RuntimeError, lambda x: F.pad(x, (0, 5), "reflect")),
        (RuntimeError, lambda x: F.pad(x, (0, 6), "circular")),
        (RuntimeError, lambda x: F.pad(x, (0, 1), "reflect", 2.0)),
        (NotImplementedError, lambda x: F.pad(x, (0, 1), "other")),
        (NotImplementedError, lambda x: F.pad(x, (0, 1) * 3, "reflect")),
    ],
)
def test_padding_errors(error, call):
    with pytest.raises(error):
        call(torch.ones(2, 3, 5))
