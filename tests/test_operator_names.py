"""Operators where programs reach below PyTorch's Python."""

import flambeau as torch


def test_namespaces_of_the_extension():
    assert torch._C._nn.gelu(torch.zeros(2)).tolist() == [0, 0]
    assert torch._C._VariableFunctions.add(torch.ones(1), 2).item() == 3
    assert torch._C._linalg.linalg_norm(torch.ones(4)).item() == 2
    assert not hasattr(torch._C, "_no_such_name")
    assert torch._C.TensorBase is torch.Tensor


def test_recurrent_layers_by_their_operator():
    from flambeau import _VF

    layer, x = torch.nn.LSTM(3, 4), torch.rand(5, 2, 3)
    state = (torch.zeros(1, 2, 4), torch.zeros(1, 2, 4))
    out, h, c = _VF.lstm(x, state, layer._flat_weights, True, 1, 0.0, False, False, False)
    assert torch.equal(out, layer(x)[0])
    assert h.shape == c.shape == (1, 2, 4)


def test_nodes_where_gradients_arrive():
    leaf = torch.ones(1, requires_grad=True)
    node = (leaf * 2).grad_fn.next_functions[0][0]
    assert isinstance(node, torch._C._functions.AccumulateGrad)
    assert node.variable is leaf


def test_segments_under_their_private_name():
    x = torch.tensor([1.0, 2.0, 3.0])
    found = torch._segment_reduce(x, "amax", lengths=torch.tensor([1, 2]), axis=0)
    assert found.tolist() == [1, 3]
    mean = torch.segment_reduce(x, "mean", lengths=torch.tensor([1, 2, 0]), initial=2)
    assert mean.tolist() == [3, 3.5, 2]
    z = torch.zeros(2, dtype=torch.complex64)
    at = torch.tensor([0, 0])
    assert torch.allclose(
        z.scatter_reduce(0, at, torch.tensor([2 + 1j, 4]), "mean"), torch.tensor([2 + 1j / 3, 0])
    )


def test_numpy_names_of_arguments():
    x = torch.arange(6.0).reshape(2, 3)
    assert torch.equal(torch.linalg.norm(x, axis=0), torch.linalg.norm(x, dim=0))
    assert torch.equal(x.quantile(0.5, axis=1), x.quantile(0.5, dim=1))
    assert torch.nansum(x, axis=0, keepdims=True).shape == (1, 3)
    assert torch.equal(torch.diff(x, axis=0), x[1:] - x[:-1])
    singular = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    assert torch.linalg.cond(singular, "nuc").item() == float("inf")


def test_switches_of_backends():
    assert torch.backends.cuda.preferred_linalg_library("magma") == "magma"
    assert torch.backends.cuda.preferred_linalg_library("default") == "default"
    with torch.backends.opt_einsum.flags(enabled=False, strategy="greedy"):
        assert torch.backends.opt_einsum.strategy == "greedy"
    assert torch.backends.opt_einsum.strategy is None
