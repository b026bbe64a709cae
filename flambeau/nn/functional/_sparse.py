"""Bags of embeddings, and class numbers as vectors."""

import flambeau as torch

__all__ = ["embedding_bag", "one_hot"]


def one_hot(input, num_classes=-1):
    """A vector with a single one for each class number.

    >>> import flambeau as torch
    >>> torch.nn.functional.one_hot(torch.tensor([0, 2]))
    tensor([[1, 0, 0],
            [0, 0, 1]])
    """
    if input.dtype != torch.int64:
        raise RuntimeError("one_hot is only applicable to index tensor of type LongTensor.")
    if input.numel() == 0:
        if num_classes <= 0:
            raise RuntimeError("Can not infer total number of classes from empty tensor.")
        return torch.zeros((*input.shape, num_classes), dtype=torch.int64, device=input.device)
    if input.device.type != "meta":
        if int(input.min()) < 0:
            raise RuntimeError("Class values must be non-negative.")
        largest = int(input.max())
        if num_classes == -1:
            num_classes = largest + 1
        elif largest >= num_classes:
            raise RuntimeError("Class values must be smaller than num_classes.")
    if num_classes < 1:
        raise RuntimeError("num_classes should be positive")
    zeros = torch.zeros((*input.shape, num_classes), dtype=torch.int64, device=input.device)
    return zeros.scatter(-1, input.unsqueeze(-1), 1)


def embedding_bag(
    input,
    weight,
    offsets=None,
    max_norm=None,
    norm_type=2,
    scale_grad_by_freq=False,
    mode="mean",
    sparse=False,
    per_sample_weights=None,
    include_last_offset=False,
    padding_idx=None,
):
    """Looks rows of a table up and reduces each bag of them to its sum, mean or maximum.

    >>> import flambeau as torch
    >>> torch.nn.functional.embedding_bag(torch.tensor([[0, 1]]), torch.eye(2), mode="sum")
    tensor([[1., 1.]])
    """
    _check(input, weight, offsets, mode, per_sample_weights, include_last_offset)
    if input.dim() == 2:
        bags, length = input.shape
        bag = torch.arange(bags, device=input.device).repeat_interleave(length)
        if per_sample_weights is not None:
            per_sample_weights = per_sample_weights.reshape(-1)
    else:
        bag, bags = _bags_of(input, offsets, include_last_offset)
    flat = input.reshape(-1)
    rows = torch.nn.functional.embedding(
        flat, weight, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse
    )
    kept = None
    if padding_idx is not None:
        kept = flat != padding_idx % weight.shape[0]
    if mode == "max":
        return _bag_max(rows, bag, bags, kept)
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.unsqueeze(1)
    if kept is not None:
        rows = rows * kept.unsqueeze(1)
    total = rows.new_zeros((bags, weight.shape[1])).index_add(0, bag, rows)
    if mode == "sum":
        return total
    ones = torch.ones_like(bag, dtype=rows.dtype) if kept is None else kept.to(rows.dtype)
    count = rows.new_zeros((bags,)).index_add(0, bag, ones)
    return total / count.clamp(min=1).unsqueeze(1)


def _check(input, weight, offsets, mode, per_sample_weights, include_last_offset):
    if mode not in ("sum", "mean", "max"):
        raise ValueError("mode has to be one of sum, mean or max")
    if per_sample_weights is not None:
        if per_sample_weights.shape != input.shape:
            raise ValueError(
                f"embedding_bag: If per_sample_weights ({list(per_sample_weights.shape)}) is not "
                f"None, then it must have the same shape as the input ({list(input.shape)})"
            )
        if mode != "sum":
            raise NotImplementedError(
                "embedding_bag: per_sample_weights is only supported for mode='sum' "
                f"(got mode='{mode}')."
            )
    if weight.dim() != 2:
        raise ValueError(
            f"weight has to be a 2D Tensor, but got Tensor of dimension {weight.dim()}"
        )
    if input.dim() == 2:
        if offsets is not None:
            raise ValueError(
                "if input is 2D, then offsets has to be None, as input is treated is a "
                "mini-batch of fixed length sequences. However, found offsets of type "
                f"{type(offsets)}"
            )
    elif input.dim() == 1:
        if offsets is None or offsets.dim() != 1:
            got = "None" if offsets is None else f"{offsets.dim()}D"
            raise ValueError(f"offsets has to be a 1D Tensor but got {got}")
        if include_last_offset and offsets.shape[0] < 1:
            raise RuntimeError("include_last_offset: number of offset should be at least 1")
        if offsets.numel() and int(offsets[0]) != 0:
            raise RuntimeError(
                "offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start "
                f"from position 0. However, got {int(offsets[0])}"
            )
        if offsets.numel() and int(offsets[-1]) > input.shape[0]:
            raise RuntimeError(
                f"offsets[-1] can not be greater than input's length {input.shape[0]} but got "
                f"offsets[-1] of {int(offsets[-1])}"
            )
    else:
        raise ValueError(
            f"input has to be 1D or 2D Tensor, but got Tensor of dimension {input.dim()}"
        )


def _bags_of(input, offsets, include_last_offset):
    """The number of the bag that each index belongs to."""
    ends = offsets[1:] if include_last_offset else offsets
    bags = ends.shape[0]
    if not include_last_offset:
        ends = torch.cat([offsets[1:], offsets.new_full((1,), input.shape[0])])
    positions = torch.arange(input.shape[0], device=input.device)
    # The bag of a position: how many bags end at or before it.
    bag = (positions.unsqueeze(1) >= ends.unsqueeze(0)).sum(1)
    return bag.clamp(max=max(bags - 1, 0)), bags


def _bag_max(rows, bag, bags, kept):
    if kept is not None:
        rows, bag = rows[kept], bag[kept]
    width = rows.shape[1]
    if rows.shape[0] == 0:
        return rows.new_zeros((bags, width))
    count = torch.zeros(bags, dtype=torch.int64, device=bag.device).index_add(
        0, bag, torch.ones_like(bag)
    )
    # Bags side by side, filled up to the longest with a value that is never the maximum.
    place = torch.arange(bag.shape[0], device=bag.device) - (count.cumsum(0) - count)[bag]
    lowest = torch.finfo(rows.dtype).min
    table = rows.new_full((bags, int(count.max()), width), lowest)
    table = table.index_put((bag, place), rows)
    best = table.max(1)[0]
    return torch.where(count.unsqueeze(1) > 0, best, torch.zeros_like(best))
