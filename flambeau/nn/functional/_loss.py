"""Losses made of other operators."""

import math

import flambeau as torch
from flambeau import Tensor, _levels
from flambeau._C import _name_composite, _node_count
from flambeau._ops import internal, shown_as

from ._reduction import reduce_loss, reduction_name, reduction_number

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cosine_embedding_loss",
    "gaussian_nll_loss",
    "hinge_embedding_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "margin_ranking_loss",
    "mse_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "poisson_nll_loss",
    "smooth_l1_loss",
    "soft_margin_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]


def _warn_of_shapes(input, target):
    """A target that is stretched to the input is most often a mistake."""
    if target.shape != input.shape:
        import warnings

        warnings.warn(
            f"Using a target size ({target.shape}) that is different to the input size "
            f"({input.shape}). This will likely lead to incorrect results due to broadcasting. "
            "Please ensure they have the same size.",
            stacklevel=3,
        )


def _weighted(loss, weight, reduction):
    if weight is None:
        return reduce_loss(loss, reduction)
    loss = loss * weight
    if reduction == "mean":
        return loss.sum() / weight.expand_as(loss).sum()
    return reduce_loss(loss, reduction)


def l1_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    """The mean of ``|input - target|``.

    >>> import flambeau as torch
    >>> torch.nn.functional.l1_loss(torch.tensor([1.0, 3.0]), torch.zeros(2))
    tensor(2.)
    """
    _warn_of_shapes(input, target)
    reduction = reduction_name(size_average, reduce, reduction)
    if not (input.is_floating_point() and target.is_floating_point()):
        return _weighted((input - target).abs(), weight, reduction)
    return _weighted(internal["_absolute_error"](input, target), weight, reduction)


def mse_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    """The mean of ``(input - target) ** 2``.

    >>> import flambeau as torch
    >>> torch.nn.functional.mse_loss(torch.tensor([1.0, 3.0]), torch.zeros(2))
    tensor(5.)
    """
    _warn_of_shapes(input, target)
    reduction = reduction_name(size_average, reduce, reduction)
    if not (input.is_floating_point() or input.is_complex()):
        return _weighted((input - target).square(), weight, reduction)
    since = _node_count()
    loss = _weighted(internal["_squared_difference"](input, target), weight, reduction)
    return _name_composite(loss, "MseLossBackward0", since)


def smooth_l1_loss(input, target, size_average=None, reduce=None, reduction="mean", beta=1.0):
    """Squared where the error is below `beta`, absolute beyond.

    >>> import flambeau as torch
    >>> torch.nn.functional.smooth_l1_loss(torch.tensor([3.0]), torch.zeros(1))
    tensor(2.5000)
    """
    _warn_of_shapes(input, target)
    reduction = reduction_name(size_average, reduce, reduction)
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    if beta == 0:
        return l1_loss(input, target, reduction=reduction)
    since = _node_count()
    loss = reduce_loss(internal["_smooth_error"](input, target, beta), reduction)
    return _name_composite(loss, "SmoothL1LossBackward0", since)


def huber_loss(input, target, reduction="mean", delta=1.0, weight=None):
    """Squared where the error is below `delta`, absolute times delta beyond.

    >>> import flambeau as torch
    >>> torch.nn.functional.huber_loss(torch.tensor([3.0]), torch.zeros(1), delta=2.0)
    tensor(4.)
    """
    _warn_of_shapes(input, target)
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    since = _node_count()
    loss = _weighted(internal["_huber_error"](input, target, delta), weight, reduction)
    return _name_composite(loss, "HuberLossBackward0", since)


def kl_div(input, target, size_average=None, reduce=None, reduction="mean", log_target=False):
    """The Kullback-Leibler divergence; `input` holds log-probabilities.

    "batchmean" is the mathematical mean: the sum over the batch's size.

    >>> import flambeau as torch
    >>> p = torch.tensor([[0.5, 0.5]])
    >>> torch.nn.functional.kl_div(p.log(), p, reduction="batchmean")
    tensor(0.)
    """
    reduction = reduction_name(size_average, reduce, reduction)
    if log_target:
        loss = target.exp() * (target - input)
    else:
        loss = torch.xlogy(target, target) - target * input
    if reduction == "mean":
        import warnings

        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size."
            "'batchmean' divides only by the batch size, and aligns with the KL div math "
            "definition.'mean' will be changed to behave the same as 'batchmean' in the next major "
            "release.",
            stacklevel=2,
        )
    if reduction == "batchmean":
        return loss.sum() / (input.shape[0] if input.dim() else 1)
    return reduce_loss(loss, reduction)


