"""The graph of gradients: backward, grad, leaves, hooks, views, errors."""

import gc
import math
import weakref

import numpy as np
import pytest

import flambeau as torch


def close(a, b):
    return np.allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-5)


def leaf(*values):
    return torch.tensor(values, requires_grad=True)


def test_chain_rule_and_accumulation():
    x = leaf(1.0, 2.0)
    (x * x * 3).sum().backward()
    assert x.grad.tolist() == [6.0, 12.0]
    (x * 2).sum().backward()
    assert x.grad.tolist() == [8.0, 14.0]


def test_shared_subexpression_runs_once_with_the_sum():
    x = leaf(2.0)
    y = x * x
    seen = []
    y.register_hook(lambda g: seen.append(g.tolist()))
    (y * 3 + y * 4).sum().backward()
    assert seen == [[7.0]]
    assert x.grad.tolist() == [28.0]


def test_attributes_of_leaves_and_results():
    x = leaf(1.0)
    y = x * 2
    assert x.is_leaf and x.requires_grad and x.grad_fn is None
    assert not y.is_leaf and y.requires_grad
    assert y.grad_fn.name() == "MulBackward0"
    assert type(y.grad_fn).__name__ == "MulBackward0"
    assert repr(y.grad_fn).startswith("<MulBackward0 object at ")
    node, number = y.grad_fn.next_functions[0]
    assert number == 0 and node.name() == "torch::autograd::AccumulateGrad"
    assert node.variable is x
    assert y.grad_fn is y.grad_fn


def test_gradients_of_intermediates_are_kept_on_demand():
    x = leaf(1.0, 2.0)
    y = x * 2
    z = y * 3
    y.retain_grad()
    z.sum().backward()
    assert y.retains_grad and y.grad.tolist() == [3.0, 3.0]
    assert not z.retains_grad


def test_retained_gradient_is_of_the_newest_value():
    x = leaf(1.0, 2.0) * 1
    x.retain_grad()
    x.mul_(2)
    x.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]


def test_backward_twice():
    x = leaf(1.0, 2.0)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [4.0, 8.0]
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        y.backward()


def test_graph_without_saved_tensors_runs_as_often_as_wished():
    x = leaf(1.0)
    y = (x + 1).sum()
    y.backward()
    y.backward()
    assert x.grad.tolist() == [2.0]


def test_backward_needs_a_scalar_or_a_gradient():
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match="only for scalar outputs"):
        (x * 2).backward()
    with pytest.raises(RuntimeError, match="Mismatch in shape"):
        (x * 2).backward(torch.ones(3))
    with pytest.raises(RuntimeError, match="does not require grad and does not have a grad_fn"):
        torch.ones(1).sum().backward()
    with pytest.raises(RuntimeError, match="cannot be empty"):
        (x * 2).sum().backward(inputs=[])
    (x * 2).backward(torch.tensor([1.0, 10.0]))
    assert x.grad.tolist() == [2.0, 20.0]


def test_backward_of_several_tensors():
    x = leaf(1.0, 2.0)
    torch.autograd.backward([x.sum(), x * x], [None, torch.ones(2)])
    assert x.grad.tolist() == [3.0, 5.0]


def test_backward_into_chosen_inputs():
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    y = x * w
    y.sum().backward(inputs=[w])
    assert x.grad is None and w.grad.tolist() == [1.0, 2.0]
    y = x * 2
    y.sum().backward(inputs=[y])
    assert y.grad.tolist() == [1.0, 1.0] and x.grad is None


def test_grad_returns_and_leaves_leaves_alone():
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    y = x * w
    gx, gy = torch.autograd.grad(y.sum(), [x, y])
    assert gx.tolist() == [3.0, 4.0] and gy.tolist() == [1.0, 1.0]
    assert x.grad is None and w.grad is None


def test_unused_inputs():
    x, w = leaf(1.0), leaf(1.0)
    with pytest.raises(RuntimeError, match="allow_unused=True"):
        torch.autograd.grad(x.sum(), w)
    assert torch.autograd.grad(x.sum(), w, allow_unused=True) == (None,)
    (zero,) = torch.autograd.grad(x.sum(), w, materialize_grads=True)
    assert zero.tolist() == [0.0]
    with pytest.raises(RuntimeError, match="does not require grad"):
        torch.autograd.grad(x.sum(), torch.ones(1))


def test_second_and_third_derivative():
    x = leaf(2.0)
    (g,) = torch.autograd.grad((x**4).sum(), x, create_graph=True)
    (g2,) = torch.autograd.grad(g.sum(), x, create_graph=True)
    (g3,) = torch.autograd.grad(g2.sum(), x)
    assert (g.item(), g2.item(), g3.item()) == (32.0, 48.0, 48.0)


