"""Boxes [N, 4], corners (x1, y1, x2, y2) unless said otherwise."""

import flambeau
from flambeau._ops import internal

from ._utils import numbers, upcast

__all__ = [
    "batched_nms",
    "box_area",
    "box_convert",
    "box_iou",
    "clip_boxes_to_image",
    "complete_box_iou",
    "distance_box_iou",
    "generalized_box_iou",
    "masks_to_boxes",
    "nms",
    "remove_small_boxes",
]


def nms(boxes, scores, iou_threshold):
    """Indices of the boxes that overlap no better one by more than the threshold, best first.

    >>> import flambeau as torch
    >>> from flambeau.vision.ops import nms
    >>> boxes = torch.tensor([[0.0, 0, 4, 4], [0, 0, 4, 5], [8, 8, 9, 9]])
    >>> nms(boxes, torch.tensor([0.5, 0.9, 0.1]), 0.5)
    tensor([1, 2])
    """
    boxes, scores = numbers(boxes.detach()), numbers(scores.detach())
    return internal["_nms"](boxes, scores, float(iou_threshold))


def batched_nms(boxes, scores, idxs, iou_threshold):
    """`nms` among boxes of the same group `idxs`.

    >>> import flambeau as torch
    >>> from flambeau.vision import ops
    >>> boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 1.9], [0.0, 0.0, 2.0, 2.0]])
    >>> scores, classes = torch.tensor([0.9, 0.8, 0.7]), torch.tensor([0, 0, 1])
    >>> ops.batched_nms(boxes, scores, classes, iou_threshold=0.5)
    tensor([0, 2])
    """
    way = _batched_nms_vanilla if boxes.numel() > _MANY else _batched_nms_coordinate_trick
    return way(boxes, scores, idxs, iou_threshold)


_MANY = 4000  # numbers of boxes from which on groups are taken one by one, as in torchvision


def _batched_nms_coordinate_trick(boxes, scores, idxs, iou_threshold):
    """Groups moved so far apart that they do not overlap."""
    if boxes.numel() == 0:
        return flambeau.empty((0,), dtype=flambeau.int64, device=boxes.device)
    offsets = idxs.to(boxes) * (boxes.max() + 1)
    return nms(boxes + offsets[:, None], scores, iou_threshold)


def _batched_nms_vanilla(boxes, scores, idxs, iou_threshold):
    """Group by group."""
    kept = flambeau.zeros(len(scores), dtype=flambeau.bool, device=boxes.device)
    for group in idxs.unique():
        members = flambeau.where(idxs == group)[0]
        kept[members[nms(boxes[members], scores[members], iou_threshold)]] = True
    kept = flambeau.where(kept)[0]
    return kept[scores[kept].argsort(descending=True)]


def remove_small_boxes(boxes, min_size):
    """Indices of the boxes with both sides of min_size at least.

    >>> import flambeau as torch
    >>> from flambeau.vision import ops
    >>> ops.remove_small_boxes(torch.tensor([[0.0, 0.0, 0.5, 9.0], [0.0, 0.0, 2.0, 2.0]]), 1.0)
    tensor([1])
    """
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    return flambeau.where((width >= min_size) & (height >= min_size))[0]


def clip_boxes_to_image(boxes, size):
    """Boxes within an image of size (height, width).

    >>> import flambeau as torch
    >>> from flambeau.vision import ops
    >>> ops.clip_boxes_to_image(torch.tensor([[-1.0, 0.0, 9.0, 3.0]]), (4, 4))
    tensor([[0., 0., 4., 3.]])
    """
    height, width = size
    x = boxes[..., 0::2].clamp(min=0, max=width)
    y = boxes[..., 1::2].clamp(min=0, max=height)
    return flambeau.stack((x, y), dim=-1).reshape(boxes.shape)


def _to_corners(boxes, fmt):
    if fmt == "xyxy":
        return boxes
    a, b, c, d = boxes.unbind(-1)
    if fmt == "xywh":
        return flambeau.stack((a, b, a + c, b + d), dim=-1)
    if fmt == "cxcywh":
        parts = (a - 0.5 * c, b - 0.5 * d, a + 0.5 * c, b + 0.5 * d)
        return flambeau.stack(parts, dim=-1)
    if fmt == "xyxyxyxy":
        x, y = boxes[..., 0::2], boxes[..., 1::2]
        return flambeau.stack((x.amin(-1), y.amin(-1), x.amax(-1), y.amax(-1)), dim=-1)
    return _rotated_to_corners(boxes, fmt)


