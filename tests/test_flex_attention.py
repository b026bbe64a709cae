"""Attention with scores and masks given as functions."""

import pytest

import flambeau as torch
from flambeau.nn.attention import flex_attention as flex

F = torch.nn.functional


def inputs(heads=2, kv_heads=2):
    torch.manual_seed(0)
    shape = [(1, heads, 5, 4), (1, kv_heads, 5, 4), (1, kv_heads, 5, 4)]
    return [torch.randn(s, requires_grad=True) for s in shape]


def close(got, want):
    assert got.dtype == want.dtype and torch.allclose(got, want, atol=1e-6)


def causal(b, h, q, kv):
    return q >= kv


def test_as_scaled_dot_product_attention():
    q, k, v = inputs()
    close(flex.flex_attention(q, k, v), F.scaled_dot_product_attention(q, k, v))
    mask = flex.create_block_mask(causal, None, None, 5, 5)
    got = flex.flex_attention(q, k, v, block_mask=mask)
    want = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    close(got, want)
    close(*(torch.autograd.grad(x.sum(), q)[0] for x in (got, want)))


def test_scores_by_position():
    q, k, v = inputs()
    table = torch.randn(2, 5)
    bias = table[:, (torch.arange(5).view(-1, 1) - torch.arange(5)).abs()]
    got, lse = flex.flex_attention(
        q, k, v, score_mod=lambda s, b, h, i, j: s + table[h, (i - j).abs()], return_lse=True
    )
    close(got, F.scaled_dot_product_attention(q, k, v, attn_mask=bias))
    assert lse.shape == (1, 2, 5)


def test_shared_heads_and_hidden_rows():
    q, k, v = inputs(4, 2)
    got = flex.flex_attention(q, k, v, enable_gqa=True)
    close(got, F.scaled_dot_product_attention(q, k, v, enable_gqa=True))
    with pytest.raises(ValueError, match="number of heads"):
        flex.flex_attention(q, k, v)
    none = flex.create_block_mask(lambda b, h, q, kv: (q < 2) & (kv < 2), None, None, 5, 5)
    got = flex.flex_attention(q, k, v, block_mask=none, enable_gqa=True)
    assert (got[:, :, 2:] == 0).all()


def test_block_masks():
    both = flex.and_masks(causal, lambda b, h, q, kv: q - kv < 64)
    mask = flex.create_block_mask(both, 2, None, 200, 200, BLOCK_SIZE=64)
    assert mask.shape == (2, 1, 200, 200)
    assert mask.to_dense()[0, 0].tolist() == [
        [1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1],
    ]  # fmt: skip
    assert flex.or_masks(causal, flex.noop_mask)(*torch.zeros(4).long()).item() is True
    q, k, v = inputs()
    with pytest.raises(ValueError, match="block_mask was created"):
        flex.flex_attention(q, k, v, block_mask=mask)