def poisson_nll_loss(
    input,
    target,
    log_input=True,
    full=False,
    size_average=None,
    eps=1e-8,
    reduce=None,
    reduction="mean",
):
    """The negative log-likelihood of counts from a Poisson distribution.

    >>> import flambeau as torch
    >>> torch.nn.functional.poisson_nll_loss(torch.zeros(1), torch.ones(1))
    tensor(1.)
    """
    reduction = reduction_name(size_average, reduce, reduction)
    if log_input:
        loss = input.exp() - target * input
    else:
        loss = input - target * (input + eps).log()
    if full:  # Stirling's approximation of the factorial
        stirling = target * target.log() - target + 0.5 * (2 * math.pi * target).log()
        loss = loss + torch.where(target > 1, stirling, torch.zeros_like(stirling))
    return reduce_loss(loss, reduction)


def gaussian_nll_loss(input, target, var, full=False, eps=1e-6, reduction="mean"):
    """The negative log-likelihood of targets from normal distributions of given variance.

    >>> import flambeau as torch
    >>> torch.nn.functional.gaussian_nll_loss(torch.zeros(1), torch.ones(1), torch.ones(1))
    tensor(0.5000)
    """
    if not isinstance(var, Tensor):
        if var < 0:
            raise ValueError("var has negative entry/entries")
        var = var * torch.ones_like(input)
    elif _levels.holds(var < 0):
        raise ValueError("var has negative entry/entries")
    if var.shape != input.shape:
        if tuple(input.shape[:-1]) == tuple(var.shape):
            var = var.unsqueeze(-1)
        elif var.dim() != input.dim() or any(
            v not in (1, n) for v, n in zip(var.shape, input.shape)
        ):
            raise ValueError("var is of incorrect size")
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not valid")
    # The floor of the variance is a constant to the gradient.
    var = var.clone()
    with torch.no_grad():
        var.clamp_(min=eps)
    loss = 0.5 * (var.log() + (input - target) ** 2 / var)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return reduce_loss(loss, reduction)


@shown_as("BinaryCrossEntropyBackward0")
def binary_cross_entropy(
    input, target, weight=None, size_average=None, reduce=None, reduction="mean"
):
    """The binary cross entropy of probabilities.

    >>> import flambeau as torch
    >>> torch.nn.functional.binary_cross_entropy(torch.tensor([0.5]), torch.tensor([1.0]))
    tensor(0.6931)
    """
    reduction = reduction_name(size_average, reduce, reduction)
    if target.shape != input.shape:
        raise ValueError(
            f"Using a target size ({target.shape}) that is different to the input size "
            f"({input.shape}) is deprecated. Please ensure they have the same size."
        )
    for name, tensor in (("input", input), ("target", target)):
        if tensor.numel():
            low, high = tensor.detach().aminmax()
            if _levels.holds(~((low >= 0) & (high <= 1))):
                raise RuntimeError(f"all elements of {name} should be between 0 and 1")
    loss = internal["_bce"](input, target)
    if weight is not None:
        loss = loss * weight
    return reduce_loss(loss, reduction)


@shown_as("BinaryCrossEntropyWithLogitsBackward0")
def binary_cross_entropy_with_logits(
    input,
    target,
    weight=None,
    size_average=None,
    reduce=None,
    reduction="mean",
    pos_weight=None,
):
    """The binary cross entropy of logits, safe against overflow.

    >>> import flambeau as torch
    >>> torch.nn.functional.binary_cross_entropy_with_logits(torch.zeros(2), torch.ones(2))
    tensor(0.6931)
    """
    reduction = reduction_name(size_average, reduce, reduction)
    if target.shape != input.shape:
        raise ValueError(
            f"Target size ({target.shape}) must be the same as input size ({input.shape})"
        )
    half = input.dtype in (torch.float16, torch.bfloat16)  # rounded step by step, as by PyTorch
    if pos_weight is None and not half:
        loss = internal["_bce_with_logits"](input, target)
    else:
        log_p = torch.nn.functional.logsigmoid(input)
        if pos_weight is not None:
            log_p = ((pos_weight - 1) * target + 1) * log_p
        loss = (1 - target) * input - log_p
    if weight is not None:
        loss = loss * weight
    return reduce_loss(loss, reduction)


@shown_as("SoftMarginLossBackward0")
def soft_margin_loss(input, target, size_average=None, reduce=None, reduction="mean"):
    """``log(1 + exp(-target * input))`` for targets of 1 and -1.

    >>> import flambeau as torch
    >>> torch.nn.functional.soft_margin_loss(torch.zeros(1), torch.ones(1))
    tensor(0.6931)
    """
    reduction = reduction_name(size_average, reduce, reduction)
    return reduce_loss((-target * input).exp().log1p(), reduction)


