"""Image files, and drawing."""

import pytest

import flambeau as torch
from flambeau.vision import io, utils

pytest.importorskip("PIL")


def test_png_is_exact(tmp_path):
    image = (torch.arange(3 * 5 * 7) * 7 % 256).to(torch.uint8).view(3, 5, 7)
    path = str(tmp_path / "a.png")
    io.write_png(image, path)
    assert io.read_image(path).equal(image)
    assert io.decode_png(io.encode_png(image[:1])).equal(image[:1])
    assert io.read_image(path, io.ImageReadMode.GRAY).shape == (1, 5, 7)
    assert io.read_image(path, "RGB_ALPHA").shape == (4, 5, 7)


def test_jpeg_is_near():
    image = torch.full((3, 16, 16), 100, dtype=torch.uint8)
    found = io.decode_jpeg(io.encode_jpeg(image, quality=95))
    assert (found.int() - 100).abs().max() <= 2


def test_errors(tmp_path):
    with pytest.raises(RuntimeError, match="No such file"):
        io.read_file(str(tmp_path / "none"))
    with pytest.raises(RuntimeError):
        io.decode_png(torch.zeros(10, dtype=torch.uint8))
    with pytest.raises(RuntimeError, match="uint8"):
        io.encode_png(torch.zeros(3, 2, 2))


def test_drawing():
    image = torch.zeros(3, 20, 30, dtype=torch.uint8)
    boxes = torch.tensor([[2, 3, 10, 12]])
    found = utils.draw_bounding_boxes(image, boxes, colors="red")
    assert found[:, 3, 5].tolist() == [255, 0, 0] and found[:, 5, 5].tolist() == [0, 0, 0]
    mask = torch.zeros(20, 30, dtype=torch.bool)
    mask[5:] = True
    found = utils.draw_segmentation_masks(image, mask, alpha=1.0, colors=(1, 2, 3))
    assert found[:, 6, 6].tolist() == [1, 2, 3] and found[:, 0, 0].tolist() == [0, 0, 0]
    found = utils.draw_keypoints(image, torch.tensor([[[5.0, 5.0]]]), colors="lime")
    assert found[:, 5, 5].tolist() == [0, 255, 0]
    assert utils.flow_to_image(torch.zeros(2, 3, 4)).unique().tolist() == [255]
