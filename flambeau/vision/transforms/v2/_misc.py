"""Containers, mixtures, boxes and labels, version 2."""

import flambeau
from flambeau import nn
from flambeau.vision import tv_tensors

from . import functional as F
from ._transform import Transform
from ._utils import PICTURES, check_type, flatten, has_any, is_pil, labels_getter_of, query_chw


class Identity(Transform):
    """The sample as it is."""

    def transform(self, inpt, params):
        return inpt


class Lambda(Transform):
    """A function of one's own, for values of the given types or all."""

    def __init__(self, lambd, *types):
        super().__init__()
        self.lambd = lambd
        self.types = types or (object,)
        self._transformed_types = self.types

    def transform(self, inpt, params):
        return self.lambd(inpt)

    def extra_repr(self):
        name = getattr(self.lambd, "__name__", "")
        return f"{name}, types={[kind.__name__ for kind in self.types]}"


def _sequence(transforms):
    if not isinstance(transforms, (list, tuple, nn.ModuleList)):
        raise TypeError("Argument transforms should be a sequence of callables")
    if len(transforms) < 1:
        raise ValueError("Pass at least one transform")
    return transforms


class Compose(Transform):
    """One transform after the other, on whole samples.

    >>> import flambeau as torch
    >>> from flambeau.vision.transforms import v2
    >>> both = v2.Compose([v2.CenterCrop(4), v2.ToDtype(torch.float32, scale=True)])
    >>> both(torch.full((3, 8, 8), 255, dtype=torch.uint8)).sum()
    tensor(48.)
    """

    def __init__(self, transforms):
        super().__init__()
        self.transforms = _sequence(transforms)

    def forward(self, *inputs):
        for transform in self.transforms:
            made = transform(*inputs)
            inputs = made if len(inputs) > 1 else (made,)
        return made

    def extra_repr(self):
        return "\n".join(f"    {transform}" for transform in self.transforms)


class RandomApply(Transform):
    """All of a list of transforms, with probability p.

    >>> import flambeau as torch
    >>> from flambeau.vision.transforms import v2
    >>> v2.RandomApply([v2.Grayscale()], p=1.0)(torch.ones(3, 2, 2)).shape
    torch.Size([1, 2, 2])
    """

    def __init__(self, transforms, p=0.5):
        super().__init__()
        if not 0.0 <= p <= 1.0:
            raise ValueError("`p` should be a floating point value in the interval [0.0, 1.0].")
        self.transforms = _sequence(transforms)
        self.p = p

    def forward(self, *inputs):
        if flambeau.rand(1) >= self.p:
            return inputs if len(inputs) > 1 else inputs[0]
        return Compose(list(self.transforms))(*inputs)

    def extra_repr(self):
        return "\n".join(f"    {transform}" for transform in self.transforms)


class RandomChoice(Transform):
    """One of a list of transforms."""

    def __init__(self, transforms, p=None):
        super().__init__()
        self.transforms = _sequence(transforms)
        if p is not None and len(p) != len(transforms):
            raise ValueError(
                f"Length of p doesn't match the number of transforms: {len(p)} != {len(transforms)}"
            )
        p = p or [1] * len(transforms)
        self.p = [v / sum(p) for v in p]

    def forward(self, *inputs):
        which = int(flambeau.multinomial(flambeau.tensor(self.p), 1))
        return self.transforms[which](*inputs)


class RandomOrder(Transform):
    """All of a list of transforms in random order."""

    def __init__(self, transforms):
        super().__init__()
        self.transforms = _sequence(transforms)

    def forward(self, *inputs):
        order = flambeau.randperm(len(self.transforms)).tolist()
        return Compose([self.transforms[i] for i in order])(*inputs)


class UniformTemporalSubsample(Transform):
    """Frames evenly spread over a video."""

    def __init__(self, num_samples):
        super().__init__()
        self.num_samples = num_samples

    def transform(self, inpt, params):
        return self._call_kernel(F.uniform_temporal_subsample, inpt, self.num_samples)


# -- boxes and keypoints ---------------------------------------------------------------------------
class ConvertBoundingBoxFormat(Transform):
    """Boxes in another format."""

    _transformed_types = (tv_tensors.BoundingBoxes,)

    def __init__(self, format):
        super().__init__()
        self.format = format

    def transform(self, inpt, params):
        return F.convert_bounding_box_format(inpt, new_format=self.format)


