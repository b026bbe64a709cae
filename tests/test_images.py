"""Native kernels of images against NumPy, Pillow and the differentiable forms."""

import numpy as np
import pytest

import flambeau as torch
from flambeau.vision.transforms import InterpolationMode, functional
from flambeau.vision.transforms.v2 import functional as v2


def picture(*shape):
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0)).to(torch.uint8)


@pytest.mark.parametrize("size", [(20, 31), (70, 90), (37, 20), (19, 53)])
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_resize_of_pixels_and_planes_is_the_same(size, mode):
    planes = picture(2, 3, 37, 53)
    pixels = planes.contiguous(memory_format=torch.channels_last)
    made = v2.resize(planes, list(size), interpolation=mode)
    assert torch.equal(v2.resize(pixels, list(size), interpolation=mode), made)
    each = torch.stack([v2.resize(p, list(size), interpolation=mode) for p in planes[0]])
    assert torch.equal(each, made[0])
    cut = planes[:, :, 3:30, 5:44]
    assert torch.equal(
        v2.resize(cut, list(size), interpolation=mode),
        v2.resize(cut.contiguous(), list(size), interpolation=mode),
    )


def test_resize_keeps_an_even_image_and_is_near_the_one_of_floats():
    assert (v2.resize(torch.full((1, 9, 12), 200, dtype=torch.uint8), [5, 31]) == 200).all()
    image = picture(3, 40, 60)
    wide = v2.resize(image.float(), [23, 31])
    assert (v2.resize(image, [23, 31]).float() - wide).abs().max() <= 1.01


@pytest.mark.parametrize("mode", ["BILINEAR", "BICUBIC", "LANCZOS", "BOX", "NEAREST"])
def test_resize_of_pillow_images_is_pillows(mode):
    Image = pytest.importorskip("PIL.Image")
    pixels = picture(61, 83, 3).numpy()
    for image in (Image.fromarray(pixels), Image.fromarray(pixels[:, :, 0])):
        for size in ((30, 41), (90, 100), (10, 80), (61, 20)):
            want = image.resize(size[::-1], getattr(Image.Resampling, mode))
            got = functional.resize(image, list(size), InterpolationMode[mode])
            assert got.mode == want.mode
            assert np.array_equal(np.array(got), np.array(want))


def test_to_tensor_of_images_and_arrays():
    Image = pytest.importorskip("PIL.Image")
    for pixels in (picture(7, 21, 3).numpy(), picture(7, 21).numpy()):
        want = pixels.reshape(7, 21, -1).transpose(2, 0, 1).astype(np.float32) / np.float32(255)
        for source in (pixels, Image.fromarray(pixels)):
            made = functional.to_tensor(source)
            assert made.is_contiguous()
            assert np.array_equal(made.numpy(), want)
    turned = pixels[:, ::-1]
    assert np.array_equal(functional.to_tensor(turned)[0].numpy(), want[0, :, ::-1])


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "int64", "complex128"])
def test_flip_in_any_memory_order(dtype):
    array = np.arange(2 * 5 * 37 * 3).astype(dtype).reshape(2, 5, 37, 3)
    for order in ((0, 1, 2, 3), (0, 3, 1, 2), (2, 0, 3, 1)):
        turned = array.transpose(order)
        tensor = torch.from_numpy(array).permute(order)
        for d in range(4):
            assert np.array_equal(tensor.flip(d).numpy(), np.flip(turned, d))


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "uint16"])
def test_bits_of_narrow_integers(dtype):
    a = np.arange(-700, 701).astype(dtype)
    b = (np.arange(1401) * 37).astype(dtype)
    x, y = torch.from_numpy(a), torch.from_numpy(b)
    assert np.array_equal((x & y).numpy(), a & b)
    assert np.array_equal((x | 5).numpy(), a | 5)
    assert np.array_equal((x ^ y).numpy(), a ^ b)
    assert np.array_equal((~x).numpy(), ~a)
    assert np.array_equal((x[1:] & y[1:]).numpy(), a[1:] & b[1:])
    x &= y
    assert np.array_equal(x.numpy(), a & b)


