"""Transforms of shape, version 2."""

import flambeau
from flambeau.vision import ops, tv_tensors

from .. import functional as F1
from .._augment import corners, displacement, pair_of_floats
from .._random import RandomAffine as RandomAffine1
from .._random import RandomResizedCrop as RandomResizedCrop1
from .._random import _integer, _ordered_pair, _range, _uniform
from . import functional as F
from ._transform import RandomApplied, Transform, checked_fill, fill_for
from ._utils import get_bounding_boxes, query_size


def _is_sequence(value):
    return isinstance(value, (list, tuple))


def _centre(center):
    """A place (x, y), or None."""
    if center is None:
        return None
    if not _is_sequence(center):
        raise TypeError(f"center should be a sequence of length 2, got {center}")
    if len(center) != 2:
        raise ValueError(f"center should be a sequence of length 2, got {center}")
    return center


def _padding(padding, mode):
    """One width, or a list of 1, 2 or 4."""
    if mode not in ("constant", "edge", "reflect", "symmetric"):
        raise ValueError("Padding mode should be either constant, edge, reflect or symmetric")
    if isinstance(padding, int):
        return padding
    whole = _is_sequence(padding) and all(isinstance(side, int) for side in padding)
    if not whole or len(padding) not in (1, 2, 4):
        raise ValueError(
            "Padding must be an int or a 1, 2, or 4 element of tuple or list of ints, "
            f"got {padding}"
        )
    return list(padding)


class RandomHorizontalFlip(RandomApplied):
    """Left and right swapped, with probability p."""

    def transform(self, inpt, params):
        return self._call_kernel(F.horizontal_flip, inpt)


class RandomVerticalFlip(RandomApplied):
    """Top and bottom swapped, with probability p."""

    def transform(self, inpt, params):
        return self._call_kernel(F.vertical_flip, inpt)


class _Resizing(Transform):
    def __init__(self, interpolation, antialias):
        super().__init__()
        self.interpolation = F1._mode(interpolation)
        self.antialias = antialias

    def _resize(self, inpt, size, **options):
        return self._call_kernel(
            F.resize,
            inpt,
            size,
            interpolation=self.interpolation,
            antialias=self.antialias,
            **options,
        )


class Resize(_Resizing):
    """Another size; one number is the length of the shorter side.

    >>> import flambeau as torch
    >>> from flambeau.vision.transforms import v2
    >>> v2.Resize((4, 6))(torch.ones(3, 8, 8)).shape
    torch.Size([3, 4, 6])
    """

    def __init__(self, size, interpolation="bilinear", max_size=None, antialias=True):
        super().__init__(interpolation, antialias)
        if size is None and not isinstance(max_size, int):
            raise ValueError(
                f"max_size must be an integer when size is None, but got {max_size} instead."
            )
        if isinstance(size, int):
            size = [size]
        elif size is not None and not (_is_sequence(size) and len(size) in (1, 2)):
            raise ValueError(
                "size can be an integer, a sequence of one or two integers, or None, but got "
                f"{size} instead."
            )
        self.size = None if size is None else list(size)
        self.max_size = max_size

    def transform(self, inpt, params):
        return self._resize(inpt, self.size, max_size=self.max_size)


class CenterCrop(Transform):
    """The middle."""

    def __init__(self, size):
        super().__init__()
        self.size = F1._pair(size)

    def transform(self, inpt, params):
        return self._call_kernel(F.center_crop, inpt, output_size=self.size)


class RandomResizedCrop(_Resizing):
    """A rectangle of random area and shape, resized."""

    def __init__(
        self,
        size,
        scale=(0.08, 1.0),
        ratio=(3.0 / 4.0, 4.0 / 3.0),
        interpolation="bilinear",
        antialias=True,
    ):
        super().__init__(interpolation, antialias)
        self.size = F1._pair(size)
        self.scale = _ordered_pair(scale, "Scale")
        self.ratio = _ordered_pair(ratio, "Ratio")

    def make_params(self, flat_inputs):
        height, width = query_size(flat_inputs)
        like = flambeau.empty((1, height, width), device="meta")
        top, left, height, width = RandomResizedCrop1.get_params(like, self.scale, self.ratio)
        return {"top": top, "left": left, "height": height, "width": width}

    def transform(self, inpt, params):
        return self._call_kernel(
            F.resized_crop,
            inpt,
            **params,
            size=self.size,
            interpolation=self.interpolation,
            antialias=self.antialias,
        )


