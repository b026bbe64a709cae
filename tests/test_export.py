"""torch.export: graphs of aten operators, their signatures, files."""

import io

import pytest

import flambeau as torch
from flambeau import nn
from flambeau.export import Dim, export


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3, padding=1)
        self.norm = nn.BatchNorm2d(2)
        self.head = nn.Linear(8, 3)

    def forward(self, x, scale=None):
        x = torch.relu(self.norm(self.conv(x)))
        x = nn.functional.adaptive_avg_pool2d(x, 2)
        x = self.head(x.view(x.shape[0], -1)) * torch.tensor(2.0)
        return {"out": x if scale is None else x * scale, "top": x.max(1)}


@pytest.fixture
def net():
    return Net().eval()


def test_graph_and_signature(net):
    x = torch.rand(2, 1, 4, 4)
    program = export(net, (x,))
    targets = [str(n.target) for n in program.graph.nodes if n.op == "call_function"]
    assert targets[:3] == ["aten.conv2d.default", "aten.batch_norm.default", "aten.relu.default"]
    signature = program.graph_signature
    assert signature.parameters[:2] == ("conv.weight", "conv.bias")
    assert "norm.running_mean" in signature.buffers and signature.user_inputs == ("x",)
    assert set(program.state_dict) == set(net.state_dict())
    lifted = []
    for spec in signature.input_specs:
        known = {**program.state_dict, **program.constants, None: x}
        lifted.append(known[spec.target])
    out, top, where = program.graph_module(*lifted)
    want = net(x)
    torch.testing.assert_close(out, want["out"])
    assert torch.equal(where, want["top"][1]) and torch.equal(top, want["top"][0])


def test_module_and_sizes(net):
    x = torch.rand(2, 1, 4, 4)
    fixed = export(net, (x,)).module()
    torch.testing.assert_close(fixed(x)["out"], net(x)["out"])
    other = torch.rand(5, 1, 6, 4)
    with pytest.raises(AssertionError, match="Guard failed"):
        fixed(other)
    batch = Dim("batch", min=1, max=8)
    free = export(net, (x,), dynamic_shapes={"x": {0: batch, 2: Dim.DYNAMIC}})
    torch.testing.assert_close(free.module()(other)["out"], net(other)["out"])
    assert free.range_constraints["batch"] == (1, 8)
    assert any("sym_size" in str(n.target) for n in free.graph.nodes)
    with pytest.raises(AssertionError, match="batch"):
        free.module()(torch.rand(9, 1, 4, 4))


def test_keywords(net):
    x = torch.rand(1, 1, 4, 4)
    program = export(net, (x,), {"scale": torch.tensor(3.0)})
    got = program.module()(x, scale=torch.tensor(2.0))
    torch.testing.assert_close(got["out"], net(x, torch.tensor(2.0))["out"])


def test_files(net):
    x = torch.rand(2, 1, 4, 4)
    program = export(net, (x,), dynamic_shapes=({0: Dim("n")},))
    file = io.BytesIO()
    torch.export.save(program, file, extra_files={"note": "hi"})
    file.seek(0)
    extra = {"note": ""}
    loaded = torch.export.load(file, extra_files=extra)
    other = torch.rand(3, 1, 4, 4)
    torch.testing.assert_close(loaded.module()(other)["out"], net(other)["out"])
    assert extra == {"note": "hi"}
    assert loaded.graph_signature.parameters == program.graph_signature.parameters


def test_errors(net):
    with pytest.raises(ValueError, match="nn.Module"):
        export(torch.relu, (torch.ones(1),))
    with pytest.raises(TypeError, match="tuple"):
        export(net, torch.ones(1))
    with pytest.raises(RuntimeError, match="Unable to call"):
        export(nn.ReLU(), (torch.ones(1),))(torch.ones(1))


class _Two(nn.Module):
    def forward(self, x, y):
        return x.sum() + y.sum(0)


def test_sizes_that_go_with_others():
    dx, dh = Dim("dx", min=4, max=256), Dim("dh", max=512)
    assert [str(each) for each in (2 * dx, dx * 2 + 1, 1 + dx, dx - 1)] == [
        "2*dx", "2*dx + 1", "dx + 1", "dx - 1"
    ]  # fmt: skip
    assert ((2 * dx).min, (2 * dx).max, (2 * dx + 1).root) == (8, 512, dx)
    for wrong in (lambda: dx * 0.5, lambda: dx * -1, lambda: dx + dx):
        with pytest.raises(NotImplementedError):
            wrong()
    args = torch.ones(4, 3), torch.ones(8, 5)
    program = export(_Two(), args, dynamic_shapes={"x": (dx, None), "y": (2 * dx, dh)}).module()
    assert program(torch.ones(5, 3), torch.ones(10, 7)).shape == (7,)
    for rows in (11, 12):
        with pytest.raises(AssertionError, match="2\\*dx"):
            program(torch.ones(5, 3), torch.ones(rows, 7))


class _Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(3)
        self.register_buffer("count", torch.zeros(1))

    def forward(self, x):
        self.count.add_(1)
        return self.norm(x) + self.count


def test_programs_write_their_buffers_and_exporting_does_not():
    torch.manual_seed(0)
    net, x = _Counting(), torch.randn(4, 3)
    program = torch.export.export(net, (x,)).module()
    assert net.count.item() == 0 and net.norm.num_batches_tracked == 0
    assert net.norm.running_mean.tolist() == [0, 0, 0]
    plain = nn.BatchNorm1d(3)
    for step in (1, 2):
        torch.testing.assert_close(program(x), plain(x) + step)
    assert dict(program.named_buffers())["norm.num_batches_tracked"] == 2
    torch.testing.assert_close(net.norm.running_mean, plain.running_mean)  # buffers are shared


def test_branches_on_numbers_are_refused():
    class Net(nn.Module):
        def forward(self, x):
            return torch.cond(x.sum() > 0, lambda x: x + 1, lambda x: x - 1, (x,))

    assert Net()(-torch.ones(1)).item() == -2
    with pytest.raises(RuntimeError, match="cannot be recorded"):
        torch.export.export(Net(), (torch.ones(1),))


def test_a_module_traced_by_its_forward_can_be_written(tmp_path):
    net = nn.Linear(2, 3)
    torch.jit.save(torch.jit.trace_module(net, {"forward": torch.ones(1, 2)}), tmp_path / "net.pt")
    x = torch.randn(2, 2)
    torch.testing.assert_close(torch.jit.load(tmp_path / "net.pt")(x), net(x))


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_recurrent_layers_are_exported_and_loaded(kind):
    torch.manual_seed(0)
    net, x = kind(3, 4, num_layers=2, bidirectional=True), torch.randn(5, 2, 3)
    file = io.BytesIO()
    program = torch.export.export(net, (x,))
    torch.export.save(program, file)
    file.seek(0)
    for made in (program.module(), torch.export.load(file).module()):
        torch.testing.assert_close(made(x), net(x))