class ClampBoundingBoxes(Transform):
    """Boxes within the image."""

    _transformed_types = (tv_tensors.BoundingBoxes,)

    def __init__(self, clamping_mode="auto"):
        super().__init__()
        self.clamping_mode = clamping_mode

    def transform(self, inpt, params):
        return F.clamp_bounding_boxes(inpt, clamping_mode=self.clamping_mode)


class SetClampingMode(Transform):
    """How boxes are clamped from here on."""

    _transformed_types = (tv_tensors.BoundingBoxes,)

    def __init__(self, clamping_mode):
        super().__init__()
        if clamping_mode not in ("soft", "hard", None):
            raise ValueError(f"clamping_mode must be soft, hard or None, got {clamping_mode}")
        self.clamping_mode = clamping_mode

    def transform(self, inpt, params):
        made = inpt.clone()
        made.clamping_mode = self.clamping_mode
        return made


class ClampKeyPoints(Transform):
    """Points within the image."""

    _transformed_types = (tv_tensors.KeyPoints,)

    def transform(self, inpt, params):
        return F.clamp_keypoints(inpt)


class _Sanitizing(Transform):
    """Removes items of one kind, and what belongs to them."""

    _belonging = ()  # kinds that have a part for each item

    def _sanitize(self, inputs, kind, valid_of):
        sample = inputs if len(inputs) > 1 else inputs[0]
        labels = self._labels_getter(sample)
        labels = list(labels) if isinstance(labels, (tuple, list)) else [labels]
        labels = [x for x in labels if x is not None]
        if any(not isinstance(x, flambeau.Tensor) for x in labels):
            raise ValueError("The labels in the input to forward() must be a tensor or None")
        leaves, build = flatten(sample)
        found = [x for x in leaves if isinstance(x, kind)]
        if not found:
            raise ValueError(f"No {kind.__name__} were found in the sample")
        valid = valid_of(found[0])
        if any(x.shape[0] != valid.shape[0] for x in labels):
            sizes = [tuple(x.shape) for x in labels]
            what = "boxes" if kind is tv_tensors.BoundingBoxes else "keypoints"
            raise ValueError(
                f"Number of {what} (shape={tuple(found[0].shape)}) and number of labels ({sizes=}) "
                "do not match."
            )

        def keep(x):
            is_label = any(x is label for label in labels)
            if not (is_label or isinstance(x, (kind, *self._belonging))):
                return x
            plain = x.as_subclass(flambeau.Tensor)
            if isinstance(x, tv_tensors.Mask) and len(x) != len(valid):
                return x
            made = plain[valid]
            return tv_tensors.wrap(made, like=x) if isinstance(x, tv_tensors.TVTensor) else made

        return build([keep(x) for x in leaves])


class SanitizeBoundingBoxes(_Sanitizing):
    """Removes boxes that are too small or outside, with their labels and masks."""

    _belonging = (tv_tensors.Mask,)

    def __init__(self, min_size=1.0, min_area=1.0, labels_getter="default"):
        super().__init__()
        if min_size < 1:
            raise ValueError(f"min_size must be >= 1, got {min_size}.")
        if min_area < 1:
            raise ValueError(f"min_area must be >= 1, got {min_area}.")
        self.min_size = min_size
        self.min_area = min_area
        self.labels_getter = labels_getter
        self._labels_getter = labels_getter_of(labels_getter)

    def forward(self, *inputs):
        def valid(boxes):
            return F.sanitize_bounding_boxes(boxes, min_size=self.min_size, min_area=self.min_area)[
                1
            ]

        return self._sanitize(inputs, tv_tensors.BoundingBoxes, valid)


class SanitizeKeyPoints(_Sanitizing):
    """Removes points outside the image, with their labels."""

    def __init__(self, labels_getter=None):
        super().__init__()
        self.labels_getter = labels_getter
        self._labels_getter = labels_getter_of(labels_getter)

    def forward(self, *inputs):
        return self._sanitize(
            inputs, tv_tensors.KeyPoints, lambda points: F.sanitize_keypoints(points)[1]
        )


