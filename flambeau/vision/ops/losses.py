"""Losses of boxes and of unbalanced classes."""

import flambeau
from flambeau.nn import functional as F

from ._utils import reduced, upcast

__all__ = [
    "complete_box_iou_loss",
    "distance_box_iou_loss",
    "generalized_box_iou_loss",
    "sigmoid_focal_loss",
]


def sigmoid_focal_loss(inputs, targets, alpha=0.25, gamma=2, reduction="none"):
    """Cross-entropy less the easy examples (Lin et al., arXiv 1708.02002); inputs are logits.

    >>> import flambeau as torch
    >>> from flambeau.vision import ops
    >>> ops.sigmoid_focal_loss(torch.zeros(1), torch.ones(1))
    tensor([0.0433])
    """
    if not 0 <= alpha <= 1 and alpha != -1:
        raise ValueError(
            f"Invalid alpha value: {alpha}. alpha must be in the range [0,1] or -1 for ignore."
        )
    p = flambeau.sigmoid(inputs)
    loss = F.binary_cross_entropy_with_logits(inputs, targets, reduction="none")
    right = p * targets + (1 - p) * (1 - targets)
    loss = loss * (1 - right) ** gamma
    if alpha >= 0:
        loss = (alpha * targets + (1 - alpha) * (1 - targets)) * loss
    return reduced(loss, reduction)


def _overlap(boxes1, boxes2):
    """(intersection, union) of each box with its counterpart."""
    low = flambeau.max(boxes1[..., :2], boxes2[..., :2])
    high = flambeau.min(boxes1[..., 2:], boxes2[..., 2:])
    sides = high - low
    both = flambeau.where((sides > 0).all(dim=-1), sides[..., 0] * sides[..., 1], 0.0)
    areas = [(b[..., 2] - b[..., 0]) * (b[..., 3] - b[..., 1]) for b in (boxes1, boxes2)]
    return both, areas[0] + areas[1] - both


def _hull(boxes1, boxes2):
    low = flambeau.min(boxes1[..., :2], boxes2[..., :2])
    return flambeau.max(boxes1[..., 2:], boxes2[..., 2:]) - low


def generalized_box_iou_loss(boxes1, boxes2, reduction="none", eps=1e-7):
    """1 less the generalized IoU of each pair (Rezatofighi et al., arXiv 1902.09630)."""
    boxes1, boxes2 = upcast(boxes1), upcast(boxes2)
    both, union = _overlap(boxes1, boxes2)
    sides = _hull(boxes1, boxes2)
    area = sides[..., 0] * sides[..., 1]
    return reduced(1 - (both / (union + eps) - (area - union) / (area + eps)), reduction)


def _distance_loss(boxes1, boxes2, eps):
    both, union = _overlap(boxes1, boxes2)
    iou = both / (union + eps)
    diagonal = (_hull(boxes1, boxes2) ** 2).sum(-1) + eps
    centres = [(b[..., :2] + b[..., 2:]) / 2 for b in (boxes1, boxes2)]
    return 1 - iou + ((centres[0] - centres[1]) ** 2).sum(-1) / diagonal, iou


def distance_box_iou_loss(boxes1, boxes2, reduction="none", eps=1e-7):
    """1 less the distance IoU of each pair (Zheng et al., arXiv 1911.08287)."""
    return reduced(_distance_loss(upcast(boxes1), upcast(boxes2), eps)[0], reduction)


def complete_box_iou_loss(boxes1, boxes2, reduction="none", eps=1e-7):
    """1 less the complete IoU of each pair (Zheng et al., arXiv 1911.08287)."""
    boxes1, boxes2 = upcast(boxes1), upcast(boxes2)
    loss, iou = _distance_loss(boxes1, boxes2, eps)
    shapes = [
        flambeau.atan((b[..., 2] - b[..., 0]) / (b[..., 3] - b[..., 1])) for b in (boxes1, boxes2)
    ]
    v = 4 / flambeau.pi**2 * (shapes[1] - shapes[0]) ** 2
    with flambeau.no_grad():
        alpha = v / (1 - iou + v + eps)
    return reduced(loss + alpha * v, reduction)
