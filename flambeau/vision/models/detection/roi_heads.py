"""Classes, boxes, masks and keypoints of proposed regions."""

import flambeau
from flambeau import nn
from flambeau.nn import functional as F

from ... import ops
from ...ops import roi_align
from . import _utils as det_utils


def fastrcnn_loss(class_logits, box_regression, labels, regression_targets):
    """(classification loss, box loss)"""
    labels, targets = flambeau.cat(labels), flambeau.cat(regression_targets)
    positive = flambeau.where(labels > 0)[0]
    boxes = box_regression.reshape(len(class_logits), -1, 4)[positive, labels[positive]]
    box_loss = F.smooth_l1_loss(boxes, targets[positive], beta=1 / 9, reduction="sum")
    return F.cross_entropy(class_logits, labels), box_loss / labels.numel()


def maskrcnn_inference(x, labels):
    """Probabilities [N, 1, M, M] of each region's own class, image by image."""
    counts = [label.shape[0] for label in labels]
    labels = flambeau.cat(labels)
    index = flambeau.arange(x.shape[0], device=labels.device)
    return x.sigmoid()[index, labels][:, None].split(counts, dim=0)


def _regions(boxes, matched):
    return flambeau.cat([matched[:, None].to(boxes), boxes], dim=1)


def project_masks_on_boxes(gt_masks, boxes, matched_idxs, M):
    """[N, M, M]: the objects' masks as the boxes see them."""
    masks = gt_masks[:, None].to(boxes)
    return roi_align(masks, _regions(boxes, matched_idxs), (M, M), 1.0)[:, 0]


def maskrcnn_loss(mask_logits, proposals, gt_masks, gt_labels, mask_matched_idxs):
    size = mask_logits.shape[-1]
    labels = flambeau.cat([t[i] for t, i in zip(gt_labels, mask_matched_idxs, strict=True)])
    targets = flambeau.cat(
        [
            project_masks_on_boxes(m, p, i, size)
            for m, p, i in zip(gt_masks, proposals, mask_matched_idxs, strict=True)
        ]
    )
    if targets.numel() == 0:
        return mask_logits.sum() * 0
    index = flambeau.arange(labels.shape[0], device=labels.device)
    return F.binary_cross_entropy_with_logits(mask_logits[index, labels], targets)


def keypoints_to_heatmap(keypoints, rois, heatmap_size):
    """The cell of each keypoint in its region's grid, and whether it counts."""
    start = rois[:, None, :2]
    scale = heatmap_size / (rois[:, None, 2:] - start)
    place = keypoints[..., :2]
    cell = ((place - start) * scale).floor().long()
    at_end = place == rois[:, None, 2:]
    cell = flambeau.where(at_end, flambeau.full_like(cell, heatmap_size - 1), cell)
    inside = ((cell >= 0) & (cell < heatmap_size)).all(dim=-1)
    valid = (inside & (keypoints[..., 2] > 0)).long()
    return (cell[..., 1] * heatmap_size + cell[..., 0]) * valid, valid


