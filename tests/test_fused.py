"""Operators that follow a convolution or linear layer and run as one with it: nobody can tell."""

import copy
import threading

import pytest

import flambeau as torch
from flambeau import nn
from flambeau.nn import functional as F


def alone(f, *args):
    """What f gives when every operator runs by itself: with a gradient recorded."""
    with torch.enable_grad():
        return f(*args).detach()


def together(f, *args, times=4):
    """f again and again without gradients: what follows is learned at the first calls."""
    with torch.no_grad():
        results = [f(*args).clone() for _ in range(times)]
    for r in results[1:]:
        assert torch.equal(r, results[0])
    return results[-1]


def norm(channels, dims=2):
    torch.manual_seed(5)
    layer = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[dims - 1](channels)
    nn.init.normal_(layer.weight), nn.init.normal_(layer.bias)
    layer.running_mean.normal_(), layer.running_var.uniform_(0.5, 2)
    return layer.eval()


CONVOLUTIONS = {  # each form that the kernels know
    "pointwise": (nn.Conv2d(16, 24, 1), (1, 16, 14, 14)),
    "pointwise batch": (nn.Conv2d(16, 24, 1, bias=False), (5, 16, 14, 14)),
    "pointwise stride": (nn.Conv2d(16, 24, 1, stride=2), (2, 16, 15, 15)),
    "pointwise groups": (nn.Conv2d(16, 24, 1, groups=2), (2, 16, 14, 14)),
    "winograd": (nn.Conv2d(32, 64, 3, padding=1), (2, 32, 28, 28)),
    "winograd odd": (nn.Conv2d(32, 64, 3, padding=1, bias=False), (1, 32, 27, 25)),
    "lines": (nn.Conv2d(3, 20, 7, stride=2, padding=3), (2, 3, 64, 64)),
    "spans": (nn.Conv2d(24, 40, 3, stride=2, padding=1), (3, 24, 15, 15)),
    "spans of images": (nn.Conv2d(48, 70, 5, padding=2), (6, 48, 7, 7)),
    "depthwise": (nn.Conv2d(24, 24, 3, padding=1, groups=24), (2, 24, 19, 19)),
    "whole": (nn.Conv2d(4, 512, 5), (8, 4, 5, 5)),
    "one dimension": (nn.Conv1d(8, 24, 3), (3, 8, 100)),
    "three dimensions": (nn.Conv3d(4, 12, 3, padding=1), (2, 4, 6, 10, 10)),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions(name):
    layer, shape = CONVOLUTIONS[name]
    torch.manual_seed(0)
    layer = copy.deepcopy(layer)
    x = torch.randn(shape)
    bn = norm(layer.out_channels, len(shape) - 2)
    residual = torch.randn_like(layer(x).detach())
    forms = (
        lambda x: bn(layer(x)),
        lambda x: F.relu(bn(layer(x))),
        lambda x: F.relu(bn(layer(x)), inplace=not torch.is_grad_enabled()),
        lambda x: F.silu(layer(x)),
        lambda x: F.hardtanh(bn(layer(x)), 0.0, 6.0),
        lambda x: F.relu(bn(layer(x)) + residual),
        lambda x: F.leaky_relu(residual + layer(x), 0.3),
        lambda x: torch.sigmoid(bn(torch.tanh(bn(layer(x))))),
    )
    for f in forms:
        assert torch.equal(together(f, x), alone(f, x))


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions_of_bfloat16(name):
    layer, shape = CONVOLUTIONS[name]
    torch.manual_seed(0)
    layer = copy.deepcopy(layer).bfloat16()
    x = torch.randn(shape).bfloat16()
    bn = norm(layer.out_channels, len(shape) - 2)
    residual = torch.randn_like(layer(x).detach())
    forms = (
        lambda x: bn(layer(x)),
        lambda x: F.relu(bn(layer(x))),
        lambda x: F.silu(bn(layer(x)), inplace=not torch.is_grad_enabled()),
        lambda x: F.gelu(bn(layer(x)) + residual),
        lambda x: F.hardtanh(residual + layer(x), 0.1, 6.0),
    )
    for f in forms:
        assert torch.equal(together(f, x), alone(f, x))


@pytest.mark.parametrize("shape", [(64, 48), (4, 33, 48), (1, 4, 48), (2048, 48)])
def test_linear(shape):
    torch.manual_seed(1)
    layer, x = nn.Linear(48, 600), torch.randn(shape)
    residual = torch.randn(*shape[:-1], 600)
    forms = (
        lambda x: F.gelu(layer(x)),
        lambda x: F.gelu(layer(x), approximate="tanh"),
        lambda x: F.relu(layer(x)) + residual,
        lambda x: F.elu(F.linear(x, layer.weight), 0.5),
    )
    for f in forms:
        assert torch.equal(together(f, x), alone(f, x))


def test_batch_norm_of_a_linear_layer_is_by_columns():
    layer, bn, x = nn.Linear(32, 64), norm(64, 1), torch.randn(64, 32)
    assert torch.equal(together(lambda x: bn(layer(x)), x), alone(lambda x: bn(layer(x)), x))


def net():
    torch.manual_seed(2)
    return nn.Conv2d(8, 16, 3, padding=1), norm(16), torch.randn(2, 8, 20, 20)


def test_results_in_the_middle_are_there():
    conv, bn, x = net()

    def f(x):
        a = conv(x)
        b = bn(a)
        c = F.relu(b)
        return torch.cat([a, b, c])

    assert torch.equal(together(f, x), alone(f, x))


def test_a_look_in_the_middle():
    conv, bn, x = net()
    want = alone(lambda x: F.relu(bn(conv(x))), x)
    middle = alone(conv, x)
    with torch.no_grad():
        for _ in range(3):
            F.relu(bn(conv(x)))
        looks = (
            lambda y: y.numpy().copy(),
            lambda y: y.tolist(),
            lambda y: y.data_ptr(),
            lambda y: bytes(y.untyped_storage()),
            lambda y: y[0, 0, 0, 0].item(),
            lambda y: repr(y),
            lambda y: copy.deepcopy(y),
            lambda y: y.detach(),
            lambda y: y.view(-1),
            lambda y: torch.from_dlpack(y),
        )
        for look in looks:
            for _ in range(2):  # learned again
                F.relu(bn(conv(x)))
            y = conv(x)
            look(y)
            assert torch.equal(y, middle)
            assert torch.equal(F.relu(bn(y)), want)


def test_what_it_reads_may_change_at_once():
    conv, bn, x = net()
    want = alone(lambda x: bn(conv(x)), x)
    shared = x.numpy()

    def through_array(x):
        shared[:] = 0

    def through_parameter(_):
        conv.weight.data = torch.zeros_like(conv.weight)

    def through_storage(_):
        conv.weight.untyped_storage()[0] = 255

    changes = (
        lambda x: x.zero_(),
        through_array,
        lambda _: conv.weight.zero_(),
        lambda _: conv.bias.data.fill_(7),
        through_storage,
        through_parameter,
        lambda x: torch.zeros(x.shape, out=x),
        lambda x: x.copy_(-x),
    )
    before, weight, bias = x.clone(), conv.weight.detach().clone(), conv.bias.detach().clone()
    with torch.no_grad():
        for change in changes:
            for source in (x, x.clone()):
                source.copy_(before), conv.weight.copy_(weight), conv.bias.copy_(bias)
                for _ in range(3):
                    bn(conv(source))
                y = conv(source)
                change(source)
                assert torch.equal(bn(y), want)


def test_statistics_may_change_at_once():
    conv, bn, x = net()
    want = alone(lambda x: F.relu(bn(conv(x))), x)
    with torch.no_grad():
        for _ in range(3):
            F.relu(bn(conv(x)))
        y = bn(conv(x))
        bn.running_mean.zero_(), bn.weight.fill_(9)
        assert torch.equal(F.relu(y), want)


def test_a_step_in_place_changes_its_tensor():
    conv, bn, x = net()
    with torch.no_grad():
        for _ in range(4):
            y = conv(x)
            version = y._version
            z = bn(y)
            w = z.relu_()
            assert w is z and z._version == 1 and y._version == version
            assert torch.equal(z, bn(y).relu()) and (z >= 0).all() and (y < 0).any()
        for _ in range(4):
            y = conv(x)
            y += 1  # a number: by itself
            assert torch.equal(y, conv(x) + 1)


def test_a_result_of_its_own_is_a_residual():
    conv, bn, x = net()
    for f in (lambda x: (lambda y: y + y)(conv(x)), lambda x: (lambda y: bn(y) + y)(conv(x))):
        assert torch.equal(together(f, x), alone(f, x))


def test_gradients_are_recorded_as_ever():
    conv, bn, x = net()
    together(lambda x: F.relu(bn(conv(x))), x)
    F.relu(bn(conv(x))).sum().backward()
    assert conv.weight.grad is not None and bn.weight.grad is not None


def test_infinite_numbers():
    conv, bn, x = net()
    conv = nn.Conv2d(32, 64, 3, padding=1)
    x = torch.randn(2, 32, 28, 28)
    x[0, 3, 5, 5] = float("inf")
    bn = norm(64)
    f = lambda x: F.relu(bn(conv(x)))  # noqa: E731
    assert torch.equal(together(f, x).nan_to_num(), alone(f, x).nan_to_num())


def test_hooks_see_the_results():
    conv, bn, x = net()
    model, seen = nn.Sequential(conv, bn, nn.ReLU(inplace=True)), []
    want = alone(conv, x)
    together(model, x)
    conv.register_forward_hook(lambda m, i, o: seen.append(o))
    together(model, x)
    assert all(torch.equal(y, want) for y in seen)


def test_threads_take_over_results():
    conv, bn, x = net()
    want = alone(lambda x: F.relu(bn(conv(x))), x)
    together(lambda x: F.relu(bn(conv(x))), x)
    wrong = []

    def work():
        with torch.no_grad():
            for _ in range(50):
                if not torch.equal(F.relu(bn(conv(x))), want):
                    wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_modules_that_go_away():
    x = torch.randn(2, 8, 20, 20)
    for _ in range(5):
        conv, bn, _ = net()
        for _ in range(3):
            with torch.inference_mode():
                y = bn(conv(x))
        del conv, bn
        assert y.isfinite().all()


def test_an_operand_that_dies_is_never_written():
    conv, bn, x = net()

    def lets_go(x):
        y = bn(conv(x))
        y = F.relu(y)
        return [y]

    def keeps(x):
        y = bn(conv(x))
        z = F.relu(y)
        return [z, y]

    def allocations(f):
        with torch.no_grad():
            for _ in range(3):
                f(x)
            before = torch._C._memory_stats()["allocations"]
            results = f(x)
            results[-1].data_ptr()
            count = torch._C._memory_stats()["allocations"] - before
        for r, want in zip(results, keeps(x)):
            assert torch.equal(r, want)
        return count

    assert allocations(lets_go) < allocations(keeps)
