"""Transforms of colours and values, version 2."""

import warnings

import flambeau
from flambeau.vision import tv_tensors

from .. import functional as F1
from .._augment import ColorJitter as ColorJitter1
from .._augment import LinearTransformation as LinearTransformation1
from .._augment import blur_size, factor_range
from .._random import _ordered_pair, _rectangle, _uniform
from . import functional as F
from ._transform import RandomApplied, Transform
from ._utils import is_pil, query_chw


class Grayscale(Transform):
    """Grey in 1 or 3 equal channels."""

    def __init__(self, num_output_channels=1):
        super().__init__()
        self.num_output_channels = num_output_channels

    def transform(self, inpt, params):
        return self._call_kernel(
            F.rgb_to_grayscale, inpt, num_output_channels=self.num_output_channels
        )


class RGB(Transform):
    """Three channels."""

    def transform(self, inpt, params):
        return self._call_kernel(F.grayscale_to_rgb, inpt)


class RandomGrayscale(RandomApplied):
    """Grey with as many channels as before, with probability p."""

    def __init__(self, p=0.1):
        super().__init__(p)

    def make_params(self, flat_inputs):
        return {"num_output_channels": query_chw(flat_inputs)[0]}

    def transform(self, inpt, params):
        return self._call_kernel(F.rgb_to_grayscale, inpt, **params)


class ColorJitter(Transform):
    """Brightness, contrast, saturation and hue changed at random, in random order."""

    def __init__(self, brightness=None, contrast=None, saturation=None, hue=None):
        super().__init__()
        self.brightness = factor_range(brightness, "brightness")
        self.contrast = factor_range(contrast, "contrast")
        self.saturation = factor_range(saturation, "saturation")
        self.hue = factor_range(hue, "hue", 0.0, (-0.5, 0.5), clip=False)

    def make_params(self, flat_inputs):
        order, *factors = ColorJitter1.get_params(
            self.brightness, self.contrast, self.saturation, self.hue
        )
        return {"order": order.tolist(), "factors": factors}

    def transform(self, inpt, params):
        steps = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)
        for i in params["order"]:
            if params["factors"][i] is not None:
                inpt = self._call_kernel(steps[i], inpt, params["factors"][i])
        return inpt


class RandomPhotometricDistort(Transform):
    """Each change of colour with probability p (Liu et al., arXiv 1512.02325)."""

    def __init__(
        self,
        brightness=(0.875, 1.125),
        contrast=(0.5, 1.5),
        saturation=(0.5, 1.5),
        hue=(-0.05, 0.05),
        p=0.5,
    ):
        super().__init__()
        self.brightness = brightness
        self.contrast = contrast
        self.hue = hue
        self.saturation = saturation
        self.p = p

    def make_params(self, flat_inputs):
        channels = query_chw(flat_inputs)[0]

        def draw(pair):
            return _uniform(*pair) if flambeau.rand(1) < self.p else None

        params = {
            "brightness_factor": draw(self.brightness),
            "contrast_factor": draw(self.contrast),
            "saturation_factor": draw(self.saturation),
            "hue_factor": draw(self.hue),
            "contrast_before": bool(flambeau.rand(()) < 0.5),
        }
        swap = flambeau.rand(1) < self.p
        params["channel_permutation"] = flambeau.randperm(channels).tolist() if swap else None
        return params

    def transform(self, inpt, params):
        def change(name, x):
            factor = params[f"{name}_factor"]
            f = getattr(F, f"adjust_{name}")
            return x if factor is None else self._call_kernel(f, x, factor)

        first = params["contrast_before"]
        for name in ("brightness", *(["contrast"] if first else []), "saturation", "hue"):
            inpt = change(name, inpt)
        if not first:
            inpt = change("contrast", inpt)
        if params["channel_permutation"] is not None:
            inpt = self._call_kernel(F.permute_channels, inpt, params["channel_permutation"])
        return inpt


