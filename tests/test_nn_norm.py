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
            patch.setattr(_basic, "_fusible", lambda *_: False)
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
