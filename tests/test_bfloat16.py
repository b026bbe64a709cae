"""Products, convolutions and attention of bfloat16: rounded once from sums in float32."""

import ctypes
import math
import os
import subprocess
import sys

import numpy as np
import pytest

import flambeau as torch

F = torch.nn.functional
RNG = np.random.default_rng(3)


def draw(*shape):
    return torch.from_numpy(RNG.standard_normal(shape).astype("float32")).bfloat16()


def close(got, wanted, tolerance=2**-8):
    """Within one rounding of the largest number, or as many as `tolerance` allows."""
    assert got.dtype == torch.bfloat16 and got.shape == wanted.shape
    assert float((got.double() - wanted).abs().max()) <= tolerance * float(wanted.abs().max())


def same(a, b):
    assert a.dtype == b.dtype and torch.equal(a, b)


SIZES = [(1, 7, 5), (5, 16, 2), (14, 33, 31), (30, 17, 64), (100, 70, 129), (33, 40, 1100)]


@pytest.mark.parametrize("size", SIZES)
def test_products(size):
    m, n, k = size
    for a in (draw(m, k), draw(k, m).t(), draw(m, 2 * k)[:, ::2]):
        for b in (draw(k, n), draw(n, k).t(), draw(k, 2 * n)[:, ::2]):
            close(a @ b, a.double() @ b.double())
    bias = draw(n)
    x, w = draw(m, k), draw(n, k)
    wanted = x.double() @ w.double().t() + bias.double()
    for _ in range(3):  # the second time the weight is packed, then it stays so
        close(F.linear(x, w, bias), wanted)


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


# batch, channels, filters, sizes, kernel, and what else the convolution takes
CONVOLUTIONS = [
    (3, 16, 5, (7, 7), (1, 1), {}),
    (2, 33, 20, (10, 10), (1, 1), {}),
    (2, 6, 4, (9, 9), (3, 3), {}),
    (2, 6, 20, (9, 12), (3, 3), {"padding": 1}),
    (1, 40, 33, (17, 23), (3, 5), {"padding": (1, 2)}),
    (2, 3, 16, (30, 31), (7, 7), {"padding": 3, "stride": 2}),
    (2, 64, 40, (14, 14), (1, 1), {"stride": 2}),
    (1, 34, 18, (15, 16), (3, 3), {"padding": 1, "stride": 2}),
    (1, 5, 7, (20, 19), (3, 3), {"padding": 2, "dilation": 2, "stride": (3, 1)}),
    (2, 12, 18, (8, 8), (3, 3), {"padding": 1, "groups": 3}),
    (2, 1, 4, (8, 8), (3, 3), {"padding": 1}),
    (2, 8, 8, (8, 8), (3, 3), {"padding": 1, "groups": 8}),
    (1, 20, 9, (1, 5000), (1, 9), {"padding": (0, 4)}),
    (2, 16, 15, (40,), (5,), {"padding": 2, "stride": 2}),
    (1, 6, 5, (5, 6, 7), (3, 3, 3), {"padding": 1, "stride": (2, 1, 1)}),
    (2, 4, 3, (4, 4), (4, 4), {}),
    (1, 32, 30, (56, 56), (3, 3), {"padding": 1}),
]


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_convolutions(case):
    n, channels, filters, sizes, kernel, how = case
    x, bias = draw(n, channels, *sizes), draw(filters)
    w = draw(filters, channels // how.get("groups", 1), *kernel)
    conv = (F.conv1d, F.conv2d, F.conv3d)[len(sizes) - 1]
    wanted = conv(x.double(), w.double(), bias.double(), **how)
    for _ in range(3):
        close(conv(x, w, bias, **how), wanted)
    turned = x.transpose(-1, -2).contiguous().transpose(-1, -2) if len(sizes) > 1 else x
    same(conv(turned, w, None, **how), conv(x, w, None, **how))


def test_convolution_keeps_strange_numbers_to_their_places():
    x, w = draw(1, 6, 9, 9), draw(4, 6, 3, 3)
    x[0, 2, 4, 4] = float("nan")
    hit = F.conv2d(x, w, padding=1).isnan()
    assert hit[:, :, 3:6, 3:6].all() and int(hit.sum()) == 4 * 9


def test_convolution_gradients():
    x, w = draw(2, 6, 8, 8), draw(4, 6, 3, 3)
    given = [t.clone().requires_grad_() for t in (x, w)]
    exact = [t.double().requires_grad_() for t in (x, w)]
    F.conv2d(*given, padding=1).sum().backward()
    F.conv2d(*exact, padding=1).sum().backward()
    for a, b in zip(given, exact):
        close(a.grad, b.grad)


def test_same_bits_on_any_number_of_threads():
    x, w = draw(64, 600), draw(200, 600)
    q, last = draw(2, 3, 70, 40), draw(2, 3, 1, 40)
    attend = F.scaled_dot_product_attention
    image, filters = draw(3, 20, 30, 30), draw(40, 20, 3, 3)
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3, 5):
            torch.set_num_threads(threads)
            convolved = F.conv2d(image, filters, padding=1)
            results.append((F.linear(x, w), convolved, attend(q, q, q), attend(last, q, q)))
    finally:
        torch.set_num_threads(before)
    for result in results[1:]:
        for a, b in zip(result, results[0]):
            same(a, b)


