"""autograd.graph: pictures, edges, writes to saved tensors; nodes; anomaly mode."""

import io
import warnings
from xml.etree import ElementTree

import pytest

import flambeau as torch
import flambeau.nn.functional as F
from flambeau.autograd import graph

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg):
    return [t.text for t in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_draw(tmp_path):
    x, w = torch.ones(2, 3, requires_grad=True), torch.ones(3, 2, requires_grad=True)
    loss = ((x @ w).relu() + x.sum()).mean()
    svg = graph.draw(loss, names={"x": x})
    found = texts(svg)
    for name in ("MmBackward0", "ReluBackward0", "SumBackward0", "MeanBackward0", "x", "leaf"):
        assert name in found
    assert "(2, 3)" in found and found.count("result") == 1
    boxes = ElementTree.fromstring(svg).iter(f"{SVG}rect")
    places = [(float(b.get("x")), float(b.get("y")), float(b.get("width"))) for b in boxes]
    for i, (x0, y0, w0) in enumerate(places):  # no two boxes overlap
        for x1, y1, w1 in places[i + 1 :]:
            assert y0 != y1 or x0 + w0 <= x1 or x1 + w1 <= x0
    graph.draw([loss, x.exp()], tmp_path / "graph.svg")
    assert "ExpBackward0" in (tmp_path / "graph.svg").read_text()
    out = io.StringIO()
    graph.draw(x, out)
    assert "leaf" in out.getvalue()
    with pytest.raises(RuntimeError, match="require grad"):
        graph.draw(torch.ones(1))


def test_draw_of_a_long_chain():
    x = torch.ones(1, requires_grad=True)
    y = x
    for _ in range(3000):
        y = y + 1
    assert texts(graph.draw(y)).count("AddBackward0") == 3000


def test_a_chain_of_100000_nodes():
    x = torch.ones(1, requires_grad=True)
    y = x
    for _ in range(100_000):
        y = y * 1
    y.backward()
    assert x.grad.item() == 1
    del y


def test_edges():
    x = torch.ones(2, requires_grad=True)
    y = x * 3
    edge = graph.get_gradient_edge(y)
    assert edge.node is y.grad_fn and edge.output_nr == 0 and edge.ownership_token is None
    z = (y * y).sum()
    (g,) = torch.autograd.grad(z, [edge])
    assert g.tolist() == [6, 6]


def test_nodes():
    x, w = torch.ones(2, 3, requires_grad=True), torch.ones(3, 4)
    node = (x @ w).grad_fn
    assert node.name() == "MmBackward0" and type(node).__name__ == "MmBackward0"
    assert node._saved_mat2.equal(w) and node.next_functions[0][0].variable is x
    node.metadata["note"] = 1
    assert node.metadata == {"note": 1}
    assert x.sum(0).grad_fn._saved_dim == (0,)
    assert x.sum(0).grad_fn._saved_self_sym_sizes == (2, 3)
    with pytest.raises(AttributeError):
        print(node._saved_nothing)


def test_mutation_of_saved_tensors():
    x = torch.tensor([0.5, 1.0], requires_grad=True)
    with graph.allow_mutation_on_saved_tensors() as state:
        y = x * 2
        z, again = y.sin().sum(), y.sin().sum()
        assert len(state.cloned) == 0  # copied when they are written, once
        y.view(1, 2).mul_(0)
        assert len(state.cloned) == 1
        with pytest.raises(RuntimeError, match="nested"), graph.allow_mutation_on_saved_tensors():
            pass
        z.backward()
        del again
        assert len(state.cloned) == 0
        late = (x * 2).sin().sum()
    assert torch.allclose(x.grad, 2 * (2 * x.detach()).cos())
    with pytest.raises(AssertionError, match="context"):
        late.backward()


def test_nodes_can_be_called():
    x, y = torch.tensor(2.0, requires_grad=True), torch.tensor(3.0, requires_grad=True)
    assert [g.item() for g in (x * y).grad_fn(torch.ones(()))] == [3, 2]
    assert x.sin().grad_fn(torch.ones(())).item() == x.cos().item()
    with pytest.raises(TypeError, match="expected 1 arguments, got 2 instead"):
        x.sin().grad_fn(1, 2)


def test_hooks_hear_of_gradients_that_are_not_there():
    first, second = torch.ones(2, requires_grad=True).mul(1).unbind()
    seen, together = [], []
    first.register_hook(seen.append)
    graph.register_multi_grad_hook([first, second], together.append)
    second.backward()
    assert seen == [None] and together[0][0] is None and together[0][1] == 1


def test_whether_a_node_will_run():
    x = torch.ones(2, requires_grad=True)
    y, z = x * 2, x * 3
    seen = []
    y.register_hook(lambda g: seen.extend(
        torch._C._will_engine_execute_node(t.grad_fn) for t in (y, z)))  # fmt: skip
    y.sum().backward()
    assert seen == [True, False]
    with pytest.raises(RuntimeError, match="backward"):
        torch._C._will_engine_execute_node(y.grad_fn)


def test_switches_for_devices_that_are_not_there():
    graph.set_warn_on_accumulate_grad_stream_mismatch(False)
    graph.set_override_stale_capture_stream(True)
    with pytest.raises(RuntimeError, match="compile"), graph.region_activation_memory_budget(0.5):
        pass
    with pytest.raises(ValueError, match="budget"), graph.region_activation_memory_budget(2):
        pass


def test_anomaly_mode_shows_the_forward():
    def forward(x):
        return (x * 0).log().sum() * 0  # the line to be found

    x = torch.zeros(2, requires_grad=True)
    with warnings.catch_warnings(record=True) as caught, torch.autograd.set_detect_anomaly(True):
        warnings.simplefilter("always")
        y = forward(x)
        with pytest.raises(RuntimeError, match="returned nan values"):
            y.backward()
    assert any("the line to be found" in str(w.message) for w in caught)


def test_nodes_tell_what_they_keep():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    node = (x * x).grad_fn
    assert {"_saved_self", "_saved_other", "_raw_saved_self"} <= set(dir(node))
    assert node._saved_self is x and torch.equal(node._raw_saved_other.data, x)
    assert isinstance(node, torch.autograd.graph.Node)
    shape, dtype, device = node._input_metadata[0]
    assert (shape, dtype, node._input_metadata[0].dtype) == ((2,), x.dtype, x.dtype)
    assert "_saved_dim" in dir(x.softmax(0).grad_fn) and x.softmax(0).grad_fn._saved_dim == 0
    with pytest.raises(AttributeError):
        _ = node._raw_saved_result


def test_hooks_on_one_saved_tensor():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x.exp()
    saved = y.grad_fn._raw_saved_result
    saved.register_hooks(lambda t: t * 2, lambda t: t / 2 + 1)
    with pytest.raises(RuntimeError):
        saved.register_hooks(lambda t: t, lambda t: t)
    y.sum().backward()
    assert torch.allclose(x.grad, y + 1)


def test_group_hooks_run_when_the_last_gradient_is_known():
    a, b, c = (torch.ones(2, requires_grad=True) for _ in range(3))
    seen = []
    torch.autograd.graph.register_multi_grad_hook(
        (a, b, c), lambda grads: seen.append([g is not None for g in grads])
    )
    a.register_post_accumulate_grad_hook(lambda p: seen.append("added"))
    (a * 2 + b * 3).sum().backward()
    assert [True, True, False] in seen
    x = a * 2
    order = []
    torch.autograd.graph.register_multi_grad_hook((x, a), lambda grads: order.append("all"))
    a.register_post_accumulate_grad_hook(lambda p: order.append("added"))
    x.sum().backward()
    assert order == ["all", "added"]


def test_the_gradient_of_what_is_no_leaf_is_warned_about():
    x = torch.ones(2, requires_grad=True) * 2
    with pytest.warns(UserWarning, match="not a leaf"):
        assert x.grad is None
    x.retain_grad()
    assert x.grad is None


NODES = {  # what programs print as grad_fn, named as PyTorch names it
    "SumBackward0": lambda x: x.sum(),
    "SumBackward1": lambda x: x.sum(0),
    "MeanBackward1": lambda x: x.mean(1),
    "MaxBackward0": lambda x: x.max(1)[0],
    "MaxBackward1": lambda x: x.max(),
    "PowBackward0": lambda x: x**2,
    "PowBackward1": lambda x: x**x,
    "RsubBackward1": lambda x: 1 - x,
    "MulBackward0": lambda x: 1 / x,
    "Log1PBackward0": lambda x: x.log1p(),
    "LinalgVectorNormBackward0": lambda x: x.norm(),
    "SpecialEntrBackward0": lambda x: torch.special.entr(x),
    "RepeatBackward0": lambda x: x.repeat(2, 1),
    "ReflectionPad1DBackward0": lambda x: F.pad(x, (1, 1), mode="reflect"),
    "NativeLayerNormBackward0": lambda x: F.layer_norm(x[None], (4,)),
    "NllLossBackward0": lambda x: F.cross_entropy(x, torch.tensor([0, 1, 2])),
    "MseLossBackward0": lambda x: F.mse_loss(x, torch.zeros(3, 4)),
    "SmoothL1LossBackward0": lambda x: F.smooth_l1_loss(x, torch.zeros(3, 4)),
    "BinaryCrossEntropyBackward0": lambda x: F.binary_cross_entropy(x, torch.ones(3, 4)),
    "AddmmBackward0": lambda x: F.linear(x, torch.ones(2, 4), torch.ones(2)),
    "MmBackward0": lambda x: F.linear(x, torch.ones(2, 4)),
    "GluBackward0": lambda x: F.glu(x),
}


@pytest.mark.parametrize("name", NODES)
def test_name_of_a_node(name):
    x = torch.rand(3, 4, requires_grad=True)
    y = NODES[name](x)
    assert type(y.grad_fn).__name__ == y.grad_fn.name() == name
    assert f"grad_fn=<{name}>" in repr(y)
    y.sum().backward()
    assert x.grad.shape == x.shape


def test_a_composite_shows_as_one_node():
    x = torch.rand(3, 4, requires_grad=True)
    hidden = F.relu(F.linear(x, torch.ones(2, 4), torch.ones(2)))
    node = F.mse_loss(hidden, torch.zeros(3, 2)).grad_fn
    assert [n.name() for n, _ in node.next_functions if n] == ["ReluBackward0"]
    each = F.mse_loss(hidden, torch.zeros(3, 2), reduction="none").mean().grad_fn
    assert each.name() == "MeanBackward0"
    assert each.next_functions[0][0].name() == "MseLossBackward0"
    # what was there before a composite keeps its name
    y = x.exp()
    assert F.dropout(y, 0.5, False) is y or y.grad_fn.name() == "ExpBackward0"
    z = y.repeat(1, 1)
    assert y.grad_fn.name() == "ExpBackward0" and z.grad_fn.next_functions[0][0] is y.grad_fn


def test_multi_grad_hook_counts_what_the_backward_reaches():
    a, b, c = (torch.ones(2, requires_grad=True) for _ in range(3))
    seen = []
    handle = torch.autograd.graph.register_multi_grad_hook(
        (a, b, c), lambda grads: seen.append([g is not None for g in grads])
    )
    out = (a * b).sum()
    out.backward(inputs=(b, c), retain_graph=True)
    assert seen == [[False, True, False]]
    out.backward(inputs=(c,), retain_graph=True)
    out.backward()
    assert seen[1:] == [[True, True, False]]
    handle.remove()


def test_other_data_leave_the_version_as_it_was():
    """Weights are exchanged for the forward and put back before the backward."""
    weight = torch.nn.Parameter(torch.tensor([2.0, -3.0]))
    with torch.no_grad():
        weight.add_(1).sub_(1)
    x = torch.ones(2, requires_grad=True)
    own, version = weight.data, weight._version
    weight.data = weight.data.sign()
    loss = (weight * x).sum()
    assert weight._version == version == 2
    weight.data = own
    loss.backward()
    assert x.grad.tolist() == [2, -3] and weight.grad.tolist() == [1, 1]
    loss = (weight * x).sum()
    with torch.no_grad():
        weight.mul_(2)
    assert weight._version == 3
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
