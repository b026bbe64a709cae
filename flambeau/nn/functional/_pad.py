"""Padding in its four modes."""

import flambeau as torch
from flambeau import _C
from flambeau._ops import internal

__all__ = ["pad"]


def pad(input, pad, mode="constant", value=None):
    """Pads the last dimensions; `pad` holds two numbers for each, the last dimension first.

    Modes: "constant" (filled with `value`), "reflect", "replicate", "circular". Negative numbers
    cut off.

    >>> import flambeau as torch
    >>> torch.nn.functional.pad(torch.ones(1, 2), (1, 2))
    tensor([[0., 1., 1., 0., 0.]])
    """
    if len(pad) % 2:
        raise RuntimeError("Padding length must be divisible by 2")
    dims = len(pad) // 2
    if dims > input.dim():
        raise RuntimeError(
            "Padding length should be less than or equal to two times the input dimension but "
            f"got padding length {len(pad)} and input of dimension {input.dim()}"
        )
    if mode == "constant":
        return torch.constant_pad_nd(input, pad, 0 if value is None else value)
    if value is not None and value != 0:
        raise RuntimeError(f'Padding mode "{mode}" doesn\'t take in value argument')
    if mode not in _MODES:
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    if not 1 <= dims <= 3 or input.dim() not in (dims + 1, dims + 2):
        raise NotImplementedError(
            f"Padding size {len(pad)} is not supported for {input.dim()}D input tensor.\n"
            "Supported combinations for non-constant padding:\n"
            "  - 2D or 3D input: padding size = 2 (pads last dimension)\n"
            "  - 3D or 4D input: padding size = 4 (pads last 2 dimensions)\n"
            "  - 4D or 5D input: padding size = 6 (pads last 3 dimensions)"
        )
    if min(pad) < 0:
        cut = [min(p, 0) for p in pad]
        if mode != "circular":  # edges may show what is cut off
            return torch.constant_pad_nd(_edges(input, [max(p, 0) for p in pad], mode), cut)
        input, pad = torch.constant_pad_nd(input, cut), [max(p, 0) for p in pad]
    return _edges(input, pad, mode)


def _edges(input, pad, mode):
    dims = len(pad) // 2
    if mode != "circular" and 0 in input.shape[int(input.dim() == dims + 2) :]:
        raise RuntimeError(
            f"Expected {dims + 1}D or {dims + 2}D (batch mode) tensor with possibly 0 batch size "
            f"and other non-zero dimensions for input, but got: {list(input.shape)}"
        )
    # On autocast's list for float32: what reflects or replicates, but not blocks that reflect.
    if mode != "circular" and (mode, len(pad)) != ("reflect", 6) and _C._autocasting():
        from flambeau.amp.autocast_mode import _cast

        input = _cast(input, torch.float32)
    return internal["_pad_edges"](input, list(pad), _MODES.index(mode))


_MODES = ("reflect", "replicate", "circular")
