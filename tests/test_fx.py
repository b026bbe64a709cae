"""Programs recorded as graphs, changed and run again."""

import copy
import operator
import pickle

import pytest

import flambeau as torch
from flambeau import fx, nn


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 4))
        self.scale = nn.Parameter(torch.full((4,), 2.0))
        self.register_buffer("shift", torch.ones(4))

    def forward(self, x, *, extra=1.0):
        y = self.layers(x) * self.scale + self.shift
        a, b = y.chunk(2, dim=-1)
        return {"sum": torch.cat([a, -b], dim=1) + extra, "size": x.size(0)}


def test_a_module_is_recorded_and_runs():
    model, x = Block(), torch.randn(3, 4)
    traced = fx.symbolic_trace(model)
    ops = [node.op for node in traced.graph.nodes]
    assert ops.count("call_module") == 3 and ops.count("get_attr") == 2
    want, got = model(x, extra=2.0), traced(x, extra=2.0)
    assert torch.equal(want["sum"], got["sum"]) and got["size"] == 3
    assert set(traced.state_dict()) == set(model.state_dict())
    assert "def forward(self, x" in traced.code and "self.layers" in traced.code
    traced.graph.lint()
    got["sum"].sum().backward()
    assert model.scale.grad is not None  # the parameters are the model's own


def test_copies_and_pickles():
    traced, x = fx.symbolic_trace(Block()), torch.randn(2, 4)
    for other in (copy.deepcopy(traced), pickle.loads(pickle.dumps(traced))):
        assert torch.equal(other(x)["sum"], traced(x)["sum"])
        assert other.scale is not traced.scale


def test_what_needs_a_value_is_an_error():
    with pytest.raises(fx.TraceError, match="control flow"):
        fx.symbolic_trace(lambda x: x if x.sum() > 0 else -x)
    with pytest.raises(fx.TraceError, match="cannot be iterated"):
        fx.symbolic_trace(lambda x: sum(v for v in x))
    with pytest.raises(RuntimeError, match="len"):
        fx.symbolic_trace(lambda x: len(x))


def test_concrete_arguments_and_defaults():
    def f(x, flag, scale=3.0):
        return x * scale if flag else x

    traced = fx.symbolic_trace(f, concrete_args={"flag": True})
    assert traced(torch.ones(1)).item() == 3 and traced(torch.ones(1), scale=2.0).item() == 2


def test_starred_arguments():
    def f(x, *rest, **named):
        return x + rest[0] * named["k"]

    traced = fx.symbolic_trace(f)
    assert traced(1.0, 2.0, k=3.0) == 7.0


def test_editing():
    traced = fx.symbolic_trace(lambda x, y: torch.relu(x) + y * 2)
    graph = traced.graph
    (relu,) = graph.find_nodes(op="call_function", target=torch.relu)
    with graph.inserting_after(relu):
        neg = graph.call_function(operator.neg, (relu,))
        relu.replace_all_uses_with(neg, lambda user: user is not neg)
    unused = graph.call_function(torch.sin, (neg,))
    traced.graph.output_node().prepend(unused)
    assert graph.eliminate_dead_code()
    graph.lint()
    traced.recompile()
    assert traced(torch.tensor(3.0), torch.tensor(1.0)) == -1
    with pytest.raises(RuntimeError, match="still had 1 users"):
        graph.erase_node(neg)


def test_wrapped_functions_stay_calls():
    names = {"fx": fx, "__name__": "m"}
    exec("fx.wrap('len')\ndef f(x):\n    return x * len(x)\n", names)
    traced = fx.symbolic_trace(names["f"])
    assert traced(torch.ones(3)).sum() == 9
    assert len([1, 2]) == 2


def test_interpreter_and_transformer():
    traced = fx.symbolic_trace(lambda x: torch.sin(x).neg() + 1)

    class CosInstead(fx.Transformer):
        def call_function(self, target, args, kwargs):
            return super().call_function(torch.cos if target is torch.sin else target, args, kwargs)

    x = torch.tensor([0.0])
    assert fx.Interpreter(traced).run(x) == 1
    assert CosInstead(traced).transform()(x) == 0
    with pytest.raises(TypeError) as caught:
        fx.Interpreter(traced).run("text")
    assert "While executing" in caught.value.__notes__[0]


def test_replace_pattern():
    traced = fx.symbolic_trace(lambda x, y: torch.relu(x + y) * torch.relu(y + x))
    matches = fx.replace_pattern(
        traced, lambda a, b: torch.relu(a + b), lambda a, b: torch.sigmoid(a - b)
    )
    x, y = torch.tensor(1.0), torch.tensor(3.0)
    assert len(matches) == 2
    assert torch.allclose(traced(x, y), torch.sigmoid(x - y) * torch.sigmoid(y - x))


def test_module_surgery():
    traced = fx.symbolic_trace(Block())
    assert traced.add_submodule("new.inner", nn.Linear(1, 1)) and traced.new.inner is not None
    traced.delete_all_unused_submodules()
    assert not hasattr(traced, "new") and hasattr(traced.layers, "0")
    assert traced.delete_submodule("layers.1") and not traced.delete_submodule("nothing")


