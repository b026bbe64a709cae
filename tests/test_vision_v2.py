"""Transforms of samples with boxes, masks and keypoints."""

import pytest

import flambeau as torch
from flambeau.vision import tv_tensors
from flambeau.vision.transforms import v2

F = v2.functional


def sample():
    return {
        "image": tv_tensors.Image(
            (torch.arange(3 * 10 * 20) % 256).to(torch.uint8).view(3, 10, 20)
        ),
        "boxes": tv_tensors.BoundingBoxes(
            [[3.0, 4, 9, 8], [0, 0, 2, 2]], format="XYXY", canvas_size=(10, 20)
        ),
        "mask": tv_tensors.Mask(torch.ones(2, 10, 20, dtype=torch.bool)),
        "points": tv_tensors.KeyPoints([[3.0, 4.0]], canvas_size=(10, 20)),
        "labels": torch.tensor([1, 2]),
    }


def test_flip_moves_everything():
    made = v2.RandomHorizontalFlip(p=1)(sample())
    assert {k: type(v) for k, v in made.items()} == {k: type(v) for k, v in sample().items()}
    assert made["boxes"].tolist() == [[11, 4, 17, 8], [18, 0, 20, 2]]
    assert made["points"].tolist() == [[16, 4]]
    assert made["image"][0, 0, 0] == 19
    assert made["labels"].tolist() == [1, 2]


def test_shapes_follow():
    made = v2.Compose([v2.Resize((5, 30)), v2.Pad([1, 2]), v2.ToDtype(torch.float32, scale=True)])(
        sample()
    )
    assert made["image"].shape == (3, 9, 32) and made["image"].dtype == torch.float32
    assert made["mask"].shape == (2, 9, 32) and made["mask"].dtype == torch.bool
    assert made["boxes"].canvas_size == (9, 32)
    assert made["boxes"][0].tolist() == pytest.approx([5.5, 4, 14.5, 6])
    assert made["points"][0].tolist() == pytest.approx([5.5, 4])


def test_boxes_turn_and_are_cut():
    boxes = sample()["boxes"]
    turned = F.rotate(boxes, 90.0, expand=True)
    assert turned.canvas_size == (20, 10)
    assert torch.allclose(turned[0], torch.tensor([4.0, 11, 8, 17]), atol=1e-4)
    assert F.crop(boxes, 2, 3, 5, 6)[0].tolist() == [0, 2, 6, 5]
    sizes = F.convert_bounding_box_format(boxes, new_format="XYWH")
    assert sizes[0].tolist() == [3, 4, 6, 4] and sizes.format.value == "XYWH"


def test_sanitize():
    given = F.crop(sample()["boxes"], 2, 3, 5, 6)
    made = v2.SanitizeBoundingBoxes()({"boxes": given, "labels": torch.tensor([7, 8])})
    assert made["boxes"].tolist() == [[0, 2, 6, 5]] and made["labels"].tolist() == [7]


def test_operators_return_plain_tensors():
    image = sample()["image"]
    assert type(image + 1) is torch.Tensor and type(image[0]) is torch.Tensor
    assert type(image.clone()) is tv_tensors.Image and type(image.to(torch.float32)) is type(image)
    assert type(tv_tensors.wrap(image + 1, like=image)) is tv_tensors.Image
    with tv_tensors.set_return_type("TVTensor"):
        assert type(image + 1) is tv_tensors.Image
    assert type(image + 1) is torch.Tensor


def test_mixtures():
    torch.manual_seed(0)
    images, labels = torch.rand(4, 3, 8, 8), torch.arange(4)
    for kind in (v2.CutMix, v2.MixUp):
        mixed, shares = kind(num_classes=5)(images, labels)
        assert mixed.shape == images.shape
        assert torch.allclose(shares.sum(1), torch.ones(4))