def test_create_graph_accumulates_with_history():
    x = leaf(3.0)
    with pytest.warns(UserWarning, match="create_graph=True"):
        (x * x).sum().backward(create_graph=True)
    assert x.grad.requires_grad
    (h,) = torch.autograd.grad(x.grad.sum(), x)
    assert h.item() == 2.0


def test_modified_saved_tensor():
    x = leaf(1.0, 2.0)
    y = x.exp()
    z = y.sum()
    y.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation.*version 1"):
        z.backward()
    a = torch.ones(2)
    z = (x * a).sum()
    a.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.backward()


def test_rules_of_leaves():
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        x.add_(1)
    with pytest.raises(RuntimeError, match="a view of a leaf Variable that requires grad"):
        x[0].add_(1)
    with torch.no_grad():
        x.add_(1)
    assert x.tolist() == [2.0, 3.0]
    with pytest.raises(RuntimeError, match="only change requires_grad flags of leaf variables"):
        (x * 2).requires_grad_(False)
    with pytest.raises(RuntimeError, match="floating point and complex"):
        torch.ones(2, dtype=torch.int64).requires_grad_()


def test_inplace_on_a_result():
    x = leaf(1.0, 2.0)
    y = x * 1
    y.mul_(x)
    y.sum().backward()
    assert x.grad.tolist() == [2.0, 4.0]


def test_write_to_a_view_reaches_the_base():
    x = leaf(1.0, 2.0, 3.0, 4.0)
    y = x * 1
    y[1:3].mul_(10)
    y.sum().backward()
    assert x.grad.tolist() == [1.0, 10.0, 10.0, 1.0]
    assert y.grad_fn.name() == "torch::autograd::CopySlices"


def test_write_of_a_gradient_into_plain_memory():
    w = leaf(2.0, 3.0)
    buffer = torch.zeros(4)
    row = buffer[1:3]
    row.copy_(w * w)
    assert buffer.requires_grad and row.requires_grad
    (buffer * torch.tensor([1.0, 2.0, 3.0, 4.0])).sum().backward()
    assert w.grad.tolist() == [8.0, 18.0]


def test_write_to_the_base_reaches_views():
    w = leaf(2.0, 3.0)
    buffer = torch.ones(2)
    view = buffer[0]
    buffer.mul_(w)
    assert view.requires_grad
    view.backward()
    assert w.grad.tolist() == [1.0, 0.0]


def test_two_views_written_in_turn():
    x = leaf(1.0, 2.0, 3.0)
    y = x * 1
    a, b = y[:2], y[1:]
    a.mul_(2)
    b.mul_(3)
    (a.sum() * 100 + y.sum()).backward()
    assert x.grad.tolist() == [202.0, 606.0, 3.0]


def test_inplace_on_a_view_is_differentiable_twice():
    x = leaf(1.0, 2.0, 3.0)
    y = x * 1
    y[1:].pow_(3)
    (g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    (h,) = torch.autograd.grad(g.sum(), x)
    assert g.tolist() == [1.0, 12.0, 27.0]
    assert h.tolist() == [0.0, 12.0, 18.0]


def test_views_that_refuse_writes():
    x = leaf(1.0, 2.0) * 1
    a, _ = x.unbind(0)
    with pytest.raises(RuntimeError, match="multiple views"):
        a.mul_(2)
    with torch.no_grad():
        v = x[0]
    with pytest.raises(RuntimeError, match="no_grad mode"):
        v.mul_(2)


def test_tensor_hooks():
    x = leaf(1.0, 2.0)
    handle = x.register_hook(lambda g: g * 10)
    (x * 2).sum().backward()
    assert x.grad.tolist() == [20.0, 20.0]
    handle.remove()
    x.grad = None
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]
    with pytest.raises(RuntimeError, match="doesn't require gradient"):
        torch.ones(1).register_hook(print)


def test_bad_results_of_hooks():
    x = leaf(1.0, 2.0)
    for bad, error in ((3, TypeError), (torch.ones(3), RuntimeError)):
        y = x * 2
        y.register_hook(lambda g, bad=bad: bad)
        with pytest.raises(error):
            y.sum().backward()

    def fails(g):
        raise KeyError("mine")

    y = x * 2
    y.register_hook(fails)
    with pytest.raises(KeyError, match="mine"):
        y.sum().backward()


def test_hooks_of_nodes_and_leaves_in_order():
    x = leaf(1.0, 2.0)
    log = []
    x.register_hook(lambda g: log.append("tensor"))
    x.register_post_accumulate_grad_hook(lambda t: log.append(("post", t.grad.tolist())))
    y = x * 2
    node = y.grad_fn.next_functions[0][0]
    node.register_prehook(lambda g: log.append("pre"))
    y.grad_fn.register_hook(lambda gi, go: log.append((gi[0].tolist(), go[0].tolist())))
    y.sum().backward()
    assert log == [([2.0, 2.0], [1.0, 1.0]), "tensor", "pre", ("post", [2.0, 2.0])]


