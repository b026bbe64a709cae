"""The connectionist temporal classification loss."""

import flambeau as torch
from flambeau._ops import internal

from ._reduction import reduce_loss

__all__ = ["ctc_loss"]


def ctc_loss(
    log_probs,
    targets,
    input_lengths,
    target_lengths,
    blank=0,
    reduction="mean",
    zero_infinity=False,
):
    """The loss between a sequence and an unaligned, shorter target sequence (Graves, 2006).

    Shapes: log_probs (T, N, C) or (T, C), targets (N, S) or all of them in a row. "mean" divides
    each loss by its target's length first. The gradient is that of log_probs out of a log-softmax;
    as in PyTorch it cannot be differentiated again.

    >>> import flambeau as torch
    >>> log_probs = torch.zeros(3, 1, 2).log_softmax(2)
    >>> torch.nn.functional.ctc_loss(log_probs, torch.tensor([[1]]), (3,), (1,))
    tensor(0.2877)
    """
    batched = log_probs.dim() == 3
    if not batched:
        log_probs = log_probs.unsqueeze(1)
    times, number, classes = log_probs.shape
    device = log_probs.device
    input_lengths = _lengths("input_lengths", input_lengths, number, device)
    target_lengths = _lengths("target_lengths", target_lengths, number, device)
    if not 0 <= blank < classes:
        raise RuntimeError("blank must be in label range")
    if device.type == "meta":  # nothing to look at: the shape alone
        labels = targets.new_empty((number, 0), dtype=torch.int64)
    elif number and int(input_lengths.max()) > times:
        raise RuntimeError(
            f"Expected input_lengths to have value at most {times}, but got value "
            f"{int(input_lengths.max())}"
        )
    else:
        labels = _labels(targets, target_lengths, number, blank)
    loss, _ = internal["_ctc_loss"](
        log_probs, labels, input_lengths, target_lengths, blank, zero_infinity
    )
    if reduction == "mean":
        return (loss / target_lengths.clamp(min=1).to(loss.dtype)).mean()
    return reduce_loss(loss if batched else loss.squeeze(0), reduction)


def _lengths(name, lengths, number, device):
    if isinstance(lengths, torch.Tensor):
        if lengths.is_floating_point() or lengths.is_complex():
            raise RuntimeError(f"{name} must be integral")
    elif any(isinstance(n, float) for n in lengths):
        raise TypeError(f"ctc_loss(): {name} must be a tuple of ints, got {lengths}")
    lengths = torch.as_tensor(lengths, dtype=torch.int64, device=device).reshape(-1)
    if lengths.shape[0] != number:
        raise RuntimeError(f"{name} must be of size batch_size {number}, got {lengths.shape[0]}")
    return lengths


def _labels(targets, lengths, number, blank):
    """Targets as (N, S), however they came; what lies beyond the length does not count."""
    longest = int(lengths.max()) if number else 0
    targets = targets.to(torch.int64)
    steps = torch.arange(longest, device=targets.device)
    inside = steps < lengths.unsqueeze(1)
    if targets.dim() == 1 and number:
        starts = (lengths.cumsum(0) - lengths).unsqueeze(1)
        if int(lengths.sum()) > targets.shape[0]:
            raise RuntimeError(
                f"Expected targets to have at least {int(lengths.sum())} elements, got "
                f"{targets.shape[0]}"
            )
        if targets.shape[0] == 0:
            return inside.long()
        flat = torch.where(inside, starts + steps, torch.zeros_like(starts + steps))
        return torch.where(inside, targets[flat], torch.full_like(flat, blank))
    if targets.shape[1] < longest:
        raise RuntimeError(
            f"Expected tensor to have size at least {longest} at dimension 1, but got size "
            f"{targets.shape[1]} for argument targets"
        )
    targets = targets[:, :longest]
    return torch.where(inside, targets, torch.full_like(targets, blank))
