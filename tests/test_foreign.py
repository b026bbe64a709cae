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
