"""Attention whose products can be observed."""

import math

import flambeau
from flambeau import nn
from flambeau.ao.nn.quantized.modules.functional_modules import FloatFunctional
from flambeau.nn import functional as F


def _added(mask, dtype):
    """A mask as numbers to be added to the scores."""
    if mask.dtype != flambeau.bool:
        return mask
    return flambeau.zeros(mask.shape, dtype=dtype).masked_fill(mask, -math.inf)


class MultiheadAttention(nn.MultiheadAttention):
    """nn.MultiheadAttention with a Linear of its own for queries, keys and values; these, the
    scaled queries and the results can be quantized. The attention itself is one of floats.

    >>> import flambeau as torch
    >>> layer = torch.ao.nn.quantizable.MultiheadAttention(4, 2)
    >>> result, weights = layer(*[torch.ones(5, 1, 4)] * 3)
    >>> result.shape, weights.shape
    (torch.Size([5, 1, 4]), torch.Size([1, 5, 5]))
    """

    _FLOAT_MODULE = nn.MultiheadAttention

    def __init__(
        self, embed_dim, num_heads, dropout=0.0, bias=True, add_bias_kv=False,
        add_zero_attn=False, kdim=None, vdim=None, batch_first=False, device=None, dtype=None,
    ):  # fmt: skip
        from flambeau.ao.quantization.stubs import DeQuantStub, QuantStub

        made = {"device": device, "dtype": dtype}
        super().__init__(
            embed_dim, num_heads, dropout, bias, add_bias_kv, add_zero_attn, kdim, vdim,
            batch_first, **made,
        )  # fmt: skip
        self.linear_Q = nn.Linear(embed_dim, embed_dim, bias=bias, **made)
        self.linear_K = nn.Linear(self.kdim, embed_dim, bias=bias, **made)
        self.linear_V = nn.Linear(self.vdim, embed_dim, bias=bias, **made)
        self.out_proj = nn.Linear(embed_dim, embed_dim, bias=bias, **made)
        self.q_scaling_product = FloatFunctional()
        self.quant_attn_output, self.quant_attn_output_weights = QuantStub(), QuantStub()
        self.dequant_q, self.dequant_k = DeQuantStub(), DeQuantStub()
        self.dequant_v = DeQuantStub()

    def _get_name(self):
        return "QuantizableMultiheadAttention"

    def _parts(self):
        return self.linear_Q, self.linear_K, self.linear_V

    @classmethod
    def from_float(cls, other):
        """Of an nn.MultiheadAttention with a qconfig, with observers."""
        from flambeau.ao.quantization import prepare, prepare_qat

        if not hasattr(other, "qconfig"):
            raise AssertionError("The float module must have 'qconfig'")
        made = cls(
            other.embed_dim, other.num_heads, other.dropout, other.in_proj_bias is not None,
            other.bias_k is not None, other.add_zero_attn, other.kdim, other.vdim,
            other.batch_first,
        )  # fmt: skip
        state = other.state_dict()
        made.load_state_dict(state, strict=False)
        own = ("q_proj_weight", "k_proj_weight", "v_proj_weight")
        same = other._qkv_same_embed_dim
        weights = other.in_proj_weight.chunk(3) if same else [state[name] for name in own]
        with flambeau.no_grad():
            for linear, weight in zip(made._parts(), weights, strict=True):
                linear.weight.copy_(weight)
            if other.in_proj_bias is not None:
                for linear, bias in zip(made._parts(), other.in_proj_bias.chunk(3), strict=True):
                    linear.bias.copy_(bias)
        made.qconfig = other.qconfig
        if other.training:
            return prepare_qat(made.train(), inplace=True)
        return prepare(made.eval(), inplace=True)

    @classmethod
    def from_observed(cls, other):
        """NotImplementedError: convert() makes a quantized.MultiheadAttention."""
        raise NotImplementedError(
            "Converting a QuantizableMultiheadAttention to itself makes no sense: it is converted "
            "to a quantized.MultiheadAttention"
        )

    @staticmethod
    def _floats(linear):
        """(weight, bias) of a layer, of numbers."""
        packed = callable(linear.weight)
        weight, bias = (linear.weight(), linear.bias()) if packed else (linear.weight, linear.bias)
        return weight.dequantize() if weight.is_quantized else weight, bias

    @flambeau.no_grad()
    def dequantize(self):
        """The nn.MultiheadAttention of the same weights, of floats."""
        has_bias = self._floats(self.linear_Q)[1] is not None
        made = nn.MultiheadAttention(
            self.embed_dim, self.num_heads, self.dropout, has_bias,
            self.bias_k is not None, self.add_zero_attn, self.kdim, self.vdim, self.batch_first,
        ).train(self.training)  # fmt: skip
        weights, biases = zip(*map(self._floats, self._parts()), strict=True)
        if made._qkv_same_embed_dim:
            made.in_proj_weight.copy_(flambeau.cat(weights))
        else:
            for name, weight in zip("qkv", weights, strict=True):
                getattr(made, f"{name}_proj_weight").copy_(weight)
        weight, bias = self._floats(self.out_proj)
        made.out_proj.weight.copy_(weight)
        if bias is not None:
            made.in_proj_bias.copy_(flambeau.cat(biases))
            made.out_proj.bias.copy_(bias)
        if self.bias_k is not None:
            made.bias_k.copy_(self.bias_k)
            made.bias_v.copy_(self.bias_v)
        return made

    def forward(
        self, query, key, value, key_padding_mask=None, need_weights=True, attn_mask=None,
        average_attn_weights=True, is_causal=False,
    ):  # fmt: skip
        """The attention and its weights, as of nn.MultiheadAttention, of batches."""
        if attn_mask is not None and is_causal:
            raise AssertionError("Only allow causal mask or attn_mask")
        if is_causal:
            raise AssertionError("causal mask not supported by AO MHA module")
        if self.batch_first:
            query, key, value = (x.transpose(0, 1) for x in (query, key, value))
        batch, scale = query.shape[1], (self.embed_dim // self.num_heads) ** -0.5
        q = self.q_scaling_product.mul_scalar(self.linear_Q(query), scale)
        q = self.dequant_q(q)
        k, v = self.dequant_k(self.linear_K(key)), self.dequant_v(self.linear_V(value))
        if self.bias_k is not None:
            k, v = (
                flambeau.cat([x, bias.expand(1, batch, -1)])
                for x, bias in ((k, self.bias_k), (v, self.bias_v))
            )
        if self.add_zero_attn:
            k, v = (F.pad(x, (0, 0, 0, 0, 0, 1)) for x in (k, v))

        heads = [x.unflatten(2, (self.num_heads, -1)).permute(1, 2, 0, 3) for x in (q, k, v)]
        scores = heads[0] @ heads[1].mT  # (batch, head, query, key)
        more = scores.shape[-1] - key.shape[0]
        if attn_mask is not None:
            mask = F.pad(_added(attn_mask, scores.dtype), (0, more))
            scores = scores + (mask.unflatten(0, (batch, -1)) if mask.dim() == 3 else mask)
        if key_padding_mask is not None:
            scores = (
                scores + F.pad(_added(key_padding_mask, scores.dtype), (0, more))[:, None, None]
            )
        weights = F.dropout(scores.softmax(-1), self.dropout, self.training)
        result = (weights @ heads[2]).permute(2, 0, 1, 3).flatten(2)
        result = self.out_proj(self.quant_attn_output(result))
        result = result.transpose(0, 1) if self.batch_first else result
        if not need_weights:
            return result, None
        weights = weights.mean(dim=1) if average_attn_weights else weights
        return result, self.quant_attn_output_weights(weights)