# -- weights under autocast and kept packs --------------------------------------------------------


def layers():
    linear = torch.nn.Linear(70, 33)
    conv = torch.nn.Conv2d(6, 20, 3, padding=1)
    return [(linear, torch.randn(9, 70)), (conv, torch.randn(2, 6, 9, 9))]


def by_hand(layer, x):
    twin = type(layer).__new__(type(layer))
    twin.__dict__.update(layer.__dict__)
    twin._parameters = {
        name: torch.nn.Parameter(p.detach().bfloat16()) for name, p in layer._parameters.items()
    }
    return twin(x.bfloat16())


@pytest.mark.parametrize("which", [0, 1])
def test_autocast_rounds_weights(which):
    layer, x = layers()[which]
    wanted = by_hand(layer, x)
    for mode in (torch.no_grad, torch.inference_mode, torch.enable_grad):
        with mode(), torch.autocast("cpu", dtype=torch.bfloat16):
            for _ in range(3):
                same(layer(x).detach(), wanted.detach())
    layer.requires_grad_(False)
    leaf = x.clone().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        layer(leaf).sum().backward()
    assert leaf.grad.shape == x.shape and leaf.grad.dtype == torch.float32


def write_copy(w):
    w.copy_(w * 2)


def write_data(w):
    w.data.mul_(2)


def write_array(w):
    w.numpy()[:] *= 2


def write_optimizer(w):
    w.requires_grad_()
    w.grad = -w.detach().clone()
    torch.optim.SGD([w], lr=1.0).step()
    w.requires_grad_(False)


def write_address(w):
    numbers = np.ascontiguousarray(w.clone().numpy()) * 2
    ctypes.memmove(w.data_ptr(), numbers.ctypes.data, numbers.nbytes)


def write_storage(w):
    twice = w * 2
    w.untyped_storage().copy_(twice.untyped_storage())


WRITES = [write_copy, write_data, write_array, write_optimizer, write_address, write_storage]


@pytest.mark.parametrize("write", WRITES)
def test_packs_follow_what_is_written(write):
    for layer, x in layers():
        layer.requires_grad_(False)
        layer.bias = None
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            first = [layer(x) for _ in range(3)][-1]
            write(layer.weight)
            for _ in range(3):
                same(layer(x), first * 2)


def test_packs_of_views_and_reused_memory():
    x, w = draw(9, 64), draw(40, 64)
    for _ in range(3):
        same(F.linear(x, w[:20]), F.linear(x, w)[:, :20])
        same(F.linear(x, w[20:]), F.linear(x, w)[:, 20:])
    for _ in range(20):  # memory of a dropped weight is given to the next
        w = draw(40, 64)
        wanted = x.double() @ w.double().t()
        for _ in range(3):
            close(F.linear(x, w), wanted)
    filters, image = draw(12, 3, 3, 3), draw(1, 6, 8, 8)
    for _ in range(3):  # one weight, two numbers of groups
        two = F.conv2d(image, filters, groups=2)
        same(two[:, :6], F.conv2d(image[:, :3], filters[:6]))
        same(F.conv2d(image[:, :3], filters)[:, :6], two[:, :6])


