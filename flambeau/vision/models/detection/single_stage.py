"""What detectors without proposals share."""

import flambeau
from flambeau import nn

from ...ops import boxes as box_ops
from ._utils import features_of


class SingleStage(nn.Module):
    """Backbone, head and anchors; a subclass has `compute_loss`, and `_scores` and `_decode`.

    The class sets backbone, anchor_generator, head and transform, and the bounds of what it finds.
    """

    per_level = True  # whether postprocessing wants the head's outputs level by level

    def forward(self, images, targets=None):
        images, targets, features, sizes = features_of(self, images, targets)
        features = list(features.values())
        outputs = self.head(features)
        anchors = self.anchor_generator(images, features)
        counts = [x.shape[2] * x.shape[3] for x in features]
        if self.training:
            return self.compute_loss(targets, outputs, anchors, counts)
        if self.per_level:
            per_place = outputs["cls_logits"].shape[1] // sum(counts)
            counts = [n * per_place for n in counts]
            outputs = {name: x.split(counts, dim=1) for name, x in outputs.items()}
            anchors = [a.split(counts) for a in anchors]
        found = self.postprocess_detections(outputs, anchors, images.image_sizes)
        return self.transform.postprocess(found, images.image_sizes, sizes)

    def postprocess_detections(self, head_outputs, anchors, image_shapes):
        """The best boxes of each image: the best of each level, less what they overlap."""
        detections = []
        for i, shape in enumerate(image_shapes):
            boxes, scores, labels = [], [], []
            for level, anchor in enumerate(anchors[i]):
                outputs = {name: maps[level][i] for name, maps in head_outputs.items()}
                score, index, label = self._best(self._scores(outputs))
                box = self._decode(outputs["bbox_regression"][index], anchor[index])
                boxes.append(box_ops.clip_boxes_to_image(box, shape))
                scores.append(score)
                labels.append(label)
            detections.append(self._detections(boxes, scores, labels, shape))
        return detections

    def _detections(self, boxes, scores, labels, shape):
        """The best of one image, after removing what overlaps a better one of its class."""
        boxes, scores, labels = (flambeau.cat(v) for v in (boxes, scores, labels))
        keep = box_ops.batched_nms(boxes, scores, labels, self.nms_thresh)
        keep = keep[: self.detections_per_img]
        return {"boxes": boxes[keep], "scores": scores[keep], "labels": labels[keep]}

    def _best(self, scores):
        """(scores, anchors, classes) of the topk_candidates of [anchors, classes]."""
        classes = scores.shape[-1]
        flat = scores.flatten()
        above = flambeau.where(flat > self.score_thresh)[0]
        best, order = flat[above].topk(min(self.topk_candidates, above.shape[0]))
        index = above[order]
        return best, flambeau.div(index, classes, rounding_mode="floor"), index % classes


def by_place(x, per_place):
    """[N, A * K, H, W] to [N, H * W * A, K]."""
    n, _, h, w = x.shape
    return x.view(n, -1, per_place, h, w).permute(0, 3, 4, 1, 2).reshape(n, -1, per_place)