def test_results_of_hooks_after_accumulation():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    x.register_post_accumulate_grad_hook(lambda p: p.sub_(p.grad, alpha=0.5))
    x.sum().backward()
    assert x.tolist() == [0.5, 1.5]
    for result, error in ((lambda p: p.grad * 1, RuntimeError), (lambda p: 5, TypeError)):
        y = torch.ones(2, requires_grad=True)
        y.register_post_accumulate_grad_hook(result)
        with pytest.raises(error, match="hook"):
            y.sum().backward()


def test_multi_grad_hook():
    a, b, c = leaf(1.0), leaf(2.0), leaf(3.0)
    seen = []
    with torch.autograd.graph.register_multi_grad_hook([a, b, c], seen.append):
        (a * b).sum().backward()
    assert [g if g is None else g.item() for g in seen[0]] == [2.0, 1.0, None]


def test_saved_tensors_hooks():
    x = leaf(1.0, 2.0)
    count = [0, 0]

    def pack(t):
        count[0] += 1
        return t.tolist()

    def unpack(values):
        count[1] += 1
        return torch.tensor(values)

    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        y = (x * x).exp().sum()
    y.backward()
    assert count == [3, 3]
    want = 2 * x.detach() * (x.detach() * x.detach()).exp()
    assert close(x.grad, want)


def test_saved_tensors_hooks_keep_second_derivatives():
    x = leaf(2.0)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t * 1, lambda t: t):
        (g,) = torch.autograd.grad((x * x * x).sum(), x, create_graph=True)
        (h,) = torch.autograd.grad(g.sum(), x)
    assert (g.item(), h.item()) == (12.0, 12.0)


def test_modes():
    x = leaf(1.0)
    with torch.no_grad():
        assert not (x * 2).requires_grad
        with torch.enable_grad():
            assert (x * 2).requires_grad
    assert torch.is_grad_enabled()

    @torch.no_grad()
    def f():
        return torch.is_grad_enabled()

    @torch.no_grad
    def g():
        return torch.is_grad_enabled()

    @torch.no_grad()
    def steps():
        yield torch.is_grad_enabled()

    assert (f(), g(), list(steps())) == (False, False, [False])
    with torch.set_grad_enabled(False):
        assert not torch.is_grad_enabled()
    assert torch.is_grad_enabled()
    with torch.inference_mode():
        assert torch.is_inference_mode_enabled() and not torch.is_grad_enabled()
    assert torch.is_grad_enabled()


def test_mode_is_restored_after_an_error_in_backward():
    x = leaf(1.0)
    y = x * 2
    y.register_hook(lambda g: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        y.sum().backward()
    assert torch.is_grad_enabled()
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2.0]


def test_deep_chains():
    x = leaf(1.0)
    y = x
    for _ in range(100_000):
        y = y + 0
    y.sum().backward()
    assert x.grad.tolist() == [1.0]
    del y
    y = x
    for _ in range(100_000):
        y = y * 1
    del y  # the graph goes without a walk


def test_graph_is_freed():
    x = leaf(1.0, 2.0)
    y = x * 2
    kept = weakref.ref(y.grad_fn)
    y = (y * y).sum()
    node = y.grad_fn
    y.backward()
    del y, node
    gc.collect()
    assert kept() is None


def test_backward_within_backward():
    class Inner(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, grad):
            (x,) = ctx.saved_tensors
            with torch.enable_grad():
                z = x.detach().requires_grad_()
                (g,) = torch.autograd.grad((z * z).sum(), z)
            return grad * g

    x = leaf(3.0)
    Inner.apply(x * 2).sum().backward()
    assert x.grad.tolist() == [24.0]


def test_backward_of_the_same_graph_from_a_hook():
    x = leaf(3.0)
    y = x * x
    z = y * 2
    seen = []

    def hook(g):
        with torch.enable_grad():
            seen.append(torch.autograd.grad(x * 5, x)[0].item())

    y.register_hook(hook)
    z.sum().backward()
    assert seen == [5.0] and x.grad.tolist() == [12.0]


def test_anomaly_mode():
    x = torch.tensor([0.0], requires_grad=True)
    with pytest.warns(UserWarning), torch.autograd.detect_anomaly():
        y = (x.sqrt() * 0).sum()
        with (
            pytest.warns(UserWarning, match="Traceback of forward call"),
            pytest.raises(RuntimeError, match="'SqrtBackward0' returned nan"),
        ):
            y.backward()
    assert not torch.is_anomaly_enabled()


