"""Sampling along a grid: the kernel against the same made of other operators."""

import itertools

import pytest

import flambeau as torch
import flambeau.nn.functional as F
from flambeau.nn.functional import _sample

CASES = list(
    itertools.product(("bilinear", "nearest"), ("zeros", "border", "reflection"), (False, True))
)


@pytest.mark.parametrize("mode, padding, align", CASES)
@pytest.mark.parametrize("shape", [(2, 11, 7, 9), (1, 3, 1, 4)])
def test_the_same_as_the_composite(mode, padding, align, shape, monkeypatch):
    image = torch.randn(*shape, dtype=torch.float64, requires_grad=True)
    grid = (torch.randn(shape[0], 10, 13, 2, dtype=torch.float64) * 0.9).requires_grad_()
    weights = torch.randn(*shape[:2], 10, 13, dtype=torch.float64)

    def run():
        out = F.grid_sample(image, grid, mode, padding, align)
        return out, *torch.autograd.grad(
            (out * weights).sum(), (image, grid), materialize_grads=True
        )

    fused = run()
    monkeypatch.setattr(_sample, "_has_kernel", lambda *_: False)
    for a, b in zip(fused, run()):
        assert torch.allclose(a, b)


@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
def test_gradients(padding):
    image = torch.randn(1, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    grid = torch.rand(1, 3, 3, 2, dtype=torch.float64).mul(2.6).sub(1.3).requires_grad_()
    f = lambda x, g: F.grid_sample(x, g, "bilinear", padding, False)  # noqa: E731
    assert torch.autograd.gradcheck(f, (image, grid))
    assert torch.autograd.gradgradcheck(f, (image, grid))


def test_bits_do_not_depend_on_threads():
    image, grid = torch.randn(2, 20, 30, 30), torch.rand(2, 40, 40, 2) * 2 - 1
    found = []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        x, g = image.clone().requires_grad_(), grid.clone().requires_grad_()
        F.grid_sample(x, g, align_corners=False).square().sum().backward()
        found.append((x.grad, g.grad))
    for a, b in zip(*found):
        assert torch.equal(a, b)


def test_numbers_for_modes():
    image, grid = torch.randn(1, 2, 4, 5), torch.rand(1, 3, 3, 2)
    want = F.grid_sample(image, grid, "nearest", "border", True)
    assert torch.equal(torch.grid_sampler_2d(image, grid, 1, 1, True), want)
    with pytest.raises(RuntimeError):
        torch.grid_sampler_3d(image, grid, 1, 1, True)


def test_the_nearest_voxel_has_no_slope():
    volume, grid = torch.randn(1, 1, 2, 2, 2), torch.zeros(1, 1, 1, 2, 3, requires_grad=True)
    F.grid_sample(volume, grid, "nearest", align_corners=False).sum().backward()
    assert grid.grad.count_nonzero() == 0


def test_images_of_one_pixel_are_reflected_everywhere():
    image = torch.tensor([7.0]).view(1, 1, 1, 1, 1)
    grid = torch.randn(1, 2, 2, 2, 3, requires_grad=True)
    out = F.grid_sample(image, grid, padding_mode="reflection", align_corners=True)
    out.sum().backward()
    assert (out == 7).all() and not grid.grad.any()
