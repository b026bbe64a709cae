"""Boxes at every place, which networks correct."""

import math

import flambeau
from flambeau import nn


class AnchorGenerator(nn.Module):
    """Boxes of the given sizes and ratios of height to width around each cell of each map."""

    def __init__(self, sizes=((128, 256, 512),), aspect_ratios=((0.5, 1.0, 2.0),)):
        super().__init__()
        if not isinstance(sizes[0], (list, tuple)):
            sizes = tuple((s,) for s in sizes)
        if not isinstance(aspect_ratios[0], (list, tuple)):
            aspect_ratios = (aspect_ratios,) * len(sizes)
        self.sizes = sizes
        self.aspect_ratios = aspect_ratios
        self.cell_anchors = [
            self.generate_anchors(size, ratio)
            for size, ratio in zip(sizes, aspect_ratios, strict=True)
        ]

    def generate_anchors(self, scales, aspect_ratios, dtype=flambeau.float32, device=None):
        """[ratios * scales, 4] around 0."""
        scales = flambeau.as_tensor(scales, dtype=dtype, device=device)
        heights = flambeau.as_tensor(aspect_ratios, dtype=dtype, device=device).sqrt()
        w = (1 / heights[:, None] * scales[None]).view(-1)
        h = (heights[:, None] * scales[None]).view(-1)
        return (flambeau.stack([-w, -h, w, h], dim=1) / 2).round()

    def num_anchors_per_location(self):
        return [len(s) * len(a) for s, a in zip(self.sizes, self.aspect_ratios, strict=True)]

    def grid_anchors(self, grid_sizes, strides):
        """For each map [H * W * anchors, 4]."""
        if not len(grid_sizes) == len(strides) == len(self.cell_anchors):
            raise AssertionError(
                "Anchors should be Tuple[Tuple[int]] because each feature map could potentially "
                "have different sizes and aspect ratios. There needs to be a match between the "
                "number of feature maps passed and the number of sizes / aspect ratios specified."
            )
        anchors = []
        for (height, width), (down, across), base in zip(
            grid_sizes, strides, self.cell_anchors, strict=True
        ):
            y, x = flambeau.meshgrid(
                flambeau.arange(height, dtype=flambeau.int32, device=base.device) * down,
                flambeau.arange(width, dtype=flambeau.int32, device=base.device) * across,
                indexing="ij",
            )
            x, y = x.reshape(-1), y.reshape(-1)
            shifts = flambeau.stack((x, y, x, y), dim=1)
            anchors.append((shifts[:, None] + base[None]).reshape(-1, 4))
        return anchors

    def forward(self, image_list, feature_maps):
        """For each image [anchors of all maps, 4]."""
        height, width = image_list.tensors.shape[-2:]
        grids = [x.shape[-2:] for x in feature_maps]
        like = feature_maps[0]
        self.cell_anchors = [a.to(dtype=like.dtype, device=like.device) for a in self.cell_anchors]
        strides = [(height // h, width // w) for h, w in grids]
        anchors = flambeau.cat(self.grid_anchors(grids, strides))
        return [anchors for _ in image_list.image_sizes]


class DefaultBoxGenerator(nn.Module):
    """SSD's boxes (arXiv 1512.02325, section 2.2)."""

    def __init__(
        self, aspect_ratios, min_ratio=0.15, max_ratio=0.9, scales=None, steps=None, clip=True
    ):
        super().__init__()
        if steps is not None and len(aspect_ratios) != len(steps):
            raise ValueError("aspect_ratios and steps should have the same length")
        self.aspect_ratios = aspect_ratios
        self.steps = steps
        self.clip = clip
        count = len(aspect_ratios)
        if scales is None:
            span = max_ratio - min_ratio
            scales = (
                [min_ratio + span * k / (count - 1.0) for k in range(count)]
                if (count > 1)
                else [min_ratio, max_ratio]
            )
            scales = [*scales, 1.0] if count > 1 else scales
        self.scales = scales
        self._wh_pairs = self._generate_wh_pairs(count)

    def _generate_wh_pairs(self, num_outputs, dtype=flambeau.float32, device=None):
        pairs = []
        for k in range(num_outputs):
            scale = self.scales[k]
            between = math.sqrt(scale * self.scales[k + 1])
            sizes = [[scale, scale], [between, between]]
            for ratio in self.aspect_ratios[k]:
                root = math.sqrt(ratio)
                sizes += [[scale * root, scale / root], [scale / root, scale * root]]
            pairs.append(flambeau.as_tensor(sizes, dtype=dtype, device=device))
        return pairs

    def num_anchors_per_location(self):
        return [2 + 2 * len(ratios) for ratios in self.aspect_ratios]

    def _grid_default_boxes(self, grid_sizes, image_size, dtype=flambeau.float32):
        """[boxes, (x, y, w, h)] as shares of the image."""
        boxes = []
        for k, (height, width) in enumerate(grid_sizes):
            across, down = width, height
            if self.steps is not None:
                across, down = image_size[1] / self.steps[k], image_size[0] / self.steps[k]
            y, x = flambeau.meshgrid(
                ((flambeau.arange(0, height) + 0.5) / down).to(dtype),
                ((flambeau.arange(0, width) + 0.5) / across).to(dtype),
                indexing="ij",
            )
            pairs = self._wh_pairs[k].clamp(0, 1) if self.clip else self._wh_pairs[k]
            place = flambeau.stack((x.reshape(-1), y.reshape(-1)), dim=-1)
            place = place.repeat_interleave(len(pairs), dim=0)
            boxes.append(flambeau.cat((place, pairs.repeat(height * width, 1)), dim=1))
        return flambeau.cat(boxes)

    def forward(self, image_list, feature_maps):
        """For each image [boxes, 4], corners in pixels."""
        grids = [x.shape[-2:] for x in feature_maps]
        size = image_list.tensors.shape[-2:]
        like = feature_maps[0]
        boxes = self._grid_default_boxes(grids, size, like.dtype).to(like.device)
        scale = flambeau.tensor([size[1], size[0]], device=like.device)
        corners = flambeau.cat(
            [
                (boxes[:, :2] - 0.5 * boxes[:, 2:]) * scale,
                (boxes[:, :2] + 0.5 * boxes[:, 2:]) * scale,
            ],
            dim=-1,
        )
        return [corners for _ in image_list.image_sizes]

    def __repr__(self):
        return (
            f"{type(self).__name__}(aspect_ratios={self.aspect_ratios}, clip={self.clip}, "
            f"scales={self.scales}, steps={self.steps})"
        )
