"""Products and convolutions of bfloat16: rounded once from sums in float32."""

import numpy as np
import pytest

import flambeau as torch

RNG = np.random.default_rng(3)


def draw(*shape):
    return torch.from_numpy(RNG.standard_normal(shape).astype("float32")).bfloat16()


def close(got, wanted):
    """Within one rounding of the largest number."""
    assert got.dtype == torch.bfloat16
    assert float((got.double() - wanted).abs().max()) <= 2**-8 * float(wanted.abs().max())


@pytest.mark.parametrize(
    "size", [(1, 7, 5), (5, 16, 2), (14, 33, 31), (30, 17, 64), (100, 70, 129)]
)
def test_products(size):
    m, n, k = size
    for a in (draw(m, k), draw(k, m).t(), draw(m, 2 * k)[:, ::2]):
        for b in (draw(k, n), draw(n, k).t(), draw(k, 2 * n)[:, ::2]):
            close(a @ b, a.double() @ b.double())
    bias = draw(n)
    x, w = draw(m, k), draw(n, k)
    wanted = x.double() @ w.double().t() + bias.double()
    close(torch.nn.functional.linear(x, w, bias), wanted)


def test_batches():
    a, b = draw(3, 9, 20), draw(3, 20, 11)
    close(a @ b, a.double() @ b.double())
    close(a @ b[0], a.double() @ b[0].double())


def test_infinities_stay():
    a, b = torch.zeros(6, 4).bfloat16(), torch.eye(4).bfloat16()
    a[2, 1] = float("inf")
    a[:, 0] = 3.0
    product = a @ torch.ones(4, 20).bfloat16()
    assert torch.isinf(product[2]).all() and (product[3] == 3).all()
    assert torch.isnan((a @ b)[2]).any()


@pytest.mark.parametrize("case", [(3, 16, 5, 7, 1), (2, 33, 20, 10, 1), (2, 6, 4, 9, 3)])
def test_convolutions(case):
    n, channels, filters, size, kernel = case
    x, w, bias = (
        draw(n, channels, size, size),
        draw(filters, channels, kernel, kernel),
        draw(filters),
    )
    conv = torch.nn.functional.conv2d
    close(conv(x, w, bias), conv(x.double(), w.double(), bias.double()))
