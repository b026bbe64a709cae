"""Backward hooks of modules, and second derivatives that lead past their outputs."""

import flambeau as torch


def test_a_second_derivative_calls_no_hook_again():
    x, calls = torch.ones(1, requires_grad=True), []
    loss = torch.nn.MSELoss()
    loss.register_full_backward_hook(lambda module, given, out: calls.append(1))
    (g,) = torch.autograd.grad(loss(x, torch.zeros(1)), x, create_graph=True)
    torch.autograd.grad(g, x)
    assert len(calls) == 1


def test_a_graph_that_is_kept_calls_it_each_time():
    x, calls = torch.ones(2, requires_grad=True), []
    layer = torch.nn.Linear(2, 1)
    layer.register_full_backward_hook(lambda module, given, out: calls.append(out[0].item()))
    y = layer(x)
    y.backward(retain_graph=True)
    y.backward(torch.tensor([2.0]))
    assert calls == [1.0, 2.0]
