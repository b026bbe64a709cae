"""Attention with several heads: projections, scores, and the way back."""

import flambeau as torch

__all__ = ["multi_head_attention_forward"]


def multi_head_attention_forward(
    query,
    key,
    value,
    embed_dim_to_check,
    num_heads,
    in_proj_weight,
    in_proj_bias,
    bias_k,
    bias_v,
    add_zero_attn,
    dropout_p,
    out_proj_weight,
    out_proj_bias,
    training=True,
    key_padding_mask=None,
    need_weights=True,
    attn_mask=None,
    use_separate_proj_weight=False,
    q_proj_weight=None,
    k_proj_weight=None,
    v_proj_weight=None,
    static_k=None,
    static_v=None,
    average_attn_weights=True,
    is_causal=False,
):
    """What `nn.MultiheadAttention` computes, with its weights as arguments.

    Shapes: query (L, N, E), key and value (S, N, E), or without N; result (L, N, E) and the
    attention weights (N, L, S), for each head apart unless they are averaged.
    """
    F = torch.nn.functional
    batched = _check_shapes(query, key, value, key_padding_mask, attn_mask, num_heads)
    if not batched:
        query, key, value = query.unsqueeze(1), key.unsqueeze(1), value.unsqueeze(1)
        if key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)
    length, number, width = query.shape
    if width != embed_dim_to_check:
        raise AssertionError(
            f"was expecting embedding dimension of {embed_dim_to_check}, but got {width}"
        )
    if width % num_heads:
        raise AssertionError(f"embed_dim {width} not divisible by num_heads {num_heads}")
    if is_causal and attn_mask is None:
        raise RuntimeError("Need attn_mask if specifying the is_causal hint.")
    _warn_of_dtypes(key_padding_mask, attn_mask)
    key_padding_mask = _as_addend(key_padding_mask, "key_padding_mask", query.dtype)
    causal = is_causal and key_padding_mask is None and not need_weights
    attn_mask = None if causal else _as_addend(attn_mask, "attn_mask", query.dtype)
    apart = (q_proj_weight, k_proj_weight, v_proj_weight)
    weights = apart if use_separate_proj_weight else None
    q, k, v = _project(query, key, value, in_proj_weight, in_proj_bias, weights)
    if attn_mask is not None and attn_mask.dim() == 2:
        attn_mask = attn_mask.unsqueeze(0)
    added = 0
    if bias_k is not None and bias_v is not None:
        k = torch.cat([k, bias_k.repeat(1, number, 1)])
        v = torch.cat([v, bias_v.repeat(1, number, 1)])
        added += 1
    q, k, v = (_split_heads(x, number, num_heads) for x in (q, k, v))
    k = k if static_k is None else static_k
    v = v if static_v is None else static_v
    if add_zero_attn:
        zero = k.new_zeros((k.shape[0], 1, k.shape[2]))
        k, v = torch.cat([k, zero], 1), torch.cat([v, zero], 1)
        added += 1
    if added:
        attn_mask = None if attn_mask is None else F.pad(attn_mask, (0, added))
        if key_padding_mask is not None:
            key_padding_mask = F.pad(key_padding_mask, (0, added))
    mask = _merge_masks(attn_mask, key_padding_mask, number, num_heads, k.shape[1])
    # As [N, heads, L, E / heads]
    q, k, v = (x.reshape(number, num_heads, *x.shape[1:]) for x in (q, k, v))
    dropout_p = dropout_p if training else 0.0
    if need_weights:
        output, attention = _with_weights(q, k, v, mask, dropout_p)
    else:
        output = F.scaled_dot_product_attention(q, k, v, mask, dropout_p, causal)
        attention = None
    output = output.permute(2, 0, 1, 3).reshape(length * number, width)
    output = F.linear(output, out_proj_weight, out_proj_bias).unflatten(0, (length, number))
    if attention is not None and average_attn_weights:
        attention = attention.mean(1)
    if not batched:
        output = output.squeeze(1)
        attention = None if attention is None else attention.squeeze(0)
    return output, attention


def _warn_of_dtypes(key_padding_mask, attn_mask):
    if key_padding_mask is None or attn_mask is None or key_padding_mask.dtype == attn_mask.dtype:
        return
    import warnings

    warnings.warn(
        "Support for mismatched key_padding_mask and attn_mask is deprecated. Use same type "
        "for both instead.",
        stacklevel=3,
    )


def _with_weights(q, k, v, mask, dropout_p):
    """The attention of [N, heads, L, E / heads], and what it weighs v with."""
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
    scores = scores if mask is None else scores + mask
    weights = torch.nn.functional.softmax(scores, -1)
    if dropout_p > 0.0:
        weights = torch.nn.functional.dropout(weights, dropout_p)
    return weights @ v, weights