def test_tables_of_bytes():
    image = picture(3, 20, 30)
    array = image.numpy().astype(np.int64)
    assert np.array_equal(
        v2.solarize(image, 100).numpy(), np.where(array >= 100, 255 - array, array)
    )
    assert np.array_equal(v2.posterize(image, 3).numpy(), array & 0b11100000)
    assert np.array_equal(v2.invert(image).numpy(), 255 - array)
    slow = v2.adjust_gamma(image.float() / 255, 1.7)
    assert (v2.adjust_gamma(image, 1.7).float() - slow * 255).abs().max() <= 1.01
    dark = (image // 4 + 20).contiguous()
    made = v2.autocontrast(dark)
    assert made.amin((1, 2)).tolist() == [0] * 3 and made.amax((1, 2)).min() >= 254
    flat = torch.full((3, 20, 30), 7, dtype=torch.uint8)
    assert torch.equal(v2.autocontrast(flat), flat) and torch.equal(v2.equalize(flat), flat)


def test_equalize_evens_the_histogram():
    image = torch.arange(64, dtype=torch.uint8).repeat(3, 30, 1)  # 64 values, 30 of each
    made = v2.equalize(image)
    step = 63 * 30 // 255
    want = [min((30 * i + step // 2) // step, 255) for i in range(64)]
    assert made[0, 0].tolist() == want


@pytest.mark.parametrize("name, value", [
    ("adjust_brightness", 1.3), ("adjust_contrast", 0.7), ("adjust_saturation", 1.5),
    ("adjust_hue", 0.2), ("adjust_hue", -0.4),
])  # fmt: skip
def test_colours_natively_and_with_gradients(name, value):
    image = picture(2, 3, 21, 35)
    floats = (image.float() / 255).requires_grad_()
    change = getattr(v2, name)
    slow = change(floats, value)
    slow.sum().backward()
    assert floats.grad.shape == floats.shape
    fast = change(floats.detach(), value)
    assert (fast - slow).abs().max() < 1e-5
    assert (change(image, value).float() - slow * 255).abs().max() <= 2


def test_standardize_is_two_steps():
    image = torch.rand(2, 3, 9, 11, generator=torch.Generator().manual_seed(0))
    mean, std = [0.4, 0.5, 0.6], [0.2, 0.3, 0.4]
    want = (image - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    assert torch.equal(functional.normalize(image, mean, std), want)
    given = image.clone()
    assert functional.normalize(given, mean, std, inplace=True) is given
    assert torch.equal(given, want)


def test_tensor_of_a_tensor_keeps_its_type():
    x = torch.ones(2, dtype=torch.uint8)
    assert torch.Tensor(x).dtype == torch.uint8


def test_errors_that_programs_catch():
    T = pytest.importorskip("flambeau.vision.transforms")
    pytest.importorskip("PIL")
    with pytest.raises(TypeError):
        T.RandomRotation(0, fill={})
    with pytest.raises(TypeError):
        T.RandomAffine(0, translate=2)
    with pytest.raises(ValueError):
        T.Pad((1, 2, 3))
    with pytest.raises(TypeError):
        T.ElasticTransform(alpha=True)
    with pytest.raises(TypeError):
        functional.affine(picture(3, 8, 8), 10, translate=0, scale=1, shear=1)
    with pytest.raises(ValueError):
        functional.gaussian_blur(picture(3, 8, 8), [3])
    with pytest.raises(TypeError):
        functional.rotate(np.zeros((4, 4, 3), np.uint8), 10)


def test_float_arrays_become_images_of_bytes():
    pytest.importorskip("PIL")
    image = functional.to_pil_image(np.full((2, 3, 3), 0.5, np.float32))
    assert image.mode == "RGB" and image.getpixel((0, 0)) == (127, 127, 127)
    assert functional.to_pil_image(np.zeros((2, 3), np.float32), mode="F").mode == "F"
