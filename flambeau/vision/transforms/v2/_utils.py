"""The parts of a sample: what they are, what size they have, which are labels."""

from flambeau.vision import tv_tensors

from .. import _pil
from . import functional as F
from .functional import is_pure_tensor


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


PICTURES = (is_pure_tensor, tv_tensors.Image, is_pil, tv_tensors.Video)


def query_chw(flat_inputs):
    """(channels, height, width) of the images and videos, which must agree."""
    found = {tuple(F.get_dimensions(x)) for x in flat_inputs if check_type(x, PICTURES)}
    return _only(found, "CxHxW dimensions")


def query_size(flat_inputs):
    """(height, width) of all that has one."""
    kinds = (*PICTURES, tv_tensors.Mask, tv_tensors.BoundingBoxes, tv_tensors.KeyPoints)
    return _only({tuple(F.get_size(x)) for x in flat_inputs if check_type(x, kinds)}, "HxW size")


def _only(found, what):
    if not found:
        raise TypeError("No image, video, mask, bounding box or keypoint was found in the sample")
    if len(found) > 1:
        raise ValueError(f"Found multiple {what} in the sample: {sorted(found)}")
    return found.pop()


def _find_labels_default_heuristic(sample):
    """What a dictionary calls "labels", or something like it; the dictionary may come second."""
    if isinstance(sample, (tuple, list)):
        sample = sample[1] if len(sample) > 1 else sample[0]
    if is_pure_tensor(sample):
        return sample
    if not isinstance(sample, dict):
        raise ValueError(
            "When using the default labels_getter, the input passed to forward must be a "
            "dictionary or a two-tuple whose second item is a dict or a tensor, but got "
            f"{type(sample)} instead."
        )
    names = [key for key in sample if "label" in str(key).lower()]
    exact = [key for key in names if str(key).lower() == "labels"]
    if not names:
        raise ValueError(
            "Could not infer where the labels are in the sample. Try passing a callable as the "
            "labels_getter parameter? If there are no labels in the sample by design, pass "
            "labels_getter=None."
        )
    return sample[(exact or names)[0]]


def labels_getter_of(labels_getter):
    if labels_getter == "default":
        return _find_labels_default_heuristic
    if labels_getter is None:
        return lambda sample: None
    if not callable(labels_getter):
        raise ValueError(
            "labels_getter should either be 'default', a string, None, or a callable, "
            f"but got {labels_getter}"
        )
    return labels_getter
