"""Transforms as functions of any kind of data: images, videos, masks, boxes, keypoints."""

import functools

import flambeau
from flambeau.vision import tv_tensors

from ... import functional as F1
from ...functional import InterpolationMode, pil_to_tensor, to_pil_image, to_tensor
from . import _geometry, _image
from ._dispatch import PIL, is_pure_tensor, kernel_for, kind_of, register_kernel
from ._dispatch import functional as _functional
from ._geometry import (
    clamp_bounding_boxes,
    clamp_keypoints,
    convert_bounding_box_format,
    sanitize_bounding_boxes,
    sanitize_keypoints,
)


def _nearest(f):
    """A function of images for masks: labels are not mixed."""

    @functools.wraps(f)
    def kernel(mask, *args, **kwargs):
        if "interpolation" in kwargs:
            kwargs["interpolation"] = InterpolationMode.NEAREST
        else:
            kwargs = {**kwargs, **({"interpolation": InterpolationMode.NEAREST} if _mixes else {})}
        fill = kwargs.get("fill")
        if fill is not None and not isinstance(fill, (int, float)):
            if f is _image.pad:
                raise ValueError("Non-scalar fill value is not supported")
            kwargs["fill"] = fill[0]
        made = f(mask.unsqueeze(-3) if mask.ndim == 2 else mask, *args, **kwargs)
        return made.squeeze(-3) if mask.ndim == 2 else made

    _mixes = "interpolation" in f.__code__.co_varnames[: f.__code__.co_argcount]
    return kernel


def _add(name, image, pil=True, mask=False, **options):
    """Enters the dispatcher `name` and `name_image`, `name_video`, `name_mask` and so on."""
    scope = globals()
    pil = image if pil is True else pil
    mask = _nearest(image) if mask else None
    kernels = {}
    scope[f"{name}_image"] = image
    if options.get("video", True):
        scope[f"{name}_video"] = image
    if mask is not None:
        scope[f"{name}_mask"] = mask
    if name in _geometry.POINTS:
        kernels = {
            tv_tensors.BoundingBoxes: _geometry.boxes_kernel(name),
            tv_tensors.KeyPoints: _geometry.keypoints_kernel(name),
        }
        scope[f"{name}_bounding_boxes"] = _boxes(name)
        scope[f"{name}_keypoints"] = _points(name)
    scope[name] = _functional(name, image, pil or None, mask=mask, kernels=kernels, **options)


_SAME_SIZE = ("horizontal_flip", "vertical_flip", "affine", "perspective", "elastic")
_NO_CANVAS = ("crop", "resized_crop")  # what they do does not depend on it


def _boxes(name):
    def kernel(bounding_boxes, *args, **kwargs):
        args = list(args)
        if name == "resize":  # torchvision's order of arguments
            format = kwargs.pop("format", tv_tensors.BoundingBoxFormat.XYXY)
            canvas = kwargs.pop("canvas_size") if "canvas_size" in kwargs else args.pop(0)
        else:
            format = kwargs.pop("format") if "format" in kwargs else args.pop(0)
            canvas = (0, 0)
            if name not in _NO_CANVAS:
                canvas = kwargs.pop("canvas_size") if "canvas_size" in kwargs else args.pop(0)
        made, new = _geometry.move_boxes(name, bounding_boxes, format, canvas, *args, **kwargs)
        return made if name in _SAME_SIZE else (made, new)

    kernel.__name__ = f"{name}_bounding_boxes"
    kernel.__doc__ = f"`{name}` of plain boxes; the new canvas size too where it may change."
    return kernel


def _points(name):
    def kernel(keypoints, *args, **kwargs):
        args = list(args)
        canvas = (0, 0)
        if name == "resize":
            first = [] if "size" in kwargs else [args.pop(0)]
            canvas = kwargs.pop("canvas_size") if "canvas_size" in kwargs else args.pop(0)
            args = first + args
        elif name not in _NO_CANVAS:
            canvas = kwargs.pop("canvas_size") if "canvas_size" in kwargs else args.pop(0)
        made, new = _geometry.move_keypoints(name, keypoints, canvas, *args, **kwargs)
        return made if name in _SAME_SIZE else (made, new)

    kernel.__name__ = f"{name}_keypoints"
    kernel.__doc__ = f"`{name}` of plain points; the new canvas size too where it may change."
    return kernel