def hinge_embedding_loss(
    input, target, margin=1.0, size_average=None, reduce=None, reduction="mean"
):
    """``x`` where the target is 1 and ``max(0, margin - x)`` where it is -1.

    >>> import flambeau as torch
    >>> x = torch.tensor([0.25, 0.25])
    >>> torch.nn.functional.hinge_embedding_loss(x, torch.tensor([1.0, -1.0]))
    tensor(0.5000)
    """
    reduction = reduction_name(size_average, reduce, reduction)
    zero = torch.zeros((), dtype=input.dtype, device=input.device)
    limit = torch.full_like(zero, margin)
    near = torch.where(target == -1, zero, input)
    far = torch.where(target == 1, zero, (limit - input).clamp(min=0))
    return reduce_loss(near + far, reduction)


def cosine_embedding_loss(
    input1,
    input2,
    target,
    margin=0,
    size_average=None,
    reduce=None,
    reduction="mean",
):
    """One minus the cosine where the target is 1; the cosine beyond the margin where -1.

    >>> import flambeau as torch
    >>> x = torch.eye(2)
    >>> torch.nn.functional.cosine_embedding_loss(x, x, torch.ones(2))
    tensor(0.)
    """
    reduction = reduction_name(size_average, reduce, reduction)
    if target.dim() not in (0, 1):
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    if input1.dim() != target.dim() + 1 or input2.dim() != target.dim() + 1:
        raise RuntimeError(
            f"{target.dim()}D target tensor expects {target.dim() + 1}D input tensors, but found "
            f"inputs with sizes {list(input1.shape)} and {list(input2.shape)}."
        )
    tiny = 1e-12  # keeps zero vectors from dividing by zero
    product = (input1 * input2).sum(-1)
    squares = ((input1 * input1).sum(-1) + tiny) * ((input2 * input2).sum(-1) + tiny)
    cosine = product / squares.sqrt()
    zero = torch.zeros_like(cosine)
    near = torch.where(target == 1, 1 - cosine, zero)
    far = torch.where(target == -1, (cosine - margin).clamp(min=0), zero)
    return reduce_loss(near + far, reduction)


def margin_ranking_loss(
    input1, input2, target, margin=0, size_average=None, reduce=None, reduction="mean"
):
    """``max(0, -target * (input1 - input2) + margin)``.

    >>> import flambeau as torch
    >>> one = torch.ones(1)
    >>> torch.nn.functional.margin_ranking_loss(one, 3 * one, one)
    tensor(2.)
    """
    reduction = reduction_name(size_average, reduce, reduction)
    if not input1.dim() == input2.dim() == target.dim():
        raise RuntimeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: "
            f"input1: {input1.shape}, input2: {input2.shape}, target: {target.shape} "
        )
    return reduce_loss((-target * (input1 - input2) + margin).clamp(min=0), reduction)


def multilabel_soft_margin_loss(
    input, target, weight=None, size_average=None, reduce=None, reduction="mean"
):
    """The binary cross entropy of logits, averaged over the classes.

    >>> import flambeau as torch
    >>> torch.nn.functional.multilabel_soft_margin_loss(torch.zeros(1, 3), torch.ones(1, 3))
    tensor(0.6931)
    """
    reduction = reduction_name(size_average, reduce, reduction)
    logsigmoid = torch.nn.functional.logsigmoid
    loss = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    if weight is not None:
        loss = loss * weight
    return reduce_loss(loss.mean(-1), reduction)


def _rows(name, input, target):
    """Input as (N, C); a single sample becomes a batch of one."""
    if input.dim() not in (1, 2) or input.shape[-1] == 0:
        raise RuntimeError(
            f"{name}: expected a non-empty vector or matrix with optional 0-dim batch size, "
            f"but got {list(input.shape)}"
        )
    return input.reshape(1, -1) if input.dim() == 1 else input


