"""torch.compile: what stands for a compiled module, and backends that programs write."""

import copy
import pickle

import pytest

import flambeau as torch
from flambeau import nn
from flambeau._dynamo import OptimizedModule, exc


def net():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))


def test_a_compiled_module_stands_before_the_module():
    module = net()
    compiled = torch.compile(module)
    assert type(compiled) is OptimizedModule and compiled._orig_mod is module
    assert list(compiled.state_dict())[0] == "_orig_mod.0.weight"
    assert [n for n, _ in compiled.named_modules()][:3] == ["", "_orig_mod", "_orig_mod.0"]
    compiled.note = 5
    assert module.note == 5 and "note" in dir(compiled)
    del compiled.note
    assert not hasattr(module, "note")
    assert compiled.train(False) is compiled and not module.training and not module[1].training
    assert len(compiled) == 4 and compiled.double() is compiled
    assert not hasattr(compiled, "missing")


def test_hooks_and_copies_are_the_compiled_module_s():
    compiled, seen = torch.compile(net()), []
    compiled.register_forward_hook(lambda m, i, o: seen.append(type(m)))
    x = torch.ones(2, 3)
    expected = compiled(x)
    assert seen == [OptimizedModule] and not compiled._orig_mod._forward_hooks
    for twin in (copy.deepcopy(compiled), pickle.loads(pickle.dumps(torch.compile(net())))):
        assert type(twin) is OptimizedModule
    compiled.eval()
    twin = torch.compile(net()).eval()
    twin.load_state_dict(compiled.state_dict())
    assert torch.equal(twin(x), compiled(x)) and expected.shape == (2, 2)


def test_functions():
    def double(x):
        return 2 * x

    compiled = torch.compile(double, mode="reduce-overhead")
    assert compiled._torchdynamo_orig_callable is double and compiled.__name__ == "double"
    assert torch.compile(double, disable=True) is double
    assert torch.compile()(double)(3) == 6
    with pytest.raises(exc.InvalidBackend):
        torch.compile(double, backend="nope")
    with pytest.raises(RuntimeError):
        torch.compile(double, mode="nope")
    with pytest.raises(RuntimeError):
        torch.compile(double, mode="default", options={})


class Backend:
    def __init__(self):
        self.graphs = []

    def __call__(self, graph, inputs):
        self.graphs.append((graph, len(inputs)))
        return graph.forward


def test_a_backend_gets_the_graph_and_what_it_gives_runs():
    def run(x, *, scale):
        y = 1 - x.abs() / scale
        y[0] = 3
        first, second = y.split(1, dim=1)
        return {"sum": first + second, "count": 2}, [y.T]

    backend = Backend()
    compiled = torch.compile(run, backend=backend)
    x = torch.tensor([[1.0, -2.0], [3.0, 4.0]])
    for _ in range(2):
        (found, [turned]), (wanted, [wanted_turned]) = compiled(x, scale=2.0), run(x, scale=2.0)
        assert torch.equal(found["sum"], wanted["sum"]) and found["count"] == 2
        assert torch.equal(turned, wanted_turned)
    assert len(backend.graphs) == 1  # for one kind of arguments
    compiled(torch.ones(3, 2), scale=2.0)
    assert len(backend.graphs) == 2
    targets = [node.target for node in backend.graphs[0][0].graph.nodes]
    assert "split" in targets and torch.abs not in targets


def test_modules_train_through_a_backend():
    torch.manual_seed(0)
    module, backend = net(), Backend()
    twin = copy.deepcopy(module)
    compiled = torch.compile(module, backend=backend)
    x = torch.randn(5, 3)
    for each in (compiled, twin):
        each(x).square().sum().backward()
    assert torch.equal(module[0].weight.grad, twin[0].weight.grad)
    assert torch.equal(module[1].running_mean, twin[1].running_mean)
    assert module[1].num_batches_tracked == 1
    assert backend.graphs[0][1] == 1 + len(list(module.parameters())) + 3
    compiled.eval()
    compiled(x)
    assert len(backend.graphs) == 2


def test_numbers_are_not_in_graphs():
    backend = Backend()

    def branches(x):
        return 2 * x if x.sum() > 0 else x

    assert torch.compile(branches, backend=backend)(torch.ones(2)).tolist() == [2, 2]
    assert torch.compile(branches, backend=backend)(-torch.ones(2)).tolist() == [-1, -1]
    assert not backend.graphs
    with pytest.raises(exc.Unsupported):
        torch.compile(branches, backend=backend, fullgraph=True)(torch.ones(2))
    assert bool(torch.ones(1)) and torch.ones(1).item() == 1
    told = torch._dynamo.explain(branches)(torch.ones(2))
    assert told.graph_count == 0 and told.graph_break_count == 1
    assert torch._dynamo.explain(torch.sin)(torch.ones(2)).op_count == 1


def test_errors_of_backends_and_names_for_them():
    def broken(graph, inputs):
        raise ValueError("no")

    with pytest.raises(exc.BackendCompilerFailed, match="no"):
        torch.compile(torch.sin, backend=broken)(torch.ones(1))
    backend = Backend()
    torch._dynamo.register_backend(backend, name="of_this_test")
    assert "of_this_test" in torch.compiler.list_backends()
    assert torch.compile(torch.neg, backend="of_this_test")(torch.ones(1)) == -1 and backend.graphs


def test_shapes_by_tensor():
    x, y = torch.ones(3, 2), torch.ones(3)
    shapes = torch.export.ShapesCollection()
    shapes[x] = {0: torch.export.Dim.DYNAMIC}

    def run(a, b):
        return a + b["y"][:, None]

    assert shapes.dynamic_shapes(run, (x, {"y": y})) == {
        "a": {0: torch.export.Dim.DYNAMIC},
        "b": {"y": None},
    }
    more = torch.export.AdditionalInputs()
    more.add((torch.ones(4, 2), {"y": torch.ones(4)}))
    found = more.dynamic_shapes(run, (x, {"y": y}))
    assert found == {"a": (torch.export.Dim.DYNAMIC, None), "b": {"y": (torch.export.Dim.DYNAMIC,)}}
