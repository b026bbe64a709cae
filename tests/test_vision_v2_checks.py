"""What the second version's transforms refuse, warn of and tell; turned boxes."""

import math

import pytest

import flambeau as torch
from flambeau.vision import ops, tv_tensors
from flambeau.vision import transforms as v1
from flambeau.vision.transforms import v2

F = v2.functional
MATRIX, IMAGE = torch.eye(2), torch.zeros(3, 8, 8)


def boxes(data=((1.0, 2, 5, 6),), format="XYXY", canvas_size=(8, 8), **more):
    return tv_tensors.BoundingBoxes(
        torch.tensor(data), format=format, canvas_size=canvas_size, **more
    )


@pytest.mark.parametrize(
    "error, make",
    [
        (TypeError, lambda: v2.Compose(abs)),
        (TypeError, lambda: v2.RandomChoice(abs)),
        (ValueError, lambda: v2.RandomOrder([])),
        (ValueError, lambda: v2.Pad([0.5, 0.5])),
        (ValueError, lambda: v2.RandomCrop([1, 2, 3])),
        (TypeError, lambda: v2.RandomResizedCrop(4, scale=1)),
        (TypeError, lambda: v1.RandomResizedCrop(4, ratio=[1, 2, 3])),
        (TypeError, lambda: v2.RandomZoomOut(side_range=None)),
        (ValueError, lambda: v2.RandomZoomOut(side_range=[1, 2, 3])),
        (TypeError, lambda: v2.RandomErasing(value={})),
        (ValueError, lambda: v2.RandomErasing(value="abc")),
        (ValueError, lambda: v2.RandomErasing(scale=(0.5, 2))),
        (ValueError, lambda: v2.GaussianBlur([3, 3, 3])),
        (ValueError, lambda: v1.GaussianBlur(4)),
        (TypeError, lambda: v2.GaussianBlur(3, sigma={})),
        (TypeError, lambda: v2.JPEG(True)),
        (ValueError, lambda: v2.JPEG([1, 2, 3])),
        (ValueError, lambda: v2.JPEG(0)),
        (ValueError, lambda: v2.RandAugment(num_ops=-1)),
        (ValueError, lambda: v2.LinearTransformation(MATRIX, torch.zeros(2).double())),
        (TypeError, lambda: F.posterize(IMAGE.to(torch.uint8), bits=9)),
        (ValueError, lambda: F.pad_mask(IMAGE, [1], fill=[1, 2])),
        (ValueError, lambda: F.perspective(IMAGE, None, None)),
        (TypeError, lambda: F.elastic(boxes(), displacement=None)),
        (TypeError, lambda: F.get_dimensions(boxes())),
        (TypeError, lambda: F.get_num_frames(tv_tensors.Image(IMAGE))),
        (TypeError, lambda: F.to_image(object())),
        (ValueError, lambda: F.clamp_bounding_boxes(boxes(), format="XYXY")),
        (ValueError, lambda: F.clamp_bounding_boxes(boxes(), clamping_mode="bad")),
        (ValueError, lambda: F.sanitize_bounding_boxes(boxes(), format="XYXY")),
        (ValueError, lambda: F.register_kernel("nothing", tv_tensors.Image)),
        (ValueError, lambda: F.register_kernel(F.resize, tv_tensors.Image)),
        (ValueError, lambda: v2.SanitizeBoundingBoxes()(tv_tensors.Image(IMAGE), boxes())),
        (ValueError, lambda: v2.CutMix(num_classes=3)(IMAGE[None], torch.tensor([1, 2]))),
        (ValueError, lambda: v2.MixUp(num_classes=3)(IMAGE, torch.tensor([1, 2]))),
        (NotImplementedError, lambda: F.resize(IMAGE, [4, 4], v2.InterpolationMode.BOX)),
    ],
)
def test_refuses(error, make):
    with pytest.raises(error):
        make()


