"""Random changes of colour and shape; they draw torchvision's numbers from the global generator."""

import numbers

import flambeau
from flambeau import nn

from . import functional as F
from ._random import _chance, _Flip, _uniform
from .functional import InterpolationMode

__all__ = [
    "ColorJitter",
    "ElasticTransform",
    "GaussianBlur",
    "LinearTransformation",
    "RandomAdjustSharpness",
    "RandomAutocontrast",
    "RandomEqualize",
    "RandomInvert",
    "RandomPerspective",
    "RandomPosterize",
    "RandomSolarize",
]


def factor_range(value, name, center=1.0, bound=(0.0, float("inf")), clip=True):
    """(low, high) around `center` from a number or a pair; None where nothing would change."""
    if value is None:
        return None
    if isinstance(value, numbers.Number):
        if value < 0:
            raise ValueError(f"If {name} is a single number, it must be non negative.")
        value = [center - float(value), center + float(value)]
        if clip:
            value[0] = max(value[0], 0.0)
    elif isinstance(value, (tuple, list)) and len(value) == 2:
        value = [float(value[0]), float(value[1])]
    else:
        raise TypeError(
            f"{name} should be a single number or a sequence with length 2, that is, a "
            "list/tuple with length 2."
        )
    if not bound[0] <= value[0] <= value[1] <= bound[1]:
        raise ValueError(f"{name} values should be between {bound}, but got {value}.")
    return None if value[0] == value[1] == center else tuple(value)


class ColorJitter(nn.Module):
    """Brightness, contrast, saturation and hue changed at random, in random order."""

    def __init__(self, brightness=0, contrast=0, saturation=0, hue=0):
        super().__init__()
        self.brightness = factor_range(brightness, "brightness")
        self.contrast = factor_range(contrast, "contrast")
        self.saturation = factor_range(saturation, "saturation")
        self.hue = factor_range(hue, "hue", 0.0, (-0.5, 0.5), clip=False)

    @staticmethod
    def get_params(brightness, contrast, saturation, hue):
        """(order, brightness, contrast, saturation, hue); None for what stays."""
        order = flambeau.randperm(4)
        draws = [
            None if pair is None else _uniform(*pair)
            for pair in (brightness, contrast, saturation, hue)
        ]
        return (order, *draws)

    def forward(self, img):
        order, *factors = self.get_params(self.brightness, self.contrast, self.saturation, self.hue)
        steps = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)
        for i in order.tolist():
            if factors[i] is not None:
                img = steps[i](img, factors[i])
        return img

    def __repr__(self):
        return (
            f"{type(self).__name__}(brightness={self.brightness}, contrast={self.contrast}, "
            f"saturation={self.saturation}, hue={self.hue})"
        )


class RandomInvert(_Flip):
    """Inverted, with probability p."""

    def forward(self, img):
        return F.invert(img) if _chance(self.p) else img


class RandomAutocontrast(_Flip):
    """Stretched from black to white, with probability p."""

    def forward(self, img):
        return F.autocontrast(img) if _chance(self.p) else img


class RandomEqualize(_Flip):
    """An even histogram, with probability p."""

    def forward(self, img):
        return F.equalize(img) if _chance(self.p) else img


class RandomPosterize(_Flip):
    """The highest bits, with probability p."""

    def __init__(self, bits, p=0.5):
        super().__init__(p)
        self.bits = bits

    def forward(self, img):
        return F.posterize(img, self.bits) if _chance(self.p) else img

    def __repr__(self):
        return f"{type(self).__name__}(bits={self.bits},p={self.p})"


class RandomSolarize(_Flip):
    """What is brighter than a threshold inverted, with probability p."""

    def __init__(self, threshold, p=0.5):
        super().__init__(p)
        self.threshold = threshold

    def forward(self, img):
        return F.solarize(img, self.threshold) if _chance(self.p) else img

    def __repr__(self):
        return f"{type(self).__name__}(threshold={self.threshold},p={self.p})"


