"""Learned and random policies of augmentation."""

import enum
import math

import flambeau
from flambeau import nn

from . import functional as F
from .functional import InterpolationMode

__all__ = ["AugMix", "AutoAugment", "AutoAugmentPolicy", "RandAugment", "TrivialAugmentWide"]


class AutoAugmentPolicy(enum.Enum):
    """The dataset that a policy was learned on."""

    IMAGENET = "imagenet"
    CIFAR10 = "cifar10"
    SVHN = "svhn"


# Pairs of steps (name, probability, magnitude) from the paper's tables 7 to 9.
_POLICIES = {
    "imagenet": """
Posterize 0.4 8 + Rotate 0.6 9, Solarize 0.6 5 + AutoContrast 0.6, Equalize 0.8 + Equalize 0.6,
Posterize 0.6 7 + Posterize 0.6 6, Equalize 0.4 + Solarize 0.2 4, Equalize 0.4 + Rotate 0.8 8,
Solarize 0.6 3 + Equalize 0.6, Posterize 0.8 5 + Equalize 1, Rotate 0.2 3 + Solarize 0.6 8,
Equalize 0.6 + Posterize 0.4 6, Rotate 0.8 8 + Color 0.4 0, Rotate 0.4 9 + Equalize 0.6,
Equalize 0 + Equalize 0.8, Invert 0.6 + Equalize 1, Color 0.6 4 + Contrast 1 8,
Rotate 0.8 8 + Color 1 2, Color 0.8 8 + Solarize 0.8 7, Sharpness 0.4 7 + Invert 0.6,
ShearX 0.6 5 + Equalize 1, Color 0.4 0 + Equalize 0.6, Equalize 0.4 + Solarize 0.2 4,
Solarize 0.6 5 + AutoContrast 0.6, Invert 0.6 + Equalize 1, Color 0.6 4 + Contrast 1 8,
Equalize 0.8 + Equalize 0.6""",
    "cifar10": """
Invert 0.1 + Contrast 0.2 6, Rotate 0.7 2 + TranslateX 0.3 9, Sharpness 0.8 1 + Sharpness 0.9 3,
ShearY 0.5 8 + TranslateY 0.7 9, AutoContrast 0.5 + Equalize 0.9,
ShearY 0.2 7 + Posterize 0.3 7, Color 0.4 3 + Brightness 0.6 7,
Sharpness 0.3 9 + Brightness 0.7 9, Equalize 0.6 + Equalize 0.5,
Contrast 0.6 7 + Sharpness 0.6 5, Color 0.7 7 + TranslateX 0.5 8,
Equalize 0.3 + AutoContrast 0.4, TranslateY 0.4 3 + Sharpness 0.2 6,
Brightness 0.9 6 + Color 0.2 8, Solarize 0.5 2 + Invert 0, Equalize 0.2 + AutoContrast 0.6,
Equalize 0.2 + Equalize 0.6, Color 0.9 9 + Equalize 0.6, AutoContrast 0.8 + Solarize 0.2 8,
Brightness 0.1 3 + Color 0.7 0, Solarize 0.4 5 + AutoContrast 0.9,
TranslateY 0.9 9 + TranslateY 0.7 9, AutoContrast 0.9 + Solarize 0.8 3,
Equalize 0.8 + Invert 0.1, TranslateY 0.7 9 + AutoContrast 0.9""",
    "svhn": """
ShearX 0.9 4 + Invert 0.2, ShearY 0.9 8 + Invert 0.7, Equalize 0.6 + Solarize 0.6 6,
Invert 0.9 + Equalize 0.6, Equalize 0.6 + Rotate 0.9 3, ShearX 0.9 4 + AutoContrast 0.8,
ShearY 0.9 8 + Invert 0.4, ShearY 0.9 5 + Solarize 0.2 6, Invert 0.9 + AutoContrast 0.8,
Equalize 0.6 + Rotate 0.9 3, ShearX 0.9 4 + Solarize 0.3 3, ShearY 0.8 8 + Invert 0.7,
Equalize 0.9 + TranslateY 0.6 6, Invert 0.9 + Equalize 0.6, Contrast 0.3 3 + Rotate 0.8 4,
Invert 0.8 + TranslateY 0 2, ShearY 0.7 6 + Solarize 0.4 8, Invert 0.6 + Rotate 0.8 4,
ShearY 0.3 7 + TranslateX 0.9 3, ShearX 0.1 6 + Invert 0.6, Solarize 0.7 2 + TranslateY 0.6 7,
ShearY 0.8 4 + Invert 0.8, ShearX 0.7 9 + TranslateY 0.8 3, ShearY 0.8 5 + AutoContrast 0.7,
ShearX 0.7 2 + Invert 0.1""",
}


