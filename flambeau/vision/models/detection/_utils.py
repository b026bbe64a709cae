"""Boxes as numbers that a network predicts; which box is for which object."""

import math
from collections import OrderedDict

import flambeau
from flambeau import nn
from flambeau.nn import functional as F

from ...ops import FrozenBatchNorm2d, complete_box_iou_loss, distance_box_iou_loss
from ...ops import generalized_box_iou_loss as giou_loss
from .._api import builder_of, legacy, set_or_check, weights_enum


class BalancedPositiveNegativeSampler:
    """Masks of `batch_size_per_image` anchors, at most the given fraction of them positive."""

    def __init__(self, batch_size_per_image, positive_fraction):
        self.batch_size_per_image = batch_size_per_image
        self.positive_fraction = positive_fraction

    def __call__(self, matched_idxs):
        positives, negatives = [], []
        for labels in matched_idxs:
            positive = flambeau.where(labels >= 1)[0]
            negative = flambeau.where(labels == 0)[0]
            count = int(self.batch_size_per_image * self.positive_fraction)
            count = min(positive.numel(), count)
            rest = min(negative.numel(), self.batch_size_per_image - count)
            for masks, found, n in ((positives, positive, count), (negatives, negative, rest)):
                order = flambeau.randperm(found.numel(), device=found.device)[:n]
                mask = flambeau.zeros_like(labels, dtype=flambeau.uint8)
                mask[found[order]] = 1
                masks.append(mask)
        return positives, negatives


def _centres(boxes):
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    return boxes[:, 0] + 0.5 * width, boxes[:, 1] + 0.5 * height, width, height


_LARGEST = math.log(1000.0 / 16)  # a size is at most this many times the anchor's


class BoxCoder:
    """Boxes as shifts and logarithms of sizes beside anchors (R-CNN, arXiv 1311.2524)."""

    def __init__(self, weights, bbox_xform_clip=_LARGEST):
        self.weights = weights
        self.bbox_xform_clip = bbox_xform_clip

    def encode(self, reference_boxes, proposals):
        counts = [len(boxes) for boxes in reference_boxes]
        return self.encode_single(flambeau.cat(reference_boxes), flambeau.cat(proposals)).split(
            counts, 0
        )

    def encode_single(self, reference_boxes, proposals):
        x, y, w, h = _centres(reference_boxes)
        ax, ay, aw, ah = _centres(proposals)
        wx, wy, ww, wh = self.weights
        parts = (
            wx * (x - ax) / aw,
            wy * (y - ay) / ah,
            ww * flambeau.log(w / aw),
            wh * flambeau.log(h / ah),
        )
        return flambeau.stack(parts, dim=1)

    def decode(self, rel_codes, boxes):
        boxes = flambeau.cat(list(boxes), dim=0)
        if len(boxes) > 0:
            rel_codes = rel_codes.reshape(len(boxes), -1)
        decoded = self.decode_single(rel_codes, boxes)
        return decoded.reshape(len(boxes), -1, 4) if len(boxes) > 0 else decoded

    def decode_single(self, rel_codes, boxes):
        """[N, 4 * K] codes to [N, 4 * K] boxes."""
        x, y, w, h = (v[:, None] for v in _centres(boxes.to(rel_codes.dtype)))
        wx, wy, ww, wh = self.weights
        cx = rel_codes[:, 0::4] / wx * w + x
        cy = rel_codes[:, 1::4] / wy * h + y
        half_w = 0.5 * flambeau.exp((rel_codes[:, 2::4] / ww).clamp(max=self.bbox_xform_clip)) * w
        half_h = 0.5 * flambeau.exp((rel_codes[:, 3::4] / wh).clamp(max=self.bbox_xform_clip)) * h
        sides = (cx - half_w, cy - half_h, cx + half_w, cy + half_h)
        return flambeau.stack(sides, dim=2).flatten(1)


