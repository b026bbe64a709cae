"""What all transforms of version 2 are: parameters drawn once for every part of a sample."""

import flambeau
from flambeau import nn
from flambeau.vision import tv_tensors

from . import functional as F
from ._utils import check_type, flatten, has_any, is_pil


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

    def _needs_transform_list(self, flat_inputs):
        """Which of the values are to be transformed."""
        has_image = has_any(flat_inputs, tv_tensors.Image, tv_tensors.Video, is_pil)
        wants = []
        for x in flat_inputs:
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
        wants = self._needs_transform_list(leaves)
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