def test_own_kernel():
    class Sound(tv_tensors.TVTensor):
        pass

    @F.register_kernel(F.invert, Sound)
    def invert_sound(inpt):
        return tv_tensors.wrap(-inpt, like=inpt)

    made = v2.RandomInvert(p=1)(Sound([1.0, 2.0]))
    assert type(made) is Sound and made.tolist() == [-1, -2]
    with pytest.raises(TypeError, match="supports inputs of type"):
        F.horizontal_flip(Sound([1.0]))


def test_names_of_torchvision_in_pickles_are_found():
    from flambeau._names import our_place

    assert our_place("torchvision.transforms.transforms", "RandomCrop") == (
        "flambeau.vision.transforms"
    )
    assert our_place("torchvision.transforms.v2._misc", "ToDtype") == (
        "flambeau.vision.transforms.v2"
    )
    assert our_place("torchvision.tv_tensors._image", "Image") == "flambeau.vision.tv_tensors"
    assert our_place("torchvision.models.resnet", "ResNet") == "flambeau.vision.models.resnet"


def test_rotated_canvas_counts_the_centre():
    image = torch.zeros(1, 14, 11)
    assert v2.functional.rotate(image, 101, expand=True, center=(4, 8)).shape == (1, 15, 17)


def test_whole_boxes_and_points_lose_what_is_behind_the_point():
    points = tv_tensors.KeyPoints(torch.tensor([[3, 5]]), canvas_size=(10, 10))
    assert F.resize(points, [19, 19]).tolist() == [[5, 9]]
    for form, wanted in (("XYXY", [5, 9, 7, 13]), ("XYWH", [5, 9, 1, 3]), ("CXCYWH", [5, 9, 1, 3])):
        box = [3, 5, 4, 7] if form == "XYXY" else [3, 5, 1, 2]
        boxes = tv_tensors.BoundingBoxes(torch.tensor([box]), format=form, canvas_size=(10, 10))
        assert F.resize(boxes, [19, 19]).tolist() == [wanted]
        assert F.resize(boxes, [10, 10]).data_ptr() == boxes.data_ptr()
    turned = tv_tensors.BoundingBoxes([[3, 3, 3, 3]], format="CXCYWH", canvas_size=(9, 9))
    assert F.crop(turned, 1, 1, 8, 8).tolist() == [[2, 2, 3, 3]]


def test_boxes_of_a_turned_image_start_at_its_uppermost_and_leftmost_corner():
    boxes = tv_tensors.BoundingBoxes([[0.0, 0, 4, 2]], format="XYXY", canvas_size=(6, 8))
    found = F.rotate(boxes, 90.0, expand=True)
    assert found.canvas_size == (8, 6)
    assert found[0].tolist() == pytest.approx([0, 4, 2, 8], abs=1e-4)
    about = F.rotate(boxes, 30.0, expand=True, center=[1.0, 1.0])
    sine, cosine = 0.5, 3**0.5 / 2
    wanted = [0, (8 - 4) * sine, 4 * cosine + 2 * sine, 8 * sine + 2 * cosine]
    assert about[0].tolist() == pytest.approx(wanted, abs=1e-4)


def test_no_masks_at_all_are_resized():
    masks = tv_tensors.Mask(torch.zeros(0, 17, 11, dtype=torch.uint8))
    assert F.resize(masks, [20, 9]).shape == (0, 20, 9)


@pytest.mark.parametrize(
    "error, make",
    [
        (TypeError, lambda: v2.RandomAffine(5, center=0)),
        (ValueError, lambda: v2.RandomRotation(5, center=[0])),
        (TypeError, lambda: v2.Pad(1, fill="x")),
        (ValueError, lambda: v2.Pad([1, 2, 3])),
        (ValueError, lambda: v2.Pad(1, padding_mode="x")),
        (ValueError, lambda: v2.RandomCrop(5, padding=[1, 2, 3])),
        (ValueError, lambda: v2.Resize([1, 2, 3])),
        (ValueError, lambda: v2.Resize(5.0)),
    ],
)
def test_options_are_checked_when_a_transform_is_made(error, make):
    with pytest.raises(error):
        make()


def test_one_number_in_a_list_is_a_square_kernel():
    assert tuple(v2.GaussianBlur([3]).kernel_size) == (3, 3)