class BoxLinearCoder:
    """Boxes as distances of their sides from the anchors' centres, in anchors' sizes."""

    def __init__(self, normalize_by_size=True):
        self.normalize_by_size = normalize_by_size

    def encode(self, reference_boxes, proposals):
        x, y = (0.5 * (proposals[..., i] + proposals[..., i + 2]) for i in (0, 1))
        b = reference_boxes
        parts = [x - b[..., 0], y - b[..., 1], b[..., 2] - x, b[..., 3] - y]
        codes = flambeau.stack(parts, dim=-1)
        return codes / self._sizes(proposals) if self.normalize_by_size else codes

    def decode(self, rel_codes, boxes):
        boxes = boxes.to(rel_codes.dtype)
        x, y = (0.5 * (boxes[..., i] + boxes[..., i + 2]) for i in (0, 1))
        if self.normalize_by_size:
            rel_codes = rel_codes * self._sizes(boxes)
        left, top, right, bottom = rel_codes.unbind(-1)
        return flambeau.stack((x - left, y - top, x + right, y + bottom), dim=-1)

    @staticmethod
    def _sizes(boxes):
        w, h = boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1]
        return flambeau.stack((w, h, w, h), dim=-1)


class Matcher:
    """Which object each anchor is for, by overlap: below low none (-1), between ignored (-2)."""

    BELOW_LOW_THRESHOLD = -1
    BETWEEN_THRESHOLDS = -2

    def __init__(self, high_threshold, low_threshold, allow_low_quality_matches=False):
        if low_threshold > high_threshold:
            raise AssertionError("low_threshold should be <= high_threshold")
        self.high_threshold = high_threshold
        self.low_threshold = low_threshold
        self.allow_low_quality_matches = allow_low_quality_matches

    def __call__(self, match_quality_matrix):
        """[objects, anchors] overlaps to [anchors] indices."""
        if match_quality_matrix.numel() == 0:
            empty = "ground-truth" if match_quality_matrix.shape[0] == 0 else "proposal"
            raise ValueError(f"No {empty} boxes available for one of the images during training")
        best, matches = match_quality_matrix.max(dim=0)
        found = matches.clone()
        matches[best < self.low_threshold] = self.BELOW_LOW_THRESHOLD
        between = (best >= self.low_threshold) & (best < self.high_threshold)
        matches[between] = self.BETWEEN_THRESHOLDS
        if self.allow_low_quality_matches:
            self.set_low_quality_matches_(matches, found, match_quality_matrix)
        return matches

    def set_low_quality_matches_(self, matches, all_matches, match_quality_matrix):
        """Each object keeps the anchors that overlap it most, however little."""
        highest = match_quality_matrix.max(dim=1)[0]
        anchors = flambeau.where(match_quality_matrix == highest[:, None])[1]
        matches[anchors] = all_matches[anchors]


class SSDMatcher(Matcher):
    """Each object keeps the anchor that overlaps it most, whatever that one prefers."""

    def __init__(self, threshold):
        super().__init__(threshold, threshold, allow_low_quality_matches=False)

    def __call__(self, match_quality_matrix):
        matches = super().__call__(match_quality_matrix)
        best = match_quality_matrix.max(dim=1)[1]
        matches[best] = flambeau.arange(best.size(0), dtype=flambeau.int64, device=best.device)
        return matches


def overwrite_eps(model, eps):
    """Sets eps of all frozen norms, for weights trained with it."""
    for layer in model.modules():
        if isinstance(layer, FrozenBatchNorm2d):
            layer.eps = eps


def retrieve_out_channels(model, size):
    """Channels of each feature map of a backbone for images (width, height)."""
    training = model.training
    model.eval()
    with flambeau.no_grad():
        device = next(model.parameters()).device
        features = model(flambeau.zeros((1, 3, size[1], size[0]), device=device))
    model.train(training)
    maps = [features] if isinstance(features, flambeau.Tensor) else features.values()
    return [x.size(1) for x in maps]


def _box_loss(type, box_coder, anchors, matched_gt, regression, cnf=None):
    """The sum of one of five losses between predicted and true boxes."""
    if type in ("l1", "smooth_l1"):
        target = box_coder.encode_single(matched_gt, anchors)
        if type == "l1":
            return F.l1_loss(regression, target, reduction="sum")
        beta = cnf["beta"] if cnf is not None and "beta" in cnf else 1.0
        return F.smooth_l1_loss(regression, target, reduction="sum", beta=beta)
    losses = {"ciou": complete_box_iou_loss, "diou": distance_box_iou_loss, "giou": giou_loss}
    if type not in losses:
        raise AssertionError(f"Unsupported loss: {type}")
    boxes = box_coder.decode_single(regression, anchors)
    eps = cnf["eps"] if cnf is not None and "eps" in cnf else 1e-7
    return losses[type](boxes, matched_gt, reduction="sum", eps=eps)


