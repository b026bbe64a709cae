"""Transforms of tensors and of PIL images."""

import random
import subprocess
import sys

import numpy as np
import pytest

import flambeau as torch
from flambeau.vision import transforms as T
from flambeau.vision.transforms import functional as F


def ramp(height=5, width=7, channels=3):
    y, x, c = np.mgrid[:height, :width, :channels]
    return (x * 9 + y * 20 + c * 60).astype(np.uint8)  # [H, W, C]


@pytest.fixture
def image():
    return torch.from_numpy(ramp().transpose(2, 0, 1).copy())


@pytest.fixture
def picture():
    return pytest.importorskip("PIL.Image").fromarray(ramp())


def array(x):
    """[H, W, C] of a tensor or picture"""
    return x.permute(1, 2, 0).numpy() if isinstance(x, torch.Tensor) else np.asarray(x)


def test_to_tensor(picture):
    for source in (ramp(), picture):
        got = T.ToTensor()(source)
        assert got.dtype == torch.float32 and got.is_contiguous()
        assert np.array_equal(array(got), ramp().astype(np.float32) / 255)
    assert T.ToTensor()(ramp()[:, :, 0]).shape == (1, 5, 7)
    assert T.ToTensor()(np.ones((2, 2, 1))).dtype == torch.float64
    assert T.PILToTensor()(picture).dtype == torch.uint8
    assert T.ToTensor()(picture.convert("1")).unique().tolist() in ([0, 1], [0], [1])
    for wrong in ("image", torch.ones(1, 2, 2)):
        with pytest.raises(TypeError):
            T.ToTensor()(wrong)
    with pytest.raises(ValueError):
        T.ToTensor()(np.ones(3))


def test_to_pil_image(image, picture):
    assert np.array_equal(np.asarray(T.ToPILImage()(image)), ramp())
    assert np.array_equal(np.asarray(T.ToPILImage()(ramp())), ramp())
    assert np.array_equal(np.asarray(T.ToPILImage()(T.ToTensor()(picture))), ramp())
    assert T.ToPILImage()(image[:1]).mode == "L"
    assert T.ToPILImage("YCbCr")(image).mode == "YCbCr"
    with pytest.raises(ValueError):
        T.ToPILImage()(torch.ones(5, 2, 2))
    with pytest.raises(TypeError):
        T.ToPILImage()("image")


