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
