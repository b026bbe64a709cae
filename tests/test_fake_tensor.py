"""FakeTensorMode: programs on shapes alone."""

import copy

import pytest

import flambeau as torch
from flambeau._subclasses.fake_tensor import FakeTensor, FakeTensorMode


def network():
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, stride=2),
        torch.nn.BatchNorm2d(8),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(8 * 15 * 15, 10),
    )


def test_a_step_of_training():
    with FakeTensorMode():
        net = network()
        y = net(torch.randn(2, 3, 32, 32))
        assert y.shape == (2, 10) and type(y) is FakeTensor and y.device.type == "cpu"
        weight = net[0].weight
        assert isinstance(weight, torch.nn.Parameter) and isinstance(weight, FakeTensor)
        torch.nn.functional.cross_entropy(y, torch.zeros(2, dtype=torch.long)).backward()
        assert isinstance(weight.grad, FakeTensor) and weight.grad.shape == (8, 3, 3, 3)
        torch.optim.Adam(net.parameters()).step()
    assert type(torch.ones(1)) is torch.Tensor


def test_devices_that_are_not_there():
    with FakeTensorMode():
        x = torch.ones(2, device="cuda")
        assert (x + 1).device.type == "cuda" and x.is_cuda and not x.is_meta
        assert x.to("cpu").device.type == "cpu"
        assert torch.zeros_like(x).device.type == "cuda"
        with pytest.raises(RuntimeError, match="two different devices"):
            x + torch.ones(2)


def test_views_and_writes():
    with FakeTensorMode():
        x = torch.empty(2, 3)
        assert x.t().stride() == (1, 3)
        x.add_(1)
        x[0] = 2
        assert x[:, None].shape == (2, 1, 3)
        assert repr(x) == "FakeTensor(..., size=(2, 3))"
        assert copy.deepcopy(x).shape == (2, 3)


def test_from_tensors():
    mode = FakeTensorMode()
    layer = torch.nn.Linear(3, 4)
    weight = mode.from_tensor(layer.weight)
    assert isinstance(weight, torch.nn.Parameter) and weight.requires_grad
    x = mode.from_tensor(torch.randn(5, 3))
    assert (x @ weight.t()).shape == (5, 4)
    assert mode.from_tensor(x) is x
    with pytest.raises(AssertionError, match="convert all Tensors to FakeTensors"):
        torch.randn(5, 3) @ weight.t()
    lenient = FakeTensorMode(allow_non_fake_inputs=True)
    assert (torch.randn(5, 3) @ lenient.from_tensor(layer.weight).t()).shape == (5, 4)
