"""Softmax and the losses of classification, made of other operators."""

import flambeau as torch
from flambeau._ops import internal

from ._reduction import reduce_loss, reduction_name, reduction_number

__all__ = ["cross_entropy", "log_softmax", "nll_loss", "softmax"]


def _usual_dim(input, name, level):
    """The dimension that stands for classes where nobody says: 0 of 0, 1 and 3, else 1."""
    import warnings

    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. Change the call to include "
        "dim=X as an argument.",
        stacklevel=level,
    )
    return 0 if input.dim() in (0, 1, 3) else 1


def softmax(input, dim=None, _stacklevel=3, dtype=None):
    """``exp(x)`` divided by its sum along a dimension.

    >>> import flambeau as torch
    >>> torch.nn.functional.softmax(torch.zeros(1, 4), 1)
    tensor([[0.2500, 0.2500, 0.2500, 0.2500]])
    """
    if dim is None:
        dim = _usual_dim(input, "softmax", _stacklevel)
    return torch.softmax(input, dim, dtype=dtype)


def log_softmax(input, dim=None, _stacklevel=3, dtype=None):
    """The logarithm of the softmax.

    >>> import flambeau as torch
    >>> torch.nn.functional.log_softmax(torch.zeros(2), 0)
    tensor([-0.6931, -0.6931])
    """
    if dim is None:
        dim = _usual_dim(input, "log_softmax", _stacklevel)
    return torch.log_softmax(input, dim, dtype=dtype)


def _check_target(input, target):
    if not isinstance(target, torch.Tensor):
        raise TypeError(f"argument 'target' must be Tensor, not {type(target).__name__}")
    if input.dim() == 0:
        raise ValueError(f"Expected 1 or more dimensions (got {input.dim()})")
    if input.dim() == 1 and target.dim() == 1:  # one example may have its class in a list of one
        if target.numel() != 1:
            raise ValueError(
                f"For 1D input, 1D target must have size 1, but got target size: {target.numel()}"
            )
        target = target[0]
    class_dim = 0 if input.dim() == 1 else 1
    shape = input.shape
    wanted = shape[:class_dim] + shape[class_dim + 1 :]
    if target.shape != wanted:
        if input.dim() > 1 and target.dim() and input.shape[0] != target.shape[0]:
            raise ValueError(
                f"Expected input batch_size ({input.shape[0]}) to match target batch_size "
                f"({target.shape[0]})."
            )
        raise RuntimeError(f"Expected target size {list(wanted)}, got {list(target.shape)}")
    if target.dtype not in (torch.int64, torch.uint8):
        raise RuntimeError(f"expected target dtype to be Long or Byte, but got {target.dtype}")
    return class_dim, target.long()


def nll_loss(
    input,
    target,
    weight=None,
    size_average=None,
    ignore_index=-100,
    reduce=None,
    reduction="mean",
):
    """The negative of the log-probability at the target's class.

    Shapes: input (N, C, *) or (C), target (N, *) or () of class numbers.

    >>> import flambeau as torch
    >>> torch.nn.functional.nll_loss(torch.tensor([[-1.0, -2.0]]), torch.tensor([1]))
    tensor(2.)
    """
    reduction = reduction_name(size_average, reduce, reduction)
    _, target = _check_target(input, target)
    number = reduction_number(reduction)
    return internal["_nll_loss"](input, target, weight, ignore_index, number)[0]


def _weighted_mean(weight, class_dim, input):
    shape = [1] * input.dim()
    shape[class_dim] = -1
    return weight.reshape(shape)


def cross_entropy(
    input,
    target,
    weight=None,
    size_average=None,
    ignore_index=-100,
    reduce=None,
    reduction="mean",
    label_smoothing=0.0,
):
    """Log-softmax and negative log-likelihood in one: the loss of classification.

    Shapes: input (N, C, *) or (C); target (N, *) of class numbers, or of input's shape and
    holding probabilities. `label_smoothing` moves that part of the target to all classes.

    >>> import flambeau as torch
    >>> torch.nn.functional.cross_entropy(torch.zeros(3, 4), torch.tensor([0, 1, 3]))
    tensor(1.3863)
    """
    reduction = reduction_name(size_average, reduce, reduction)
    if not 0.0 <= label_smoothing <= 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    is_soft = isinstance(target, torch.Tensor) and target.is_floating_point()
    if is_soft and target.shape == input.shape:
        class_dim = 0 if input.dim() == 1 else 1
        log_p = torch.log_softmax(input, class_dim)
        return _soft_cross_entropy(log_p, target, weight, reduction, label_smoothing, class_dim)
    _, target = _check_target(input, target)
    number = reduction_number(reduction)
    return internal["_cross_entropy"](input, target, weight, ignore_index, label_smoothing, number)[
        0
    ]


def _soft_cross_entropy(log_p, target, weight, reduction, label_smoothing, class_dim):
    classes = log_p.shape[class_dim]
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / classes
    each = log_p * target
    if weight is not None:
        each = each * _weighted_mean(weight, class_dim, log_p)
    loss = -each.sum(class_dim)
    if reduction != "mean":
        return reduce_loss(loss, reduction)
    return loss.sum() / (log_p.numel() // classes if classes else 0)
