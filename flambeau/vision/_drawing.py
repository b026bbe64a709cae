"""Boxes, masks, keypoints and flow drawn on images."""

import math
import warnings

import flambeau


def _check_image(image, gray=False):
    if not isinstance(image, flambeau.Tensor):
        raise TypeError(f"Tensor expected: The image must be a tensor, got {type(image)}")
    if not (image.dtype == flambeau.uint8 or image.is_floating_point()):
        raise ValueError(f"The image dtype must be uint8 or float, got {image.dtype}")
    if image.dim() != 3:
        raise ValueError("Pass individual images, not batches")
    if gray and image.size(0) not in (1, 3):
        raise ValueError("Only grayscale and RGB images are supported")
    if not gray and image.size(0) != 3:
        raise ValueError("Pass an RGB image. Other Image formats are not supported")


def _generate_color_palette(count):
    """Colours far from each other: multiples of three primes modulo 255."""
    return [tuple(i * p % 255 for p in (2**25 - 1, 2**15 - 1, 2**21 - 1)) for i in range(count)]


def _colors(colors, count):
    from PIL import ImageColor

    if colors is None:
        colors = _generate_color_palette(count)
    elif isinstance(colors, list):
        if len(colors) < count:
            raise ValueError(
                f"Number of colors must be equal or larger than the number of objects, but got "
                f"{len(colors)} < {count}."
            )
    elif not isinstance(colors, (tuple, str)):
        raise ValueError(f"colors must be a tuple or a string, or a list thereof, got {colors}.")
    elif isinstance(colors, tuple) and len(colors) != 3:
        raise ValueError("If passed as tuple, colors should be an RGB triplet")
    else:
        colors = [colors] * count
    return [ImageColor.getrgb(c) if isinstance(c, str) else c for c in colors]


def _to_pil(image):
    from .transforms.functional import convert_image_dtype, to_pil_image

    image = convert_image_dtype(image, flambeau.uint8)
    return to_pil_image(image.expand(3, -1, -1) if image.size(0) == 1 else image)


def _from_pil(picture, image):
    from .transforms.functional import convert_image_dtype, pil_to_tensor

    return convert_image_dtype(pil_to_tensor(picture), image.dtype)


def draw_bounding_boxes(
    image,
    boxes,
    labels=None,
    colors=None,
    fill=False,
    width=1,
    font=None,
    font_size=None,
    label_colors=None,
    label_background_colors=None,
    fill_labels=False,
):
    """The image [C, H, W] with boxes [N, 4] (corners; [N, 8] turned) and their labels.

    >>> import flambeau as torch
    >>> from flambeau.vision import utils
    >>> image = torch.zeros(3, 8, 8, dtype=torch.uint8)
    >>> drawn = utils.draw_bounding_boxes(image, torch.tensor([[1, 1, 6, 6]]), colors="red")
    >>> drawn[0].count_nonzero()
    tensor(20)
    """
    _check_image(image, gray=True)
    count = boxes.size(0)
    if boxes.dim() == 2 and boxes.shape[1] == 4 and count:
        if (boxes[:, 0] > boxes[:, 2]).any() or (boxes[:, 1] > boxes[:, 3]).any():
            raise ValueError("Boxes need to be in (xmin, ymin, xmax, ymax) format.")
    if count == 0:
        warnings.warn("boxes doesn't contain any box. No box was drawn", stacklevel=2)
        return image
    if labels is not None and len(labels) != count:
        raise ValueError(
            f"Number of boxes ({count}) and labels ({len(labels)}) mismatch. Please specify "
            "labels for each box."
        )
    if font is None and font_size is not None:
        warnings.warn("Argument 'font_size' will be ignored since 'font' is not set.", stacklevel=2)
    from PIL import ImageDraw, ImageFont

    outline = _colors(colors, count)
    letters = ImageFont.truetype(font, font_size or 10) if font else ImageFont.load_default()
    backs = [None] * count
    texts = outline
    if fill_labels:
        backs = (
            outline if label_background_colors is None else _colors(label_background_colors, count)
        )
        texts = [(0, 0, 0)] * count
    if label_colors is not None:
        texts = _colors(label_colors, count)
    picture = _to_pil(image)
    pen = ImageDraw.Draw(picture, "RGBA" if fill else None)
    for i, box in enumerate(boxes.to(flambeau.int64).tolist()):
        _draw_box(pen, box, outline[i], width, fill)
        if labels is not None and labels[i] is not None:
            margin = width + 1
            at = (box[0] + margin, box[1] + margin)
            _draw_label(pen, at, labels[i], letters, texts[i], backs[i])
    return _from_pil(picture, image)


