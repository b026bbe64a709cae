"""Regions taken from the level of a pyramid that fits their size."""

import math

import flambeau
from flambeau import nn

from ._utils import pair
from .roi import roi_align

__all__ = ["MultiScaleRoIAlign"]


class MultiScaleRoIAlign(nn.Module):
    """`roi_align` on one map for each region (Lin et al., arXiv 1612.03144, equation 1).

    >>> import flambeau as torch
    >>> from flambeau.vision import ops
    >>> pool = ops.MultiScaleRoIAlign(["0"], output_size=2, sampling_ratio=1)
    >>> boxes = [torch.tensor([[0.0, 0.0, 4.0, 4.0]])]
    >>> pool({"0": torch.ones(1, 3, 8, 8)}, boxes, [(8, 8)]).shape
    torch.Size([1, 3, 2, 2])
    """

    def __init__(
        self, featmap_names, output_size, sampling_ratio, *, canonical_scale=224, canonical_level=4
    ):
        super().__init__()
        self.featmap_names = featmap_names
        self.sampling_ratio = sampling_ratio
        self.output_size = pair(output_size)
        self.canonical_scale = canonical_scale
        self.canonical_level = canonical_level
        self.scales = None

    def _setup(self, features, image_shapes):
        """Each map's scale is the power of two that takes the largest image to it."""
        if not image_shapes:
            raise ValueError("images list should not be empty")
        side = max(height for height, _ in image_shapes)
        self.scales = [2.0 ** round(math.log2(x.shape[-2] / side)) for x in features]

    def _levels(self, boxes):
        low, high = (-round(math.log2(s)) for s in (self.scales[0], self.scales[-1]))
        side = flambeau.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
        level = flambeau.floor(
            self.canonical_level + flambeau.log2(side / self.canonical_scale) + 1e-6
        )
        return (level.clamp(min=low, max=high) - low).to(flambeau.int64)

    def forward(self, x, boxes, image_shapes):
        """[regions of all images, C, *output_size] from maps by name and a list of boxes."""
        features = [v for k, v in x.items() if k in self.featmap_names]
        self._setup(features, image_shapes)
        index = flambeau.cat([flambeau.full_like(b[:, :1], i) for i, b in enumerate(boxes)])
        rois = flambeau.cat([index, flambeau.cat(list(boxes))], dim=1)
        if len(features) == 1:
            return roi_align(
                features[0], rois, self.output_size, self.scales[0], self.sampling_ratio
            )
        levels = self._levels(rois[:, 1:])
        parts, places = [], []
        for i, (feature, scale) in enumerate(zip(features, self.scales, strict=True)):
            place = flambeau.where(levels == i)[0]
            places.append(place)
            parts.append(
                roi_align(feature, rois[place], self.output_size, scale, self.sampling_ratio)
            )
        order = flambeau.cat(places).argsort()
        return flambeau.cat(parts)[order]

    def __repr__(self):
        return (
            f"{type(self).__name__}(featmap_names={self.featmap_names}, "
            f"output_size={self.output_size}, sampling_ratio={self.sampling_ratio})"
        )