def test_functions_made_of_operators_are_recorded_whole():
    def f(x):
        y = nn.functional.interpolate(nn.functional.pad(x, (1, 1)), scale_factor=2.0)
        return torch.stack([y, y]) + nn.functional.cross_entropy(x, x)

    traced = fx.symbolic_trace(f)
    targets = [node.target for node in traced.graph.nodes if node.op == "call_function"]
    assert nn.functional.interpolate in targets and nn.functional.cross_entropy in targets
    assert torch.stack in targets
    x = torch.rand(2, 3, 4)
    with pytest.raises(RuntimeError):
        traced(torch.ones(2, 2, 2, 2, 2, 2))
    assert torch.equal(
        fx.symbolic_trace(lambda x: nn.functional.interpolate(x, size=5))(x),
        nn.functional.interpolate(x, size=5),
    )
    assert pickle.loads(pickle.dumps(nn.functional.interpolate)) is nn.functional.interpolate


def test_calls_and_code_are_written_as_in_pytorch():
    def program(input, scale: int = 2):
        x = torch.nn.functional.hardtanh(torch.nn.functional.dropout(input, 0.1))
        x = torch.nn.functional.leaky_relu(x, 0.2)
        return -torch.cat([x, x], dim=1) + scale

    traced = fx.symbolic_trace(program)
    found = [(n.name, n.args[1:], n.kwargs) for n in traced.graph.nodes if n.op == "call_function"]
    assert found[:3] == [
        ("dropout", (), {"p": 0.1, "training": True, "inplace": False}),
        ("hardtanh", (), {"min_val": -1.0, "max_val": 1.0, "inplace": False}),
        ("leaky_relu", (), {"negative_slope": 0.2, "inplace": False}),
    ]
    assert traced.code == (
        "\n\n\ndef forward(self, input, scale : int = 2):\n"
        "    input_1 = input\n"
        "    dropout = torch.nn.functional.dropout(input_1, p = 0.1, training = True, "
        "inplace = False);  input_1 = None\n"
        "    hardtanh = torch.nn.functional.hardtanh(dropout, min_val = -1.0, max_val = 1.0, "
        "inplace = False);  dropout = None\n"
        "    leaky_relu = torch.nn.functional.leaky_relu(hardtanh, negative_slope = 0.2, "
        "inplace = False);  hardtanh = None\n"
        "    cat = torch.cat([leaky_relu, leaky_relu], dim = 1);  leaky_relu = None\n"
        "    neg = -cat;  cat = None\n"
        "    add = neg + scale;  neg = scale = None\n"
        "    return add\n    "
    )
    assert traced(input=torch.zeros(1, 2), scale=3).tolist() == [[3, 3, 3, 3]]
    assert str(traced).endswith("`graph_module.print_readable()`")
    named = [n._pretty_print_target(n.target) for n in traced.graph.nodes]
    assert named[2:6:3] + named[-2:] == [
        "torch.nn.functional.dropout", "torch.cat", "operator.add", "output"
    ]  # fmt: skip


def test_wrapped_functions_are_named_in_the_code():
    graph = fx.Graph()
    x = graph.placeholder("x")
    call = graph.call_function(_twice, (x,))
    call.meta["is_wrapped"] = True
    graph.output(call)
    module = fx.GraphModule(torch.nn.Module(), graph)
    assert module.code.splitlines()[1].startswith("torch.fx._symbolic_trace.wrap(")
    assert module(torch.ones(1)).item() == 2


def _twice(x):
    return 2 * x


def test_shapes_of_all_nodes():
    from flambeau.fx.passes.shape_prop import ShapeProp

    traced = fx.symbolic_trace(nn.Sequential(nn.Linear(3, 4), nn.ReLU()))
    assert ShapeProp(traced).propagate(torch.ones(2, 3)).shape == (2, 4)
    metas = [node.meta["tensor_meta"] for node in traced.graph.nodes]
    assert [m.shape for m in metas] == [(2, 3), (2, 4), (2, 4), (2, 4)]
    assert metas[1].requires_grad and metas[1].memory_format is torch.contiguous_format
    with pytest.raises(RuntimeError, match="ShapeProp error"):
        ShapeProp(traced).propagate(torch.ones(2, 5))


def test_assertions_are_recorded_and_names_of_numbers_kept():
    def f(x):
        torch._assert(x.shape[0] == 2, "two rows")
        return x + 1

    traced = fx.symbolic_trace(f)
    assert torch._assert in [node.target for node in traced.graph.nodes]
    assert traced(torch.ones(2)).tolist() == [2.0, 2.0]
    with pytest.raises(AssertionError, match="two rows"):
        traced(torch.ones(3))
    graph = fx.Graph()
    x = graph.placeholder("x")
    one = graph.create_node("call_function", torch.add, (x, float("inf")), {}, name="inf")
    graph.output(graph.call_function(torch.add, (one, float("nan"))))
    assert one.name == "inf_1"
    assert fx.GraphModule(torch.nn.Module(), graph)(torch.ones(1)).isnan().item()