def _draw_box(pen, box, color, width, fill):
    inside = (*color, 100) if fill else None
    if len(box) == 4:
        pen.rectangle(box, width=width, outline=color, fill=inside)
        return
    corners = [tuple(box[i : i + 2]) for i in range(0, 8, 2)]
    if fill:
        pen.polygon(corners, fill=inside)
    _dashed(pen, corners[0], corners[1], color, width)  # which side is the upper one
    pen.line([*corners[1:], corners[0]], fill=color, width=width)


def _dashed(pen, start, end, color, width, dash=5):
    (x1, y1), (x2, y2) = start, end
    length = math.hypot(x2 - x1, y2 - y1)
    for begin in range(0, int(length), 2 * dash):
        parts = (begin / length, min(begin + dash, length) / length)
        points = [(x1 + (x2 - x1) * t, y1 + (y2 - y1) * t) for t in parts]
        pen.line(points, fill=color, width=width)


def _draw_label(pen, at, label, letters, color, back):
    if back is not None:
        left, top, right, bottom = pen.textbbox(at, label, font=letters)
        pen.rectangle((left - 1, top - 1, right + 1, bottom + 1), fill=back)
    pen.text(at, label, fill=color, font=letters)


def draw_segmentation_masks(image, masks, alpha=0.8, colors=None):
    """The image [3, H, W] with boolean masks [N, H, W] painted over it.

    >>> import flambeau as torch
    >>> from flambeau.vision import utils
    >>> image, mask = torch.zeros(3, 2, 2, dtype=torch.uint8), torch.eye(2, dtype=torch.bool)
    >>> utils.draw_segmentation_masks(image, mask, alpha=1.0, colors="red")[0]
    tensor([[255,   0],
            [  0, 255]], dtype=torch.uint8)
    """
    _check_image(image)
    masks = masks[None] if masks.ndim == 2 else masks
    if masks.ndim != 3:
        raise ValueError("masks must be of shape (H, W) or (batch_size, H, W)")
    if masks.dtype != flambeau.bool:
        raise ValueError(f"The masks must be of dtype bool. Got {masks.dtype}")
    if masks.shape[-2:] != image.shape[-2:]:
        raise ValueError("The image and the masks must have the same height and width")
    if masks.shape[0] == 0:
        warnings.warn("masks doesn't contain any mask. No mask was drawn", stacklevel=2)
        return image
    from .transforms.functional import convert_image_dtype

    painted = image.clone()
    for mask, color in zip(masks, _colors(colors, len(masks)), strict=False):
        color = convert_image_dtype(flambeau.tensor(color, dtype=flambeau.uint8), image.dtype)
        painted = flambeau.where(mask, color[:, None, None], painted)
    # where masks meet there is no colour
    painted = flambeau.where(masks.sum(0) > 1, flambeau.zeros_like(painted), painted)
    mixed = (image * (1 - alpha) + painted * alpha).to(image.dtype)
    return flambeau.where(masks.any(0), mixed, image.expand_as(mixed))


