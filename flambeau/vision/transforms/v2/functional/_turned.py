"""Turned boxes held within an image."""

import flambeau
from flambeau.vision import ops
from flambeau.vision.ops.boxes import common_points


def clamp_turned(boxes, format, canvas, mode):
    """Boxes that keep their angle: `soft` is the smallest around what the image has of a box.

    With `hard` no corner is left outside either: where one is, both of its sides give way by half.
    """
    name = format.value.lower()
    if boxes.numel() == 0:
        return boxes
    given = boxes.double()
    corners = given if name == "xyxyxyxy" else ops.box_convert(given, name, "xyxyxyxy")
    corners = _around_what_is_inside(corners.reshape(-1, 4, 2), canvas)
    if mode == "hard":
        corners = _without_corners_outside(corners, canvas)
    if name == "xyxyxyxy":
        return corners.reshape(boxes.shape).to(boxes.dtype)
    first, across, down, last = corners.unbind(1)
    place = first if name == "xywhr" else (first + down) / 2
    width, height = (across - first).norm(dim=-1), (last - first).norm(dim=-1)
    angle = flambeau.where(width + height > 0, given.reshape(-1, 5)[:, 4], 0.0)
    made = flambeau.stack((place[:, 0], place[:, 1], width, height, angle), -1)
    return made.reshape(boxes.shape).to(boxes.dtype)


def rectangles(corners):
    """Parallelograms [N, 4, 2] as rectangles: what stays is the longer diagonal and the way of the
    longer sides.
    """
    p1, p2, p3, p4 = corners.unbind(1)
    first, second = p3 - p1, p4 - p2
    wide = ((p2 - p1).norm(dim=-1) >= (p3 - p2).norm(dim=-1))[:, None]
    # The first diagonal stays where it is the longer one: where the second side is turned by at
    # most a right angle. As in torchvision that is a difference of directions from -pi to pi.
    turn = _direction(p3 - p2) - _direction(p2 - p1)
    falls = (turn <= flambeau.pi / 2)[:, None]
    side = flambeau.where(wide, p2 - p1, p3 - p2)
    side = side / side.norm(dim=-1, keepdim=True).clamp(min=1e-30)
    along = (flambeau.where(falls, first, second) * side).sum(-1, keepdim=True) * side
    # the corners beside the one that begins the diagonal: next in order, and the one before it
    start, end = flambeau.where(falls, p1, p2), flambeau.where(falls, p3, p4)
    by_start, by_end = start + along, end - along
    after = flambeau.where(wide == falls, by_start, by_end)
    before = flambeau.where(wide == falls, by_end, by_start)
    kept = flambeau.stack((start, after, end, before), 1)
    return flambeau.where(falls[:, None], kept, kept.roll(1, 1))


def _direction(side):
    return flambeau.atan2(side[:, 1], side[:, 0])


def _around_what_is_inside(corners, canvas):
    height, width = canvas
    image = flambeau.tensor([[0, 0], [width, 0], [width, height], [0, height]], dtype=corners.dtype)
    points, valid = common_points(corners, image.expand_as(corners))
    first = corners[:, :1]
    sides = corners[:, 1] - corners[:, 0], corners[:, 3] - corners[:, 0]
    inf = float("inf")
    ends = []
    for side in sides:  # how far along it the shared points lie, as a share of its length
        share = ((points - first) * side[:, None]).sum(-1) / (side * side).sum(-1, keepdim=True)
        ends.append((flambeau.where(valid, share, inf).amin(1).clamp(min=0)[:, None], side))
        ends.append((flambeau.where(valid, share, -inf).amax(1).clamp(max=1)[:, None], side))
    (left, a), (right, _), (top, b), (bottom, _) = ends
    start = corners[:, 0]
    made = [
        start + x * a + y * b
        for x, y in ((left, top), (right, top), (right, bottom), (left, bottom))
    ]
    made = flambeau.stack(made, 1)
    outside = flambeau.tensor([0.0, height], dtype=corners.dtype).expand_as(made)
    made = flambeau.where(valid.any(1)[:, None, None], made, outside)
    inside = ((corners >= 0) & (corners <= flambeau.tensor([width, height]))).all(-1).all(-1)
    return flambeau.where(inside[:, None, None], corners, made)


def _without_corners_outside(corners, canvas):
    for axis, border, sign in ((0, canvas[1], 1), (0, 0, -1), (1, canvas[0], 1), (1, 0, -1)):
        beyond = sign * (corners[..., axis] - border)
        most, which = beyond.max(1)
        rows = flambeau.arange(len(corners))
        before, after = (which - 1) % 4, (which + 1) % 4
        corner = corners[rows, which]
        cuts = []
        for neighbour in (before, after):
            drop = most - beyond[rows, neighbour]
            share = (most / flambeau.where(drop > 0, drop, 1.0)).clamp(0, 1) / 2
            cuts.append(share[:, None] * (corners[rows, neighbour] - corner))
        moved = corners.clone()
        moved[rows, which] += cuts[0] + cuts[1]
        moved[rows, before] += cuts[1]  # that side moves as a whole
        moved[rows, after] += cuts[0]
        corners = flambeau.where((most > 1e-9)[:, None, None], moved, corners)
    return corners