class FiveCrop(Transform):
    """The four corners and the middle, as a tuple."""

    def __init__(self, size):
        super().__init__()
        self.size = F1._pair(size)

    def check_inputs(self, flat_inputs):
        for x in flat_inputs:
            if isinstance(x, (tv_tensors.BoundingBoxes, tv_tensors.Mask)):
                raise TypeError(
                    f"BoundingBoxes'es and Mask's are not supported by {type(self).__name__}()"
                )

    def transform(self, inpt, params):
        return self._call_kernel(F.five_crop, inpt, self.size)


class TenCrop(FiveCrop):
    """`FiveCrop` of the image and of its mirror image."""

    def __init__(self, size, vertical_flip=False):
        super().__init__(size)
        self.vertical_flip = vertical_flip

    def transform(self, inpt, params):
        return self._call_kernel(F.ten_crop, inpt, self.size, vertical_flip=self.vertical_flip)


class Pad(Transform):
    """Borders: one width, (horizontal, vertical) or (left, top, right, bottom)."""

    def __init__(self, padding, fill=0, padding_mode="constant"):
        super().__init__()
        self.padding = _padding(padding, padding_mode)
        self.fill = checked_fill(fill)
        self.padding_mode = padding_mode

    def transform(self, inpt, params):
        fill = fill_for(self.fill, inpt)
        return self._call_kernel(
            F.pad, inpt, padding=self.padding, fill=fill, padding_mode=self.padding_mode
        )


class RandomZoomOut(RandomApplied):
    """The image somewhere on a larger canvas (Liu et al., arXiv 1512.02325)."""

    def __init__(self, fill=0, side_range=(1.0, 4.0), p=0.5):
        super().__init__(p)
        if not _is_sequence(side_range):
            raise TypeError("side_range should be a sequence of length 2.")
        if len(side_range) != 2:
            raise ValueError("side_range should be a sequence of length 2.")
        if side_range[0] < 1.0 or side_range[0] > side_range[1]:
            raise ValueError(f"Invalid side range provided {side_range}.")
        self.fill = checked_fill(fill)
        self.side_range = side_range

    def make_params(self, flat_inputs):
        height, width = query_size(flat_inputs)
        low, high = self.side_range
        share = low + flambeau.rand(1) * (high - low)
        canvas_width, canvas_height = int(width * share), int(height * share)
        r = flambeau.rand(2)
        left = int((canvas_width - width) * r[0])
        top = int((canvas_height - height) * r[1])
        right, bottom = canvas_width - (left + width), canvas_height - (top + height)
        return {"padding": [left, top, right, bottom]}

    def transform(self, inpt, params):
        return self._call_kernel(F.pad, inpt, **params, fill=fill_for(self.fill, inpt))


class _Filling(Transform):
    def __init__(self, interpolation, fill):
        super().__init__()
        self.interpolation = F1._mode(interpolation)
        self.fill = checked_fill(fill)

    def _warp(self, functional, inpt, *args, **kwargs):
        return self._call_kernel(
            functional,
            inpt,
            *args,
            interpolation=self.interpolation,
            fill=fill_for(self.fill, inpt),
            **kwargs,
        )


class RandomRotation(_Filling):
    """A turn by a random angle."""

    def __init__(self, degrees, interpolation="nearest", expand=False, center=None, fill=0):
        super().__init__(interpolation, fill)
        self.degrees = _range(degrees, "degrees")
        self.expand = expand
        self.center = _centre(center)

    def make_params(self, flat_inputs):
        return {"angle": _uniform(*self.degrees)}

    def transform(self, inpt, params):
        return self._warp(F.rotate, inpt, **params, expand=self.expand, center=self.center)


class RandomAffine(_Filling):
    """A random turn, and where given a random shift, scale and shear."""

    def __init__(
        self,
        degrees,
        translate=None,
        scale=None,
        shear=None,
        interpolation="nearest",
        fill=0,
        center=None,
    ):
        super().__init__(interpolation, fill)
        checked = RandomAffine1(degrees, translate, scale, shear)
        self.degrees = checked.degrees
        self.translate = translate
        self.scale = scale
        self.shear = checked.shear
        self.center = _centre(center)

    def make_params(self, flat_inputs):
        height, width = query_size(flat_inputs)
        angle, translate, scale, shear = RandomAffine1.get_params(
            self.degrees, self.translate, self.scale, self.shear, [width, height]
        )
        return {"angle": angle, "translate": translate, "scale": scale, "shear": shear}

    def transform(self, inpt, params):
        return self._warp(F.affine, inpt, **params, center=self.center)


