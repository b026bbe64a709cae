"""The region proposal network (Ren et al., arXiv 1506.01497)."""

import flambeau
from flambeau import nn
from flambeau.nn import functional as F

from ... import ops
from ...ops import Conv2dNormActivation
from . import _utils as det_utils
from .anchor_utils import AnchorGenerator  # noqa: F401 (programs import it from here)


class RPNHead(nn.Module):
    """For each map: objectness and corrections of each anchor."""

    _version = 2

    def __init__(self, in_channels, num_anchors, conv_depth=1):
        super().__init__()
        self.conv = nn.Sequential(
            *(
                Conv2dNormActivation(in_channels, in_channels, norm_layer=None)
                for _ in range(conv_depth)
            )
        )
        self.cls_logits = nn.Conv2d(in_channels, num_anchors, 1)
        self.bbox_pred = nn.Conv2d(in_channels, num_anchors * 4, 1)
        det_utils.normal_init(self)

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, *args):
        if local_metadata.get("version", None) in (None, 1):  # a bare convolution then
            for kind in ("weight", "bias"):
                value = state_dict.pop(f"{prefix}conv.{kind}", None)
                if value is not None:
                    state_dict[f"{prefix}conv.0.0.{kind}"] = value
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)

    def forward(self, x):
        features = [self.conv(feature) for feature in x]
        return [self.cls_logits(f) for f in features], [self.bbox_pred(f) for f in features]


def permute_and_flatten(layer, N, A, C, H, W):
    """[N, A * C, H, W] to [N, H * W * A, C]."""
    return layer.view(N, -1, C, H, W).permute(0, 3, 4, 1, 2).reshape(N, -1, C)


def concat_box_prediction_layers(box_cls, box_regression):
    """All maps' predictions: [N * anchors, classes] and [N * anchors, 4]."""
    scores, boxes = [], []
    for score, box in zip(box_cls, box_regression, strict=True):
        n, channels, h, w = score.shape
        a = box.shape[1] // 4
        scores.append(permute_and_flatten(score, n, a, channels // a, h, w))
        boxes.append(permute_and_flatten(box, n, a, 4, h, w))
    scores = flambeau.cat(scores, dim=1).flatten(0, -2)
    return scores, flambeau.cat(boxes, dim=1).reshape(-1, 4)


class RegionProposalNetwork(nn.Module):
    """(proposals of each image, losses)"""

    def __init__(
        self,
        anchor_generator,
        head,
        fg_iou_thresh,
        bg_iou_thresh,
        batch_size_per_image,
        positive_fraction,
        pre_nms_top_n,
        post_nms_top_n,
        nms_thresh,
        score_thresh=0.0,
    ):
        super().__init__()
        self.anchor_generator = anchor_generator
        self.head = head
        self.box_coder = det_utils.BoxCoder(weights=(1.0, 1.0, 1.0, 1.0))
        self.box_similarity = ops.box_iou
        self.proposal_matcher = det_utils.Matcher(
            fg_iou_thresh, bg_iou_thresh, allow_low_quality_matches=True
        )
        self.fg_bg_sampler = det_utils.BalancedPositiveNegativeSampler(
            batch_size_per_image, positive_fraction
        )
        self._pre_nms_top_n = pre_nms_top_n
        self._post_nms_top_n = post_nms_top_n
        self.nms_thresh = nms_thresh
        self.score_thresh = score_thresh
        self.min_size = 1e-3

    def pre_nms_top_n(self):
        return self._pre_nms_top_n["training" if self.training else "testing"]

    def post_nms_top_n(self):
        return self._post_nms_top_n["training" if self.training else "testing"]

    def assign_targets_to_anchors(self, anchors, targets):
        """For each image: 1, 0 or -1 (ignored) for each anchor, and the object's box."""
        labels, boxes = [], []
        for anchor, target in zip(anchors, targets, strict=True):
            truth = target["boxes"]
            if truth.numel() == 0:
                boxes.append(flambeau.zeros_like(anchor))
                labels.append(anchor.new_zeros(anchor.shape[0]))
                continue
            matches = self.proposal_matcher(self.box_similarity(truth, anchor))
            boxes.append(truth[matches.clamp(min=0)])
            label = (matches >= 0).float()
            label[matches == self.proposal_matcher.BETWEEN_THRESHOLDS] = -1.0
            labels.append(label)
        return labels, boxes

    def filter_proposals(self, proposals, objectness, image_shapes, num_anchors_per_level):
        """For each image the best boxes and their scores, at most post_nms_top_n."""
        count = proposals.shape[0]
        objectness = objectness.detach().reshape(count, -1)
        levels = flambeau.cat(
            [
                flambeau.full((n,), i, dtype=flambeau.int64, device=proposals.device)
                for i, n in enumerate(num_anchors_per_level)
            ]
        )
        best, offset = [], 0
        for part in objectness.split(num_anchors_per_level, 1):
            size = part.shape[1]
            best.append(part.topk(min(self.pre_nms_top_n(), size), dim=1)[1] + offset)
            offset += size
        best = flambeau.cat(best, dim=1)
        final_boxes, final_scores = [], []
        for i, shape in enumerate(image_shapes):
            index = best[i]
            scores, level = flambeau.sigmoid(objectness[i][index]), levels[index]
            boxes = ops.clip_boxes_to_image(proposals[i][index], shape)
            keep = ops.remove_small_boxes(boxes, self.min_size)
            boxes, scores, level = boxes[keep], scores[keep], level[keep]
            keep = flambeau.where(scores >= self.score_thresh)[0]
            boxes, scores, level = boxes[keep], scores[keep], level[keep]
            keep = ops.batched_nms(boxes, scores, level, self.nms_thresh)
            keep = keep[: self.post_nms_top_n()]
            final_boxes.append(boxes[keep])
            final_scores.append(scores[keep])
        return final_boxes, final_scores

    def compute_loss(self, objectness, pred_bbox_deltas, labels, regression_targets):
        """(objectness loss, box loss) over a sample of the anchors."""
        positive, negative = (flambeau.cat(m) for m in self.fg_bg_sampler(labels))
        positive, negative = flambeau.where(positive)[0], flambeau.where(negative)[0]
        sampled = flambeau.cat([positive, negative])
        labels, targets = flambeau.cat(labels), flambeau.cat(regression_targets)
        box_loss = (
            F.smooth_l1_loss(
                pred_bbox_deltas[positive], targets[positive], beta=1 / 9, reduction="sum"
            )
            / sampled.numel()
        )
        score_loss = F.binary_cross_entropy_with_logits(
            objectness.flatten()[sampled], labels[sampled]
        )
        return score_loss, box_loss

    def forward(self, images, features, targets=None):
        features = list(features.values())
        objectness, deltas = self.head(features)
        anchors = self.anchor_generator(images, features)
        per_level = [o[0].numel() for o in objectness]
        objectness, deltas = concat_box_prediction_layers(objectness, deltas)
        proposals = self.box_coder.decode(deltas.detach(), anchors)
        proposals = proposals.view(len(anchors), -1, 4)
        boxes, _ = self.filter_proposals(proposals, objectness, images.image_sizes, per_level)
        if not self.training:
            return boxes, {}
        if targets is None:
            raise ValueError("targets should not be None")
        labels, matched = self.assign_targets_to_anchors(anchors, targets)
        regression = self.box_coder.encode(matched, anchors)
        score_loss, box_loss = self.compute_loss(objectness, deltas, labels, regression)
        return boxes, {"loss_objectness": score_loss, "loss_rpn_box_reg": box_loss}