class RandomChannelPermutation(Transform):
    """Channels in random order."""

    def make_params(self, flat_inputs):
        return {"permutation": flambeau.randperm(query_chw(flat_inputs)[0]).tolist()}

    def transform(self, inpt, params):
        return self._call_kernel(F.permute_channels, inpt, params["permutation"])


def _simple(name, functional, *arguments):
    """A class that applies a functional with probability p."""

    def init(self, *args, p=0.5, **kwargs):
        RandomApplied.__init__(self, args[len(arguments)] if len(args) > len(arguments) else p)
        for argument, value in zip(arguments, args, strict=False):
            setattr(self, argument, value)
        for argument in arguments[len(args) :]:
            setattr(self, argument, kwargs.pop(argument))
        if kwargs:
            raise TypeError(f"{name}() got unexpected keyword arguments {sorted(kwargs)}")

    def transform(self, inpt, params):
        values = [getattr(self, argument) for argument in arguments]
        return self._call_kernel(functional, inpt, *values)

    doc = f"`{functional.__name__}` with probability p."
    body = {"__init__": init, "transform": transform, "__doc__": doc, "__module__": __name__}
    return type(name, (RandomApplied,), body)


RandomInvert = _simple("RandomInvert", F.invert)
RandomAutocontrast = _simple("RandomAutocontrast", F.autocontrast)
RandomEqualize = _simple("RandomEqualize", F.equalize)
RandomPosterize = _simple("RandomPosterize", F.posterize, "bits")
RandomSolarize = _simple("RandomSolarize", F.solarize, "threshold")
RandomAdjustSharpness = _simple("RandomAdjustSharpness", F.adjust_sharpness, "sharpness_factor")


