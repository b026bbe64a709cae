"""Operators of vision models against arithmetic done by hand."""

import pytest

import flambeau as torch
from flambeau.autograd import gradcheck
from flambeau.vision import ops

BOXES = torch.tensor([[0.0, 0, 4, 4], [0, 0, 4, 5], [2, 2, 6, 6]])


def test_iou():
    found = ops.box_iou(BOXES, BOXES)
    assert found[0].tolist() == pytest.approx([1.0, 0.8, 4 / 28])
    assert ops.generalized_box_iou(BOXES[:1], BOXES[2:]).item() == pytest.approx(4 / 28 - 8 / 36)
    loss = ops.generalized_box_iou_loss(BOXES[:1], BOXES[2:])
    assert loss.item() == pytest.approx(1 - 4 / 28 + 8 / 36)
    distance = ops.distance_box_iou(BOXES[:1], BOXES[2:])
    assert distance.item() == pytest.approx(4 / 28 - 8 / 72)


def test_nms():
    scores = torch.tensor([0.5, 0.9, 0.7])
    assert ops.nms(BOXES, scores, 0.5).tolist() == [1, 2]
    assert ops.nms(BOXES, scores, 0.9).tolist() == [1, 2, 0]
    groups = torch.tensor([0, 1, 1])
    assert ops.batched_nms(BOXES, scores, groups, 0.5).tolist() == [1, 2, 0]
    assert ops.nms(BOXES[:0], scores[:0], 0.5).tolist() == []
    with pytest.raises((RuntimeError, ValueError)):
        ops.nms(BOXES, scores[:2], 0.5)


def test_nms_of_many_boxes_by_group():
    corner = torch.rand(1200, 2, generator=torch.Generator().manual_seed(0)) * 40
    boxes, scores = torch.cat([corner, corner + 8], 1), torch.arange(1200) / 1200
    groups = torch.arange(1200) % 3
    found = ops.batched_nms(boxes, scores, groups, 0.3)
    wanted = []
    for k in range(3):
        own = torch.where(groups == k)[0]
        wanted += own[ops.nms(boxes[own], scores[own], 0.3)].tolist()
    assert found.tolist() == sorted(wanted, reverse=True)


@pytest.mark.parametrize("fmt", ["xywh", "cxcywh"])
def test_convert_there_and_back(fmt):
    assert ops.box_convert(ops.box_convert(BOXES, "xyxy", fmt), fmt, "xyxy").equal(BOXES)


def test_roi_align_of_a_plane():
    # a linear image: the mean of samples is the value at the cell's centre
    y, x = torch.meshgrid(torch.arange(12.0), torch.arange(12.0), indexing="ij")
    image = (2 * x + 3 * y)[None, None]
    rois = torch.tensor([[0.0, 2, 3, 6, 9]])
    found = ops.roi_align(image, rois, (2, 2), aligned=False, sampling_ratio=2)
    assert found.flatten().tolist() == pytest.approx([19.5, 23.5, 28.5, 32.5])
    assert ops.roi_align(image, rois[:0], 2).shape == (0, 1, 2, 2)