def _halves(w, h, angle):
    """Half of a turned box's sides as moves (x, y): (to the right, down)."""
    angle = angle * (flambeau.pi / 180)
    cos, sin = angle.cos(), angle.sin()
    return (w * cos / 2, -w * sin / 2), (h * sin / 2, h * cos / 2)


def _from_first_corner(boxes, sign):
    """xywhr to cxcywhr with sign 1, back with -1; the angle stays as it is written."""
    x, y, w, h, angle = boxes.unbind(-1)
    across, down = _halves(w, h, angle)
    moved = (x + sign * (across[0] + down[0]), y + sign * (across[1] + down[1]))
    return flambeau.stack((*moved, w, h, angle), dim=-1)


def _rotated_to_corners(boxes, fmt):
    """Four corners [N, 8] of a box (xywhr, cxcywhr; degrees, counter-clockwise)."""
    if fmt == "xywhr":
        boxes = _from_first_corner(boxes, 1)
    cx, cy, w, h, angle = boxes.unbind(-1)
    across, down = _halves(w, h, angle)
    corners = []
    for u, v in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
        corners += [cx + u * across[0] + v * down[0], cy + u * across[1] + v * down[1]]
    return flambeau.stack(corners, dim=-1)


def _from_rotated(corners, fmt):
    """[N, 8] corners, clockwise from the first, to another notation of a turned box."""
    x1, y1, x2, y2, x3, y3, _, _ = corners.unbind(-1)
    width = ((x2 - x1) ** 2 + (y2 - y1) ** 2).sqrt()
    height = ((x3 - x2) ** 2 + (y3 - y2) ** 2).sqrt()
    angle = flambeau.atan2(y1 - y2, x2 - x1) * (180 / flambeau.pi)
    if fmt == "xywhr":
        parts = (x1, y1, width, height, angle)
    else:
        parts = ((x1 + x3) / 2, (y1 + y3) / 2, width, height, angle)
    return flambeau.stack(parts, dim=-1)


_UPRIGHT = ("xyxy", "xywh", "cxcywh")
_TURNED = ("xywhr", "cxcywhr", "xyxyxyxy")


def _convert_turned(boxes, in_fmt, out_fmt):
    if "xyxyxyxy" not in (in_fmt, out_fmt):
        return _from_first_corner(boxes, 1 if in_fmt == "xywhr" else -1)
    corners = boxes if in_fmt == "xyxyxyxy" else _rotated_to_corners(boxes, in_fmt)
    return corners if out_fmt == "xyxyxyxy" else _from_rotated(corners, out_fmt)


def box_convert(boxes, in_fmt, out_fmt):
    """Boxes in another notation: xyxy, xywh, cxcywh; turned ones xywhr, cxcywhr, xyxyxyxy.

    >>> import flambeau as torch
    >>> from flambeau.vision.ops import box_convert
    >>> box_convert(torch.tensor([[1.0, 2, 5, 8]]), "xyxy", "cxcywh")
    tensor([[3., 5., 4., 6.]])
    """
    for fmt in (in_fmt, out_fmt):
        if fmt not in _UPRIGHT + _TURNED:
            raise ValueError(
                f"Unsupported Bounding Box Conversions for given in_fmt {in_fmt} and "
                f"out_fmt {out_fmt}"
            )
    if in_fmt == out_fmt:
        return boxes.clone()
    if (in_fmt in _TURNED) != (out_fmt in _TURNED):
        raise ValueError(
            f"Unsupported Bounding Box Conversions for given in_fmt {in_fmt} and out_fmt {out_fmt}"
        )
    if in_fmt in _TURNED:
        whole = not boxes.is_floating_point()
        given = boxes.float() if whole else boxes
        made = _convert_turned(given, in_fmt, out_fmt)
        return made.round().to(boxes.dtype) if whole else made
    corners = _to_corners(boxes, in_fmt)
    x1, y1, x2, y2 = corners.unbind(-1)
    if out_fmt == "xyxy":
        return corners
    if out_fmt == "xywh":
        return flambeau.stack((x1, y1, x2 - x1, y2 - y1), dim=-1)
    parts = ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1)
    return flambeau.stack(parts, dim=-1)


def box_area(boxes, fmt="xyxy"):
    """The areas [N] of boxes [N, 4].

    >>> import flambeau as torch
    >>> from flambeau.vision import ops
    >>> ops.box_area(torch.tensor([[0.0, 0.0, 2.0, 3.0]]))
    tensor([6.])
    """
    boxes = upcast(boxes)
    if fmt == "xyxy":
        return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
    if fmt not in ("xywh", "cxcywh"):
        raise ValueError(f"Unsupported Box Area for given format {fmt}")
    return boxes[..., 2] * boxes[..., 3]