class RandomCrop(Transform):
    """A rectangle of the given size at a random place, after padding if asked for."""

    def __init__(self, size, padding=None, pad_if_needed=False, fill=0, padding_mode="constant"):
        super().__init__()
        self.size = F1._pair(size)
        self.padding = None if padding is None else _padding(padding, padding_mode)
        self.pad_if_needed = pad_if_needed
        self.fill = checked_fill(fill)
        self.padding_mode = padding_mode

    def make_params(self, flat_inputs):
        height, width = query_size(flat_inputs)
        padding = [0, 0, 0, 0]
        if self.padding is not None:
            sides = [self.padding] if isinstance(self.padding, int) else list(self.padding)
            padding = sides * (4 // len(sides))
            height, width = height + padding[1] + padding[3], width + padding[0] + padding[2]
        wanted_height, wanted_width = self.size
        if self.pad_if_needed:
            down, across = max(wanted_height - height, 0), max(wanted_width - width, 0)
            padding = [side + more for side, more in zip(padding, (across, down) * 2, strict=True)]
            height, width = height + 2 * down, width + 2 * across
        if height < wanted_height or width < wanted_width:
            raise ValueError(
                f"Required crop size {(wanted_height, wanted_width)} is larger than padded input "
                f"image size {(height, width)}."
            )
        top = _integer(height - wanted_height + 1) if height > wanted_height else 0
        left = _integer(width - wanted_width + 1) if width > wanted_width else 0
        crop = {"top": top, "left": left, "height": wanted_height, "width": wanted_width}
        needs_crop = height > wanted_height or width > wanted_width
        return {
            "needs_crop": needs_crop,
            **crop,
            "needs_pad": any(padding),
            "padding": padding,
        }

    def transform(self, inpt, params):
        if params["needs_pad"]:
            fill = fill_for(self.fill, inpt)
            inpt = self._call_kernel(
                F.pad, inpt, padding=params["padding"], fill=fill, padding_mode=self.padding_mode
            )
        if params["needs_crop"]:
            box = {name: params[name] for name in ("top", "left", "height", "width")}
            inpt = self._call_kernel(F.crop, inpt, **box)
        return inpt


class RandomPerspective(RandomApplied):
    """Corners moved inwards at random, with probability p."""

    def __init__(self, distortion_scale=0.5, p=0.5, interpolation="bilinear", fill=0):
        super().__init__(p)
        if not 0 <= distortion_scale <= 1:
            raise ValueError("Argument distortion_scale value should be between 0 and 1")
        self.distortion_scale = distortion_scale
        self.interpolation = F1._mode(interpolation)
        self.fill = checked_fill(fill)

    def make_params(self, flat_inputs):
        height, width = query_size(flat_inputs)
        start, end = corners(width, height, self.distortion_scale)
        return {"startpoints": start, "endpoints": end}

    def transform(self, inpt, params):
        return self._call_kernel(
            F.perspective,
            inpt,
            **params,
            fill=fill_for(self.fill, inpt),
            interpolation=self.interpolation,
        )


class ElasticTransform(_Filling):
    """Pixels moved by smooth random displacements."""

    def __init__(self, alpha=50.0, sigma=5.0, interpolation="bilinear", fill=0):
        super().__init__(interpolation, fill)
        self.alpha = pair_of_floats(alpha, "alpha")
        self.sigma = pair_of_floats(sigma, "sigma")

    def make_params(self, flat_inputs):
        size = list(query_size(flat_inputs))
        return {"displacement": displacement(self.alpha, self.sigma, size)}

    def transform(self, inpt, params):
        return self._warp(F.elastic, inpt, **params)


class RandomIoUCrop(Transform):
    """A crop that keeps enough of some object (Liu et al., arXiv 1512.02325)."""

    def __init__(
        self,
        min_scale=0.3,
        max_scale=1.0,
        min_aspect_ratio=0.5,
        max_aspect_ratio=2.0,
        sampler_options=None,
        trials=40,
    ):
        super().__init__()
        self.min_scale = min_scale
        self.max_scale = max_scale
        self.min_aspect_ratio = min_aspect_ratio
        self.max_aspect_ratio = max_aspect_ratio
        self.options = sampler_options or [0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0]
        self.trials = trials

    def check_inputs(self, flat_inputs):
        if not any(isinstance(x, tv_tensors.BoundingBoxes) for x in flat_inputs):
            raise TypeError(
                f"{type(self).__name__}() requires input sample to contain tensor or PIL images "
                "and bounding boxes. Sample can also contain masks."
            )

    def make_params(self, flat_inputs):
        full_height, full_width = query_size(flat_inputs)
        given = get_bounding_boxes(flat_inputs)
        boxes = F.convert_bounding_box_format(
            given.as_subclass(flambeau.Tensor), given.format, tv_tensors.BoundingBoxFormat.XYXY
        )
        while True:
            least = self.options[int(flambeau.randint(low=0, high=len(self.options), size=(1,)))]
            if least >= 1.0:
                return {}
            for _ in range(self.trials):
                r = self.min_scale + (self.max_scale - self.min_scale) * flambeau.rand(2)
                width, height = int(full_width * r[0]), int(full_height * r[1])
                if not self.min_aspect_ratio <= width / max(height, 1) <= self.max_aspect_ratio:
                    continue
                r = flambeau.rand(2)
                left, top = int((full_width - width) * r[0]), int((full_height - height) * r[1])
                right, bottom = left + width, top + height
                if left == right or top == bottom:
                    continue
                x, y = 0.5 * (boxes[..., 0] + boxes[..., 2]), 0.5 * (boxes[..., 1] + boxes[..., 3])
                inside = (left < x) & (x < right) & (top < y) & (y < bottom)
                if not inside.any():
                    continue
                crop = flambeau.tensor([[left, top, right, bottom]], dtype=boxes.dtype)
                if ops.box_iou(boxes[inside], crop).max() < least:
                    continue
                box = {"top": top, "left": left, "height": height, "width": width}
                return {**box, "is_within_crop_area": inside}

    def transform(self, inpt, params):
        if not params:
            return inpt
        params = dict(params)
        inside = params.pop("is_within_crop_area")
        made = self._call_kernel(F.crop, inpt, **params)
        if isinstance(made, tv_tensors.BoundingBoxes):
            # boxes whose middle lies outside become empty, for SanitizeBoundingBoxes to remove
            made[~inside] = 0
        return made


class ScaleJitter(_Resizing):
    """A size around `target_size` by a random factor (Ghiasi et al., arXiv 2012.07177)."""

    def __init__(
        self, target_size, scale_range=(0.1, 2.0), interpolation="bilinear", antialias=True
    ):
        super().__init__(interpolation, antialias)
        self.target_size = target_size
        self.scale_range = scale_range

    def make_params(self, flat_inputs):
        height, width = query_size(flat_inputs)
        low, high = self.scale_range
        scale = low + flambeau.rand(1) * (high - low)
        r = min(self.target_size[1] / height, self.target_size[0] / width) * scale
        return {"size": (int(height * r), int(width * r))}

    def transform(self, inpt, params):
        return self._resize(inpt, params["size"])


class RandomShortestSize(_Resizing):
    """A random length of the shorter side."""

    def __init__(self, min_size, max_size=None, interpolation="bilinear", antialias=True):
        super().__init__(interpolation, antialias)
        self.min_size = [min_size] if isinstance(min_size, int) else list(min_size)
        self.max_size = max_size

    def make_params(self, flat_inputs):
        height, width = query_size(flat_inputs)
        short = self.min_size[int(flambeau.randint(len(self.min_size), ()))]
        r = short / min(height, width)
        if self.max_size is not None:
            r = min(r, self.max_size / max(height, width))
        return {"size": (int(height * r), int(width * r))}

    def transform(self, inpt, params):
        return self._resize(inpt, params["size"])


class RandomResize(_Resizing):
    """A random length of the shorter side, from min_size to max_size."""

    def __init__(self, min_size, max_size, interpolation="bilinear", antialias=True):
        super().__init__(interpolation, antialias)
        self.min_size = min_size
        self.max_size = max_size

    def make_params(self, flat_inputs):
        return {"size": [int(flambeau.randint(self.min_size, self.max_size, ()))]}

    def transform(self, inpt, params):
        return self._resize(inpt, params["size"])
