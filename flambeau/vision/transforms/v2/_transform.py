"""What all transforms of version 2 are: parameters drawn once for every part of a sample."""

import flambeau
from flambeau import nn
from flambeau.vision import tv_tensors

from .. import _pil
from . import functional as F


def flatten(sample):
    """(leaves, function that puts others in their place) of nested lists, tuples and dicts."""
    leaves = []

    def walk(x):
        if type(x) in (list, tuple):
            parts = [walk(v) for v in x]
            kind = type(x)
            return lambda it: kind(part(it) for part in parts)
        if isinstance(x, tuple) and hasattr(x, "_fields"):
            parts, kind = [walk(v) for v in x], type(x)
            return lambda it: kind(*(part(it) for part in parts))
        if isinstance(x, dict):
            parts, kind = {k: walk(v) for k, v in x.items()}, type(x)
            if kind is dict:
                return lambda it: {k: part(it) for k, part in parts.items()}
            return lambda it: kind((k, part(it)) for k, part in parts.items())
        leaves.append(x)
        return next

    build = walk(sample)
    return leaves, lambda values: build(iter(values))


def is_pil(x):
    return _pil.is_pil(x)


def check_type(obj, types_or_checks):
    """Whether it is of one of the types, or passes one of the functions."""
    return any(
        isinstance(obj, check) if isinstance(check, type) else check(obj)
        for check in types_or_checks
    )


def has_any(flat_inputs, *types_or_checks):
    """Whether one of the values is of one of the types."""
    return any(check_type(x, types_or_checks) for x in flat_inputs)


def has_all(flat_inputs, *types_or_checks):
    """Whether there is a value of each of the types."""
    return all(any(check_type(x, (check,)) for x in flat_inputs) for check in types_or_checks)


def get_bounding_boxes(flat_inputs):
    """The first boxes among the values."""
    for x in flat_inputs:
        if isinstance(x, tv_tensors.BoundingBoxes):
            return x
    raise ValueError("No bounding boxes were found in the sample")


def get_keypoints(flat_inputs):
    """The first keypoints among the values."""
    for x in flat_inputs:
        if isinstance(x, tv_tensors.KeyPoints):
            return x
    raise ValueError("No keypoints were found in the sample")


_PICTURES = (F.is_pure_tensor, tv_tensors.Image, is_pil, tv_tensors.Video)


def query_chw(flat_inputs):
    """(channels, height, width) of the images and videos, which must agree."""
    found = {tuple(F.get_dimensions(x)) for x in flat_inputs if check_type(x, _PICTURES)}
    return _only(found, "CxHxW dimensions")


def query_size(flat_inputs):
    """(height, width) of all that has one."""
    kinds = (*_PICTURES, tv_tensors.Mask, tv_tensors.BoundingBoxes, tv_tensors.KeyPoints)
    return _only({tuple(F.get_size(x)) for x in flat_inputs if check_type(x, kinds)}, "HxW size")


def _only(found, what):
    if not found:
        raise TypeError("No image, video, mask, bounding box or keypoint was found in the sample")
    if len(found) > 1:
        raise ValueError(f"Found multiple {what} in the sample: {sorted(found)}")
    return found.pop()


class Transform(nn.Module):
    """A transform of samples; subclasses have `transform`, and `make_params` where they draw.

    The first plain tensor of a sample is taken for the image where there is no other image.
    """

    _transformed_types = (flambeau.Tensor, is_pil)
    check_inputs = None

    def make_params(self, flat_inputs):
        """What is drawn once for the whole sample."""
        return {}

    def transform(self, inpt, params):
        """One part of the sample, transformed."""
        raise NotImplementedError(f"{type(self).__name__} has no transform()")

    def _wants(self, leaves):
        """Which leaves are to be transformed."""
        has_image = has_any(leaves, tv_tensors.Image, tv_tensors.Video, is_pil)
        wants = []
        for x in leaves:
            wanted = check_type(x, self._transformed_types)
            if wanted and F.is_pure_tensor(x):
                wanted, has_image = not has_image, True
            wants.append(wanted)
        return wants

    def _skip(self):
        return False

    def forward(self, *inputs):
        sample = inputs if len(inputs) > 1 else inputs[0]
        leaves, build = flatten(sample)
        if self.check_inputs is not None:
            self.check_inputs(leaves)
        if self._skip():
            return sample
        wants = self._wants(leaves)
        params = self.make_params([x for x, wanted in zip(leaves, wants, strict=True) if wanted])
        return build(
            [
                self.transform(x, params) if wanted else x
                for x, wanted in zip(leaves, wants, strict=True)
            ]
        )

    def _call_kernel(self, functional, inpt, *args, **kwargs):
        """A functional, where it is for this kind of data; else the value itself."""
        kernel = F.kernel_for(functional.__name__, inpt)
        return inpt if kernel is None else kernel(inpt, *args, **kwargs)

    def extra_repr(self):
        shown = (bool, int, float, str, tuple, list)
        return ", ".join(
            f"{name}={getattr(value, 'value', value)}"
            for name, value in vars(self).items()
            if not name.startswith("_")
            and name != "training"
            and isinstance(getattr(value, "value", value), shown)
        )


class RandomApplied(Transform):
    """With probability p."""

    def __init__(self, p=0.5):
        super().__init__()
        if not 0.0 <= p <= 1.0:
            raise ValueError("`p` should be a floating point value in the interval [0.0, 1.0].")
        self.p = p

    def _skip(self):
        return bool(flambeau.rand(1) >= self.p)


def checked_fill(fill):
    """A fill: None, a number or a sequence of them, or a dictionary of these by type."""
    for value in fill.values() if isinstance(fill, dict) else [fill]:
        if value is not None and not isinstance(value, (int, float, list, tuple)):
            raise TypeError(
                f"Got inappropriate fill arg, only Numbers, tuples, lists and dicts: {fill}"
            )
    return fill


def fill_for(fill, inpt):
    """The fill of a kind of data: one value, or from a dictionary by type."""
    if not isinstance(fill, dict):
        return fill if not isinstance(inpt, tv_tensors.Mask) else 0
    for kind in (type(inpt), *type(inpt).__mro__):
        if kind in fill:
            return fill[kind]
    if is_pil(inpt) or F.is_pure_tensor(inpt):
        for kind in (tv_tensors.Image,):
            if kind in fill:
                return fill[kind]
    return fill.get("others")