def _check_shapes(query, key, value, key_padding_mask, attn_mask, num_heads):
    """Whether there is a batch dimension; complains about shapes that do not fit."""
    if query.dim() not in (2, 3):
        raise AssertionError(
            f"query should be unbatched 2D or batched 3D tensor but received {query.dim()}-D "
            "query tensor"
        )
    batched = query.dim() == 3
    kind = "batched (3-D)" if batched else "unbatched (2-D)"
    if key.dim() != query.dim() or value.dim() != query.dim():
        raise AssertionError(
            f"For {kind} `query`, expected `key` and `value` to be {query.dim()}-D but found "
            f"{key.dim()}-D and {value.dim()}-D tensors respectively"
        )
    if key_padding_mask is not None and key_padding_mask.dim() != query.dim() - 1:
        raise AssertionError(
            f"For {kind} `query`, expected `key_padding_mask` to be `None` or "
            f"{query.dim() - 1}-D but found {key_padding_mask.dim()}-D tensor instead"
        )
    if tuple(key.shape[:-1]) != tuple(value.shape[:-1]):
        raise AssertionError(f"key shape {key.shape} does not match value shape {value.shape}")
    if attn_mask is not None:
        number = query.shape[1] if batched else 1
        length, source = query.shape[0], key.shape[0]
        wanted = {2: (length, source), 3: (number * num_heads, length, source)}
        if attn_mask.dim() not in wanted:
            raise AssertionError(
                f"For {kind} `query`, expected `attn_mask` to be `None`, 2-D or 3-D but found "
                f"{attn_mask.dim()}-D tensor instead"
            )
        if tuple(attn_mask.shape) != wanted[attn_mask.dim()]:
            # PyTorch finds this out earlier where there is no batch.
            raise (RuntimeError if batched else AssertionError)(
                f"The shape of the {attn_mask.dim()}D attn_mask is {attn_mask.shape}, but should "
                f"be {wanted[attn_mask.dim()]}."
            )
    return batched


_mha_shape_check = _check_shapes  # libraries with attention of their own import it


def _as_addend(mask, name, dtype):
    """A mask as numbers to add to the scores: True becomes minus infinity."""
    if mask is None:
        return None
    if mask.dtype == torch.bool:
        return torch.zeros_like(mask, dtype=dtype).masked_fill_(mask, float("-inf"))
    if not mask.is_floating_point():
        raise AssertionError(
            f"only bool and floating types of {name} are supported, got {mask.dtype}"
        )
    return mask


def _project(query, key, value, in_weight, in_bias, weights):
    F = torch.nn.functional
    biases = (None, None, None) if in_bias is None else in_bias.chunk(3)
    if weights is not None:
        return tuple(map(F.linear, (query, key, value), weights, biases))
    if query is key and key is value:
        return F.linear(query, in_weight, in_bias).chunk(3, -1)
    return tuple(map(F.linear, (query, key, value), in_weight.chunk(3), biases))


def _in_projection_packed(q, k, v, w, b=None):
    """[query, key, value] of a projection whose three weights lie in one tensor."""
    return list(_project(q, k, v, w, b, None))


def _in_projection(q, k, v, w_q, w_k, w_v, b_q=None, b_k=None, b_v=None):
    """(query, key, value) of a projection with weights of their own."""
    return tuple(map(torch.nn.functional.linear, (q, k, v), (w_q, w_k, w_v), (b_q, b_k, b_v)))


def _canonical_mask(mask, mask_name, other_type, other_name, target_type, check_other=True):
    """A mask as numbers to add to scores; whether the other mask has its type is for the caller."""
    return _as_addend(mask, mask_name, target_type)


def _split_heads(x, number, num_heads):
    """(L, N, E) as (N * heads, L, E / heads)."""
    return x.reshape(x.shape[0], number * num_heads, x.shape[-1] // num_heads).transpose(0, 1)


def _merge_masks(attn_mask, key_padding_mask, number, num_heads, source):
    """Both masks as one of shape (N or 1, heads or 1, L or 1, S)."""
    if attn_mask is not None:
        if attn_mask.shape[0] == 1:
            attn_mask = attn_mask.unsqueeze(0)
        else:
            attn_mask = attn_mask.reshape(number, num_heads, *attn_mask.shape[1:])
    if key_padding_mask is None:
        return attn_mask
    if tuple(key_padding_mask.shape) != (number, source):
        raise AssertionError(
            f"expecting key_padding_mask shape of {(number, source)}, but got "
            f"{tuple(key_padding_mask.shape)}"
        )
    padding = key_padding_mask.reshape(number, 1, 1, source)
    return padding if attn_mask is None else attn_mask + padding
