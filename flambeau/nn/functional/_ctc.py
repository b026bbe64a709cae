"""The connectionist temporal classification loss."""

import flambeau as torch

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
    each loss by its target's length first.

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
    if number and int(input_lengths.max()) > times:
        raise RuntimeError(
            f"Expected input_lengths to have value at most {times}, but got value "
            f"{int(input_lengths.max())}"
        )
    labels = _labels(targets, target_lengths, number, blank)
    loss = _negative_log_likelihood(log_probs, labels, input_lengths, target_lengths, blank)
    # The gradient is defined for normalized log_probs, through whose softmax it passes: it has
    # the probabilities themselves as a further term, of which the value of the loss knows nothing.
    steps = torch.arange(times, device=device).reshape(times, 1, 1)
    inside = steps < input_lengths.reshape(1, number, 1)
    mass = torch.where(inside, log_probs.exp(), torch.zeros_like(log_probs)).sum((0, 2))
    loss = loss + (mass - mass.detach())
    if zero_infinity:
        loss = torch.where(loss == float("inf"), torch.zeros_like(loss), loss)
    if reduction == "mean":
        return (loss / target_lengths.clamp(min=1).to(loss.dtype)).mean()
    return reduce_loss(loss if batched else loss.squeeze(0), reduction)


def _lengths(name, lengths, number, device):
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


def _negative_log_likelihood(log_probs, labels, input_lengths, target_lengths, blank):
    """Forward recursion over time on targets with blanks between them."""
    times, number, _ = log_probs.shape
    longest = labels.shape[1]
    states = labels.new_full((number, 2 * longest + 1), blank)
    states[:, 1::2] = labels
    # A state may be reached past a blank when the label before it is another one.
    skips = torch.zeros_like(states, dtype=torch.bool)
    if longest > 1:
        skips[:, 3::2] = labels[:, 1:] != labels[:, :-1]
    low = torch.finfo(log_probs.dtype).min / 4  # stands for log 0; its sums stay finite
    at_state = log_probs.gather(2, states.unsqueeze(0).expand(times, -1, -1))
    first = torch.zeros_like(states, dtype=torch.bool)
    first[:, :2] = True
    alpha = torch.where(first, at_state[0], torch.full_like(at_state[0], low))
    pad = torch.nn.functional.pad
    for t in range(1, times):
        width = states.shape[1]
        one = pad(alpha, (1, 0), value=low)[:, :width]
        two = pad(alpha, (2, 0), value=low)[:, :width]
        two = torch.where(skips, two, torch.full_like(two, low))
        new = torch.logsumexp(torch.stack([alpha, one, two]), 0) + at_state[t]
        alpha = torch.where((t < input_lengths).unsqueeze(1), new, alpha)
    last = 2 * target_lengths.unsqueeze(1)
    end = alpha.gather(1, last)
    before = alpha.gather(1, (last - 1).clamp(min=0))
    before = torch.where(last > 0, before, torch.full_like(before, low))
    total = torch.logsumexp(torch.cat([end, before], 1), 1)
    impossible = torch.full_like(total, float("-inf"))
    # No input at all spells the empty target only.
    empty = torch.where(target_lengths == 0, torch.zeros_like(total), impossible)
    total = torch.where(input_lengths == 0, empty, total)
    return -torch.where(total < low / 2, impossible, total)