def test_batch_norm_by_given_statistics():
    norm = torch.nn.BatchNorm2d(5).eval()
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    with torch.no_grad():
        norm.weight.normal_()
    for x in (draw(2, 5, 7, 9), draw(3, 5, 4, 4).contiguous(memory_format=torch.channels_last)):
        wanted = norm(x.float()).bfloat16()
        with torch.no_grad():
            got = norm(x)
        assert got.dtype == torch.bfloat16 and got.stride() == x.stride()
        close(got, wanted.double())
        same(norm(x).detach(), wanted.detach())


# -- attention ------------------------------------------------------------------------------------

# batch, heads, queries, keys, width, value width: few queries, blocks and what is left of them
ATTENTIONS = [
    (1, 2, 1, 1, 1, 1),
    (2, 3, 1, 70, 64, 64),
    (1, 2, 4, 300, 40, 72),
    (2, 2, 5, 33, 33, 17),
    (1, 3, 128, 128, 64, 64),
    (1, 1, 257, 515, 16, 200),
    (1, 1, 30, 31, 300, 8),
]


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("size", ATTENTIONS)
def test_attention(size, causal):
    batch, heads, length, source, width, value = size
    # Heads side by side, as a projection gives them.
    q, k, v = (
        draw(batch, rows, heads, columns).transpose(1, 2)
        for rows, columns in ((length, width), (source, width), (source, value))
    )
    got = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
    scores = q.double() @ k.double().mT / math.sqrt(width)
    if causal:
        seen = torch.ones(length, source, dtype=torch.bool).tril()
        scores = scores.masked_fill(~seen, -math.inf)
    close(got, scores.softmax(-1) @ v.double(), 0.02)


def test_attention_masks():
    q, k, v = draw(2, 3, 20, 32), draw(2, 3, 40, 32), draw(2, 3, 40, 32)
    for mask in (draw(20, 40), draw(2, 1, 1, 40), draw(3, 20, 1)):
        got = F.scaled_dot_product_attention(q, k, v, mask)
        scores = q.double() @ k.double().mT / math.sqrt(32) + mask.double()
        close(got, scores.softmax(-1) @ v.double(), 0.02)
        few = F.scaled_dot_product_attention(q[:, :, :3], k, v, mask[..., :3, :])
        close(few, got[:, :, :3].double(), 0.02)
    seen = torch.zeros(20, 40, dtype=torch.bool)
    seen[1:, 7] = True
    for rows in (20, 2):
        got = F.scaled_dot_product_attention(q[:, :, :rows], k, v, seen[:rows])
        assert not got[:, :, 0].any() and (got[:, :, 1:] == v[:, :, 7:8]).all()


def test_attention_gradients():
    inputs = [draw(2, 2, 37, 24).requires_grad_() for _ in range(3)]
    exact = [x.detach().double().requires_grad_() for x in inputs]
    g = draw(2, 2, 37, 24)
    got = torch.autograd.grad(F.scaled_dot_product_attention(*inputs), inputs, g)
    wanted = torch.autograd.grad(F.scaled_dot_product_attention(*exact), exact, g.double())
    for a, b in zip(got, wanted):
        close(a, b, 0.03)


# -- matrix tiles ---------------------------------------------------------------------------------


def check_tiles():
    """Run by a process in which products go through the model of tiles."""
    for size in SIZES:
        test_products(size)
    test_batches()
    test_infinities_stay()
    for case in CONVOLUTIONS[:-1]:
        test_convolutions(case)
    test_convolution_keeps_strange_numbers_to_their_places()
    test_same_bits_on_any_number_of_threads()
    for size in ATTENTIONS:
        test_attention(size, False)
        test_attention(size, True)
    test_attention_masks()
    for which in (0, 1):
        test_autocast_rounds_weights(which)


@pytest.mark.parametrize("tiles", ["model", "off"])
def test_tiles(tiles):
    folder = os.path.dirname(os.path.abspath(__file__))
    program = (
        f"import sys; sys.path.insert(0, {folder!r}); import test_bfloat16 as t; t.check_tiles()"
    )
    environment = os.environ | {
        "FLAMBEAU_TILES": tiles,
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()[-2000:]


@pytest.mark.parametrize("rows", [1, 3, 4, 9])
def test_a_weights_first_product_has_the_bits_of_later_ones(rows):
    x, weight = draw(rows, 1100), draw(70, 1100)
    products = [F.linear(x, weight) for _ in range(4)]
    for p in products[1:]:
        same(p, products[0])
