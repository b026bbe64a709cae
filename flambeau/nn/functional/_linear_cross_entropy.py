"""A linear layer and its cross entropy in one."""

import flambeau as torch

__all__ = ["linear_cross_entropy"]


def linear_cross_entropy(
    input,
    linear_weight,
    target,
    *,
    linear_bias=None,
    weight=None,
    reduction="mean",
    ignore_index=None,
    label_smoothing=0.0,
    options=None,
):
    """The cross entropy of ``linear(input, linear_weight, linear_bias)``.

    Where the weight has more rows than there are classes, its rows are read as
    (num_classes, *out_features) and the target has those further dimensions. `options` steers
    how memory is saved, which does not change the result.

    >>> import flambeau as torch
    >>> x, w = torch.zeros(2, 3), torch.zeros(4, 3)
    >>> torch.nn.functional.linear_cross_entropy(x, w, torch.tensor([0, 1]))
    tensor(1.3863)
    """
    F = torch.nn.functional
    logits = F.linear(input, linear_weight, linear_bias)
    # Class numbers come as (N, *out_features), probabilities as (N, classes, *out_features).
    trailing = target.shape[1:] if not target.is_floating_point() else target.shape[2:]
    if len(trailing):
        logits = logits.unflatten(-1, (-1, *trailing))
    return F.cross_entropy(
        logits,
        target,
        weight=weight,
        ignore_index=-100 if ignore_index is None else ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )
