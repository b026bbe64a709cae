"""Policies of augmentation, version 2: other draws than in version 1, the same steps."""

import flambeau
from flambeau.vision import tv_tensors

from .. import autoaugment as v1
from .. import functional as F1
from ..autoaugment import AutoAugmentPolicy
from . import functional as F
from ._transform import Transform, fill_for
from ._utils import PICTURES, check_type, flatten


def _draw(*bounds):
    return int(flambeau.randint(*bounds, ()))


class _Functions:
    """The functionals by the first version's names."""

    affine, rotate = F.affine, F.rotate
    adjust_brightness, adjust_contrast = F.adjust_brightness, F.adjust_contrast
    adjust_saturation, adjust_sharpness = F.adjust_saturation, F.adjust_sharpness
    posterize, solarize, autocontrast = F.posterize, F.solarize, F.autocontrast
    equalize, invert = F.equalize, F.invert


class _Policy(Transform):
    def __init__(self, interpolation, fill):
        super().__init__()
        self.interpolation = F1._mode(interpolation)
        self.fill = fill

    def forward(self, *inputs):
        sample = inputs if len(inputs) > 1 else inputs[0]
        leaves, build = flatten(sample)
        for x in leaves:
            if isinstance(x, (tv_tensors.BoundingBoxes, tv_tensors.Mask, tv_tensors.KeyPoints)):
                raise TypeError(
                    f"Inputs of type {type(x).__name__} are not supported by "
                    f"{type(self).__name__}()"
                )
        wants = self._needs_transform_list(leaves)
        pictures = [
            x for x, wanted in zip(leaves, wants, strict=True) if wanted and check_type(x, PICTURES)
        ]
        if len(pictures) != 1:
            raise TypeError(
                f"{type(self).__name__}() works on samples with one image or video, "
                f"found {len(pictures)}"
            )
        made = self.augment(pictures[0])
        return build([made if x is pictures[0] else x for x in leaves])

    def _apply_image_or_video_transform(self, image, transform_id, magnitude, interpolation, fill):
        """One step; whoever has other steps overrides this."""
        is_tensor = isinstance(image, flambeau.Tensor)
        if transform_id == "Solarize" and is_tensor and image.is_floating_point():
            magnitude = magnitude / 255.0
        fill = fill_for(fill, image)
        return v1._apply_op(image, transform_id, magnitude, interpolation, fill, _Functions)

    def _apply(self, image, name, magnitude):
        return self._apply_image_or_video_transform(
            image, name, magnitude, self.interpolation, self.fill
        )

    def _signed(self, magnitude, signed):
        return -magnitude if signed and flambeau.rand(()) <= 0.5 else magnitude

    def _step(self, image, kinds, pick):
        name = list(kinds)[_draw(len(kinds))]
        magnitudes, signed = kinds[name]
        magnitude = 0.0
        if magnitudes.ndim > 0:
            magnitude = self._signed(float(pick(magnitudes)), signed)
        return self._apply(image, name, magnitude)


class AutoAugment(_Policy):
    """A pair of steps from a learned policy (Cubuk et al., arXiv 1805.09501)."""

    def __init__(self, policy=AutoAugmentPolicy.IMAGENET, interpolation="nearest", fill=None):
        super().__init__(interpolation, fill)
        self.policy = policy
        self._policies = v1.policies(policy)

    def augment(self, image):
        kinds = v1.space("auto", 10, F.get_size(image))
        for name, p, level in self._policies[_draw(len(self._policies))]:
            if not flambeau.rand(()) <= p:
                continue
            magnitudes, signed = kinds[name]
            magnitude = 0.0
            if level is not None:
                magnitude = self._signed(float(magnitudes[level]), signed)
            image = self._apply(image, name, magnitude)
        return image


class RandAugment(_Policy):
    """Steps of one magnitude (Cubuk et al., arXiv 1909.13719)."""

    def __init__(
        self, num_ops=2, magnitude=9, num_magnitude_bins=31, interpolation="nearest", fill=None
    ):
        super().__init__(interpolation, fill)
        if not isinstance(num_ops, int) or num_ops < 0:
            raise ValueError(
                f"num_ops should be a non-negative integer, but got {num_ops} instead."
            )
        self.num_ops = num_ops
        self.magnitude = magnitude
        self.num_magnitude_bins = num_magnitude_bins

    def augment(self, image):
        kinds = v1.space("rand", self.num_magnitude_bins, F.get_size(image))
        for _ in range(self.num_ops):
            image = self._step(image, kinds, lambda values: values[self.magnitude])
        return image


class TrivialAugmentWide(_Policy):
    """One step of random magnitude (Müller and Hutter, arXiv 2103.10158)."""

    def __init__(self, num_magnitude_bins=31, interpolation="nearest", fill=None):
        super().__init__(interpolation, fill)
        self.num_magnitude_bins = num_magnitude_bins

    def augment(self, image):
        bins = self.num_magnitude_bins
        kinds = v1.space("trivial", bins, F.get_size(image))
        return self._step(image, kinds, lambda values: values[_draw(bins)])


class AugMix(_Policy):
    """A mixture of chains of steps and the image itself (Hendrycks et al., arXiv 1912.02781)."""

    def __init__(
        self,
        severity=3,
        mixture_width=3,
        chain_depth=-1,
        alpha=1.0,
        all_ops=True,
        interpolation="bilinear",
        fill=None,
    ):
        super().__init__(interpolation, fill)
        if not 1 <= severity <= 10:
            raise ValueError(f"The severity must be between [1, 10]. Got {severity} instead.")
        self.severity = severity
        self.mixture_width = mixture_width
        self.chain_depth = chain_depth
        self.alpha = alpha
        self.all_ops = all_ops

    def augment(self, image):
        given = image
        if not isinstance(image, flambeau.Tensor):
            image = F1.pil_to_tensor(image)
        plain = image.as_subclass(flambeau.Tensor)
        kinds = v1.space("mix" if self.all_ops else "mix few", 10, F.get_size(image))
        made = v1.mix(
            plain,
            self,
            lambda aug: self._step(aug, kinds, lambda values: values[_draw(self.severity)]),
            lambda: _draw(1, 4),
        )
        if not isinstance(given, flambeau.Tensor):
            return F1.to_pil_image(made)
        return tv_tensors.wrap(made, like=given) if isinstance(given, tv_tensors.TVTensor) else made
