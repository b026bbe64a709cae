"""Attention: against its definition, at sizes that straddle the kernel's blocks; gradients."""

import math

import numpy as np
import pytest

import flambeau as torch
from flambeau import nn

F = torch.nn.functional
RNG = np.random.default_rng(5)


def draw(*shape):
    return torch.from_numpy(RNG.standard_normal(shape))


def definition(q, k, v, mask=None, causal=False):
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if causal:
        seen = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
        scores = scores.masked_fill(~seen, -math.inf)
    if mask is not None:
        scores = scores + mask
    return F.softmax(scores, -1) @ v


SIZES = [(1, 1, 1, 1, 4, 4), (2, 3, 5, 7, 8, 3), (1, 2, 130, 300, 16, 20), (2, 1, 257, 129, 33, 16)]


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_values_and_gradients(size, causal):
    batch, heads, length, source, width, value = size
    q, k, v = (
        draw(batch, heads, *s).requires_grad_()
        for s in ((length, width), (source, width), (source, value))
    )
    out = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
    wanted = definition(q, k, v, causal=causal)
    assert torch.allclose(out, wanted, rtol=1e-10, atol=1e-12)
    g = draw(*out.shape)
    for a, b in zip(
        torch.autograd.grad(out, (q, k, v), g), torch.autograd.grad(wanted, (q, k, v), g)
    ):
        assert torch.allclose(a, b, rtol=1e-9, atol=1e-11)


def test_masks():
    q, k, v = draw(2, 3, 6, 8), draw(2, 3, 9, 8), draw(2, 3, 9, 8)
    for mask in (draw(6, 9), draw(2, 1, 1, 9), draw(3, 6, 1)):
        out = F.scaled_dot_product_attention(q, k, v, mask)
        assert torch.allclose(out, definition(q, k, v, mask))
    seen = torch.from_numpy(RNG.random((2, 1, 6, 9)) < 0.5)
    seen[:, :, :, 0] = True
    addend = torch.zeros(seen.shape, dtype=torch.float64).masked_fill(~seen, -math.inf)
    out = F.scaled_dot_product_attention(q, k, v, seen)
    assert torch.allclose(out, definition(q, k, v, addend))


def test_a_query_that_sees_nothing_is_zero():
    q, k, v = (draw(1, 1, 3, 4).requires_grad_() for _ in range(3))
    seen = torch.tensor([[True, False, True], [False, False, False], [True, True, True]])
    out = F.scaled_dot_product_attention(q, k, v, seen)
    out.sum().backward()
    assert out[0, 0, 1].abs().sum() == 0 and q.grad[0, 0, 1].abs().sum() == 0
    assert torch.isfinite(k.grad).all() and torch.isfinite(v.grad).all()


def test_heads_side_by_side():
    x = draw(2, 5, 3, 4)  # batch, length, heads, width: what a projection gives
    q = x.transpose(1, 2)
    out = F.scaled_dot_product_attention(q, q, q)
    assert torch.allclose(out, definition(q, q, q))
    assert out.transpose(1, 2).is_contiguous()


def test_second_gradient():
    q, k, v = (draw(1, 2, 4, 3).requires_grad_() for _ in range(3))
    attend = lambda *x: F.scaled_dot_product_attention(*x, is_causal=True)  # noqa: E731
    assert torch.autograd.gradcheck(attend, (q, k, v))
    assert torch.autograd.gradgradcheck(attend, (q, k, v))


@pytest.mark.parametrize("shape", [(3, 5, 4), (2, 3, 5, 4)])
def test_half_precision(shape):
    q = draw(*shape)
    out = F.scaled_dot_product_attention(*[q.bfloat16()] * 3)
    assert out.dtype == torch.bfloat16
    assert torch.allclose(out.double(), definition(q, q, q), atol=3e-2, rtol=3e-2)


def test_padding_at_the_end_is_left_out_of_an_encoder_that_evaluates():
    layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 2).eval()
    x = torch.randn(2, 4, 4)
    behind = torch.tensor([[False, False, True, True], [False, False, False, True]])
    whole = encoder(x, src_key_padding_mask=behind)
    with torch.no_grad():
        output = encoder(x, src_key_padding_mask=behind)
        assert (output == 0).all(-1).equal(behind)
        assert torch.allclose(output[~behind], whole[~behind], atol=1e-5)
        assert not (encoder(x, src_key_padding_mask=behind.flip(1)) == 0).any()
        assert not (encoder.train()(x, src_key_padding_mask=behind) == 0).any()
    assert not (whole == 0).any()
    with pytest.warns(UserWarning, match="norm_first was True"):
        nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8, norm_first=True), 1)


def test_masks_are_merged():
    layer = nn.MultiheadAttention(4, 2)
    x, mask = torch.ones(2, 3, 4), torch.zeros(3, 3, dtype=torch.bool)
    padding = torch.tensor([[False, False, True]] * 2)
    merged, kind = layer.merge_masks(mask, padding, x)
    assert kind == 2 and merged.shape == (2, 2, 3, 3) and merged[..., 2].all()
    assert layer.merge_masks(None, padding, x) == (padding, 1)
    assert layer.merge_masks(None, None, x) == (None, None)


def test_ways_of_attention_by_their_older_names():
    cuda = torch.backends.cuda
    with cuda.sdp_kernel(enable_flash=False, enable_math=True, enable_mem_efficient=False):
        assert cuda.math_sdp_enabled() and not cuda.flash_sdp_enabled()
        assert not cuda.mem_efficient_sdp_enabled()
    cuda.enable_flash_sdp(False)
    assert not cuda.flash_sdp_enabled()
    cuda.enable_flash_sdp(True)
    assert cuda.flash_sdp_enabled() and cuda.SDPBackend.MATH in cuda.SDPBackend


@pytest.mark.parametrize("dropout_p", [0.0, 0.5])
def test_queries_that_an_added_mask_hides_from_all_keys(dropout_p):
    q, k, v = (torch.ones(2, 4, 8, requires_grad=True) for _ in range(3))
    mask = torch.zeros(4, 4)
    mask[2:] = -float("inf")
    mask.requires_grad_()
    y = F.scaled_dot_product_attention(q, k, v, mask, dropout_p=dropout_p)
    y.sum().backward()
    assert y[:, 2:].abs().sum() == 0 and y.isfinite().all()
    assert all(t.grad.isfinite().all() for t in (q, k, v, mask))
    assert not mask.grad[2:].any() and not q.grad[:, 2:].any()
