"""Embeddings whose rows are integers of 8 bits, each row with its scale."""

import flambeau
from flambeau import nn
from flambeau.nn import functional as F

from .._packed import Packed, quantized_weight


class EmbeddingPackedParams(nn.Module):
    """The rows, in the state_dict as one entry."""

    _version = 1

    def __init__(self, num_embeddings, embedding_dim, dtype=flambeau.quint8):
        super().__init__()
        self.dtype = dtype
        scales, zeros = flambeau.ones(num_embeddings), flambeau.zeros(num_embeddings)
        self.set_weight(
            flambeau.quantize_per_channel(
                flambeau.zeros(num_embeddings, embedding_dim), scales, zeros, 0, dtype
            )
        )

    def set_weight(self, weight):
        """Takes quantized rows."""
        self._packed = Packed(weight, None)

    def _weight(self):
        return self._packed.weight

    def forward(self, x):
        """x."""
        return x

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[prefix + "dtype"] = self.dtype
        destination[prefix + "_packed_weight"] = self._weight()

    def _load_from_state_dict(self, state_dict, prefix, metadata, strict, *lists):
        self.dtype = state_dict.pop(prefix + "dtype", self.dtype)
        if prefix + "_packed_weight" in state_dict:
            self.set_weight(state_dict.pop(prefix + "_packed_weight"))
        super()._load_from_state_dict(state_dict, prefix, metadata, False, *lists)

    def __repr__(self):
        return repr(self._weight())


class _Rows:
    def _pack(self, num_embeddings, embedding_dim, weight, dtype):
        self.num_embeddings, self.embedding_dim, self.dtype = num_embeddings, embedding_dim, dtype
        self._packed_params = EmbeddingPackedParams(num_embeddings, embedding_dim, dtype)
        if weight is not None:
            self._packed_params.set_weight(weight)

    def weight(self):
        """The quantized rows."""
        return self._packed_params._weight()

    def set_weight(self, w):
        """Takes quantized rows."""
        self._packed_params.set_weight(w)

    def extra_repr(self):
        """The sizes."""
        return (
            f"num_embeddings={self.num_embeddings}, embedding_dim={self.embedding_dim}, "
            f"dtype={self.dtype}, qscheme={self.weight().qscheme()}"
        )

    def __repr__(self):
        return f"{self._get_name()}({self.extra_repr()})"

    def _numbers(self):
        return self._packed_params._packed.numbers()

    def _get_name(self):
        return f"Quantized{type(self).__name__}"

    @classmethod
    def _rows_of(cls, mod, precomputed):
        observer = getattr(mod, "weight_fake_quant", None) or mod.qconfig.weight()
        if observer.dtype != flambeau.quint8:
            raise AssertionError(f"{cls.__name__} quantizes to quint8, not {observer.dtype}")
        return quantized_weight(mod.weight, observer, precomputed)


class Embedding(_Rows, nn.Module):
    """Rows of integers, given as numbers."""

    def __init__(
        self,
        num_embeddings,
        embedding_dim,
        padding_idx=None,
        max_norm=None,
        norm_type=2.0,
        scale_grad_by_freq=False,
        sparse=False,
        _weight=None,
        dtype=flambeau.quint8,
    ):
        super().__init__()
        self._pack(num_embeddings, embedding_dim, _weight, dtype)

    def forward(self, indices):
        """The rows of the indices in float32."""
        return F.embedding(indices, self._numbers())

    @classmethod
    def from_float(cls, mod, use_precomputed_fake_quant=False):
        """Of nn.Embedding with a qconfig."""
        return cls(
            mod.num_embeddings,
            mod.embedding_dim,
            _weight=cls._rows_of(mod, use_precomputed_fake_quant),
        )


class EmbeddingBag(_Rows, nn.Module):
    """Bags of rows of integers, given as numbers."""

    def __init__(
        self,
        num_embeddings,
        embedding_dim,
        max_norm=None,
        norm_type=2.0,
        scale_grad_by_freq=False,
        mode="sum",
        sparse=False,
        _weight=None,
        include_last_offset=False,
        dtype=flambeau.quint8,
    ):
        super().__init__()
        self._pack(num_embeddings, embedding_dim, _weight, dtype)
        self.mode, self.include_last_offset = mode, include_last_offset

    def forward(
        self, indices, offsets=None, per_sample_weights=None, compressed_indices_mapping=None
    ):
        """The bags' sums or means in float32."""
        return F.embedding_bag(
            indices,
            self._numbers(),
            offsets,
            mode=self.mode,
            per_sample_weights=per_sample_weights,
            include_last_offset=self.include_last_offset,
        )

    @classmethod
    def from_float(cls, mod, use_precomputed_fake_quant=False):
        """Of nn.EmbeddingBag with a qconfig."""
        return cls(
            mod.num_embeddings,
            mod.embedding_dim,
            mode=mod.mode,
            include_last_offset=mod.include_last_offset,
            _weight=cls._rows_of(mod, use_precomputed_fake_quant),
        )
