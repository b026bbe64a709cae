"""Hooks: their order, what they may return, what they see; those of saved tensors."""

import pytest

import flambeau as torch
from flambeau.autograd.graph import saved_tensors_hooks


def leaf(*values):
    return torch.tensor(values, requires_grad=True)


def test_order():
    log = []

    def note(name):
        return lambda *grads: log.append(name)

    x = leaf(1.0)
    y = x * 2
    y.grad_fn.register_prehook(note("before"))
    y.grad_fn.register_hook(note("after"))
    y.register_hook(note("y"))
    arrival = y.grad_fn.next_functions[0][0]
    arrival.register_prehook(note("arrival"))
    x.register_hook(note("x"))
    x.register_post_accumulate_grad_hook(note("added"))
    y.backward(retain_graph=True)
    assert log == ["y", "before", "after", "x", "arrival", "added"]
    log.clear()
    torch.autograd.grad(y, x, retain_graph=True)
    assert log == ["y", "before", "after", "x"]
    log.clear()
    y.backward(inputs=[y])
    assert log == ["y", "before", "after"]
    assert y.grad.item() == 1 and y.retains_grad


def test_gradients_asked_for_where_the_walk_goes_on_are_those_before_hooks():
    x = leaf(2.0)
    y = x * 2
    y.register_hook(lambda g: g * 3)
    x.register_hook(lambda g: g * 5)
    of_x, of_y = torch.autograd.grad(y, [x, y])
    assert (of_x.item(), of_y.item()) == (30, 1)


def test_numbers_have_edges():
    x = leaf(1.0, 2.0)
    seen = []
    for y in (x * 2, 2 + x, x**2, 1 - x):
        y.grad_fn.register_hook(lambda inputs, outputs: seen.append([g is None for g in inputs]))
        y.sum().backward()
    assert seen == [[False, True], [False, True], [False], [False]]
    assert (x * 2).grad_fn.next_functions[1] == (None, 0)
    edges = torch.nn.functional.linear(x, torch.ones(3, 2)).grad_fn.next_functions
    assert [node is None for node, _ in edges] == [False, True]


def test_what_prehooks_return():
    y = leaf(1.0) * 2
    y.grad_fn.register_prehook(lambda grads: grads[0])
    with pytest.raises(TypeError, match="expected tuple"):
        y.backward()


def test_hooks_see_the_node_they_run_for():
    y, seen = leaf(1.0) * 2, []
    y.register_hook(lambda g: seen.append(torch._C._current_autograd_node()))
    y.backward()
    assert seen == [y.grad_fn]
    assert torch._C._current_autograd_node() is None


def test_hooks_of_a_tensor_by_their_numbers():
    x = leaf(1.0)
    assert x._backward_hooks is None
    handle = x.register_hook(print)
    assert dict(x._backward_hooks) == {handle.id: print}
    seen, y = [], leaf(1.0)
    y._backward_hooks = {0: seen.append}
    y.backward(torch.ones(1))
    assert [g.item() for g in seen] == [1]
    y._backward_hooks = None
    y.backward(torch.ones(1))
    assert len(seen) == 1


def test_saved_tensors_come_to_pack_hooks_as_they_are():
    x, seen = torch.nn.Parameter(torch.ones(2)), []
    with saved_tensors_hooks(lambda t: seen.append(t) or t, lambda t: t):
        y = (x * x).exp()
    assert seen[0] is x and isinstance(seen[0], torch.nn.Parameter)
    assert seen[2].requires_grad and seen[2].grad_fn is y.grad_fn
    assert y.grad_fn._saved_result.grad_fn is y.grad_fn
    assert y.grad_fn.next_functions[0][0]._saved_self is x
    y.sum().backward()


def test_results_that_pack_hooks_pass_on_make_no_cycle():
    import weakref

    class Note:
        pass

    note = Note()
    alive = weakref.ref(note)
    with saved_tensors_hooks(lambda t: t, lambda t: t):
        y = leaf(1.0).exp()
    y.grad_fn.metadata["note"] = note
    del y, note
    assert alive() is None


def test_unpacked_tensors_have_the_shape_of_the_saved():
    x = leaf(1.0, 2.0)
    with saved_tensors_hooks(lambda t: t, lambda t: torch.ones(5)):
        y = x * x
    with pytest.raises(RuntimeError, match="unpack hook"):
        y.sum().backward()


def test_hooks_that_nobody_took_off(tmp_path):
    import subprocess
    import sys

    program = (
        "import flambeau as torch\n"
        "torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t).__enter__()\n"
        "x = torch.ones(1, requires_grad=True) * 2\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_powers_keep_their_result_only_for_the_exponent():
    x = leaf(1.0, 2.0)
    kept = []
    with saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        x**3
    assert len(kept) == 1
    assert (x**3).grad_fn._saved_exponent == 3


def test_gradients_by_name():
    x, y = leaf(1.0), leaf(2.0)
    found = torch.autograd.grad((x * y).sum(), {"x": x, "y": y})
    assert {k: v.item() for k, v in found.items()} == {"x": 2, "y": 1}
    (x * y).sum().backward(inputs={"x": x})
    assert x.grad.item() == 2 and y.grad is None
    with pytest.raises(RuntimeError, match="cannot be empty"):
        torch.autograd.grad(x.sum(), [])


def test_nested_checkpoints_of_both_kinds():
    from flambeau.utils.checkpoint import checkpoint

    x = leaf(0.5, 1.5)
    inner = lambda t: checkpoint(torch.sin, t, use_reentrant=True)  # noqa: E731
    checkpoint(lambda t: inner(t).exp(), x, use_reentrant=False).sum().backward()
    assert torch.allclose(x.grad, x.cos() * x.sin().exp())


def test_products_with_two_zeros_are_differentiable_once():
    src = leaf(0.0, 0.0, 2.0)
    out = torch.ones(1).scatter_reduce(0, torch.zeros(3, dtype=torch.long), src, "prod")
    g = torch.autograd.grad(out, src, create_graph=True)[0]
    assert g.tolist() == [0, 0, 0]
    with pytest.raises(RuntimeError, match="Double backward is unsupported"):
        g.sum().backward()