def test_first_gradient_is_no_alias():
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    (a + b).sum().backward()
    a.grad.mul_(5)
    assert b.grad.tolist() == [1.0, 1.0]
    g = torch.ones(2)
    c = leaf(1.0, 2.0)
    c.backward(g)
    c.grad.add_(1)
    assert g.tolist() == [1.0, 1.0]


def test_gradients_of_complex_and_mixed_types():
    x = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    (x.to(torch.float32) * 2).sum().backward()
    assert x.grad.dtype == torch.float64 and x.grad.tolist() == [2.0, 2.0]


def test_queue_callback_runs_at_the_end():
    x = leaf(1.0)
    log = []
    engine = torch.autograd.Variable._execution_engine
    y = x * 2
    y.register_hook(lambda g: engine.queue_callback(lambda: log.append(x.grad.item())))
    y.sum().backward()
    assert log == [2.0]
    with pytest.raises(RuntimeError, match="during a backward"):
        engine.queue_callback(print)


def test_chosen_operators_in_place_keep_what_their_gradients_read():
    x = torch.tensor([0.25, -1.0, 4.0], requires_grad=True)
    (x * 1).clamp_min_(0.0).clamp_max_(9.0).add_(1).sqrt_().sum().backward()
    assert x.grad.tolist() == pytest.approx([0.5 / 1.25**0.5, 0, 0.5 / 5**0.5])
    y = torch.ones(2, requires_grad=True) * 1
    y[0].copy_(3)
    assert y.tolist() == [3, 1] and y.requires_grad


def test_power_of_zero_and_ties_of_medians():
    exponent = torch.tensor([-1.0, 0.0, 1.0], requires_grad=True)
    (torch.zeros(3) ** exponent).sum().backward()
    assert exponent.grad.tolist() == [-math.inf, 0.0, 0.0]
    for f in (torch.min, torch.max, torch.median, torch.nanmedian):
        for values in ([math.nan] * 3, [2.0, 2.0, 2.0]):
            x = torch.tensor(values, requires_grad=True)
            f(x).backward()
            torch.testing.assert_close(x.grad, torch.full((3,), 1 / 3))
    x = torch.tensor([1.0, 0.0, 1.0, 0.0, 5.0], requires_grad=True)
    torch.median(x).backward()
    assert x.grad.tolist() == [0.5, 0.0, 0.5, 0.0, 0.0]


def test_integer_gradients_are_cast():
    x = leaf(1.0, 2.0, 3.0)
    x.clone().backward(torch.tensor([1, 2, 3]))
    assert x.grad.dtype == x.dtype and x.grad.tolist() == [1.0, 2.0, 3.0]


def test_a_view_of_a_later_leaf_cannot_be_written():
    a = torch.zeros(2)
    b = a[:]
    a.requires_grad_()
    with pytest.raises(RuntimeError, match="view of a leaf"):
        b.add_(1)
    with torch.no_grad():
        b.add_(1)
    a.detach().add_(1)
    assert a.tolist() == [2.0, 2.0]


def test_arrays_without_recording():
    x = torch.ones(2, requires_grad=True)
    with torch.no_grad():
        assert x.numpy().tolist() == [1.0, 1.0]
    with pytest.raises(RuntimeError, match="requires grad"):
        x.numpy()


def test_missing_derivatives_are_named():
    x = torch.ones(1, requires_grad=True)
    with pytest.raises(NotImplementedError, match="derivative for 'igamma"):
        torch.igamma(x, x).backward()


def test_batched_gradients_have_the_outputs_shape():
    x = torch.ones(2, 2, requires_grad=True)
    with pytest.raises(RuntimeError, match="is_grads_batched=True"):
        torch.autograd.grad(x * 2, x, torch.ones(2), is_grads_batched=True)


@pytest.mark.parametrize("zeros", [(), (2,), (0, 3), (1, 2, 4), (4,)])
def test_gradients_of_running_products(zeros):
    torch.manual_seed(0)
    x = torch.rand(3, 5, dtype=torch.float64) + 0.5
    x[1, list(zeros)] = 0
    x.requires_grad_()
    for dim in (0, 1):
        assert torch.autograd.gradcheck(lambda x, dim=dim: x.cumprod(dim), x)
        assert torch.autograd.gradgradcheck(lambda x, dim=dim: x.cumprod(dim), x)
    z = torch.complex(x, -x).detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda z: z.cumprod(1), z)


def test_gradients_of_running_products_of_float_and_half():
    x = torch.tensor([2.0, 0.5, 4.0], requires_grad=True)
    x.cumprod(0).sum().backward()
    assert x.grad.tolist() == [1 + 0.5 + 2, 2 + 8, 1]
    y = torch.tensor([2, 3], dtype=torch.bfloat16, requires_grad=True)
    y.cumprod(0, dtype=torch.float32).sum().backward()
    assert y.grad.tolist() == [4, 2] and y.grad.dtype == torch.bfloat16
