"""Functions and layers of PyTorch's own where they meet flambeau's, by stand-ins for them."""

from collections import OrderedDict

import pytest

import flambeau as torch
from flambeau import nn


def gelu(x):
    """As PyTorch's functions do: asks the argument what to do."""
    return type(x).__torch_function__(gelu, (type(x),), (x,), {})


gelu.__module__ = "torch._C._nn"


def unheard_of(x):
    return type(x).__torch_function__(unheard_of, (type(x),), (x,), {})


unheard_of.__module__ = "torch.nn.functional"


def test_functions_go_to_their_twins():
    x = torch.tensor([-1.0, 2.0])
    assert torch.equal(gelu(x), nn.functional.gelu(x))
    assert unheard_of(x) is NotImplemented
    layer = nn.TransformerEncoderLayer(4, 2, 8, 0.0, gelu)
    assert layer(torch.ones(3, 1, 4)).shape == (3, 1, 4)


def pytorchs(kind, name):
    """A stand-in for PyTorch's object of that name."""
    return type(f"torch.{kind}", (), {"__str__": lambda self: name})()


def test_small_types_meet():
    float64, cpu = pytorchs("dtype", "torch.float64"), pytorchs("device", "cpu")
    strided, last = (
        pytorchs("layout", "torch.strided"),
        pytorchs("memory_format", "torch.channels_last"),
    )
    assert torch.float64 == float64 and torch.float32 != float64 and torch.float64 != cpu
    assert torch.device("cpu") == cpu and torch.device("meta") != cpu
    assert torch.strided == strided and torch.channels_last == last
    x = torch.ones(1, 2, 3, 3)
    assert x.to(float64).dtype is torch.float64 and x.sum(dtype=float64).dtype is torch.float64
    assert torch.zeros(2, dtype=float64, device=cpu, layout=strided).dtype is torch.float64
    assert x.contiguous(memory_format=last).stride() == (18, 1, 6, 2)
    with pytest.raises(TypeError, match="dtype"):
        torch.zeros(2, dtype=pytorchs("dtype", "torch.int128"))
    with pytest.raises(AssertionError, match="XPU"):
        torch.zeros(2, device=pytorchs("device", "xpu"))


def test_a_device_hands_pytorchs_functions_to_their_twins():
    def ones():
        raise AssertionError("PyTorch's own")

    ones.__module__ = "torch"
    for kind in (torch.device, torch.layout, torch.memory_format):
        assert kind.__torch_function__(ones, (kind,), (3,), {}).tolist() == [1, 1, 1]


class PytorchsTensor(type("torch._C.TensorBase", (), {})):
    """A stand-in for PyTorch's tensor: it shares its memory, and keeps others' calls to itself."""

    def __init__(self, ours):
        self.ours = ours

    def __dlpack__(self, **kwargs):
        return self.ours.__dlpack__(**kwargs)

    def __dlpack_device__(self):
        return self.ours.__dlpack_device__()

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return func(*args, **kwargs or {})


def test_pytorchs_tensors_are_taken_as_ours():
    memory = torch.tensor([1.0, 2.0])
    theirs = PytorchsTensor(memory)
    x = torch.tensor([3.0, 5.0])
    assert (x - theirs).tolist() == [2, 3]
    assert torch.relu(theirs).tolist() == [1, 2]
    assert torch.stack([x, theirs]).tolist() == [[3, 5], [1, 2]]
    assert torch.add(theirs, x, alpha=2).tolist() == [7, 12]

    def sub(a, b):
        return torch.Tensor.__torch_function__(sub, (torch.Tensor, PytorchsTensor), (a, b), {})

    sub.__module__, sub.__qualname__ = "torch._tensor", "TensorBase.sub"
    assert sub(theirs, x).tolist() == [-2, -3]


class Parameter:
    """A stand-in for PyTorch's parameter."""

    requires_grad = True

    def __init__(self, tensor):
        self.tensor = tensor

    def detach(self):
        return self

    cpu = detach

    def numpy(self):
        return self.tensor.detach().numpy()


Parameter.__module__ = "torch.nn.parameter"


class Linear:
    """A stand-in for PyTorch's layer, with the state that it keeps."""

    def __init__(self, ours):
        self.__dict__.update(ours.__dict__)
        self._parameters = OrderedDict(
            (name, Parameter(value)) for name, value in ours._parameters.items()
        )


def test_layers_are_copied_into_their_twins():
    ours = nn.Linear(2, 3)
    theirs = Linear(ours)
    with pytest.raises(TypeError, match="not a Module"):
        nn.Sequential(theirs)
    Linear.__module__ = "torch.nn.modules.linear"
    net = nn.Sequential(theirs)
    assert type(net[0]) is nn.Linear and isinstance(net[0].weight, nn.Parameter)
    assert repr(net[0]) == repr(ours)
    x = torch.ones(1, 2)
    assert torch.equal(net(x), ours(x))
    assert net[0].weight.data_ptr() != ours.weight.data_ptr()