def draw_keypoints(
    image, keypoints, connectivity=None, colors=None, radius=2, width=3, visibility=None
):
    """The image [3, H, W] with points [N, K, 2], and lines between pairs of their numbers."""
    _check_image(image)
    if keypoints.ndim != 3:
        raise ValueError("keypoints must be of shape (num_instances, K, 2)")
    if visibility is None:
        visibility = flambeau.ones(keypoints.shape[:-1], dtype=flambeau.bool)
    if visibility.ndim == 3:
        visibility = visibility.squeeze(-1)
    if visibility.ndim != 2:
        raise ValueError(
            f"visibility must be of shape (num_instances, K). Got ndim={visibility.ndim}"
        )
    if visibility.shape != keypoints.shape[:-1]:
        raise ValueError(
            "keypoints and visibility must have the same dimensionality for num_instances and K. "
            f"Got {visibility.shape=} and {keypoints.shape=}"
        )
    from PIL import ImageDraw

    picture = _to_pil(image)
    pen = ImageDraw.Draw(picture)
    color = None if colors is None else _colors(colors, 1)[0]
    if isinstance(colors, list):
        color = None
    many = _colors(colors, len(keypoints)) if isinstance(colors, list) else None
    for i, (points, seen) in enumerate(zip(keypoints.tolist(), visibility.tolist(), strict=True)):
        ink = many[i] if many else color
        for (x, y), visible in zip((p[:2] for p in points), seen, strict=True):
            if visible:
                pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=ink, width=0)
        for first, second in connectivity or ():
            if seen[first] and seen[second]:
                pen.line(((*points[first][:2],), (*points[second][:2],)), width=width)
    return _from_pil(picture, image)


def _wheel():
    """[55, 3]: hues in steps that look even (Baker et al., the Middlebury flow benchmark)."""
    # how many steps lead from red to yellow, to green, to cyan, to blue, to magenta, to red
    steps = [
        (15, 0, 1, 1),
        (6, 1, 0, -1),
        (4, 1, 2, 1),
        (11, 2, 1, -1),
        (13, 2, 0, 1),
        (6, 0, 2, -1),
    ]
    wheel = flambeau.zeros((sum(step[0] for step in steps), 3))
    row = 0
    for count, full, moving, sign in steps:
        ramp = flambeau.floor(255 * flambeau.arange(0, count) / count)
        wheel[row : row + count, full] = 255
        wheel[row : row + count, moving] = ramp if sign > 0 else 255 - ramp
        row += count
    return wheel


def flow_to_image(flow):
    """uint8 [N, 3, H, W]: directions of flow [N, 2, H, W] as hues, lengths as saturation."""
    if flow.dtype != flambeau.float:
        raise ValueError(f"Flow should be of dtype torch.float, got {flow.dtype}.")
    shape = flow.shape
    if flow.ndim not in (3, 4) or shape[-3] != 2:
        raise ValueError(
            f"Input flow should have shape (2, H, W) or (N, 2, H, W), got {tuple(shape)}."
        )
    flow = flow[None] if flow.ndim == 3 else flow
    longest = (flow**2).sum(dim=1).sqrt().max()
    flow = flow / (longest + flambeau.finfo(flow.dtype).eps)
    length = (flow**2).sum(dim=1).sqrt()
    wheel = _wheel() / 255.0
    count = len(wheel)
    angle = flambeau.atan2(-flow[:, 1], -flow[:, 0]) / flambeau.pi
    place = (angle + 1) / 2 * (count - 1)
    low = flambeau.floor(place).long()
    high = (low + 1) % count
    rest = (place - low).unsqueeze(1)
    wheel, planes = wheel.T.contiguous(), (3, *low.shape)
    start, end = (
        wheel.index_select(1, i.view(-1)).view(planes).transpose(0, 1) for i in (low, high)
    )
    color = (1 - rest) * start + rest * end
    color = 1 - length.unsqueeze(1) * (1 - color)
    made = flambeau.floor(255 * color).to(flambeau.uint8).contiguous()
    return made[0] if len(shape) == 3 else made