def test_normalize():
    x = torch.arange(12.0).view(3, 2, 2)
    mean, std = [1.0, 2.0, 3.0], [2.0, 4.0, 8.0]
    got = T.Normalize(mean, std)(x)
    expected = (x.numpy() - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    assert np.allclose(got.numpy(), expected) and x[0, 0, 1] == 1
    y = x.clone()
    assert T.Normalize(mean, std, inplace=True)(y) is y and torch.equal(y, got)
    assert torch.equal(T.Normalize(mean, std)(x.expand(2, 3, 2, 2))[1], got)
    for wrong, error in ((x.int(), TypeError), (x[0], ValueError), ("x", TypeError)):
        with pytest.raises(error):
            T.Normalize(mean, std)(wrong)
    with pytest.raises(ValueError, match="zero"):
        T.Normalize(0.0, 0.0)(x)


def test_compose_lambda_and_repr():
    steps = T.Compose([T.Lambda(lambda x: x + 1), T.Lambda(lambda x: x * 2)])
    assert steps(3) == 8
    with pytest.raises(TypeError):
        T.Lambda(3)
    text = repr(T.Compose([T.ToTensor(), T.Normalize((0.5,), (0.5,)), T.RandomHorizontalFlip()]))
    assert text == (
        "Compose(\n    ToTensor()\n    Normalize(mean=(0.5,), std=(0.5,))\n"
        "    RandomHorizontalFlip(p=0.5)\n)"
    )


@pytest.mark.parametrize(
    "function, expected",
    [
        (F.hflip, lambda a: a[:, ::-1]),
        (F.vflip, lambda a: a[::-1]),
        (lambda x: F.crop(x, 1, 2, 3, 4), lambda a: a[1:4, 2:6]),
        (lambda x: F.crop(x, -1, 5, 4, 4), lambda a: np.pad(a, ((1, 0), (0, 2), (0, 0)))[:4, 5:]),
        (lambda x: F.center_crop(x, 3), lambda a: a[1:4, 2:5]),
        (lambda x: F.center_crop(x, [7, 3]), lambda a: np.pad(a, ((1, 1), (0, 0), (0, 0)))[:, 2:5]),
        (
            lambda x: F.pad(x, 2, 9),
            lambda a: np.pad(a, ((2, 2), (2, 2), (0, 0)), constant_values=9),
        ),
        (lambda x: F.pad(x, [1, 2, 3, 4]), lambda a: np.pad(a, ((2, 4), (1, 3), (0, 0)))),
        (
            lambda x: F.pad(x, [2, 1], padding_mode="reflect"),
            lambda a: np.pad(a, ((1, 1), (2, 2), (0, 0)), "reflect"),
        ),
        (
            lambda x: F.pad(x, 2, padding_mode="edge"),
            lambda a: np.pad(a, ((2, 2), (2, 2), (0, 0)), "edge"),
        ),
        (
            lambda x: F.pad(x, [3], padding_mode="symmetric"),
            lambda a: np.pad(a, ((3, 3), (3, 3), (0, 0)), "symmetric"),
        ),
        (lambda x: F.resize(x, [10, 14], F.InterpolationMode.NEAREST),
         lambda a: a.repeat(2, 0).repeat(2, 1)),
        (lambda x: F.rotate(x, 180), lambda a: a[::-1, ::-1]),
        (lambda x: F.rotate(x, 90, expand=True), lambda a: np.rot90(a)),
        (
            lambda x: F.affine(x, 0, [2, -1], 1.0, 0),
            lambda a: np.pad(a, ((0, 1), (2, 0), (0, 0)))[1:, :7],
        ),
        (lambda x: F.rgb_to_grayscale(x, 3), None),
    ],
)  # fmt: skip
def test_on_tensors_and_pictures(image, picture, function, expected):
    a, b = array(function(image)), array(function(picture))
    if expected is None:
        weights = np.array([0.299, 0.587, 0.114])
        exact = (ramp() @ weights)[..., None].repeat(3, 2)
        assert abs(a - exact).max() <= 1 and abs(b - exact).max() <= 1
    else:
        assert np.array_equal(a, expected(ramp())) and np.array_equal(b, expected(ramp()))


def test_resize_sizes(image, picture):
    for size, maximum, expected in (
        (10, None, (10, 14)),
        ([3], None, (3, 4)),
        ((4, 4), None, (4, 4)),
        (10, 12, (8, 12)),
        (None, 14, (10, 14)),
    ):
        resize = T.Resize(size, max_size=maximum)
        assert array(resize(image)).shape[:2] == array(resize(picture)).shape[:2] == expected
    assert T.Resize(5)(image) is image
    with pytest.raises(ValueError):
        T.Resize(10, max_size=9)(image)
    with pytest.raises(ValueError):
        T.Resize((10, 10), max_size=20)(image)
    with pytest.raises(TypeError):
        T.Resize("large")


@pytest.mark.parametrize("mode", [F.InterpolationMode.BILINEAR, F.InterpolationMode.BICUBIC])
def test_resize_like_pillow(mode):
    """With antialiasing, tensors come out as Pillow's pictures do."""
    pil = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(0).integers(80, 176, (20, 30, 3), dtype=np.uint8)
    tensor = torch.from_numpy(pixels.transpose(2, 0, 1).copy())
    for size in ([7, 11], [40, 45], [20, 13]):
        a = array(F.resize(tensor, size, mode)).astype(int)
        b = array(F.resize(pil.fromarray(pixels), size, mode)).astype(int)
        assert abs(a - b).max() <= (1 if mode.value == "bilinear" else 3)
    flat = F.resize(torch.full((1, 9, 9), 3.0), [5, 4], mode, antialias=False)
    assert torch.allclose(flat, torch.full((1, 5, 4), 3.0))


def test_affine_moves_and_fills():
    x = torch.zeros(1, 9, 9)
    x[0, 4, 6] = 1
    turned = F.rotate(x, 90)
    assert turned[0, 2, 4] == 1 and turned.sum() == 1  # counter-clockwise
    assert F.affine(x, 90, [0, 0], 1.0, 0)[0, 6, 4] == 1  # clockwise
    assert F.affine(x, 0, [1, 2], 1.0, 0)[0, 6, 7] == 1
    assert F.affine(x, 0, [0, 0], 2.0, 0)[0, 4, 8] == 1
    filled = F.affine(x, 0, [3, 0], 1.0, 0, fill=5)
    assert (filled[..., :3] == 5).all() and (filled[..., 3:8] == x[..., :5]).all()
    smooth = F.affine(x, 0, [0.5, 0], 1.0, 0, F.InterpolationMode.BILINEAR)
    assert smooth[0, 4, 6] == 0.5 and smooth[0, 4, 7] == 0.5
    with pytest.raises(ValueError):
        F.affine(x, 0, [0, 0], 0.0, 0)


def test_convert_image_dtype():
    x = torch.tensor([[0, 128, 255]], dtype=torch.uint8)
    assert torch.allclose(F.convert_image_dtype(x), x.float() / 255)
    assert F.convert_image_dtype(F.convert_image_dtype(x), torch.uint8).tolist() == x.tolist()
    assert F.convert_image_dtype(x, torch.int16).tolist() == [[0, 128 * 128, 255 * 128]]
    assert F.convert_image_dtype(F.convert_image_dtype(x, torch.int16), torch.uint8).equal(x)
    with pytest.raises(RuntimeError, match="safely"):
        F.convert_image_dtype(x.float(), torch.int32)


# -- random ones: seeded, the parameters are torchvision's -----------------------------------------
def test_random_parameters(image):
    torch.manual_seed(0)
    assert T.RandomCrop.get_params(image, (3, 3)) == (2, 4, 3, 3)
    torch.manual_seed(0)
    got = T.RandomAffine.get_params([-10.0, 10.0], (0.3, 0.3), (0.8, 1.2), [-5.0, 5.0], [40, 30])
    assert np.allclose(np.hstack(got), [-0.074868, 6, -7, 0.852812, -1.925772, 0], atol=1e-5)
    torch.manual_seed(0)
    assert T.RandomResizedCrop.get_params(torch.zeros(3, 40, 50), (0.1, 1.0), (0.7, 1.4)) == (
        1,
        0,
        30,
        36,
    )
    torch.manual_seed(0)
    erase = T.RandomErasing.get_params(torch.zeros(3, 40, 50), (0.1, 0.4), (0.3, 3.3), [0.0])
    assert erase[:4] == (3, 30, 31, 16)


def test_random_transforms_stay_in_bounds(image, picture):
    for transform in (
        T.RandomCrop(4, padding=2),
        T.RandomCrop(9, pad_if_needed=True),
        T.RandomHorizontalFlip(),
        T.RandomVerticalFlip(0.3),
        T.RandomGrayscale(0.5),
        T.RandomResizedCrop(6),
        T.RandomRotation(30),
        T.RandomRotation((10, 20), expand=True),
        T.RandomAffine(20, (0.1, 0.1), (0.9, 1.1), 5),
        T.RandomAffine(20, shear=[1, 2, 3, 4], fill=7),
        T.RandomApply([T.RandomHorizontalFlip(1.0)]),
        T.RandomChoice([T.RandomHorizontalFlip(), T.RandomVerticalFlip()]),
        T.RandomOrder([T.RandomHorizontalFlip(), T.RandomVerticalFlip()]),
    ):
        repr(transform)
        random.seed(0)
        for _ in range(5):
            torch.manual_seed(_)
            a = array(transform(image))
            torch.manual_seed(_)
            b = array(transform(picture))
            assert a.dtype == b.dtype == np.uint8
            assert a.shape == b.shape or transform.expand  # a pixel more in one of them


def test_random_erasing():
    x = torch.ones(3, 20, 20)
    erased = T.RandomErasing(p=1.0)(x)
    assert 0 < (erased == 0).sum() < x.numel() and (x == 1).all()
    assert T.RandomErasing(p=0.0)(x) is x
    noise = T.RandomErasing(p=1.0, value="random")(x)
    assert len(noise.unique()) > 10
    colours = T.RandomErasing(p=1.0, value=(2, 3, 4))(x)
    assert [colours[c].max() for c in range(3)] == [2, 3, 4]
    with pytest.raises(ValueError):
        T.RandomErasing(p=1.0, value=(1, 2))(x)


@pytest.mark.parametrize(
    "make, error",
    [
        (lambda: T.RandomErasing(p=2), ValueError),
        (lambda: T.RandomErasing(value="other"), ValueError),
        (lambda: T.RandomRotation(-1), ValueError),
        (lambda: T.RandomRotation([1, 2, 3]), ValueError),
        (lambda: T.RandomAffine(1, translate=(2, 0)), ValueError),
        (lambda: T.RandomAffine(1, scale=(0, 1)), ValueError),
        (lambda: T.RandomCrop(9)(torch.zeros(1, 5, 5)), ValueError),
        (lambda: T.Pad("x")(torch.zeros(1, 5, 5)), TypeError),
        (lambda: T.Pad([1, 2, 3])(torch.zeros(1, 5, 5)), ValueError),
        (lambda: T.Pad(1, padding_mode="wrap")(torch.zeros(1, 5, 5)), ValueError),
        (lambda: T.CenterCrop(3)("image"), TypeError),
        (lambda: T.FiveCrop(9)(torch.zeros(1, 5, 5)), ValueError),
    ],
)
def test_bad_arguments(make, error):
    with pytest.raises(error):
        make()


def test_the_module_of_transforms_has_all_of_them():
    from flambeau.vision.transforms import transforms as module

    assert module.RandomHorizontalFlip is T.RandomHorizontalFlip
    assert all(hasattr(module, name) for name in T.__all__)
    assert not hasattr(module, "RandomNothing")


def test_clips():
    from flambeau.vision.transforms import _transforms_video as video

    clip = torch.arange(2 * 4 * 6 * 3).view(2, 4, 6, 3).to(torch.uint8)  # [T, H, W, C]
    steps = [video.ToTensorVideo(), video.CenterCropVideo(2), video.RandomHorizontalFlipVideo(1.0)]
    made = T.Compose([*steps, video.NormalizeVideo([0.5] * 3, [0.25] * 3)])(clip)
    wanted = clip.float().permute(3, 0, 1, 2)[:, :, 1:3, 2:4].flip(-1)
    torch.testing.assert_close(made, (wanted / 255 - 0.5) / 0.25)
    assert video.RandomResizedCropVideo(3)(made).shape == (3, 2, 3, 3)
    assert video.RandomCropVideo(1)(made).shape == (3, 2, 1, 1)


def test_pil_s_images_are_there_with_transforms():
    code = "import PIL, flambeau.vision.transforms; PIL.Image.new('L', (1, 1))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_what_is_no_image_is_named():
    with pytest.raises(TypeError, match="Tensor is not a torch image"):
        F.hflip(torch.ones(5))
    with pytest.raises(TypeError, match="displacement should be a Tensor"):
        F.elastic_transform(torch.ones(1, 4, 4), [1.0])