def _box_inter_union(boxes1, boxes2, fmt="xyxy"):
    """(intersections, unions) of all pairs."""
    boxes1, boxes2 = _to_corners(boxes1, fmt), _to_corners(boxes2, fmt)
    across, down = _sides(boxes1, boxes2, flambeau.max, flambeau.min)
    both = across * down
    return both, box_area(boxes1)[..., None] + box_area(boxes2)[..., None, :] - both


def _sides(boxes1, boxes2, first, last):
    """[N, M] twice: how far it is across and down from `first` of the starts to `last` of the ends.

    Coordinate by coordinate: planes of [N, M] are quick, pairs of two numbers are not.
    """
    x1, y1, x2, y2 = boxes1.unsqueeze(-2).unbind(-1)
    u1, v1, u2, v2 = boxes2.unsqueeze(-3).unbind(-1)
    ends = [(x1, x2, u1, u2), (y1, y2, v1, v2)]
    return [upcast(last(b, d) - first(a, c)).clamp(min=0) for a, b, c, d in ends]


def box_iou(boxes1, boxes2, fmt="xyxy"):
    """[N, M]: intersection over union of each pair (Jaccard's index).

    Boxes of format "xywhr", "cxcywhr" or "xyxyxyxy" may be turned.

    >>> import flambeau as torch
    >>> from flambeau.vision import ops
    >>> ops.box_iou(torch.tensor([[0.0, 0.0, 2.0, 2.0]]), torch.tensor([[1.0, 0.0, 3.0, 2.0]]))
    tensor([[0.3333]])
    """
    if fmt in _TURNED:
        return _turned_iou(boxes1, boxes2, fmt)
    if fmt not in _UPRIGHT:
        raise ValueError(f"Unsupported format {fmt!r} of boxes")
    both, union = _box_inter_union(boxes1, boxes2, fmt)
    return both / union


def _cross(a, b):
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def _turned_iou(boxes1, boxes2, fmt):
    width = 8 if fmt == "xyxyxyxy" else 5
    for boxes in (boxes1, boxes2):
        if boxes.dim() != 2 or boxes.shape[1] != width:
            raise ValueError(f"boxes of format {fmt} should be [N, {width}], got {boxes.shape}")
    shape = (len(boxes1), len(boxes2))
    if 0 in shape:
        return boxes1.new_zeros(shape, dtype=flambeau.float32)
    p, q = (
        (b if fmt == "xyxyxyxy" else box_convert(b, fmt, "xyxyxyxy")).reshape(-1, 4, 2)
        for b in (boxes1.double(), boxes2.double())
    )
    areas = [_cross(c[:, 1] - c[:, 0], c[:, 3] - c[:, 0]).abs() for c in (p, q)]
    both = _common_area(p[:, None].expand(*shape, 4, 2), q[None].expand(*shape, 4, 2))
    union = areas[0][:, None] + areas[1] - both
    return flambeau.where(union > 0, both / union.clamp(min=1e-300), 0.0).float()


def common_points(p, q):
    """Where sides of rectangles [..., 4, 2] cross, and corners of one in the other.

    ([..., 24, 2], [..., 24] which of them are such points)
    """
    along, other = p.roll(-1, -2) - p, q.roll(-1, -2) - q
    apart = q.unsqueeze(-3) - p.unsqueeze(-2)
    turn = _cross(along.unsqueeze(-2), other.unsqueeze(-3))
    safe = flambeau.where(turn == 0, 1.0, turn)
    t = _cross(apart, other.unsqueeze(-3)) / safe
    u = _cross(apart, along.unsqueeze(-2)) / safe
    meets = (turn != 0) & (t >= 0) & (t <= 1) & (u >= 0) & (u <= 1)
    crossings = p.unsqueeze(-2) + t.unsqueeze(-1) * along.unsqueeze(-2)
    points = flambeau.cat([p, q, crossings.flatten(-3, -2)], -2)
    valid = flambeau.cat([_within(p, q), _within(q, p), meets.flatten(-2)], -1)
    return points, valid


