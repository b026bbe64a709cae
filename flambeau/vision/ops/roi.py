"""Regions of feature maps pooled to one size."""

import flambeau
from flambeau import nn
from flambeau._ops import internal

from ._utils import as_rois, numbers, one_step, pair

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


@one_step
def roi_align(input, boxes, output_size, spatial_scale=1.0, sampling_ratio=-1, aligned=False):
    """[K, C, *output_size]: means of bilinear samples in each cell of each region.

    He et al., arXiv 1703.06870. `boxes` are [K, 5] (image, x1, y1, x2, y2) or a list of [L, 4];
    `aligned` takes pixels' centres as their places.

    >>> import flambeau as torch
    >>> from flambeau.vision.ops import roi_align
    >>> roi_align(torch.ones(1, 2, 8, 8), [torch.tensor([[0.0, 0, 4, 4]])], 3).shape
    torch.Size([1, 2, 3, 3])
    """
    options = output_size, spatial_scale, max(sampling_ratio, 0), aligned
    if input.is_quantized:  # the result has the scale of the input
        boxes = numbers(boxes) if isinstance(boxes, flambeau.Tensor) else [*map(numbers, boxes)]
        made = _mean(input.dequantize(), boxes, *options)
        scheme = input.q_scale(), input.q_zero_point(), input.dtype
        return flambeau.quantize_per_tensor(made, *scheme)
    return _mean(input, boxes, *options)


@one_step
def ps_roi_align(input, boxes, output_size, spatial_scale=1.0, sampling_ratio=-1):
    """`roi_align` where each cell has channels of its own (Li et al., arXiv 1711.07264)."""
    ratio = max(sampling_ratio, 0)
    return _mean(input, boxes, output_size, spatial_scale, ratio, True, own=True)


@one_step
def ps_roi_pool(input, boxes, output_size, spatial_scale=1.0):
    """Means in cells that have channels of their own (R-FCN, Dai et al., arXiv 1605.06409)."""
    return _mean(input, boxes, output_size, spatial_scale, _WHOLE, False, own=True)


_WHOLE = -1  # in place of the number of samples: a cell's pixels


def _mean(input, boxes, output_size, scale, ratio, aligned, own=False):
    x, rois, dtype = _operands(input, boxes)
    size = list(pair(output_size))
    pooled = internal["_roi_mean"](
        x, rois, list(x.shape), float(scale), size, ratio, aligned, own, False
    )
    return pooled.to(dtype)


def _operands(input, boxes):
    """Features and regions in a type that the kernels have, and the type wanted."""
    wide = input if input.dtype == flambeau.float64 else input.float()
    return wide, as_rois(boxes).to(wide.dtype), input.dtype


@one_step
def roi_pool(input, boxes, output_size, spatial_scale=1.0):
    """[K, C, *output_size]: the greatest value in each cell (Girshick, arXiv 1504.08083)."""
    x, rois, dtype = _operands(input, boxes)
    size = list(pair(output_size))
    places = internal["_roi_argmax"](x, rois, float(spatial_scale), size)
    if x.numel() == 0:
        return input.new_zeros(places.shape)
    return x.take(places.clamp(min=0)).masked_fill(places < 0, 0).to(dtype)


class _Pooling(nn.Module):
    def __init__(self, output_size, spatial_scale):
        super().__init__()
        self.output_size = output_size
        self.spatial_scale = spatial_scale

    def __repr__(self):
        values = ", ".join(f"{k}={v}" for k, v in vars(self).items() if not k.startswith("_"))
        return f"{type(self).__name__}({values.replace('training=True, ', '')})"


class RoIAlign(_Pooling):
    """`roi_align` as a layer.

    >>> import flambeau as torch
    >>> from flambeau.vision import ops
    >>> boxes = [torch.tensor([[0.0, 0.0, 4.0, 4.0]])]
    >>> ops.RoIAlign(2, spatial_scale=1.0, sampling_ratio=1)(torch.ones(1, 3, 8, 8), boxes).shape
    torch.Size([1, 3, 2, 2])
    """

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