def policies(policy):
    """[((name, probability, magnitude or None), (...)), ...]"""
    if not isinstance(policy, AutoAugmentPolicy):
        raise ValueError(f"The provided policy {policy} is not recognized.")

    def step(text):
        name, p, *magnitude = text.split()
        return name, float(p), int(magnitude[0]) if magnitude else None

    pairs = _POLICIES[policy.value].split(",")
    return [tuple(step(part) for part in pair.split("+")) for pair in pairs]


def _spread(high, bins, low=0.0):
    return flambeau.linspace(low, high, bins)


def _bits(bins, start, parts):
    return start - (flambeau.arange(bins) / ((bins - 1) / parts)).round().int()


_ENHANCE = ("Brightness", "Color", "Contrast", "Sharpness")
_GEOMETRY = ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate")


def space(kind, bins, size):
    """{name: (magnitudes, whether a sign is drawn)} for images of (height, width)."""
    wide = kind == "trivial"
    turns = 135.0 if wide else 30.0
    shear = 0.99 if wide else 0.3
    shifts = {
        "trivial": (32.0, 32.0),
        "mix": (size[1] / 3.0, size[0] / 3.0),
    }.get(kind, (150.0 / 331.0 * size[1], 150.0 / 331.0 * size[0]))
    values = {
        "Identity": (flambeau.tensor(0.0), False),
        "ShearX": (_spread(shear, bins), True),
        "ShearY": (_spread(shear, bins), True),
        "TranslateX": (_spread(shifts[0], bins), True),
        "TranslateY": (_spread(shifts[1], bins), True),
        "Rotate": (_spread(turns, bins), True),
        "Posterize": (_bits(bins, 4 if kind == "mix" else 8, 6 if wide else 4), False),
        "Solarize": (_spread(0.0, bins, 255.0), False),
        "AutoContrast": (flambeau.tensor(0.0), False),
        "Equalize": (flambeau.tensor(0.0), False),
        "Invert": (flambeau.tensor(0.0), False),
    }
    values |= {name: (_spread(0.99 if wide else 0.9, bins), True) for name in _ENHANCE}
    last = ("Posterize", "Solarize", "AutoContrast", "Equalize")
    order = {
        "auto": (*_GEOMETRY, *_ENHANCE, *last, "Invert"),
        "mix": (*_GEOMETRY, *last, *_ENHANCE),
        "mix few": (*_GEOMETRY, *last),
    }.get(kind, ("Identity", *_GEOMETRY, *_ENHANCE, *last))
    return {name: values[name] for name in order}


def _apply_op(img, op_name, magnitude, interpolation, fill, functional=F):
    """The image after one step."""
    f, name = functional, op_name
    options = {"interpolation": interpolation, "fill": fill}
    if name == "Identity":
        return img
    if name in ("ShearX", "ShearY"):
        degrees = math.degrees(math.atan(magnitude))
        shear = [degrees, 0.0] if name == "ShearX" else [0.0, degrees]
        return f.affine(img, 0.0, [0, 0], 1.0, shear, center=[0, 0], **options)
    if name in ("TranslateX", "TranslateY"):
        shift = int(magnitude)
        move = [shift, 0] if name == "TranslateX" else [0, shift]
        return f.affine(img, 0.0, move, 1.0, [0.0, 0.0], **options)
    if name == "Rotate":
        return f.rotate(img, magnitude, **options)
    if name in _ENHANCE:
        change = "saturation" if name == "Color" else name.lower()
        return getattr(f, f"adjust_{change}")(img, 1.0 + magnitude)
    if name == "Posterize":
        return f.posterize(img, int(magnitude))
    if name == "Solarize":
        return f.solarize(img, magnitude)
    steps = {"AutoContrast": f.autocontrast, "Equalize": f.equalize, "Invert": f.invert}
    if name not in steps:
        raise ValueError(f"The provided operator {name} is not recognized.")
    return steps[name](img)


def _draw(high):
    return int(flambeau.randint(high, (1,)).item())


class _Policy(nn.Module):
    def __init__(self, interpolation, fill):
        super().__init__()
        self.interpolation = F._mode(interpolation)
        self.fill = fill

    def _fill(self, channels, is_tensor):
        if isinstance(self.fill, (int, float)) and is_tensor:
            return [float(self.fill)] * channels
        return self.fill

    def _apply(self, img, name, magnitude):
        channels = F.get_image_num_channels(img)
        fill = self._fill(channels, isinstance(img, flambeau.Tensor))
        return _apply_op(img, name, magnitude, self.interpolation, fill)

    def _step(self, img, kinds, pick):
        """One kind at random; `pick` chooses from its magnitudes."""
        name = list(kinds)[_draw(len(kinds))]
        magnitudes, signed = kinds[name]
        magnitude = float(pick(magnitudes)) if magnitudes.ndim > 0 else 0.0
        if signed and _draw(2):
            magnitude *= -1.0
        return self._apply(img, name, magnitude)

    def __repr__(self):
        values = ", ".join(f"{k}={v}" for k, v in vars(self).items() if not k.startswith("_"))
        return f"{type(self).__name__}({values.removeprefix('training=True, ')})"


