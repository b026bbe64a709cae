"""Causal masks that say so, so that attention need not look at them."""

import enum

import flambeau as torch
from flambeau import _C, Tensor

__all__ = ["CausalBias", "CausalVariant", "causal_lower_right", "causal_upper_left"]


class CausalVariant(enum.IntEnum):
    """Where the diagonal of a causal mask begins, when it is not square."""

    UPPER_LEFT = 1
    LOWER_RIGHT = 2


class CausalBias(Tensor):
    """A causal mask of (queries, keys) as a tensor: 0 where attended to, -inf elsewhere.

    >>> from flambeau.nn.attention.bias import causal_lower_right
    >>> causal_lower_right(2, 3).shape
    torch.Size([2, 3])
    """

    def __new__(cls, variant, seq_len_q, seq_len_kv):
        if not isinstance(variant, CausalVariant):
            raise AssertionError(f"variant must be a CausalVariant, got {type(variant).__name__}")
        offset = 0 if variant == CausalVariant.UPPER_LEFT else seq_len_kv - seq_len_q
        kept = torch.ones(seq_len_q, seq_len_kv, dtype=torch.bool).tril(offset)
        bias = torch.zeros(seq_len_q, seq_len_kv).masked_fill(~kept, float("-inf"))
        return Tensor._make_subclass(cls, bias, False)

    def __init__(self, variant, seq_len_q, seq_len_kv):
        self.variant, self.seq_len_q, self.seq_len_kv = variant, seq_len_q, seq_len_kv
        if seq_len_q > seq_len_kv and variant == CausalVariant.LOWER_RIGHT:
            import warnings

            warnings.warn(
                "Lower right causal bias will produce NaNs in the output when seq_len_q > "
                "seq_len_kv!",
                stacklevel=2,
            )

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if func is torch.nn.functional.scaled_dot_product_attention:
            kwargs = dict(kwargs or {})
            mask = kwargs.get("attn_mask", args[3] if len(args) > 3 else None)
            if kwargs.get("is_causal") and isinstance(mask, cls):
                raise ValueError("CausalBias should not be used with causal=True")
        return _C._disabled_torch_function_impl(func, types, args, kwargs or {})

    def __repr__(self):
        return (
            f"CausalBias(variant: {self.variant.name}, shape: "
            f"({self.seq_len_q}, {self.seq_len_kv}))"
        )


def _size(size, name):
    if len(size) != 2:
        raise AssertionError(f"{name} only supports 2D tensors")
    return size


def causal_upper_left(*size):
    """A causal mask whose diagonal begins in the upper left corner."""
    return CausalBias(CausalVariant.UPPER_LEFT, *_size(size, "causal_upper_left"))


def causal_lower_right(*size):
    """A causal mask whose diagonal ends in the lower right corner."""
    return CausalBias(CausalVariant.LOWER_RIGHT, *_size(size, "causal_lower_right"))
