"""Fused batch and layer normalization against the same made of other operators."""

import numpy as np
import pytest

import flambeau as torch
from flambeau.autograd import gradcheck, gradgradcheck
from flambeau.nn.functional import _basic

F = torch.nn.functional
SHAPES = [(7, 5), (130, 37), (3, 5, 17), (2, 20, 9, 9), (2, 3, 70, 70), (2, 4, 1, 1)]


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def batch(x, weight=None, bias=None):
    return F.batch_norm(x, None, None, weight, bias, True)


def layer(x, weight=None, bias=None):
    return F.layer_norm(x, x.shape[1:], weight, bias)


def results(function, tensors):
    tensors = [t.clone().requires_grad_() for t in tensors]
    y = function(*tensors)
    y.backward(torch.arange(y.numel(), dtype=y.dtype).reshape(y.shape).sin())
    return [y.detach().numpy(), *(t.grad.numpy() for t in tensors)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("function", [batch, layer])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_as_the_composite(shape, function, dtype, monkeypatch):
    of = shape[1:2] if function is batch else shape[1:]
    tensors = [torch.randn(s, dtype=dtype) + 1 for s in (shape, of, of)]
    for count in (1, 2, 3):
        fused = results(function, tensors[:count])
        with monkeypatch.context() as patch:
            patch.setattr(_basic, "fusible", lambda *_, **__: False)
            plain = results(function, tensors[:count])
        tolerance = 2e-4 if dtype == torch.float32 else 1e-10
        for a, b in zip(fused, plain, strict=True):
            scale = max(1.0, float(np.abs(b).max()))
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * scale)


@pytest.mark.parametrize("function", [batch, layer])
@pytest.mark.parametrize("shape", [(4, 3), (3, 2, 5), (2, 2, 3, 2)])
def test_gradients_and_their_gradients(shape, function):
    of = shape[1:2] if function is batch else shape[1:]
    tensors = [torch.randn(s, dtype=torch.float64, requires_grad=True) for s in (shape, of, of)]
    assert gradcheck(function, tensors)
    assert gradgradcheck(function, tensors)


@pytest.mark.parametrize("function", [batch, layer])
def test_the_same_bits_on_any_number_of_threads(function):
    tensors = [torch.randn(s) for s in ((3000, 64), (64,), (64,))]
    before, seen = torch.get_num_threads(), set()
    try:
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            seen.add(b"".join(r.tobytes() for r in results(function, tensors)))
    finally:
        torch.set_num_threads(before)
    assert len(seen) == 1


FORMS = {
    "group": lambda x, w, b: F.group_norm(x, 2, w, b),
    "instance": lambda x, w, b: F.instance_norm(x, None, None, w, b),
    "batch": lambda x, w, b: F.batch_norm(x, None, None, w, b, True),
    "fixed": lambda x, w, b: F.batch_norm(x, *torch.arange(1.0, 9.0).double().view(2, 4), w, b),
    "rms": lambda x, w, b: F.rms_norm(x, x.shape[-1:], w.repeat(2)[: x.shape[-1]]) + b.sum(),
}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("shape", [(3, 4, 5, 2), (2, 4, 7)])
def test_gradients_of_fused_forms(name, shape):
    double = {"dtype": torch.float64, "requires_grad": True}
    x, w, b = torch.randn(*shape, **double), torch.randn(4, **double), torch.randn(4, **double)
    assert torch.autograd.gradcheck(FORMS[name], (x, w, b))
    assert torch.autograd.gradgradcheck(FORMS[name], (x, w, b))


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_keeps_channels_last(training):
    x = torch.randn(3, 5, 6, 7, dtype=torch.float64)
    y = x.contiguous(memory_format=torch.channels_last)
    w, b = torch.randn(2, 5, dtype=torch.float64)
    out = []
    for t in (x, y):
        t = t.clone().requires_grad_()
        z = F.batch_norm(t, b.clone(), b.abs() + 1, w, b, training)
        (g,) = torch.autograd.grad((z * z * z).sum(), t)
        out.append((z, g))
    assert out[1][0].is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(out[0][0], out[1][0]) and torch.allclose(out[0][1], out[1][1])