@pytest.mark.parametrize("ratio", [-1, 2])
def test_roi_align_gradient(ratio):
    torch.manual_seed(0)
    image = torch.randn(2, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    rois = torch.tensor([[0, 0.3, 0.2, 4.1, 3.7], [1, -2.0, 1.0, 3.0, 7.0]], dtype=torch.float64)
    assert gradcheck(lambda v: ops.roi_align(v, rois, 2, 0.9, ratio, True), (image,))


def test_roi_pool():
    image = torch.arange(36.0).reshape(1, 1, 6, 6)
    found = ops.roi_pool(image, [torch.tensor([[0.0, 0, 3, 3]])], 2)
    assert found.flatten().tolist() == [7, 9, 19, 21]
    wide = image.repeat(1, 4, 1, 1)
    assert ops.ps_roi_pool(wide, [torch.tensor([[0.0, 0, 4, 4]])], 2).flatten().tolist() == [
        3.5, 5.5, 15.5, 17.5,
    ]  # fmt: skip


def test_what_lies_outside_of_the_map_is_zero():
    image = torch.arange(1.0, 65).reshape(1, 1, 8, 8)
    left = ops.roi_align(image, torch.tensor([[0, -6.0, 2, 4, 5]]), 3, 1.0, 2)
    assert left[0, 0, :, 0].tolist() == [0.0, 0.0, 0.0]
    assert left[0, 0, :, 2].tolist() == pytest.approx([70 / 3, 94 / 3, 118 / 3])
    away = torch.tensor([[0, 20.0, 20, 30, 30]])
    for pool in (ops.roi_align, ops.roi_pool):
        assert not pool(image, away, 2).any()
    assert not ops.ps_roi_align(image.repeat(1, 4, 1, 1), away, 2).any()


def test_quantized_maps_and_boxes():
    maps = torch.quantize_per_tensor(torch.arange(64.0).reshape(1, 1, 8, 8), 0.5, 10, torch.quint8)
    rois = torch.tensor([[0, 1.0, 1, 5, 5]])
    found, scale = ops.roi_align(maps, rois, 2), (maps.q_scale(), maps.q_zero_point(), maps.dtype)
    wanted = torch.quantize_per_tensor(ops.roi_align(maps.dequantize(), rois, 2), *scale)
    assert found.int_repr().equal(wanted.int_repr()) and found.q_scale() == 0.5
    boxes = torch.quantize_per_tensor(BOXES, 0.5, 0, torch.quint8)
    assert ops.nms(boxes, torch.tensor([0.5, 0.9, 0.1]), 0.5).tolist() == [1, 2]


def test_a_region_widened_to_a_pixel_stays_on_the_map():
    image = torch.arange(1.0, 65).reshape(1, 1, 8, 8)
    corner = torch.tensor([[0, 7.7, 7.7, 8, 8]])  # one pixel wide from 7.7 on
    assert ops.roi_align(image, corner, 2, 1.0, 2).flatten().tolist() == [64.0] * 4
    beyond = torch.tensor([[0, 7.7, 7.7, 8.7, 8.7]])  # reaches there by itself
    assert ops.roi_align(image, beyond, 2, 1.0, 2).flatten().tolist() == [16.0, 0, 0, 0]


@pytest.mark.parametrize("pool", [ops.roi_pool, ops.ps_roi_pool, ops.ps_roi_align])
def test_gradient_of_regions(pool):
    torch.manual_seed(0)
    image = torch.randn(2, 6, 5, 6, dtype=torch.float64, requires_grad=True)
    rois = torch.tensor([[0, 0.3, 0.2, 4.1, 3.7], [1, -2.0, 1.0, 3.0, 7.0]], dtype=torch.float64)
    assert gradcheck(lambda v: pool(v, rois, (3, 2), 0.9), (image,))


def test_regions_are_checked():
    image = torch.zeros(1, 4, 5, 5)
    for roi in ([1.0, 0, 0, 1, 1], [-1.0, 0, 0, 1, 1], [0, 0, float("nan"), 1, 1]):
        for pool in (ops.roi_align, ops.roi_pool, ops.ps_roi_align, ops.ps_roi_pool):
            with pytest.raises(RuntimeError):
                pool(image, torch.tensor([roi]), 2)
    with pytest.raises(RuntimeError, match="multiple of pooling"):
        ops.ps_roi_pool(image, torch.zeros(1, 5), 3)


def test_deform_conv_gradients():
    torch.manual_seed(0)
    like = {"dtype": torch.float64, "requires_grad": True}
    x, weight = torch.randn(1, 4, 5, 4, **like), torch.randn(2, 2, 2, 3, **like)
    # away from whole numbers, where the slope jumps
    offset = (torch.rand(1, 24, 4, 2, dtype=torch.float64) * 0.8 + 0.1).round(decimals=1) + 0.05
    offset.requires_grad_()
    mask = torch.rand(1, 12, 4, 2, **like)
    assert gradcheck(
        lambda x, o, w, m: ops.deform_conv2d(x, o, w, mask=m), (x, offset, weight, mask)
    )


def test_deform_conv_without_offsets_is_a_convolution():
    torch.manual_seed(0)
    x, weight = torch.randn(2, 4, 7, 6), torch.randn(6, 2, 3, 3)
    offset = torch.zeros(2, 18, 4, 3)
    found = ops.deform_conv2d(x, offset, weight, stride=2, padding=1)
    wanted = torch.nn.functional.conv2d(x, weight, stride=2, padding=1, groups=2)
    assert torch.allclose(found, wanted, atol=1e-5)
    assert torch.allclose(
        ops.deform_conv2d(x, offset, weight, stride=2, padding=1, mask=torch.zeros(2, 9, 4, 3)),
        torch.zeros(()),
    )


def test_focal_loss_without_focus_is_cross_entropy():
    x, y = torch.randn(5, 3), torch.ones(5, 3)
    found = ops.sigmoid_focal_loss(x, y, alpha=-1, gamma=0, reduction="mean")
    wanted = torch.nn.functional.binary_cross_entropy_with_logits(x, y)
    assert found.item() == pytest.approx(wanted.item())


def test_dropped_parts():
    torch.manual_seed(0)
    x = torch.ones(64, 2, 8, 8)
    rows = ops.stochastic_depth(x, 0.5, "row")
    assert set(rows.unique().tolist()) == {0.0, 2.0}
    squares = ops.drop_block2d(x, 0.2, 3)
    assert squares.mean().item() == pytest.approx(1, abs=1e-4) and (squares == 0).any()
    assert ops.masks_to_boxes(torch.eye(4)[None]).tolist() == [[0, 0, 3, 3]]


def test_iou_of_turned_boxes():
    square = torch.tensor([[0.0, 0, 2, 2, 0], [0, 0, 2, 2, 45], [1, 0, 2, 2, 0], [9, 9, 2, 2, 10]])
    octagon = 8 * (2**0.5 - 1)
    iou = ops.box_iou(square[:1], square, fmt="cxcywhr")[0]
    want = torch.tensor([1.0, octagon / (8 - octagon), 1 / 3, 0.0])
    assert (iou - want).abs().max() < 1e-6
    assert ops.box_iou(square[:0], square, fmt="cxcywhr").shape == (0, 4)
    corners = ops.box_convert(square, "cxcywhr", "xyxyxyxy")
    assert (ops.box_iou(corners[:1], corners, fmt="xyxyxyxy")[0] - want).abs().max() < 1e-6


def test_angles_stay_as_they_are_written():
    boxes = torch.tensor([[6.0, 3, 4, 2, 180], [6, 3, 4, 2, -90], [6, 3, 4, 2, 300]])
    corner = ops.box_convert(boxes, "cxcywhr", "xywhr")
    wanted = torch.tensor([[8.0, 4, 4, 2], [7, 1, 4, 2]])
    torch.testing.assert_close(corner[:2, :4], wanted)
    assert corner[:, 4].equal(boxes[:, 4])
    torch.testing.assert_close(ops.box_convert(corner, "xywhr", "cxcywhr"), boxes)


def test_split_normalization_params():
    from flambeau.vision.ops._utils import split_normalization_params

    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.LayerNorm(4))
    norm, other = split_normalization_params(model)
    assert [p.shape for p in norm] == [(4,), (4,)] and [p.shape for p in other] == [(4, 3), (4,)]