def test_warns():
    with pytest.warns(UserWarning, match="deprecated"):
        v2.ToTensor()
    with pytest.warns(UserWarning, match=r"will \*not\* be transformed"):
        v2.ToDtype({torch.Tensor: torch.float32, tv_tensors.Image: torch.float32})
    with pytest.warns(UserWarning, match="no scaling"):
        v2.ToDtype({"others": None}, scale=True)(IMAGE)
    with pytest.warns(UserWarning, match="passing through"):
        v2.RandomErasing(p=1)(tv_tensors.Image(IMAGE), boxes())
    with pytest.warns(UserWarning, match="of kind"):
        v2.RandomResizedCrop(4, scale=(1.0, 0.5))
    Image = pytest.importorskip("PIL.Image")
    with pytest.warns(UserWarning, match="always applied"):
        F.resize(Image.new("RGB", (8, 8)), [4, 4], antialias=False)


def test_draws_of_the_first_version_are_there():
    for name in ("RandomCrop", "RandomResizedCrop", "ColorJitter", "RandomRotation"):
        assert getattr(v2, name).get_params is getattr(v1, name).get_params
    torch.manual_seed(0)
    params = v2.RandomCrop(4).make_params([IMAGE])
    assert set(params) == {
        "needs_crop", "top", "left", "height", "width", "needs_pad", "padding",
    }  # fmt: skip


def test_kernels_are_registered_under_any_name_of_a_functional():
    class Own(tv_tensors.TVTensor):
        pass

    @F.register_kernel("hflip", Own)
    def flipped(inpt):
        return "flipped"

    assert v2.RandomHorizontalFlip(p=1)(Own(IMAGE)) == "flipped"


def test_moves_are_shares_of_their_own_side():
    torch.manual_seed(0)
    wide = v2.ElasticTransform(alpha=8.0, sigma=0.0).make_params([torch.zeros(3, 4, 16)])
    moves = wide["displacement"]
    assert moves[..., 0].abs().max() <= 8 / 16 < moves[..., 1].abs().max() <= 8 / 4


def test_all_factors_are_drawn_before_their_order():
    params = v2.RandomPhotometricDistort(p=1.0).make_params([IMAGE])
    assert list(params)[-2:] == ["contrast_before", "channel_permutation"]
    with pytest.raises(TypeError):
        v2.RandAugment()(tv_tensors.Image(IMAGE.to(torch.uint8)), boxes())


def test_labels_are_found_by_their_name():
    find = v2._utils._find_labels_default_heuristic
    labels = torch.arange(2)
    assert find({"LaBeLs": labels, "label": 3}) is labels
    assert find((None, {"my_label": labels}, "more")) is labels
    assert find((IMAGE, labels)) is labels


def test_values():
    image = torch.arange(256).to(torch.uint8).view(1, 16, 16)
    assert torch.equal(F.posterize(image, 3), image & 224)
    assert F.posterize(image / 255.0, 1).unique().tolist() == [0.0, 0.5]
    grey = F.rgb_to_grayscale(image, 3)
    grey[0] += 1
    assert torch.equal(grey[1], image[0])
    assert F.jpeg(image[:, :0], 50).shape == (1, 0, 16)
    x = torch.rand(3, 4, 4)
    version = x._version
    assert F.normalize(x, [0.5] * 3, [0.5] * 3, inplace=True) is x and x._version > version
    plain = torch.tensor([[1.0, 2, 5, 6]])
    assert F.convert_bounding_box_format(plain, "XYXY", "XYXY") is plain
    assert F.convert_bounding_box_format(plain, "XYXY", "XYWH", inplace=True) is plain
    assert plain.tolist() == [[1, 2, 4, 4]]
    kept, valid = F.sanitize_bounding_boxes(boxes(((1.0, 2, 5, 6), (3.0, 3, 3, 3))))
    assert isinstance(kept, tv_tensors.BoundingBoxes) and valid.tolist() == [True, False]


def test_crop_and_resize_of_bytes_are_two_steps():
    image = (torch.arange(3 * 20 * 20) * 37 % 256).to(torch.uint8).view(3, 20, 20)
    box, size = (2, 3, 9, 11), [17, 30]
    made = F.resized_crop(image, *box, size, interpolation="bicubic")
    assert torch.equal(made, F.resize(F.crop(image, *box), size, interpolation="bicubic"))


def turned(x, y, width, height, angle):
    return boxes(((x, y, width, height, angle),), "XYWHR", (10, 10))