@shown_as("MultiMarginLossBackward0")
def multi_margin_loss(
    input,
    target,
    p=1,
    margin=1.0,
    weight=None,
    size_average=None,
    reduce=None,
    reduction="mean",
):
    """The hinge, to the power `p`, of every other class against the target's.

    >>> import flambeau as torch
    >>> x = torch.tensor([[0.1, 0.2, 0.4, 0.8]])
    >>> torch.nn.functional.multi_margin_loss(x, torch.tensor([3]))
    tensor(0.3250)
    """
    reduction = reduction_name(size_average, reduce, reduction)
    reduction_number(reduction)
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    if input.dim() == 0:
        input = input.reshape(1)
    single = input.dim() == 1
    rows = _rows("multi_margin_loss", input, target)
    number, classes = rows.shape
    if target.numel() != number or target.dim() > 1:
        raise RuntimeError(
            f"inconsistent target size, expected {number} but got {list(target.shape)}"
        )
    if weight is not None and (weight.dim() != 1 or weight.shape[0] != classes):
        raise RuntimeError(
            f"inconsistent weight size, expected {classes} but got {list(weight.shape)}"
        )
    index = target.reshape(number, 1)
    if number and _levels.holds((index < 0) | (index >= classes)):
        raise RuntimeError("target out of range")
    if not number and reduction == "mean":
        reduction = "sum"  # the mean of no rows is 0 here
    hinge = (margin - rows.gather(1, index) + rows).relu()
    if p == 2:
        hinge = hinge * hinge
    if weight is not None:
        hinge = hinge * weight[index]
    own = torch.zeros_like(rows, dtype=torch.bool).scatter(1, index, True)
    loss = hinge.masked_fill(own, 0).sum(1) / classes
    if reduction == "none" and single and target.dim() == 0:
        return loss[0]
    return reduce_loss(loss, reduction)


@shown_as("MultilabelMarginLossBackward0")
def multilabel_margin_loss(input, target, size_average=None, reduce=None, reduction="mean"):
    """The hinge of every wrong class against every right one; targets end at the first -1.

    >>> import flambeau as torch
    >>> x = torch.tensor([[0.1, 0.2, 0.4, 0.8]])
    >>> torch.nn.functional.multilabel_margin_loss(x, torch.tensor([[3, 0, -1, 1]]))
    tensor(0.8500)
    """
    reduction = reduction_name(size_average, reduce, reduction)
    reduction_number(reduction)
    rows = _rows("multilabel_margin_loss", input.reshape(1) if input.dim() == 0 else input, target)
    if rows.shape != (target if target.dim() == 2 else target.reshape(1, -1)).shape:
        raise RuntimeError(
            f"inconsistent target size: {list(target.shape)} for input of size: {list(input.shape)}"
        )
    number, classes = rows.shape
    target = target.reshape(number, classes)
    if number and _levels.holds((target < -1) | (target >= classes)):
        raise RuntimeError("argument #3 to multilabel_margin_loss is out of range")
    listed = (target < 0).cumsum(1) == 0  # what stands before the first -1
    index = target.clamp(min=0)
    right = torch.zeros_like(rows, dtype=torch.int64).scatter_add(1, index, listed.long()) > 0
    scores = rows.gather(1, index)
    # [number, right, class]: every listed class against every class
    hinge = (1 - scores.unsqueeze(2) + rows.unsqueeze(1)).relu()
    skipped = ~listed.unsqueeze(2) | right.unsqueeze(1)
    loss = hinge.masked_fill(skipped, 0).sum((1, 2)) / classes
    if reduction == "none" and input.dim() < 2:
        return loss[0]
    return reduce_loss(loss, reduction)


def _check_triplet(anchor, positive, negative):
    if not anchor.dim() == positive.dim() == negative.dim():
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of "
            f"dimensions, but got: anchor {anchor.dim()}D, positive {positive.dim()}D, and "
            f"negative {negative.dim()}D inputs"
        )


def triplet_margin_loss(
    anchor,
    positive,
    negative,
    margin=1.0,
    p=2,
    eps=1e-6,
    swap=False,
    size_average=None,
    reduce=None,
    reduction="mean",
):
    """``max(d(anchor, positive) - d(anchor, negative) + margin, 0)``.

    >>> import flambeau as torch
    >>> a = torch.zeros(1, 2)
    >>> torch.nn.functional.triplet_margin_loss(a, a, a + 9)
    tensor(0.)
    """
    reduction = reduction_name(size_average, reduce, reduction)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    _check_triplet(anchor, positive, negative)

    def distance(a, b):
        return torch.nn.functional.pairwise_distance(a, b, p, eps)

    return _triplet(anchor, positive, negative, distance, margin, swap, reduction)


def triplet_margin_with_distance_loss(
    anchor,
    positive,
    negative,
    *,
    distance_function=None,
    margin=1.0,
    swap=False,
    reduction="mean",
):
    """The triplet loss with a distance of one's own.

    >>> import flambeau as torch
    >>> a = torch.zeros(1, 2)
    >>> torch.nn.functional.triplet_margin_with_distance_loss(a, a, a, margin=2.0)
    tensor(2.)
    """
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    distance = distance_function or torch.nn.functional.pairwise_distance
    _check_triplet(anchor, positive, negative)
    return _triplet(anchor, positive, negative, distance, margin, swap, reduction)


def _triplet(anchor, positive, negative, distance, margin, swap, reduction):
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:  # the negative may be nearer to the positive than to the anchor
        far = torch.minimum(far, distance(positive, negative))
    return reduce_loss((near - far + margin).clamp(min=0), reduction)