def heatmaps_to_keypoints(maps, rois):
    """([N, K, (x, y, 1)], scores [N, K]) from [N, K, S, S], at the regions' resolution."""
    sizes = (rois[:, 2:] - rois[:, :2]).clamp(min=1)
    whole = sizes.ceil()
    places, scores = [], []
    for heat, roi, size, grid in zip(maps, rois, sizes, whole, strict=True):
        width, height = int(grid[0].item()), int(grid[1].item())
        heat = F.interpolate(heat[None], size=(height, width), mode="bicubic", align_corners=False)[
            0
        ].flatten(1)
        best = heat.argmax(dim=1)
        x = (best % width + 0.5) * (size[0] / width) + roi[0]
        y = (best // width + 0.5) * (size[1] / height) + roi[1]
        places.append(flambeau.stack([x, y, flambeau.ones_like(x)], dim=1))
        scores.append(heat.gather(1, best[:, None])[:, 0])
    if not places:
        return maps.new_zeros((0, maps.shape[1], 3)), maps.new_zeros((0, maps.shape[1]))
    return flambeau.stack(places), flambeau.stack(scores)


def keypointrcnn_loss(keypoint_logits, proposals, gt_keypoints, keypoint_matched_idxs):
    n, k, h, w = keypoint_logits.shape
    if h != w:
        raise ValueError(f"keypoint_logits should be square, got {h} x {w}")
    cells, valid = [], []
    for boxes, truth, index in zip(proposals, gt_keypoints, keypoint_matched_idxs, strict=True):
        cell, counts = keypoints_to_heatmap(truth[index], boxes, h)
        cells.append(cell.view(-1))
        valid.append(counts.view(-1))
    cells = flambeau.cat(cells)
    valid = flambeau.where(flambeau.cat(valid))[0]
    if cells.numel() == 0 or len(valid) == 0:
        return keypoint_logits.sum() * 0
    return F.cross_entropy(keypoint_logits.view(n * k, h * w)[valid], cells[valid])


def keypointrcnn_inference(x, boxes):
    """(keypoints of each image, their scores)"""
    counts = [len(b) for b in boxes]
    keypoints, scores = [], []
    for heat, rois in zip(x.split(counts, dim=0), boxes, strict=True):
        place, score = heatmaps_to_keypoints(heat, rois)
        keypoints.append(place)
        scores.append(score)
    return keypoints, scores


def expand_boxes(boxes, scale):
    """Boxes of scaled size around the same centres."""
    centre = (boxes[:, 2:] + boxes[:, :2]) * 0.5
    half = (boxes[:, 2:] - boxes[:, :2]) * 0.5 * scale
    return flambeau.cat([centre - half, centre + half], dim=1)


def expand_masks(mask, padding):
    """(masks with zeros around, by how much that scales them)"""
    size = mask.shape[-1]
    return F.pad(mask, (padding,) * 4), float(size + 2 * padding) / size


def paste_mask_in_image(mask, box, im_h, im_w):
    """[im_h, im_w] with a mask [M, M] resized to a box of whole pixels."""
    x0, y0, x1, y1 = (int(v) for v in box.tolist())
    width, height = max(x1 - x0 + 1, 1), max(y1 - y0 + 1, 1)
    mask = F.interpolate(
        mask[None, None], size=(height, width), mode="bilinear", align_corners=False
    )[0, 0]
    image = flambeau.zeros((im_h, im_w), dtype=mask.dtype, device=mask.device)
    left, right, top, bottom = max(x0, 0), min(x1 + 1, im_w), max(y0, 0), min(y1 + 1, im_h)
    if left < right and top < bottom:
        image[top:bottom, left:right] = mask[top - y0 : bottom - y0, left - x0 : right - x0]
    return image


def paste_masks_in_image(masks, boxes, img_shape, padding=1):
    """[N, 1, H, W] from [N, 1, M, M]."""
    masks, scale = expand_masks(masks, padding)
    boxes = expand_boxes(boxes, scale).to(dtype=flambeau.int64)
    height, width = img_shape
    pasted = [
        paste_mask_in_image(mask[0], box, height, width)
        for mask, box in zip(masks, boxes, strict=True)
    ]
    return flambeau.stack(pasted)[:, None] if pasted else masks.new_empty((0, 1, height, width))


class RoIHeads(nn.Module):
    """(detections of each image, losses)"""

    def __init__(
        self,
        box_roi_pool,
        box_head,
        box_predictor,
        fg_iou_thresh,
        bg_iou_thresh,
        batch_size_per_image,
        positive_fraction,
        bbox_reg_weights,
        score_thresh,
        nms_thresh,
        detections_per_img,
        mask_roi_pool=None,
        mask_head=None,
        mask_predictor=None,
        keypoint_roi_pool=None,
        keypoint_head=None,
        keypoint_predictor=None,
    ):
        super().__init__()
        self.box_similarity = ops.box_iou
        self.proposal_matcher = det_utils.Matcher(fg_iou_thresh, bg_iou_thresh)
        self.fg_bg_sampler = det_utils.BalancedPositiveNegativeSampler(
            batch_size_per_image, positive_fraction
        )
        self.box_coder = det_utils.BoxCoder(bbox_reg_weights or (10.0, 10.0, 5.0, 5.0))
        self.box_roi_pool = box_roi_pool
        self.box_head = box_head
        self.box_predictor = box_predictor
        self.score_thresh = score_thresh
        self.nms_thresh = nms_thresh
        self.detections_per_img = detections_per_img
        self.mask_roi_pool = mask_roi_pool
        self.mask_head = mask_head
        self.mask_predictor = mask_predictor
        self.keypoint_roi_pool = keypoint_roi_pool
        self.keypoint_head = keypoint_head
        self.keypoint_predictor = keypoint_predictor

    def has_mask(self):
        parts = (self.mask_roi_pool, self.mask_head, self.mask_predictor)
        return all(part is not None for part in parts)

    def has_keypoint(self):
        parts = (self.keypoint_roi_pool, self.keypoint_head, self.keypoint_predictor)
        return all(part is not None for part in parts)

    def assign_targets_to_proposals(self, proposals, gt_boxes, gt_labels):
        """For each image: the object of each proposal, and its class (0: none, -1: ignored)."""
        matched, labels = [], []
        for boxes, truth, kinds in zip(proposals, gt_boxes, gt_labels, strict=True):
            if truth.numel() == 0:
                none = flambeau.zeros((boxes.shape[0],), dtype=flambeau.int64)
                matched.append(none.to(boxes.device))
                labels.append(none.to(boxes.device))
                continue
            found = self.proposal_matcher(self.box_similarity(truth, boxes))
            index = found.clamp(min=0)
            label = kinds[index].to(dtype=flambeau.int64)
            label[found == self.proposal_matcher.BELOW_LOW_THRESHOLD] = 0
            label[found == self.proposal_matcher.BETWEEN_THRESHOLDS] = -1
            matched.append(index)
            labels.append(label)
        return matched, labels

    def select_training_samples(self, proposals, targets):
        """A sample of the proposals, with the objects' own boxes among them."""
        dtype = proposals[0].dtype
        gt_boxes = [t["boxes"].to(dtype) for t in targets]
        gt_labels = [t["labels"] for t in targets]
        proposals = [flambeau.cat((p, truth)) for p, truth in zip(proposals, gt_boxes, strict=True)]
        matched, labels = self.assign_targets_to_proposals(proposals, gt_boxes, gt_labels)
        masks = self.fg_bg_sampler(labels)
        matched_boxes = []
        for i, (positive, negative) in enumerate(zip(*masks, strict=True)):
            index = flambeau.where(positive | negative)[0]
            proposals[i] = proposals[i][index]
            labels[i] = labels[i][index]
            matched[i] = matched[i][index]
            truth = gt_boxes[i]
            if truth.numel() == 0:
                truth = flambeau.zeros((1, 4), dtype=dtype, device=truth.device)
            matched_boxes.append(truth[matched[i]])
        return proposals, matched, labels, self.box_coder.encode(matched_boxes, proposals)

    def postprocess_detections(self, class_logits, box_regression, proposals, image_shapes):
        """(boxes, scores, labels), each a list by image."""
        classes = class_logits.shape[-1]
        counts = [len(boxes) for boxes in proposals]
        boxes = self.box_coder.decode(box_regression, proposals).split(counts, 0)
        scores = F.softmax(class_logits, -1).split(counts, 0)
        results = [], [], []
        for box, score, shape in zip(boxes, scores, image_shapes, strict=True):
            box = ops.clip_boxes_to_image(box, shape)
            label = flambeau.arange(classes, device=score.device).view(1, -1).expand_as(score)
            # without the background; every class of a region is a detection of its own
            box = box[:, 1:].reshape(-1, 4)
            score, label = score[:, 1:].reshape(-1), label[:, 1:].reshape(-1)
            keep = flambeau.where(score > self.score_thresh)[0]
            box, score, label = box[keep], score[keep], label[keep]
            keep = ops.remove_small_boxes(box, min_size=1e-2)
            box, score, label = box[keep], score[keep], label[keep]
            keep = ops.batched_nms(box, score, label, self.nms_thresh)
            keep = keep[: self.detections_per_img]
            for items, part in zip(results, (box, score, label), strict=True):
                items.append(part[keep])
        return results

    def _check(self, targets):
        for target in targets or ():
            if target["boxes"].dtype not in (flambeau.float32, flambeau.float64, flambeau.float16):
                raise TypeError(
                    f"target boxes must of float type, instead got {target['boxes'].dtype}"
                )
            if target["labels"].dtype != flambeau.int64:
                raise TypeError(
                    f"target labels must of int64 type, instead got {target['labels'].dtype}"
                )

    def forward(self, features, proposals, image_shapes, targets=None):
        self._check(targets)
        matched = labels = regression = None
        if self.training:
            proposals, matched, labels, regression = self.select_training_samples(
                proposals, targets
            )
        pooled = self.box_head(self.box_roi_pool(features, proposals, image_shapes))
        class_logits, box_regression = self.box_predictor(pooled)
        result, losses = [], {}
        if self.training:
            kind_loss, box_loss = fastrcnn_loss(class_logits, box_regression, labels, regression)
            losses = {"loss_classifier": kind_loss, "loss_box_reg": box_loss}
        else:
            found = self.postprocess_detections(
                class_logits, box_regression, proposals, image_shapes
            )
            result = [
                {"boxes": box, "labels": label, "scores": score}
                for box, score, label in zip(*found, strict=True)
            ]
        for wanted, add in (
            (self.has_mask(), self._add_masks),
            (self.has_keypoint(), self._add_keypoints),
        ):
            if wanted:
                add(features, proposals, image_shapes, targets, matched, labels, result, losses)
        return result, losses

    def _positive(self, proposals, matched, labels):
        """The sampled proposals that have an object."""
        index = [flambeau.where(label > 0)[0] for label in labels]
        boxes = [p[i] for p, i in zip(proposals, index, strict=True)]
        return boxes, [m[i] for m, i in zip(matched, index, strict=True)]

    def _add_masks(self, features, proposals, shapes, targets, matched, labels, result, losses):
        boxes, positive = [r["boxes"] for r in result], None
        if self.training:
            boxes, positive = self._positive(proposals, matched, labels)
        logits = self.mask_predictor(self.mask_head(self.mask_roi_pool(features, boxes, shapes)))
        if self.training:
            truth = [t["masks"] for t in targets], [t["labels"] for t in targets]
            losses["loss_mask"] = maskrcnn_loss(logits, boxes, *truth, positive)
            return
        masks = maskrcnn_inference(logits, [r["labels"] for r in result])
        for found, mask in zip(result, masks, strict=True):
            found["masks"] = mask

    def _add_keypoints(self, features, proposals, shapes, targets, matched, labels, result, losses):
        boxes, positive = [r["boxes"] for r in result], None
        if self.training:
            boxes, positive = self._positive(proposals, matched, labels)
        pooled = self.keypoint_head(self.keypoint_roi_pool(features, boxes, shapes))
        logits = self.keypoint_predictor(pooled)
        if self.training:
            truth = [t["keypoints"] for t in targets]
            losses["loss_keypoint"] = keypointrcnn_loss(logits, boxes, truth, positive)
            return
        for found, place, score in zip(result, *keypointrcnn_inference(logits, boxes), strict=True):
            found["keypoints"] = place
            found["keypoints_scores"] = score