def test_turned_boxes_end_where_the_image_does():
    assert F.clamp_bounding_boxes(turned(0.0, 0, 100, 100, 0)).tolist() == [[0, 0, 10, 10, 0]]
    # a square on its corner, the lower half of which lies below the image
    half = F.clamp_bounding_boxes(turned(9.0, 9, 3, 3, -45))
    side = math.sqrt(2)
    assert torch.allclose(half, torch.tensor([[9.0, 9, side, side, -45]]), atol=1e-4)
    hard = F.clamp_bounding_boxes(turned(9.0, 9, 3, 3, -45), clamping_mode="hard")
    assert torch.allclose(hard, torch.tensor([[9.0, 9, side / 2, side / 2, -45]]), atol=1e-4)
    inside = turned(2.0, 2, 3, 3, 10)
    assert torch.equal(F.clamp_bounding_boxes(inside), inside)
    gone = F.clamp_bounding_boxes(turned(-5.0, -5, 3, 3, 0))
    assert gone[0, 2:4].tolist() == [0, 0]


def test_sheared_boxes_become_rectangles():
    corners = torch.tensor([[10.0, 10, 14, 10, 14, 12, 10, 12]])
    given = boxes(corners.tolist(), "XYXYXYXY", (30, 30))
    made = F.affine(given, 0, [0, 0], 1.0, [26.565, 0.0], center=[10, 10])
    width, height = (
        (made[0, 2:4] - made[0, :2]).norm(),
        (made[0, 4:6] - made[0, 2:4]).norm(),
    )
    across = ((made[0, 2:4] - made[0, :2]) * (made[0, 4:6] - made[0, 2:4])).sum()
    assert across.abs() < 1e-3 and abs(width - 5) < 1e-2 and abs(height - 2) < 1e-2


def test_affine_matrix_and_its_inverse():
    arguments = [3.0, 4.0], 20.0, [1.0, -2.0], 1.3, [5.0, 2.0]
    matrix = v1.functional._get_inverse_affine_matrix
    there, back = matrix(*arguments, inverted=False), matrix(*arguments)
    product = torch.tensor([*there, 0, 0, 1.0]).view(3, 3) @ torch.tensor([*back, 0, 0, 1.0]).view(
        3, 3
    )
    assert torch.allclose(product, torch.eye(3), atol=1e-5)


def test_functions_are_one_node_of_a_traced_graph():
    from flambeau import fx

    class Net(torch.nn.Module):
        def forward(self, x, rois):
            return ops.roi_align(ops.stochastic_depth(x, 0.5, "row"), rois, 2)

    nodes = [node.name for node in fx.symbolic_trace(Net()).graph.nodes]
    assert nodes == ["x", "rois", "stochastic_depth", "roi_align", "output"]


@pytest.mark.parametrize("batch", [(), (2,)])
def test_overlaps_of_unequal_numbers_of_boxes(batch):
    few = torch.tensor([[0.0, 0, 4, 4], [2, 2, 6, 8]]).expand(*batch, 2, 4)
    many = torch.tensor([[0.0, 0, 4, 4], [1, 1, 3, 5], [7, 7, 9, 9]]).expand(*batch, 3, 4)
    shared = torch.tensor([[16.0, 6, 0], [4, 3, 2 * 1.0 - 2]])
    areas = torch.tensor([[16.0], [24]]) + torch.tensor([16.0, 8, 4])
    want = shared / (areas - shared)
    for name in ("box_iou", "generalized_box_iou", "distance_box_iou", "complete_box_iou"):
        f = getattr(ops, name)
        assert f(few, many).shape == (*batch, 2, 3)
        pairs = [
            [f(a[None], b[None]).item() for b in many.reshape(-1, 3, 4)[0]]
            for a in few.reshape(-1, 2, 4)[0]
        ]
        assert torch.allclose(f(few, many), torch.tensor(pairs).expand(*batch, 2, 3))
    assert torch.allclose(ops.box_iou(few, many), want.expand(*batch, 2, 3))


def test_boxes_around_masks():
    masks = torch.zeros(3, 6, 9, dtype=torch.bool)
    masks[0, 2:4, 1:8] = True
    masks[2, 5, 8] = True
    assert ops.masks_to_boxes(masks).tolist() == [[1, 2, 7, 3], [0, 0, 0, 0], [8, 5, 8, 5]]
