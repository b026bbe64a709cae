"""Padding in its four modes."""

import flambeau as torch

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
    sides = [(input.dim() - 1 - i, pad[2 * i], pad[2 * i + 1]) for i in range(dims)]
    if mode == "constant":
        return _constant(input, sides, 0 if value is None else value)
    if value is not None and value != 0:
        raise RuntimeError(f'Padding mode "{mode}" doesn\'t take in value argument')
    if mode not in _PLACES:
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    if not 1 <= dims <= 3 or input.dim() not in (dims + 1, dims + 2):
        raise NotImplementedError(
            f"Padding size {len(pad)} is not supported for {input.dim()}D input tensor.\n"
            "Supported combinations for non-constant padding:\n"
            "  - 2D or 3D input: padding size = 2 (pads last dimension)\n"
            "  - 3D or 4D input: padding size = 4 (pads last 2 dimensions)\n"
            "  - 4D or 5D input: padding size = 6 (pads last 3 dimensions)"
        )
    if mode == "circular":  # what is cut off does not come round
        cut = [(dim, min(before, 0), min(after, 0)) for dim, before, after in sides]
        input = _constant(input, cut, 0) if any(b or a for _, b, a in cut) else input
        sides = [(dim, max(before, 0), max(after, 0)) for dim, before, after in sides]
    for dim, before, after in sides:
        if before or after:
            places = _PLACES[mode](input, dim, before, after)
            input = input.index_select(dim, places)
    return input


def _constant(input, sides, value):
    for dim, before, after in sides:  # cut first: what is cut need not be copied
        start, stop = max(-before, 0), input.shape[dim] - max(-after, 0)
        if stop < start:
            raise RuntimeError(
                f"pad(): dimension {dim} of size {input.shape[dim]} cannot be cut by "
                f"{-before} and {-after}"
            )
        if stop - start != input.shape[dim]:
            input = input.narrow(dim, start, stop - start)
    shape = list(input.shape)
    window = [slice(None)] * input.dim()
    for dim, before, after in sides:
        before, after = max(before, 0), max(after, 0)
        window[dim] = slice(before, before + shape[dim])
        shape[dim] += before + after
    if shape == list(input.shape):
        return input.clone()
    output = input.new_full(shape, value)
    output[tuple(window)] = input
    return output


def _positions(input, dim, before, after):
    size = input.shape[dim]
    if size + before + after < 1 or size == 0:
        raise RuntimeError(
            f"pad(): dimension {dim} of size {size} padded by ({before}, {after}) has no elements"
        )
    return torch.arange(-before, size + after, device=input.device), size


def _reflect(input, dim, before, after):
    size = input.shape[dim]
    if before >= size or after >= size:
        raise RuntimeError(
            "Padding size should be less than the corresponding input dimension, but got: "
            f"padding ({before}, {after}) at dimension {dim} of input {list(input.shape)}"
        )
    places, size = _positions(input, dim, before, after)
    places = places.abs()
    return (size - 1) - ((size - 1) - places).abs()


def _replicate(input, dim, before, after):
    places, size = _positions(input, dim, before, after)
    return places.clamp(0, size - 1)


def _circular(input, dim, before, after):
    size = input.shape[dim]
    if before > size or after > size:
        raise RuntimeError("Padding value causes wrapping around more than once.")
    places, size = _positions(input, dim, before, after)
    return places.remainder(size)


_PLACES = {"reflect": _reflect, "replicate": _replicate, "circular": _circular}
