"""Attention whose scores and mask are functions of the positions.

A score_mod(score, b, h, q_idx, kv_idx) or mask_mod(b, h, q_idx, kv_idx) is called once, with index
tensors that broadcast to (B, H, Q, KV): it may compute with them and index tensors by them.
"""

import math

import flambeau

__all__ = """AuxOutput AuxRequest BlockMask and_masks create_block_mask create_mask flex_attention
noop_mask or_masks""".split()

_DEFAULT_SPARSE_BLOCK_SIZE = 128


class AuxRequest:
    """What `flex_attention` should give beside its output: lse, max_scores."""

    def __init__(self, lse=False, max_scores=False):
        self.lse, self.max_scores = lse, max_scores


class AuxOutput:
    """What was asked for by an AuxRequest; None for the rest."""

    def __init__(self, lse=None, max_scores=None):
        self.lse, self.max_scores = lse, max_scores


def noop_mask(batch, head, token_q, token_kv):
    """The mask that hides nothing."""
    return batch.new_ones((), dtype=flambeau.bool)


def and_masks(*mask_mods):
    """The mask of positions that all masks show."""

    def both(b, h, q, kv):
        shown = b.new_ones((), dtype=flambeau.bool)
        for mask in mask_mods:
            shown = shown & mask(b, h, q, kv)
        return shown

    return both


def or_masks(*mask_mods):
    """The mask of positions that any mask shows."""

    def either(b, h, q, kv):
        shown = b.new_zeros((), dtype=flambeau.bool)
        for mask in mask_mods:
            shown = shown | mask(b, h, q, kv)
        return shown

    return either


def _positions(sizes, device, dtype=flambeau.int64):
    """An index tensor for each of the four dimensions, broadcasting with the others."""
    return [
        flambeau.arange(n, device=device, dtype=dtype).view([-1 if i == d else 1 for i in range(4)])
        for d, n in enumerate(sizes)
    ]


def create_mask(mod_fn, B, H, Q_LEN, KV_LEN, device="cpu"):
    """The mask of a mask_mod as a bool tensor (B or 1, H or 1, Q_LEN, KV_LEN)."""
    sizes = (B or 1, H or 1, Q_LEN, KV_LEN)
    shown = mod_fn(*_positions(sizes, device))
    return flambeau.broadcast_to(shown, sizes).contiguous()


class BlockMask:
    """A mask_mod for given lengths, and which blocks of positions it shows anything of."""

    def __init__(self, mask, mask_mod, block_size):
        self._mask = mask
        self.mask_mod = mask_mod
        self.BLOCK_SIZE = block_size
        self.seq_lengths = tuple(mask.shape[-2:])

    @property
    def shape(self):
        return tuple(self._mask.shape)

    def numel(self):
        return self._mask.numel()

    def to_dense(self):
        """1 for every block (BLOCK_SIZE positions a side) that shows anything, else 0."""
        q, kv = self.BLOCK_SIZE
        rows, columns = self.seq_lengths
        padded = flambeau.nn.functional.pad(self._mask, (0, -columns % kv, 0, -rows % q))
        blocks = padded.unflatten(-1, (-1, kv)).any(-1).unflatten(-2, (-1, q)).any(-2)
        return blocks.to(flambeau.int32)

    def sparsity(self):
        """The share of hidden blocks, in percent."""
        return 100.0 * (1.0 - self.to_dense().float().mean().item())

    def __getitem__(self, index):
        mask = self._mask[index]
        while mask.dim() < 4:
            mask = mask.unsqueeze(0)
        return BlockMask(mask, self.mask_mod, self.BLOCK_SIZE)

    def to(self, device):
        return BlockMask(self._mask.to(device), self.mask_mod, self.BLOCK_SIZE)

    def __repr__(self):
        return f"BlockMask(shape={self.shape}, sparsity={self.sparsity():.2f}%)"


def create_block_mask(
    mask_mod,
    B,
    H,
    Q_LEN,
    KV_LEN,
    device=None,
    BLOCK_SIZE=_DEFAULT_SPARSE_BLOCK_SIZE,
    _compile=False,
    **options,
):
    """The BlockMask of a mask_mod for these sizes.

    >>> from flambeau.nn.attention.flex_attention import create_block_mask
    >>> create_block_mask(lambda b, h, q, kv: q >= kv, None, None, 256, 256).sparsity()
    25.0
    """
    size = (BLOCK_SIZE, BLOCK_SIZE) if isinstance(BLOCK_SIZE, int) else tuple(BLOCK_SIZE)
    return BlockMask(create_mask(mask_mod, B, H, Q_LEN, KV_LEN, device or "cpu"), mask_mod, size)


def flex_attention(
    query,
    key,
    value,
    score_mod=None,
    block_mask=None,
    scale=None,
    enable_gqa=False,
    return_lse=False,
    kernel_options=None,
    *,
    return_aux=None,
):
    """softmax(score_mod(query keyᵀ scale) where the mask shows) value.

    Shapes: query (B, H, L, E), key (B, H, S, E), value (B, H, S, Ev); with enable_gqa key and value
    may have fewer heads, of which H is a multiple. A row that shows nothing gives zeros.
    return_lse gives (output, logarithm of the sum of exponentials (B, H, L)); return_aux an
    AuxOutput with what it asks for. `kernel_options` are of PyTorch's GPU kernels.
    """
    if query.dim() != 4 or key.dim() != 4 or value.dim() != 4:
        raise NotImplementedError("flex_attention() takes 4 dimensional tensors")
    groups = query.size(1) // key.size(1)
    if query.size(1) != key.size(1):
        if not enable_gqa or query.size(1) % key.size(1):
            raise ValueError(
                f"Expect query and key/value to have the same number of heads but got "
                f"{query.size(1)} and {key.size(1)}; enable_gqa shares heads"
            )
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    scale = 1.0 / math.sqrt(query.size(-1)) if scale is None else scale
    scores = (query @ key.mT).float() * scale
    if score_mod is not None:
        scores = score_mod(scores, *_positions(scores.shape, query.device))
    if block_mask is not None:
        scores = scores.masked_fill(_shown(block_mask, scores).logical_not(), -math.inf)
    lse = flambeau.logsumexp(scores, -1)
    hidden = lse == -math.inf
    weights = (scores - lse.masked_fill(hidden, 0.0).unsqueeze(-1)).exp()
    output = weights.to(query.dtype) @ value
    if return_aux is not None:
        top = scores.amax(-1) if return_aux.max_scores else None
        return output, AuxOutput(lse if return_aux.lse else None, top)
    return (output, lse) if return_lse else output


def _shown(block_mask, scores):
    mask = block_mask._mask
    if tuple(mask.shape[-2:]) != tuple(scores.shape[-2:]):
        raise ValueError(
            f"block_mask was created for block_mask.shape={block_mask.shape} but got "
            f"q_len={scores.size(-2)} and kv_len={scores.size(-1)}"
        )
    return mask