# -- mixtures of a batch ---------------------------------------------------------------------------
class _Mixing(Transform):
    def __init__(self, *, alpha=1.0, num_classes=None, labels_getter="default"):
        super().__init__()
        self.alpha = float(alpha)
        self.num_classes = num_classes
        self._labels_getter = labels_getter_of(labels_getter)

    def _draw(self):
        alpha = flambeau.tensor([self.alpha, self.alpha])
        return float(flambeau._sample_dirichlet(alpha)[0])

    def forward(self, *inputs):
        sample = inputs if len(inputs) > 1 else inputs[0]
        leaves, build = flatten(sample)
        if has_any(leaves, is_pil, tv_tensors.BoundingBoxes, tv_tensors.Mask, tv_tensors.KeyPoints):
            raise ValueError(
                f"{type(self).__name__}() does not support PIL images, bounding boxes, keypoints "
                "and masks."
            )
        labels = self._labels_getter(sample)
        if not isinstance(labels, flambeau.Tensor):
            raise ValueError(f"The labels must be a tensor, but got {type(labels)} instead.")
        if labels.ndim not in (1, 2):
            raise ValueError(
                f"labels should be index based with shape (batch_size,) or probability based with "
                f"shape (batch_size, num_classes), but got a tensor of shape {labels.shape} "
                "instead."
            )
        if labels.ndim == 1 and self.num_classes is None:
            raise ValueError("num_classes must be passed if the labels are index-based")
        if labels.ndim == 2 and self.num_classes not in (None, labels.shape[-1]):
            raise ValueError(
                "When passing 2D labels, the number of elements in last dimension must match "
                f"num_classes: {labels.shape[-1]} != {self.num_classes}. You can leave num_classes "
                "to None."
            )
        pictures = [x for x in leaves if x is not labels and check_type(x, PICTURES)]
        for x in pictures:
            wanted = 5 if isinstance(x, tv_tensors.Video) else 4
            if x.ndim != wanted:
                raise ValueError(
                    f"Expected a batched input with {wanted} dims, but got {x.ndim} dimensions "
                    "instead."
                )
            if x.shape[0] != labels.shape[0]:
                raise ValueError(
                    f"The batch size of the image or video does not match the batch size of the "
                    f"labels: {x.shape[0]} != {labels.shape[0]}."
                )
        params = self.make_params(pictures)
        params["labels"] = labels
        params["batch_size"] = labels.shape[0]

        def change(x):
            if x is labels:
                return self._mix_labels(x, params["lam"])
            return self.transform(x, params) if any(x is p for p in pictures) else x

        return build([change(x) for x in leaves])

    def _mix_labels(self, labels, lam):
        if labels.ndim == 1:
            labels = nn.functional.one_hot(labels, num_classes=self.num_classes)
        if not labels.dtype.is_floating_point:
            labels = labels.float()
        return labels.roll(1, 0).mul_(1.0 - lam).add_(labels.mul(lam))

    @staticmethod
    def _wrap(made, inpt):
        return tv_tensors.wrap(made, like=inpt) if isinstance(inpt, tv_tensors.TVTensor) else made


class MixUp(_Mixing):
    """Pairs of samples and labels averaged (Zhang et al., arXiv 1710.09412).

    >>> import flambeau as torch
    >>> from flambeau.vision.transforms import v2
    >>> images, labels = v2.MixUp(num_classes=3)(torch.ones(4, 3, 8, 8), torch.arange(4) % 3)
    >>> images.shape, labels.shape
    (torch.Size([4, 3, 8, 8]), torch.Size([4, 3]))
    """

    def make_params(self, flat_inputs):
        return {"lam": self._draw()}

    def transform(self, inpt, params):
        plain, lam = inpt.as_subclass(flambeau.Tensor), params["lam"]
        return self._wrap(plain.roll(1, 0).mul_(1.0 - lam).add_(plain.mul(lam)), inpt)


class CutMix(_Mixing):
    """A rectangle of each image from another (Yun et al., arXiv 1905.04899).

    >>> import flambeau as torch
    >>> from flambeau.vision.transforms import v2
    >>> images, labels = v2.CutMix(num_classes=3)(torch.ones(4, 3, 8, 8), torch.arange(4) % 3)
    >>> labels.sum(1)
    tensor([1., 1., 1., 1.])
    """

    def make_params(self, flat_inputs):
        lam = self._draw()
        _, height, width = query_chw(flat_inputs)
        x = int(flambeau.randint(width, size=(1,)))
        y = int(flambeau.randint(height, size=(1,)))
        r = 0.5 * (1.0 - lam) ** 0.5
        half_w, half_h = int(r * width), int(r * height)
        x1, y1 = max(x - half_w, 0), max(y - half_h, 0)
        x2, y2 = min(x + half_w, width), min(y + half_h, height)
        return {"box": (x1, y1, x2, y2), "lam": 1 - (x2 - x1) * (y2 - y1) / (width * height)}

    def transform(self, inpt, params):
        x1, y1, x2, y2 = params["box"]
        plain = inpt.as_subclass(flambeau.Tensor)
        made = plain.clone()
        made[..., y1:y2, x1:x2] = plain.roll(1, 0)[..., y1:y2, x1:x2]
        return self._wrap(made, inpt)