def test_rms_norm():
    x = np.random.default_rng(0).standard_normal((4, 6, 10))
    want = x / np.sqrt((x * x).mean((1, 2), keepdims=True) + 0.5)
    got = F.rms_norm(torch.tensor(x.tolist(), dtype=torch.float64), (6, 10), eps=0.5)
    np.testing.assert_allclose(np.array(got.tolist()), want, atol=1e-12)


@pytest.mark.parametrize("narrow", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("weights", [torch.float32, None])
def test_rows_of_half_precision_are_rounded_once(narrow, weights):
    x = torch.randn(6, 37).to(narrow)
    w, b = torch.randn(2, 37).to(weights or narrow).unbind()
    results = []
    for wide in (False, True):
        leaves = [t.float() if wide else t.clone() for t in (x, w, b)]
        leaves = [t.requires_grad_() for t in leaves]
        y = F.layer_norm(leaves[0], (37,), *leaves[1:])
        y.backward(torch.ones_like(y))
        grads = [t.grad.to(p.dtype) for t, p in zip(leaves, (x, w, b), strict=True)]
        results.append([y.detach().to(narrow), *grads])
    for a, b in zip(*results, strict=True):
        assert a.dtype == b.dtype
        assert torch.equal(a, b)
    x = x.requires_grad_()
    (g,) = torch.autograd.grad((F.layer_norm(x, (37,)) ** 3).sum(), x, create_graph=True)
    g.sum().backward()
    assert x.grad.dtype == narrow


@pytest.mark.parametrize("columns", [1, 2, 3, 8, 15, 16, 17, 31, 32, 33])
def test_layer_norm_of_narrow_rows(columns):
    torch.manual_seed(columns)
    weight, bias = torch.randn(columns), torch.randn(columns)
    for rows in (1, 5, 16, 37):
        x = torch.randn(rows, columns) + 3
        centered = x.double() - x.double().mean(1, keepdim=True)
        scale = (centered.square().mean(1, keepdim=True) + 1e-3).rsqrt()
        wanted = centered * scale * weight.double() + bias.double()
        found = torch.nn.functional.layer_norm(x, (columns,), weight, bias, 1e-3)
        assert torch.allclose(found.double(), wanted, 1e-4, 1e-4)
        root = (x.double().square().mean(1, keepdim=True) + 1e-3).rsqrt()
        found = torch.nn.functional.rms_norm(x, (columns,), weight, 1e-3)
        assert torch.allclose(found.double(), x.double() * root * weight.double(), 1e-4, 1e-5)
        half = torch.nn.functional.layer_norm(
            x.bfloat16(), (columns,), weight.bfloat16(), bias.bfloat16(), 1e-3
        )
        assert torch.allclose(half.double(), wanted, 0.05, 0.05)


@pytest.mark.parametrize("rows", [1, 8, 19])
@pytest.mark.parametrize("columns", [2, 5, 8, 9, 32])
def test_gradients_of_layer_norm_of_narrow_rows(rows, columns):
    x = torch.randn(rows, columns, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(columns, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(columns, dtype=torch.float64, requires_grad=True)
    norm = torch.nn.functional.layer_norm
    assert torch.autograd.gradcheck(lambda *a: norm(a[0], (columns,), *a[1:]), (x, weight, bias))
    assert torch.autograd.gradcheck(lambda a: norm(a, (columns,)), x)
    root = torch.nn.functional.rms_norm
    assert torch.autograd.gradcheck(lambda a, b: root(a, (columns,), b), (x, weight))


def test_layer_norm_of_narrow_rows_is_the_same_on_any_number_of_threads():
    before, found = torch.get_num_threads(), []
    torch.manual_seed(0)
    x, weight = torch.randn(20000, 6), torch.randn(6)
    for threads in (1, 2):
        torch.set_num_threads(threads)
        a, w = x.clone().requires_grad_(), weight.clone().requires_grad_()
        y = torch.nn.functional.layer_norm(a, (6,), w)
        y.backward(x)
        found.append(torch.cat([y.flatten(), a.grad.flatten(), w.grad]))
    torch.set_num_threads(before)
    assert torch.equal(*found)