class RandomAdjustSharpness(_Flip):
    """Sharpened or blurred by a factor, with probability p."""

    def __init__(self, sharpness_factor, p=0.5):
        super().__init__(p)
        self.sharpness_factor = sharpness_factor

    def forward(self, img):
        return F.adjust_sharpness(img, self.sharpness_factor) if _chance(self.p) else img

    def __repr__(self):
        return f"{type(self).__name__}(sharpness_factor={self.sharpness_factor},p={self.p})"


def blur_size(kernel_size):
    """(height, width) of a blur's window."""
    sides = [kernel_size] if isinstance(kernel_size, int) else list(kernel_size)
    if len(sides) not in (1, 2):
        raise ValueError("Kernel size should be a tuple/list of two integers")
    if any(side % 2 == 0 or side < 0 for side in sides):
        raise ValueError("Kernel size value should be an odd and positive number.")
    return tuple(sides * (2 // len(sides)))


class GaussianBlur(nn.Module):
    """A blur of random width."""

    def __init__(self, kernel_size, sigma=(0.1, 2.0)):
        super().__init__()
        self.kernel_size = blur_size(kernel_size)
        if isinstance(sigma, numbers.Number):
            if sigma <= 0:
                raise ValueError("If sigma is a single number, it must be positive.")
            sigma = (sigma, sigma)
        elif len(sigma) != 2 or not 0.0 < sigma[0] <= sigma[1]:
            raise ValueError("sigma values should be positive and of the form (min, max).")
        self.sigma = sigma

    @staticmethod
    def get_params(sigma_min, sigma_max):
        """The width."""
        return _uniform(sigma_min, sigma_max)

    def forward(self, img):
        sigma = self.get_params(*self.sigma)
        return F.gaussian_blur(img, list(self.kernel_size), [sigma, sigma])

    def __repr__(self):
        return f"{type(self).__name__}(kernel_size={self.kernel_size}, sigma={self.sigma})"


def corners(width, height, distortion_scale):
    """(the image's corners, four random points near them), each [x, y]."""
    reach_x = int(distortion_scale * (width // 2)) + 1
    reach_y = int(distortion_scale * (height // 2)) + 1

    def draw(low, high):
        return int(flambeau.randint(low, high, size=(1,)).item())

    ends = [
        [draw(0, reach_x), draw(0, reach_y)],
        [draw(width - reach_x, width), draw(0, reach_y)],
        [draw(width - reach_x, width), draw(height - reach_y, height)],
        [draw(0, reach_x), draw(height - reach_y, height)],
    ]
    right, bottom = width - 1, height - 1
    return [[0, 0], [right, 0], [right, bottom], [0, bottom]], ends


class RandomPerspective(nn.Module):
    """Corners moved inwards at random, with probability p."""

    def __init__(
        self, distortion_scale=0.5, p=0.5, interpolation=InterpolationMode.BILINEAR, fill=0
    ):
        super().__init__()
        self.p = p
        self.interpolation = F._mode(interpolation)
        self.distortion_scale = distortion_scale
        self.fill = F.check_fill(fill)

    @staticmethod
    def get_params(width, height, distortion_scale):
        """(startpoints, endpoints)"""
        return corners(width, height, distortion_scale)

    def forward(self, img):
        if not _chance(self.p):
            return img
        _, height, width = F.get_dimensions(img)
        points = self.get_params(width, height, self.distortion_scale)
        return F.perspective(img, *points, self.interpolation, self.fill)

    def __repr__(self):
        return f"{type(self).__name__}(p={self.p})"


def displacement(alpha, sigma, size):
    """[1, H, W, 2]: random moves, smooth over sigma pixels and up to alpha of them."""
    parts = []
    for axis in (0, 1):
        move = flambeau.rand([1, 1, *size]) * 2 - 1
        if sigma[axis] > 0.0:
            kernel = int(8 * sigma[axis] + 1)
            kernel += 1 - kernel % 2
            move = F.gaussian_blur(move, [kernel, kernel], list(sigma))
        parts.append(move * alpha[axis] / size[1 - axis])
    return flambeau.cat(parts, 1).permute(0, 2, 3, 1)


def pair_of_floats(value, name):
    if not isinstance(value, (float, list, tuple)):
        raise TypeError(f"{name} should be float or a sequence of floats. Got {type(value)}")
    value = [value] if isinstance(value, float) else list(value)
    if len(value) not in (1, 2):
        raise ValueError(f"If {name} is a sequence its length should be 2. Got {len(value)}")
    for v in value:
        if not isinstance(v, float):
            raise TypeError(f"{name} should be a sequence of floats. Got {type(v)}")
    return value * (2 // len(value))


class ElasticTransform(nn.Module):
    """Pixels moved by smooth random displacements (Simard et al., 2003)."""

    def __init__(self, alpha=50.0, sigma=5.0, interpolation=InterpolationMode.BILINEAR, fill=0):
        super().__init__()
        self.alpha = pair_of_floats(alpha, "alpha")
        self.sigma = pair_of_floats(sigma, "sigma")
        self.interpolation = F._mode(interpolation)
        if not isinstance(fill, (int, float, list, tuple)):
            raise TypeError(
                f"fill should be int or float or a list or tuple of them. Got {type(fill)}"
            )
        self.fill = [float(fill)] if isinstance(fill, (int, float)) else list(fill)

    @staticmethod
    def get_params(alpha, sigma, size):
        """The displacement for an image of [height, width]."""
        return displacement(alpha, sigma, size)

    def forward(self, tensor):
        _, height, width = F.get_dimensions(tensor)
        moves = self.get_params(self.alpha, self.sigma, [height, width])
        return F.elastic_transform(tensor, moves, self.interpolation, self.fill)

    def __repr__(self):
        return (
            f"{type(self).__name__}(alpha={self.alpha}, sigma={self.sigma}, "
            f"interpolation={self.interpolation}, fill={self.fill})"
        )


class LinearTransformation(nn.Module):
    """(flattened image - mean) @ matrix, such as whitening."""

    def __init__(self, transformation_matrix, mean_vector):
        super().__init__()
        size = transformation_matrix.size(0)
        if size != transformation_matrix.size(1):
            raise ValueError(
                "transformation_matrix should be square. Got "
                f"{tuple(transformation_matrix.size())} rectangular matrix."
            )
        if mean_vector.size(0) != size:
            raise ValueError(
                f"mean_vector should have the same length {mean_vector.size(0)} as any one of the "
                f"dimensions of the transformation_matrix [{tuple(transformation_matrix.size())}]"
            )
        if transformation_matrix.device != mean_vector.device:
            raise ValueError(
                "Input tensors should be on the same device. Got "
                f"{transformation_matrix.device} and {mean_vector.device}"
            )
        if transformation_matrix.dtype != mean_vector.dtype:
            raise ValueError(
                "Input tensors should have the same dtype. Got "
                f"{transformation_matrix.dtype} and {mean_vector.dtype}"
            )
        self.transformation_matrix = transformation_matrix
        self.mean_vector = mean_vector

    def forward(self, tensor):
        shape = tensor.shape
        count = shape[-3] * shape[-2] * shape[-1]
        if count != self.transformation_matrix.shape[0]:
            raise ValueError(
                "Input tensor and transformation matrix have incompatible shape: "
                f"[{shape[-3]} x {shape[-2]} x {shape[-1]}] != "
                f"{self.transformation_matrix.shape[0]}"
            )
        flat = tensor.reshape(-1, count) - self.mean_vector
        return flambeau.mm(flat, self.transformation_matrix).reshape(shape)

    def __repr__(self):
        return (
            f"{type(self).__name__}(transformation_matrix="
            f"{self.transformation_matrix.tolist()}, mean_vector={self.mean_vector.tolist()})"
        )
