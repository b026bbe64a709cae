"""Operations on clips [C, T, H, W], as video programs name them."""

import flambeau

__all__ = ["center_crop", "crop", "hflip", "normalize", "resize", "resized_crop", "to_tensor"]


def _check(clip):
    if not isinstance(clip, flambeau.Tensor):
        raise TypeError(f"clip should be a Tensor, got {type(clip)}")
    if clip.ndim != 4:
        raise ValueError(f"clip should be [C, T, H, W], got {clip.dim()} dimensions")


def crop(clip, i, j, h, w):
    """h by w pixels from row i and column j."""
    if clip.dim() != 4:
        raise ValueError("clip should be a 4D torch.tensor")
    return clip[..., i : i + h, j : j + w]


def resize(clip, target_size, interpolation_mode):
    """Every frame in another size (height, width)."""
    if len(target_size) != 2:
        raise ValueError(f"target size should be tuple (height, width), instead got {target_size}")
    return flambeau.nn.functional.interpolate(
        clip, size=target_size, mode=interpolation_mode, align_corners=False
    )


def resized_crop(clip, i, j, h, w, size, interpolation_mode="bilinear"):
    """`crop`, then `resize`."""
    _check(clip)
    return resize(crop(clip, i, j, h, w), size, interpolation_mode)


def center_crop(clip, crop_size):
    """The middle of every frame."""
    _check(clip)
    h, w = clip.shape[-2:]
    th, tw = crop_size
    if h < th or w < tw:
        raise ValueError("height and width must be no smaller than crop_size")
    return crop(clip, round((h - th) / 2.0), round((w - tw) / 2.0), th, tw)


def to_tensor(clip):
    """uint8 [T, H, W, C] as float [C, T, H, W] from 0 to 1.

    >>> import flambeau as torch
    >>> from flambeau.vision.transforms import _functional_video as F
    >>> F.to_tensor(torch.zeros(2, 4, 6, 3, dtype=torch.uint8)).shape
    torch.Size([3, 2, 4, 6])
    """
    _check(clip)
    if clip.dtype != flambeau.uint8:
        raise TypeError(f"clip tensor should have data type uint8. Got {clip.dtype}")
    return clip.float().permute(3, 0, 1, 2) / 255.0


def normalize(clip, mean, std, inplace=False):
    """(clip - mean) / std by channel."""
    _check(clip)
    mean, std = (flambeau.as_tensor(v, dtype=clip.dtype, device=clip.device) for v in (mean, std))
    made = clip if inplace else clip.clone()
    return made.sub_(mean[:, None, None, None]).div_(std[:, None, None, None])


def hflip(clip):
    """Left and right swapped."""
    _check(clip)
    return clip.flip(-1)