def _common_area(p, q):
    """The area that rectangles [..., 4, 2] share: of the hull of crossings and inner corners."""
    origin = p.mean(-2, keepdim=True)  # small numbers keep their digits
    p, q = p - origin, q - origin
    points, valid = common_points(p, q)
    count = valid.sum(-1, keepdim=True)
    weight = valid.unsqueeze(-1).to(p.dtype)
    middle = (points * weight).sum(-2, keepdim=True) / count.unsqueeze(-1).clamp(min=1)
    rays = (points - middle) * weight
    angle = flambeau.atan2(rays[..., 1], rays[..., 0])
    order = flambeau.where(valid, angle, 10.0).argsort(-1)
    rays = rays.gather(-2, order.unsqueeze(-1).expand_as(rays))
    # what is not valid has come last and closes the ring where it began
    first = rays[..., :1, :].expand_as(rays)
    place = flambeau.arange(rays.shape[-2]) < count
    ring = flambeau.where(place.unsqueeze(-1), rays, first)
    area = _cross(ring, ring.roll(-1, -2)).sum(-1).abs() / 2
    return flambeau.where(count.squeeze(-1) > 2, area, 0.0)


def _within(points, box):
    """Which of points [..., 4, 2] lie in rectangles [..., 4, 2]."""
    corner = box[..., :1, :]
    inside = True
    for side in (box[..., 1:2, :] - corner, box[..., 3:4, :] - corner):
        length = (side * side).sum(-1)
        place = ((points - corner) * side).sum(-1)
        slack = 1e-9 * length
        inside = inside & (place >= -slack) & (place <= length + slack) & (length > 0)
    return inside


def _hull(boxes1, boxes2):
    """Width and height [N, M] of the smallest box around each pair."""
    return _sides(boxes1, boxes2, flambeau.min, flambeau.max)


def generalized_box_iou(boxes1, boxes2):
    """[N, M]: generalized intersection over union (Rezatofighi et al., arXiv 1902.09630).

    >>> import flambeau as torch
    >>> from flambeau.vision import ops
    >>> boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [2.0, 0.0, 4.0, 2.0]])
    >>> ops.generalized_box_iou(boxes, boxes)
    tensor([[1., 0.],
            [0., 1.]])
    """
    both, union = _box_inter_union(boxes1, boxes2)
    width, height = _hull(boxes1, boxes2)
    area = width * height
    return both / union - (area - union) / area


def _distance_iou(boxes1, boxes2, eps):
    iou = box_iou(boxes1, boxes2)
    width, height = _hull(boxes1, boxes2)
    diagonal = width**2 + height**2 + eps
    centres1 = (boxes1[..., :2] + boxes1[..., 2:]) / 2
    centres2 = (boxes2[..., :2] + boxes2[..., 2:]) / 2
    x1, y1 = centres1.unsqueeze(-2).unbind(-1)
    x2, y2 = centres2.unsqueeze(-3).unbind(-1)
    apart = upcast(x1 - x2) ** 2 + upcast(y1 - y2) ** 2
    return iou - apart / diagonal, iou


def distance_box_iou(boxes1, boxes2, eps=1e-7):
    """[N, M]: the IoU less the centres' distance (Zheng et al., arXiv 1911.08287)."""
    return _distance_iou(upcast(boxes1), upcast(boxes2), eps)[0]


def complete_box_iou(boxes1, boxes2, eps=1e-7):
    """[N, M]: distance IoU that looks at the boxes' shapes too (arXiv 1911.08287)."""
    boxes1, boxes2 = upcast(boxes1), upcast(boxes2)
    diou, iou = _distance_iou(boxes1, boxes2, eps)
    shape1, shape2 = (
        flambeau.atan((b[..., 2] - b[..., 0]) / (b[..., 3] - b[..., 1])) for b in (boxes1, boxes2)
    )
    v = 4 / flambeau.pi**2 * (shape1[..., None] - shape2[..., None, :]) ** 2
    with flambeau.no_grad():
        alpha = v / (1 - iou + v + eps)
    return diou - alpha * v


def masks_to_boxes(masks):
    """[N, 4]: the smallest boxes around the pixels of masks [N, H, W].

    >>> import flambeau as torch
    >>> from flambeau.vision import ops
    >>> mask = torch.zeros(1, 5, 5)
    >>> mask[0, 1:3, 2:5] = 1
    >>> ops.masks_to_boxes(mask)
    tensor([[2., 1., 4., 2.]])
    """
    if masks.numel() == 0:
        return flambeau.zeros((0, 4), device=masks.device, dtype=flambeau.float)
    found = masks != 0
    ends = []
    for axis in (-2, -1):  # which columns have something, then which rows
        lines = found.any(axis).to(flambeau.uint8)
        first, from_end = lines.argmax(-1), lines.flip(-1).argmax(-1)
        ends.append((first, lines.shape[-1] - 1 - from_end))
    (left, right), (top, bottom) = ends
    boxes = flambeau.stack((left, top, right, bottom), -1).to(flambeau.float)
    return boxes * found.any(-1).any(-1)[:, None]
