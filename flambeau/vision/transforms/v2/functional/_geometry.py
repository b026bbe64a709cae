"""Where points go under each change of shape; boxes and keypoints follow from that."""

import flambeau
from flambeau.vision import ops, tv_tensors
from flambeau.vision.tv_tensors import BoundingBoxFormat

from ... import _tensor
from ... import functional as F1
from ..._color import check_displacement, perspective_coefficients
from ._image import check_perspective
from ._turned import clamp_turned, rectangles


# Each gives (function of points [..., 2], new canvas size) for a canvas (height, width).
def horizontal_flip(canvas):
    return lambda p: flambeau.stack((canvas[1] - p[..., 0], p[..., 1]), -1), canvas


def vertical_flip(canvas):
    return lambda p: flambeau.stack((p[..., 0], canvas[0] - p[..., 1]), -1), canvas


def _pair(x, y, like):
    return flambeau.tensor([x, y], dtype=like.dtype, device=like.device)


def resize(canvas, size, interpolation=None, max_size=None, antialias=True):
    new = tuple(F1._target_size(*canvas, size, max_size))
    across, down = new[1] / canvas[1], new[0] / canvas[0]
    return lambda p: p * _pair(across, down, p), new


def crop(canvas, top, left, height, width):
    return lambda p: p - _pair(left, top, p), (height, width)


def center_crop(canvas, output_size):
    height, width = F1._pair(output_size)
    top = int(round((canvas[0] - height) / 2.0))
    left = int(round((canvas[1] - width) / 2.0))
    return crop(canvas, top, left, height, width)


def resized_crop(canvas, top, left, height, width, size, interpolation=None, antialias=True):
    cut, inner = crop(canvas, top, left, height, width)
    grown, new = resize(inner, F1._pair(size))
    return lambda p: grown(cut(p)), new