def normal_init(module, std=0.01):
    """Convolutions drawn from a normal distribution, their biases 0."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, std=std)
            if layer.bias is not None:
                nn.init.constant_(layer.bias, 0.0)


def check_boxes(targets):
    """AssertionError unless each target's boxes are [N, 4] with positive sizes."""
    if targets is None:
        raise AssertionError("targets should not be none when in training mode")
    for i, target in enumerate(targets):
        boxes = target["boxes"]
        if not isinstance(boxes, flambeau.Tensor):
            raise AssertionError(f"Expected target boxes to be of type Tensor, got {type(boxes)}.")
        if boxes.dim() != 2 or boxes.shape[-1] != 4:
            raise AssertionError(
                f"Expected target boxes to be a tensor of shape [N, 4], got {tuple(boxes.shape)}."
            )
        bad = (boxes[:, 2:] <= boxes[:, :2]).any(dim=1)
        if bad.any():
            box = boxes[flambeau.where(bad)[0][0]].tolist()
            raise AssertionError(
                "All bounding boxes should have positive height and width. "
                f"Found invalid box {box} for target at index {i}."
            )


def features_of(model, images, targets):
    """(images, targets, features by name, sizes of the images as they came) of a detector."""
    if model.training:
        check_boxes(targets)
    sizes = [tuple(image.shape[-2:]) for image in images]
    images, targets = model.transform(images, targets)
    features = model.backbone(images.tensors)
    if isinstance(features, flambeau.Tensor):
        features = OrderedDict([("0", features)])
    return images, targets, features, sizes


def detector(name, enum, module, make, backbone="IMAGENET1K_V1", layers=(5, 3), eps=(), **own):
    """(enum, builder) of a detector.

    `make(num_classes=, weights_backbone=, trainable=, trained=, progress=, **options)` constructs
    it. `layers` are the most and the usual number of the backbone's parts that train; weights
    named in `eps` were trained without an eps in frozen norms; `own` are further options that
    weights or a default determine: (what weights say from their metadata, default).
    """
    enum = weights_enum(enum, module)

    def build(
        *,
        weights=None,
        progress=True,
        num_classes=None,
        weights_backbone=backbone,
        trainable_backbone_layers=None,
        **kwargs,
    ):
        weights = enum.verify(legacy(kwargs, enum) or weights)
        if kwargs.pop("pretrained_backbone", True) is False:
            weights_backbone = None
        options = {"num_classes": num_classes}
        determined = {"num_classes": (lambda meta: len(meta["categories"]), 91), **own}
        for key, (of_weights, default) in determined.items():
            options.setdefault(key, kwargs.pop(key, None))
            if weights is not None:
                set_or_check(options, key, of_weights(weights.meta))
            elif options[key] is None:
                options[key] = default
        if weights is not None:
            weights_backbone = None
        trained = weights is not None or weights_backbone is not None
        net = make(
            weights_backbone=weights_backbone,
            trainable=_validate_trainable_layers(trained, trainable_backbone_layers, *layers),
            trained=trained,
            progress=progress,
            **options,
            **kwargs,
        )
        if weights is not None:
            net.load_state_dict(weights.get_state_dict(progress=progress, check_hash=True))
            if weights.name in eps:
                overwrite_eps(net, 0.0)
        return net

    return enum, builder_of(name, enum, build)


def _validate_trainable_layers(is_trained, trainable_backbone_layers, max_value, default_value):
    """How many parts of the backbone train: all of one without weights."""
    wanted, most = trainable_backbone_layers, max_value
    if not is_trained:
        if wanted is not None:
            import warnings

            warnings.warn(
                "Changing trainable_backbone_layers has no effect if neither pretrained nor "
                "pretrained_backbone have been set to True, falling back to "
                f"trainable_backbone_layers={most} so that all layers are trainable",
                stacklevel=3,
            )
        return most
    wanted = default_value if wanted is None else wanted
    if not 0 <= wanted <= most:
        raise ValueError(
            f"Trainable backbone layers should be in the range [0,{most}], got {wanted} "
        )
    return wanted
