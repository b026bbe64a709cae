"""Regions of feature maps pooled to one size."""

import math

import flambeau
from flambeau import nn
from flambeau._ops import internal

from ._utils import as_rois, pair

__all__ = [
    "PSRoIAlign",
    "PSRoIPool",
    "RoIAlign",
    "RoIPool",
    "ps_roi_align",
    "ps_roi_pool",
    "roi_align",
    "roi_pool",
]


def roi_align(input, boxes, output_size, spatial_scale=1.0, sampling_ratio=-1, aligned=False):
    """[K, C, *output_size]: means of bilinear samples in each cell of each region.

    He et al., arXiv 1703.06870. `boxes` are [K, 5] (image, x1, y1, x2, y2) or a list of [L, 4];
    `aligned` takes pixels' centres as their places.

    >>> import flambeau as torch
    >>> from flambeau.vision.ops import roi_align
    >>> roi_align(torch.ones(1, 2, 8, 8), [torch.tensor([[0.0, 0, 4, 4]])], 3).shape
    torch.Size([1, 2, 3, 3])
    """
    rois = as_rois(boxes).to(input.dtype)
    height, width = pair(output_size)
    narrow = input.dtype not in (flambeau.float32, flambeau.float64)
    pooled = internal["_roi_align"](
        input.float() if narrow else input,
        rois.float() if narrow else rois,
        list(input.shape),
        float(spatial_scale),
        [height, width],
        max(sampling_ratio, 0),
        aligned,
        False,
    )
    return pooled.to(input.dtype) if narrow else pooled


def ps_roi_align(input, boxes, output_size, spatial_scale=1.0, sampling_ratio=-1):
    """`roi_align` where each cell has channels of its own (Li et al., arXiv 1711.07264)."""
    height, width = pair(output_size)
    pooled = roi_align(input, boxes, (height, width), spatial_scale, sampling_ratio, True)
    return _own_channels(pooled, height, width)


def _own_channels(pooled, height, width):
    count, channels = pooled.shape[:2]
    if channels % (height * width):
        raise ValueError(
            f"input channels ({channels}) must be a multiple of pooling height * pooling width"
        )
    cells = height * width
    pooled = pooled.reshape(count, channels // cells, cells, cells)
    return pooled.diagonal(dim1=2, dim2=3).reshape(count, channels // cells, height, width)


def _round(x):
    """To the nearest, halves away from zero."""
    return int(math.floor(abs(x) + 0.5)) * (1 if x >= 0 else -1)


def _cells(low, high, count, size):
    """The [first, last) pixels of each of `count` cells, within 0..size."""
    step = (high - low) / count
    return [
        (
            min(max(math.floor(i * step) + low, 0), size),
            min(max(math.ceil((i + 1) * step) + low, 0), size),
        )
        for i in range(count)
    ]


def _pool(input, boxes, output_size, spatial_scale, bounds, reduce):
    """Each region's cells of whole pixels, reduced by a function of [C, h, w]; empty ones are 0."""
    height, width = pair(output_size)
    rois = as_rois(boxes)
    results = []
    for image, *corners in rois.detach().tolist():
        features = input[int(image)]
        x1, y1, x2, y2 = bounds(corners, spatial_scale)
        columns = _cells(x1, x2, width, features.shape[2])
        for top, bottom in _cells(y1, y2, height, features.shape[1]):
            for left, right in columns:
                if top < bottom and left < right:
                    results.append(reduce(features[:, top:bottom, left:right]))
                else:
                    results.append(features.new_zeros(features.shape[0]))
    if not results:
        return input.new_empty((0, input.shape[1], height, width))
    made = flambeau.stack(results).reshape(len(rois), height, width, input.shape[1])
    return made.permute(0, 3, 1, 2).contiguous()


def roi_pool(input, boxes, output_size, spatial_scale=1.0):
    """[K, C, *output_size]: the greatest value in each cell (Girshick, arXiv 1504.08083)."""

    def bounds(corners, scale):
        x1, y1, x2, y2 = (_round(v * scale) for v in corners)
        return x1, y1, x1 + max(x2 - x1 + 1, 1), y1 + max(y2 - y1 + 1, 1)

    def greatest(cell):
        return cell.flatten(1).max(dim=1)[0]

    return _pool(input, boxes, output_size, spatial_scale, bounds, greatest)


def ps_roi_pool(input, boxes, output_size, spatial_scale=1.0):
    """Means in cells that have channels of their own (R-FCN, Dai et al., arXiv 1605.06409)."""

    def bounds(corners, scale):
        x1, y1 = _round(corners[0] * scale), _round(corners[1] * scale)
        x2, y2 = _round(corners[2] * scale), _round(corners[3] * scale)
        return x1, y1, x1 + max(x2 - x1, 1), y1 + max(y2 - y1, 1)

    height, width = pair(output_size)
    pooled = _pool(
        input, boxes, (height, width), spatial_scale, bounds, lambda cell: cell.mean(dim=(1, 2))
    )
    return _own_channels(pooled, height, width)


class _Pooling(nn.Module):
    def __init__(self, output_size, spatial_scale):
        super().__init__()
        self.output_size = output_size
        self.spatial_scale = spatial_scale

    def __repr__(self):
        values = ", ".join(f"{k}={v}" for k, v in vars(self).items() if not k.startswith("_"))
        return f"{type(self).__name__}({values.replace('training=True, ', '')})"


class RoIAlign(_Pooling):
    """`roi_align` as a layer."""

    def __init__(self, output_size, spatial_scale, sampling_ratio, aligned=False):
        super().__init__(output_size, spatial_scale)
        self.sampling_ratio = sampling_ratio
        self.aligned = aligned

    def forward(self, input, rois):
        return roi_align(
            input, rois, self.output_size, self.spatial_scale, self.sampling_ratio, self.aligned
        )


class RoIPool(_Pooling):
    """`roi_pool` as a layer."""

    def forward(self, input, rois):
        return roi_pool(input, rois, self.output_size, self.spatial_scale)


class PSRoIAlign(_Pooling):
    """`ps_roi_align` as a layer."""

    def __init__(self, output_size, spatial_scale, sampling_ratio):
        super().__init__(output_size, spatial_scale)
        self.sampling_ratio = sampling_ratio

    def forward(self, input, rois):
        return ps_roi_align(input, rois, self.output_size, self.spatial_scale, self.sampling_ratio)


class PSRoIPool(_Pooling):
    """`ps_roi_pool` as a layer."""

    def forward(self, input, rois):
        return ps_roi_pool(input, rois, self.output_size, self.spatial_scale)