_add("horizontal_flip", F1.hflip, mask=True)
_add("vertical_flip", F1.vflip, mask=True)
_add("resize", _image.resize, mask=True)
_add("crop", F1.crop, mask=True)
_add("center_crop", F1.center_crop, mask=True)
_add("resized_crop", _image.resized_crop, mask=True)
_add("pad", _image.pad, mask=True)
_add("affine", F1.affine, mask=True)
_add("rotate", F1.rotate, mask=True)
_add("perspective", _image.perspective, mask=True)
_add("elastic", F1.elastic_transform, mask=True)
for _name in (
    "adjust_brightness", "adjust_contrast", "adjust_gamma", "adjust_hue", "adjust_saturation",
    "autocontrast", "equalize", "gaussian_blur", "invert", "solarize", "five_crop", "ten_crop",
):  # fmt: skip
    _add(_name, getattr(F1, _name))
_add("adjust_sharpness", _image.adjust_sharpness)
_add("posterize", _image.posterize)
_add("normalize", F1.normalize, pil=False)
_add("erase", _image.erase)
_add("gaussian_noise", _image.gaussian_noise)
_add("jpeg", _image.jpeg)
_add("permute_channels", _image.permute_channels)
_add("to_dtype", _image.to_dtype, pil=False)
_add("rgb_to_grayscale", _image.rgb_to_grayscale, video=False)
_add("grayscale_to_rgb", _image.grayscale_to_rgb, video=False)
uniform_temporal_subsample_video = _image.uniform_temporal_subsample
uniform_temporal_subsample = _functional(
    "uniform_temporal_subsample", _image.uniform_temporal_subsample, picture=False
)
hflip, vflip, elastic_transform = horizontal_flip, vertical_flip, elastic  # noqa: F821
to_grayscale = rgb_to_grayscale  # noqa: F821


_NO_CHANNELS = (tv_tensors.BoundingBoxes, tv_tensors.KeyPoints, tv_tensors.Mask)


def get_dimensions(inpt):
    """[channels, height, width]"""
    if isinstance(inpt, _NO_CHANNELS):
        raise TypeError(f"get_dimensions() is for images and videos, but got {type(inpt)} instead.")
    return F1.get_dimensions(inpt)


def get_num_channels(inpt):
    """How many channels the image has."""
    return get_dimensions(inpt)[0]


def get_size(inpt):
    """[height, width], of boxes and keypoints that of their image."""
    if hasattr(inpt, "canvas_size"):
        return list(inpt.canvas_size)
    return F1.get_dimensions(inpt)[1:]


def get_num_frames(inpt):
    """How many frames the video has."""
    if not is_pure_tensor(inpt) and not isinstance(inpt, tv_tensors.Video):
        raise TypeError(f"get_num_frames() is for videos, but got {type(inpt)} instead.")
    return inpt.shape[-4]


def _size_of_canvas(bounding_boxes):
    """[height, width] of the image that boxes or keypoints are in."""
    return list(bounding_boxes.canvas_size)


get_dimensions_image = get_dimensions_video = get_dimensions
get_num_channels_image = get_num_channels_video = get_image_num_channels = get_num_channels
get_size_image = get_size_video = get_size_mask = get_size
get_size_bounding_boxes = get_size_keypoints = _size_of_canvas
get_num_frames_video = get_num_frames
get_image_size = F1.get_image_size


def to_image(inpt):
    """An `Image` from a tensor, an array [H, W, C] or a PIL image."""
    if isinstance(inpt, flambeau.Tensor):
        return tv_tensors.Image(inpt)
    if type(inpt).__module__ == "numpy":
        array = inpt if inpt.ndim == 3 else inpt[..., None]
        return tv_tensors.Image(flambeau.from_numpy(array.transpose(2, 0, 1).copy()))
    if kind_of(inpt) is not PIL:
        raise TypeError(
            "Input can either be a pure Tensor, a numpy array, or a PIL image, but got "
            f"{type(inpt)} instead."
        )
    return tv_tensors.Image(pil_to_tensor(inpt))


def convert_image_dtype(image, dtype=flambeau.float32):
    """Another dtype; black stays black and white white."""
    return to_dtype(image, dtype=dtype, scale=True)  # noqa: F821