class AutoAugment(_Policy):
    """A pair of steps from a learned policy (Cubuk et al., arXiv 1805.09501)."""

    def __init__(
        self,
        policy=AutoAugmentPolicy.IMAGENET,
        interpolation=InterpolationMode.NEAREST,
        fill=None,
    ):
        super().__init__(interpolation, fill)
        self.policy = policy
        self.policies = policies(policy)

    @staticmethod
    def get_params(transform_num):
        """(which pair, chances of its steps, their signs)"""
        return _draw(transform_num), flambeau.rand((2,)), flambeau.randint(2, (2,))

    def forward(self, img):
        which, chances, signs = self.get_params(len(self.policies))
        _, height, width = F.get_dimensions(img)
        kinds = space("auto", 10, (height, width))
        for i, (name, p, level) in enumerate(self.policies[which]):
            if chances[i] <= p:
                magnitudes, signed = kinds[name]
                magnitude = float(magnitudes[level].item()) if level is not None else 0.0
                if signed and signs[i] == 0:
                    magnitude *= -1.0
                img = self._apply(img, name, magnitude)
        return img

    def __repr__(self):
        return f"{type(self).__name__}(policy={self.policy}, fill={self.fill})"


class RandAugment(_Policy):
    """Steps of one magnitude (Cubuk et al., arXiv 1909.13719)."""

    def __init__(
        self,
        num_ops=2,
        magnitude=9,
        num_magnitude_bins=31,
        interpolation=InterpolationMode.NEAREST,
        fill=None,
    ):
        super().__init__(interpolation, fill)
        self.num_ops = num_ops
        self.magnitude = magnitude
        self.num_magnitude_bins = num_magnitude_bins

    def forward(self, img):
        _, height, width = F.get_dimensions(img)
        for _ in range(self.num_ops):
            kinds = space("rand", self.num_magnitude_bins, (height, width))
            img = self._step(img, kinds, lambda values: values[self.magnitude].item())
        return img


class TrivialAugmentWide(_Policy):
    """One step of random magnitude (Müller and Hutter, arXiv 2103.10158)."""

    def __init__(self, num_magnitude_bins=31, interpolation=InterpolationMode.NEAREST, fill=None):
        super().__init__(interpolation, fill)
        self.num_magnitude_bins = num_magnitude_bins

    def forward(self, img):
        kinds = space("trivial", self.num_magnitude_bins, (0, 0))
        return self._step(img, kinds, lambda values: values[_draw(len(values))].item())


class AugMix(_Policy):
    """A mixture of chains of steps and the image itself (Hendrycks et al., arXiv 1912.02781)."""

    _bins = 10

    def __init__(
        self,
        severity=3,
        mixture_width=3,
        chain_depth=-1,
        alpha=1.0,
        all_ops=True,
        interpolation=InterpolationMode.BILINEAR,
        fill=None,
    ):
        super().__init__(interpolation, fill)
        if not 1 <= severity <= self._bins:
            raise ValueError(
                f"The severity must be between [1, {self._bins}]. Got {severity} instead."
            )
        self.severity = severity
        self.mixture_width = mixture_width
        self.chain_depth = chain_depth
        self.alpha = alpha
        self.all_ops = all_ops

    def forward(self, orig_img):
        from_pil = not isinstance(orig_img, flambeau.Tensor)
        img = F.pil_to_tensor(orig_img) if from_pil else orig_img
        size = F.get_dimensions(img)[1:]
        kinds = space("mix" if self.all_ops else "mix few", self._bins, size)
        made = mix(
            img,
            self,
            lambda aug: self._step(aug, kinds, lambda values: values[_draw(self.severity)].item()),
            lambda: int(flambeau.randint(low=1, high=4, size=(1,)).item()),
        )
        return F.to_pil_image(made) if from_pil else made


def mix(img, options, step, draw_depth):
    """AugMix of images [..., C, H, W] by `options`."""
    shape = list(img.shape)
    batch = img.view([1] * max(4 - img.ndim, 0) + shape)
    lead = [batch.size(0)] + [1] * (batch.ndim - 1)

    def dirichlet(count):
        alpha = flambeau.tensor([options.alpha] * count, device=batch.device)
        return flambeau._sample_dirichlet(alpha.expand(lead[0], -1))

    m = dirichlet(2)
    weights = dirichlet(options.mixture_width) * m[:, 1].view([lead[0], -1])
    total = m[:, 0].view(lead) * batch
    for i in range(options.mixture_width):
        aug = batch
        for _ in range(options.chain_depth if options.chain_depth > 0 else draw_depth()):
            aug = step(aug)
        total = total + weights[:, i].view(lead) * aug
    return total.view(shape).to(dtype=img.dtype)