def pad(canvas, padding, fill=0, padding_mode="constant"):
    if padding_mode not in ("constant", "edge", "reflect", "symmetric"):
        raise ValueError("Padding mode should be either constant, edge, reflect or symmetric")
    if padding_mode != "constant":
        raise ValueError(
            f"Padding mode '{padding_mode}' is not supported with bounding boxes or keypoints"
        )
    sides = [padding] if isinstance(padding, (int, float)) else list(padding)
    left, top, right, bottom = sides * (4 // len(sides))
    new = (canvas[0] + top + bottom, canvas[1] + left + right)
    return lambda p: p + _pair(left, top, p), new


def _apply(matrix):
    a, b, c, d, e, f = matrix

    def move(p):
        x, y = p[..., 0], p[..., 1]
        return flambeau.stack((a * x + b * y + c, d * x + e * y + f), -1)

    return move


def affine(canvas, angle, translate, scale, shear, interpolation=None, fill=None, center=None):
    shear = [float(shear), 0.0] if isinstance(shear, (int, float)) else [float(s) for s in shear]
    shear = shear * 2 if len(shear) == 1 else shear
    centre = [canvas[1] * 0.5, canvas[0] * 0.5] if center is None else center
    translate = [float(v) for v in translate]
    matrix = F1._get_inverse_affine_matrix(centre, angle, translate, scale, shear, inverted=False)
    return _apply(matrix), canvas


def rotate(canvas, angle, interpolation=None, expand=False, center=None, fill=None):
    move, _ = affine(canvas, -angle, [0.0, 0.0], 1.0, [0.0, 0.0], center=center)
    if not expand:
        return move, canvas
    # torchvision's canvas: that of a map about the centre, which now and then is a pixel larger
    # than the image's; what is in it starts at the uppermost and leftmost corner
    height, width = canvas
    centre = [width * 0.5, height * 0.5] if center is None else center
    matrix = F1._get_inverse_affine_matrix(centre, -angle, [0.0, 0.0], 1.0, [0.0, 0.0])
    new = tuple(_tensor.rotated_size(width, height, matrix))
    corners = [[0.0, 0.0], [0.0, height], [width, height], [width, 0.0]]
    start = move(flambeau.tensor(corners, dtype=flambeau.float64)).amin(0).tolist()
    return lambda p: move(p) - _pair(*start, p), new


def perspective(canvas, startpoints, endpoints, interpolation=None, fill=None, coefficients=None):
    check_perspective(startpoints, endpoints, coefficients)
    if coefficients is None:
        a, b, c, d, e, f, g, h = perspective_coefficients(endpoints, startpoints)
        i = 1.0
    else:
        import numpy

        matrix = numpy.array([*coefficients, 1.0]).reshape(3, 3)
        if numpy.linalg.det(matrix[:2, :2] - numpy.outer(matrix[:2, 2], matrix[2, :2])) == 0:
            raise RuntimeError(
                f"Provided perspective_coeffs {coefficients} can not be inverted to transform "
                "points. Denominator is zero"
            )
        inverse = numpy.linalg.inv(matrix)
        a, b, c, d, e, f, g, h, i = inverse.reshape(-1).tolist()

    def move(p):
        x, y = p[..., 0], p[..., 1]
        below = g * x + h * y + i
        return flambeau.stack(((a * x + b * y + c) / below, (d * x + e * y + f) / below), -1)

    return move, canvas


def elastic(canvas, displacement, interpolation=None, fill=None):
    height, width = canvas
    check_displacement(displacement, height, width)

    def move(p):
        x = p[..., 0].ceil().long().clamp(0, width - 1)
        y = p[..., 1].ceil().long().clamp(0, height - 1)
        size = _pair(width, height, p)
        place = flambeau.stack((x, y), -1).to(p.dtype) + 0.5
        shift = displacement[0].to(p.dtype)[y, x]
        return place - shift * size / 2 - 0.5

    return move, canvas


POINTS = {
    f.__name__: f
    for f in (
        horizontal_flip, vertical_flip, resize, crop, center_crop, resized_crop, pad, affine,
        rotate, perspective, elastic,
    )
}  # fmt: skip


# -- keypoints and boxes ---------------------------------------------------------------------------
def clamp_keypoints(inpt, canvas_size=None):
    """Points within the image; `canvas_size` is needed for plain tensors only."""
    keypoints, canvas = inpt, _canvas_of(inpt, canvas_size, tv_tensors.KeyPoints)
    plain = keypoints.as_subclass(flambeau.Tensor)
    made = flambeau.stack(
        (plain[..., 0].clamp(0, canvas[1] - 1), plain[..., 1].clamp(0, canvas[0] - 1)), -1
    )
    return _like(made, keypoints, canvas_size=canvas)


def _canvas_of(inpt, canvas_size, kind):
    """The canvas of what knows it, or the one given for a plain tensor."""
    if isinstance(inpt, kind):
        if canvas_size is not None:
            raise ValueError(
                f"For tv_tensors.{kind.__name__} inputs, `canvas_size` must not be passed: "
                "canvas_size must be None."
            )
        return inpt.canvas_size
    if not isinstance(inpt, flambeau.Tensor):
        raise TypeError(f"Input can either be a plain tensor or a tv_tensor, but got {type(inpt)}.")
    if canvas_size is None:
        raise ValueError(
            "canvas_size cannot be None: for pure tensor inputs, `canvas_size` has to be passed."
        )
    return canvas_size


def _like(made, given, **changes):
    if isinstance(given, tv_tensors.TVTensor):
        return tv_tensors.wrap(made, like=given, **changes)
    return made


def move_keypoints(name, keypoints, canvas, *args, **kwargs):
    """(moved points, new canvas)"""
    dtype = keypoints.dtype
    move, new = POINTS[name](tuple(canvas), *args, **kwargs)
    if name == "resize" and new == tuple(canvas):
        return keypoints, new
    wide = keypoints if keypoints.is_floating_point() else keypoints.float()
    moved = move(wide)
    if name.endswith("_flip"):  # pixels, not places between them
        axis = 0 if name == "horizontal_flip" else 1
        shift = [0.0, 0.0]
        shift[axis] = 1.0
        moved = moved - _pair(*shift, moved)
    return moved.to(dtype), new


def convert_bounding_box_format(inpt, old_format=None, new_format=None, inplace=False):
    """Boxes in another format; `old_format` is needed for plain tensors only."""
    if new_format is None:
        raise TypeError("convert_bounding_box_format() missing 1 required argument: 'new_format'")
    is_boxes = _is_boxes(inpt)
    if is_boxes == (old_format is not None):
        raise ValueError(
            "For bounding box tv_tensor inputs, `old_format` must not be passed; for pure tensor "
            "inputs, `old_format` has to be passed."
        )
    old, new = (
        BoundingBoxFormat[f.upper()] if isinstance(f, str) else f
        for f in (inpt.format if is_boxes else old_format, new_format)
    )
    if old == new:
        return inpt
    plain = inpt.as_subclass(flambeau.Tensor)
    made = _converted(plain, old.value.lower(), new.value.lower())
    if inplace and made.shape == plain.shape:
        plain.copy_(made)
        made = plain if is_boxes else inpt
    return _like(made, inpt, format=new)


def _is_boxes(inpt):
    if not isinstance(inpt, flambeau.Tensor):
        raise TypeError(
            "Input can either be a plain tensor or a bounding box tv_tensor, but got "
            f"{type(inpt)} instead."
        )
    return isinstance(inpt, tv_tensors.BoundingBoxes)


def _converted(boxes, old, new):
    """`box_convert` in the boxes' own type: whole ones lose what is behind the point."""
    if boxes.is_floating_point() or old in _TURNED:
        return ops.box_convert(boxes, old, new)
    corners = ops.box_convert(boxes, old, "xyxy").to(boxes.dtype)
    return ops.box_convert(corners, "xyxy", new).to(boxes.dtype)


_TURNED = ("xywhr", "cxcywhr", "xyxyxyxy")


def clamp_bounding_boxes(inpt, format=None, canvas_size=None, clamping_mode="auto"):
    """Boxes within the image; `format` and `canvas_size` are needed for plain tensors only."""
    if clamping_mode not in ("soft", "hard", None, "auto"):
        raise ValueError(f"clamping_mode must be soft, hard, auto or None, got {clamping_mode}")
    if _is_boxes(inpt):
        if format is not None or canvas_size is not None:
            raise ValueError(
                "For bounding box tv_tensor inputs, `format` and `canvas_size` must not be passed."
            )
        format, canvas_size = inpt.format, inpt.canvas_size
        clamping_mode = inpt.clamping_mode if clamping_mode == "auto" else clamping_mode
    elif format is None or canvas_size is None or clamping_mode == "auto":
        raise ValueError(
            "For pure tensor inputs, `format`, `canvas_size` and `clamping_mode` have to be passed."
        )
    plain = inpt.as_subclass(flambeau.Tensor)
    return _like(_clamped(plain, _format(format), canvas_size, clamping_mode), inpt)


def _format(format):
    return BoundingBoxFormat[format.upper()] if isinstance(format, str) else format


def _clamped(boxes, format, canvas, mode):
    if mode is None:
        return boxes
    if tv_tensors.is_rotated_bounding_format(format):
        return clamp_turned(boxes, format, canvas, mode)
    name = format.value.lower()
    wide = boxes if boxes.is_floating_point() else boxes.float()
    corners = ops.clip_boxes_to_image(ops.box_convert(wide, name, "xyxy"), canvas)
    return ops.box_convert(corners, "xyxy", name).to(boxes.dtype)


def move_boxes(name, boxes, format, canvas, *args, clamping_mode="soft", **kwargs):
    """(moved boxes, new canvas)"""
    if name == "resized_crop":
        return _cut_and_resized(boxes, format, *args, clamping_mode=clamping_mode, **kwargs)
    format, dtype = _format(format), boxes.dtype
    move, new = POINTS[name](tuple(canvas), *args, **kwargs)
    if name == "resize" and new == tuple(canvas):
        return boxes, new
    short = format.value.lower()
    wide = boxes if boxes.is_floating_point() else boxes.float()
    turned = tv_tensors.is_rotated_bounding_format(format)
    if turned:
        corners = ops.box_convert(wide, short, "xyxyxyxy").reshape(-1, 4, 2)
        moved = move(corners)
        if name.endswith("_flip"):  # keep the corners' order clockwise
            moved = moved[:, [1, 0, 3, 2]]
        moved = rectangles(moved)
        made = ops.box_convert(moved.reshape(-1, 8), "xyxyxyxy", short)
    elif name == "resize":
        made = wide * flambeau.cat([_pair(new[1] / canvas[1], new[0] / canvas[0], wide)] * 2)
    elif name in ("crop", "center_crop", "pad") and short != "xyxy":
        made = flambeau.cat((move(wide[..., :2]), wide[..., 2:]), -1)
    else:
        x1, y1, x2, y2 = ops.box_convert(wide, short, "xyxy").unbind(-1)
        parts = (x1, y1, x2, y1, x2, y2, x1, y2)
        moved = move(flambeau.stack(parts, -1).reshape(-1, 4, 2))
        corners = flambeau.cat((moved.amin(1), moved.amax(1)), -1)
        made = ops.box_convert(corners, "xyxy", short)
    made = made.reshape(boxes.shape)
    if name not in ("horizontal_flip", "vertical_flip") and (turned or name != "resize"):
        made = _clamped(made, format, new, clamping_mode)
    return made.to(dtype), new


def _cut_and_resized(
    boxes, format, top, left, height, width, size, clamping_mode, interpolation=None, antialias=True
):
    box, mode = (top, left, height, width), {"clamping_mode": clamping_mode}
    boxes, inner = move_boxes("crop", boxes, format, (0, 0), *box, **mode)
    return move_boxes("resize", boxes, format, inner, F1._pair(size), **mode)


def sanitize_bounding_boxes(
    bounding_boxes, format=None, canvas_size=None, min_size=1.0, min_area=1.0
):
    """(boxes that are large enough and within the image, which those are)"""
    given = bounding_boxes
    if isinstance(given, tv_tensors.BoundingBoxes):
        if format is not None or canvas_size is not None:
            raise ValueError(
                "format and canvas_size must be None when bounding_boxes is a "
                f"tv_tensors.BoundingBoxes instance. Got format={format} and "
                f"canvas_size={canvas_size}. Leave those to None or pass bounding_boxes as a pure "
                "tensor."
            )
        format, canvas_size = given.format, given.canvas_size
    elif not isinstance(given, flambeau.Tensor):
        raise ValueError(
            "bounding_boxes must be a tv_tensors.BoundingBoxes instance or a pure tensor, got "
            f"{type(given)}."
        )
    elif format is None or canvas_size is None:
        raise ValueError(
            "format and canvas_size cannot be None if bounding_boxes is a pure tensor. Got "
            f"format={format} and canvas_size={canvas_size}. Set those to appropriate values or "
            "pass bounding_boxes as a tv_tensors.BoundingBoxes instance."
        )
    plain = given.as_subclass(flambeau.Tensor)
    short = _format(format).value.lower()
    if tv_tensors.is_rotated_bounding_format(_format(format)):
        corners = ops.box_convert(plain, short, "xyxyxyxy")
        x, y = corners[..., 0::2], corners[..., 1::2]
        boxes = flambeau.stack((x.amin(-1), y.amin(-1), x.amax(-1), y.amax(-1)), -1)
    else:
        boxes = ops.box_convert(plain, short, "xyxy")
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    valid = (width >= min_size) & (height >= min_size) & (boxes >= 0).all(dim=-1)
    valid &= width * height >= min_area
    valid &= (boxes[:, 0] <= canvas_size[1]) & (boxes[:, 2] <= canvas_size[1])
    valid &= (boxes[:, 1] <= canvas_size[0]) & (boxes[:, 3] <= canvas_size[0])
    return _like(plain[valid], given), valid


def sanitize_keypoints(key_points, canvas_size=None):
    """(points within the image, which those are)"""
    canvas = _canvas_of(key_points, canvas_size, tv_tensors.KeyPoints)
    plain = key_points.as_subclass(flambeau.Tensor)
    x, y = plain[..., 0], plain[..., 1]
    valid = (x >= 0) & (x < canvas[1]) & (y >= 0) & (y < canvas[0])
    while valid.dim() > 1:
        valid = valid.all(dim=-1)
    return _like(plain[valid], key_points), valid


def boxes_kernel(name):
    """What the dispatcher calls for `BoundingBoxes`."""

    def kernel(inpt, *args, **kwargs):
        mode = inpt.clamping_mode
        plain = inpt.as_subclass(flambeau.Tensor)
        made, canvas = move_boxes(
            name, plain, inpt.format, inpt.canvas_size, *args, clamping_mode=mode, **kwargs
        )
        return tv_tensors.wrap(made, like=inpt, canvas_size=canvas)

    return kernel


def keypoints_kernel(name):
    """What the dispatcher calls for `KeyPoints`."""

    def kernel(inpt, *args, **kwargs):
        plain = inpt.as_subclass(flambeau.Tensor)
        made, canvas = move_keypoints(name, plain, inpt.canvas_size, *args, **kwargs)
        return tv_tensors.wrap(made, like=inpt, canvas_size=canvas)

    return kernel
