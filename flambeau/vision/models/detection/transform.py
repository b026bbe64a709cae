"""Images of any sizes to one batch, and results back to the images' sizes."""

import math

import flambeau
from flambeau import nn
from flambeau.nn import functional as F

from .image_list import ImageList
from .roi_heads import paste_masks_in_image


def resize_boxes(boxes, original_size, new_size):
    """[N, 4] boxes in an image of another (height, width)."""
    down, across = (
        flambeau.tensor(new, dtype=flambeau.float32, device=boxes.device)
        / flambeau.tensor(old, dtype=flambeau.float32, device=boxes.device)
        for new, old in zip(new_size, original_size, strict=True)
    )
    return boxes * flambeau.stack((across, down, across, down))


def resize_keypoints(keypoints, original_size, new_size):
    """[N, K, (x, y, visible)] in an image of another (height, width)."""
    down, across = (new / old for new, old in zip(new_size, original_size, strict=True))
    x, y, *rest = keypoints.unbind(dim=2)
    return flambeau.stack((x * across, y * down, *rest), dim=2)


class GeneralizedRCNNTransform(nn.Module):
    """Normalizes, resizes to a shorter side of `min_size` at most, and pads to one size."""

    def __init__(
        self,
        min_size,
        max_size,
        image_mean,
        image_std,
        size_divisible=32,
        fixed_size=None,
        **kwargs,
    ):
        super().__init__()
        self.min_size = tuple(min_size) if isinstance(min_size, (list, tuple)) else (min_size,)
        self.max_size = max_size
        self.image_mean = image_mean
        self.image_std = image_std
        self.size_divisible = size_divisible
        self.fixed_size = fixed_size
        self._skip_resize = kwargs.pop("_skip_resize", False)

    def forward(self, images, targets=None):
        images = list(images)
        targets = None if targets is None else [dict(target) for target in targets]
        for i, image in enumerate(images):
            if image.dim() != 3:
                raise ValueError(
                    "images is expected to be a list of 3d tensors of shape [C, H, W], "
                    f"got {tuple(image.shape)}"
                )
            image, target = self.resize(
                self.normalize(image), None if targets is None else targets[i]
            )
            images[i] = image
            if targets is not None:
                targets[i] = target
        sizes = [tuple(image.shape[-2:]) for image in images]
        return ImageList(self.batch_images(images, self.size_divisible), sizes), targets

    def normalize(self, image):
        if not image.is_floating_point():
            raise TypeError(
                "Expected input images to be of floating type (in range [0, 1]), "
                f"but found type {image.dtype} instead"
            )
        mean, std = (
            flambeau.as_tensor(v, dtype=image.dtype, device=image.device)[:, None, None]
            for v in (self.image_mean, self.image_std)
        )
        return (image - mean) / std

    def torch_choice(self, k):
        """One of them at random."""
        return k[int(flambeau.empty(1).uniform_(0.0, float(len(k))).item())]

    def _new_size(self, height, width, shorter):
        if self.fixed_size is not None:
            return self.fixed_size[1], self.fixed_size[0]
        # in float32, as torchvision has it
        low = flambeau.tensor(float(min(height, width)))
        high = flambeau.tensor(float(max(height, width)))
        scale = flambeau.min(shorter / low, self.max_size / high).item()
        return math.floor(height * scale), math.floor(width * scale)

    def resize(self, image, target=None):
        height, width = image.shape[-2:]
        if self.training:
            if self._skip_resize:
                return image, target
            shorter = self.torch_choice(self.min_size)
        else:
            shorter = self.min_size[-1]
        size = self._new_size(height, width, float(shorter))
        image = F.interpolate(image[None], size=size, mode="bilinear", align_corners=False)[0]
        if target is None:
            return image, None
        target["boxes"] = resize_boxes(target["boxes"], (height, width), size)
        if "masks" in target:
            masks = target["masks"][:, None].float()
            target["masks"] = F.interpolate(masks, size=size)[:, 0].byte()
        if "keypoints" in target:
            target["keypoints"] = resize_keypoints(target["keypoints"], (height, width), size)
        return image, target

    def batch_images(self, images, size_divisible=32):
        """One tensor, zeros right of and below the images."""
        height, width = (
            math.ceil(max(image.shape[i] for image in images) / size_divisible) * size_divisible
            for i in (1, 2)
        )
        batch = images[0].new_zeros((len(images), images[0].shape[0], height, width))
        for i, image in enumerate(images):
            batch[i, :, : image.shape[1], : image.shape[2]] = image
        return batch

    def postprocess(self, result, image_shapes, original_image_sizes):
        if self.training:
            return result
        for found, shape, original in zip(result, image_shapes, original_image_sizes, strict=True):
            found["boxes"] = resize_boxes(found["boxes"], shape, original)
            if "masks" in found:
                found["masks"] = paste_masks_in_image(found["masks"], found["boxes"], original)
            if "keypoints" in found:
                found["keypoints"] = resize_keypoints(found["keypoints"], shape, original)
        return result

    def __repr__(self):
        return (
            f"{type(self).__name__}(\n    Normalize(mean={self.image_mean}, "
            f"std={self.image_std})\n    Resize(min_size={self.min_size}, "
            f"max_size={self.max_size}, mode='bilinear')\n)"
        )