def _pair_of_numbers(value, name):
    """(low, high) from one number or a sequence of 1 or 2."""
    if isinstance(value, (int, float)):
        value = [value]
    elif not isinstance(value, (list, tuple)):
        raise TypeError(f"{name} should be a number or a sequence of numbers. Got {value}")
    if len(value) not in (1, 2):
        raise ValueError(f"If {name} is a sequence its length should be 1 or 2. Got {len(value)}")
    return tuple(float(v) for v in value) * (2 // len(value))


class GaussianBlur(Transform):
    """A blur of random width."""

    def __init__(self, kernel_size, sigma=(0.1, 2.0)):
        super().__init__()
        self.kernel_size = blur_size(kernel_size)
        self.sigma = sigma = _pair_of_numbers(sigma, "sigma")
        if not 0.0 < sigma[0] <= sigma[1]:
            raise ValueError(
                f"sigma values should be positive and of the form (min, max). Got {sigma}"
            )

    def make_params(self, flat_inputs):
        return {"sigma": [_uniform(*self.sigma)] * 2}

    def transform(self, inpt, params):
        return self._call_kernel(F.gaussian_blur, inpt, list(self.kernel_size), **params)


class GaussianNoise(Transform):
    """Normal noise."""

    def __init__(self, mean=0.0, sigma=0.1, clip=True):
        super().__init__()
        self.mean = mean
        self.sigma = sigma
        self.clip = clip

    def transform(self, inpt, params):
        return self._call_kernel(F.gaussian_noise, inpt, self.mean, self.sigma, self.clip)


class JPEG(Transform):
    """What compression leaves, at a random quality."""

    def __init__(self, quality):
        super().__init__()
        if isinstance(quality, bool) or not isinstance(quality, (int, list, tuple)):
            raise TypeError(f"quality should be an int or a sequence of two, got {quality}")
        if not isinstance(quality, int) and len(quality) != 2:
            raise ValueError(f"quality should be a sequence of length 2, got {quality}")
        self.quality = (quality, quality) if isinstance(quality, int) else tuple(quality)
        whole = all(isinstance(q, int) for q in self.quality)
        if not whole or not 1 <= self.quality[0] <= self.quality[1] <= 100:
            raise ValueError(f"quality must be an integer from 1 to 100, got {quality}")

    def make_params(self, flat_inputs):
        low, high = self.quality
        return {"quality": int(flambeau.randint(low, high + 1, ()).item())}

    def transform(self, inpt, params):
        return self._call_kernel(F.jpeg, inpt, **params)


class RandomErasing(RandomApplied):
    """A rectangle set to `value`, with probability p."""

    def __init__(self, p=0.5, scale=(0.02, 0.33), ratio=(0.3, 3.3), value=0.0, inplace=False):
        super().__init__(p)
        if not isinstance(value, (int, float, str, tuple, list)):
            raise TypeError("Argument value should be either a number or str or a sequence")
        if isinstance(value, str) and value != "random":
            raise ValueError("If value is str, it should be 'random'")
        if isinstance(scale, (tuple, list)) and not 0 <= min(scale) <= max(scale) <= 1:
            raise ValueError("Scale should be between 0 and 1")
        self.scale = _ordered_pair(scale, "Scale")
        self.ratio = _ordered_pair(ratio, "Ratio")
        self.value = [float(value)] if isinstance(value, (int, float)) else value
        self.inplace = inplace

    def make_params(self, flat_inputs):
        channels, height, width = query_chw(flat_inputs)
        value = None if self.value == "random" else self.value
        if value is not None and len(value) not in (1, channels):
            raise ValueError(
                f"If value is a sequence, it should have either a single value or {channels} "
                "(number of inpt channels)"
            )
        for _ in range(10):
            h, w = _rectangle(height * width, self.scale, self.ratio, tall=True)
            if not (h < height and w < width):
                continue
            if value is None:
                v = flambeau.empty([channels, h, w], dtype=flambeau.float32).normal_()
            else:
                v = flambeau.tensor(value)[:, None, None]
            i = int(flambeau.randint(0, height - h + 1, size=(1,)).item())
            j = int(flambeau.randint(0, width - w + 1, size=(1,)).item())
            return {"i": i, "j": j, "h": h, "w": w, "v": v}
        return {"v": None}

    def transform(self, inpt, params):
        kinds = (tv_tensors.BoundingBoxes, tv_tensors.KeyPoints, tv_tensors.Mask)
        if isinstance(inpt, kinds):
            warnings.warn(
                f"{type(self).__name__}() is currently passing through inputs of type "
                f"tv_tensors.{type(inpt).__name__}. This will likely change in the future.",
                stacklevel=2,
            )
        if params["v"] is None:
            return inpt
        return self._call_kernel(F.erase, inpt, **params, inplace=self.inplace)


class Normalize(Transform):
    """(image - mean) / std, channel by channel."""

    def __init__(self, mean, std, inplace=False):
        super().__init__()
        self.mean = list(mean)
        self.std = list(std)
        self.inplace = inplace

    def check_inputs(self, flat_inputs):
        if any(is_pil(x) for x in flat_inputs):
            raise TypeError("Normalize() does not support PIL images.")

    def transform(self, inpt, params):
        return self._call_kernel(F.normalize, inpt, self.mean, self.std, self.inplace)


class LinearTransformation(Transform):
    """(flattened image - mean) @ matrix, such as whitening."""

    _transformed_types = (F.is_pure_tensor, tv_tensors.Image, tv_tensors.Video)

    def __init__(self, transformation_matrix, mean_vector):
        super().__init__()
        self._map = LinearTransformation1(transformation_matrix, mean_vector)
        self.transformation_matrix = transformation_matrix
        self.mean_vector = mean_vector

    def check_inputs(self, flat_inputs):
        if any(is_pil(x) for x in flat_inputs):
            raise TypeError("LinearTransformation() does not support PIL images.")

    def transform(self, inpt, params):
        made = self._map(inpt.as_subclass(flambeau.Tensor))
        return tv_tensors.wrap(made, like=inpt) if isinstance(inpt, tv_tensors.TVTensor) else made


class ToDtype(Transform):
    """Another dtype: one for images and videos, or a dictionary by type ("others" for the rest).

    >>> import flambeau as torch
    >>> from flambeau.vision.transforms import v2
    >>> v2.ToDtype(torch.float32, scale=True)(torch.tensor([[[255]]], dtype=torch.uint8))
    tensor([[[1.]]])
    """

    _transformed_types = (flambeau.Tensor,)

    def __init__(self, dtype, scale=False):
        super().__init__()
        kinds = dtype if isinstance(dtype, dict) else {}
        if flambeau.Tensor in kinds and {tv_tensors.Image, tv_tensors.Video} & kinds.keys():
            warnings.warn(
                "Got `dtype` values for `torch.Tensor` and either `tv_tensors.Image` or "
                "`tv_tensors.Video`. Note that a plain `torch.Tensor` will *not* be transformed by "
                "this (or any other transformation) in case a `tv_tensors.Image` or "
                "`tv_tensors.Video` is present in the input.",
                stacklevel=2,
            )
        self.dtype = dtype
        self.scale = scale

    def transform(self, inpt, params):
        dtype = self.dtype
        picture = F.is_pure_tensor(inpt) or isinstance(inpt, (tv_tensors.Image, tv_tensors.Video))
        if isinstance(dtype, dict):
            kind = flambeau.Tensor if F.is_pure_tensor(inpt) else type(inpt)
            if kind not in dtype and "others" not in dtype:
                raise ValueError(
                    f"No dtype was specified for type {kind}. Add it to the dictionary, or an "
                    "entry 'others'."
                )
            dtype = dtype.get(kind, dtype.get("others"))
        elif not picture:
            return inpt
        if dtype is None:
            if self.scale and picture:
                warnings.warn(
                    "scale was set to True but no dtype was specified for images or videos: no "
                    "scaling will be done.",
                    stacklevel=2,
                )
            return inpt
        return F.to_dtype(inpt, dtype, self.scale) if picture else inpt.to(dtype)


class ConvertImageDtype(Transform):
    """Another dtype; black stays black and white white."""

    def __init__(self, dtype=flambeau.float32):
        super().__init__()
        self.dtype = dtype

    def transform(self, inpt, params):
        return self._call_kernel(F.to_dtype, inpt, dtype=self.dtype, scale=True)


class PILToTensor(Transform):
    """A PIL image as a tensor of its own type."""

    _transformed_types = (is_pil,)

    def transform(self, inpt, params):
        return F1.pil_to_tensor(inpt)


class ToImage(Transform):
    """A PIL image, array or plain tensor as an `Image`."""

    _transformed_types = (F.is_pure_tensor, is_pil, lambda x: type(x).__name__ == "ndarray")

    def transform(self, inpt, params):
        return F.to_image(inpt)


class ToPILImage(Transform):
    """An `Image`, plain tensor or array as a PIL image."""

    _transformed_types = (
        F.is_pure_tensor,
        tv_tensors.Image,
        lambda x: type(x).__name__ == "ndarray",
    )

    def __init__(self, mode=None):
        super().__init__()
        self.mode = mode

    def transform(self, inpt, params):
        if isinstance(inpt, tv_tensors.TVTensor):
            inpt = inpt.as_subclass(flambeau.Tensor)
        return F1.to_pil_image(inpt, self.mode)


class ToPureTensor(Transform):
    """All kinds of tensors as plain ones."""

    _transformed_types = (tv_tensors.TVTensor,)

    def transform(self, inpt, params):
        return inpt.as_subclass(flambeau.Tensor)


class ToTensor(Transform):
    """A PIL image or array to a tensor with values from 0 to 1."""

    def __init__(self):
        warnings.warn(
            "The transform `ToTensor()` is deprecated and will be removed in a future release. "
            "Instead, please use `v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, "
            "scale=True)])`. Output is equivalent up to float precision.",
            stacklevel=2,
        )
        super().__init__()

    _transformed_types = (is_pil, lambda x: type(x).__name__ == "ndarray")

    def transform(self, inpt, params):
        return F1.to_tensor(inpt)
