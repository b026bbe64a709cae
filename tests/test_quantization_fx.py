"""Networks quantized as graphs: what becomes of each part, and how near the results stay."""

import copy
import io
import pickle

import pytest

import flambeau as torch
import flambeau.nn.functional as F
from flambeau import nn
from flambeau.ao import quantization as q
from flambeau.ao.quantization.fx.custom_config import ConvertCustomConfig, PrepareCustomConfig
from flambeau.ao.quantization.quantize_fx import convert_fx, fuse_fx, prepare_fx, prepare_qat_fx


class Block(nn.Module):
    """A residual block; its relu is called twice."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.conv2, self.bn2 = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.fc = nn.Linear(4, 2)

    def forward(self, x):
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)) + x)
        x = F.max_pool2d(x, 2)
        x = torch.cat([x, x * 2], 1)[:, :4]
        return self.fc(x.mean((2, 3))).softmax(1)


class Functions(nn.Module):
    """Products, norms and activations as functions."""

    def __init__(self):
        super().__init__()
        self.w, self.b = nn.Parameter(torch.randn(4, 3, 3, 3)), nn.Parameter(torch.randn(4))
        self.v = nn.Parameter(torch.randn(5, 4))

    def forward(self, x):
        x = F.relu(F.conv2d(x, self.w, self.b, padding=1))
        x = F.elu(F.leaky_relu(F.hardswish(x) + 1.5, 0.2))
        b, c, h, w = x.shape
        x = F.layer_norm(x.reshape(b, c, h * w).transpose(1, 2), (c,))
        x = torch.tanh(F.linear(x, self.v))
        return torch.matmul(x, x.transpose(1, 2)).sigmoid()


def targets(graph_module):
    """What the graph calls, by name; classes for modules."""
    modules = dict(graph_module.named_modules(remove_duplicate=False))
    names = []
    for node in graph_module.graph.nodes:
        if node.op == "call_module":
            names.append(type(modules[node.target]).__name__)
        elif node.op.startswith("call"):
            names.append(getattr(node.target, "__name__", node.target))
    return names


def calibrated(net, x, mapping=None, **options):
    """(the network's results, the quantized network)."""
    net = net.eval()
    mapping = q.get_default_qconfig_mapping("fbgemm") if mapping is None else mapping
    ready = prepare_fx(net, mapping, (x,), **options)
    with torch.no_grad():
        wanted = net(x)
        assert torch.equal(ready(x), wanted)  # observers change nothing
    return wanted, convert_fx(ready)


def test_a_residual_block():
    torch.manual_seed(0)
    x = torch.randn(4, 3, 8, 8)
    wanted, made = calibrated(Block(), x)
    assert (
        targets(made)
        == (
            "quantize_per_tensor ConvReLU2d Conv2d add_relu max_pool2d mul cat dequantize getitem "
            "quantize_per_tensor mean Linear dequantize softmax"
        ).split()
    )
    assert (made(x) - wanted).abs().max() < 0.02
    assert made.conv1.weight().dtype == torch.qint8
    assert {"conv1_input_scale_0", "relu_scale_0", "conv1.scale"} <= set(made.state_dict())


def test_functions_get_packed_weights_and_scales():
    torch.manual_seed(0)
    x = torch.randn(2, 3, 4, 4)
    wanted, made = calibrated(Functions(), x)
    calls = [name for name in targets(made) if name != "PackedWeight"]
    assert (
        calls
        == (
            "quantize_per_tensor conv2d_relu hardswish add leaky_relu elu getattr getitem getitem "
            "getitem getitem mul reshape transpose layer_norm linear tanh transpose matmul sigmoid "
            "dequantize"
        ).split()
    )
    assert (made(x) - wanted).abs().mean() < 0.02


def test_copies_and_files():
    torch.manual_seed(0)
    x = torch.randn(2, 3, 4, 4)
    made = calibrated(Functions(), x)[1]
    torch.manual_seed(1)
    other = calibrated(Functions(), x)[1]
    assert not torch.equal(other(x), made(x))
    file = io.BytesIO()
    torch.save(made.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file))
    again = (other, copy.deepcopy(made), pickle.loads(pickle.dumps(made)))
    assert all(torch.equal(net(x), made(x)) for net in again)


def test_training_with_rounding():
    torch.manual_seed(0)
    x = torch.randn(8, 3, 8, 8)
    net = prepare_qat_fx(Block().train(), q.get_default_qat_qconfig_mapping("fbgemm"), (x,))
    assert "ConvBnReLU2d" in targets(net)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    for _ in range(3):
        optimizer.zero_grad()
        (net(x)[:, 0] - 1).square().mean().backward()
        optimizer.step()
    net.eval()
    wanted = net(x)
    made = convert_fx(net)
    assert "ConvReLU2d" in targets(made) and "FusedMovingAvgObsFakeQuantize" not in targets(made)
    assert (made(x) - wanted).abs().max() < 0.02


def test_dynamic_and_tables():
    class Text(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.lstm = nn.Embedding(10, 8), nn.LSTM(8, 8, batch_first=True)
            self.fc = nn.Linear(8, 4)
            self.w = nn.Parameter(torch.randn(3, 4))

        def forward(self, at):
            y, _ = self.lstm(self.table(at))
            return F.relu(F.linear(self.fc(y), self.w))

    torch.manual_seed(0)
    at = torch.arange(8).view(2, 4)
    rows = q.float_qparams_weight_only_qconfig
    for qconfig, name in (
        (q.default_dynamic_qconfig, "linear_relu_dynamic"),
        (q.float16_dynamic_qconfig, "linear_relu_dynamic_fp16"),
    ):
        mapping = q.QConfigMapping().set_global(qconfig).set_object_type(nn.Embedding, rows)
        wanted, made = calibrated(Text(), at, mapping)
        assert [t for t in targets(made) if t.startswith("linear")] == [name]
        assert isinstance(made.lstm, torch.ao.nn.quantized.dynamic.LSTM)
        assert isinstance(made.table, torch.ao.nn.quantized.Embedding)
        assert (made(at) - wanted).abs().max() < 0.1


def test_parts_stay_with_numbers():
    net, x = (
        nn.Sequential(Block().conv1, nn.Sequential(nn.Conv2d(4, 2, 1))),
        torch.randn(1, 3, 4, 4),
    )
    chosen = q.get_default_qconfig("qnnpack")

    def kinds(mapping, **options):
        return targets(calibrated(copy.deepcopy(net), x, mapping, **options)[1])

    whole = ["quantize_per_tensor", "Conv2d", "Conv2d", "dequantize"]
    first = ["quantize_per_tensor", "Conv2d", "dequantize", "Conv2d"]
    assert kinds({"": chosen}) == whole
    mapping = q.QConfigMapping().set_global(chosen)
    assert kinds(copy.deepcopy(mapping).set_module_name("1", None)) == first
    assert kinds(copy.deepcopy(mapping).set_module_name_regex("1.*", None)) == first
    assert kinds(q.QConfigMapping().set_object_type(nn.Conv2d, chosen)) == whole
    by_order = copy.deepcopy(mapping).set_module_name_object_type_order("1", nn.Conv2d, 0, None)
    assert kinds(by_order) == first
    assert kinds(q.QConfigMapping()) == ["Conv2d", "Conv2d"]
    config = PrepareCustomConfig().set_non_traceable_module_names(["1"])
    assert kinds(mapping, prepare_custom_config=config)[-1] == "Sequential"
    config = PrepareCustomConfig().set_output_quantized_indexes([0])
    made = calibrated(copy.deepcopy(net), x, mapping, prepare_custom_config=config)[1]
    assert made(x).is_quantized
    ready = prepare_fx(net.eval(), mapping, (x,))
    ready(x)
    later = q.QConfigMapping().set_global(chosen).set_module_name("1.0", None)
    assert targets(convert_fx(ready, qconfig_mapping=later)) == first
    assert q.QConfigMapping.from_dict(later.to_dict()).to_dict() == later.to_dict()


def test_modules_of_ones_own():
    class Doubled(nn.Module):
        def forward(self, x):
            return x * 2

    class Observed(Doubled):
        @classmethod
        def from_float(cls, module):
            return cls()

    class Integers(nn.Module):
        @classmethod
        def from_observed(cls, module):
            made = cls()
            made.scale = float(module.activation_post_process.calculate_qparams()[0])
            return made

        def forward(self, x):
            assert x.is_quantized
            return torch.ops.quantized.mul(x, 2)

    net, x = nn.Sequential(nn.Conv2d(3, 2, 1), Doubled()).eval(), torch.randn(1, 3, 4, 4)
    config = PrepareCustomConfig().set_float_to_observed_mapping(Doubled, Observed)
    ready = prepare_fx(net, q.get_default_qconfig_mapping(), (x,), prepare_custom_config=config)
    ready(x)
    made = convert_fx(
        ready, ConvertCustomConfig().set_observed_to_quantized_mapping(Observed, Integers)
    )
    assert targets(made) == ["quantize_per_tensor", "Conv2d", "Integers", "dequantize"]
    assert made.get_submodule("1").scale > 0
    assert (made(x) - net(x)).abs().max() < 0.1


def test_fusing():
    parts = [nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Linear(2, 2), nn.ReLU()]
    net, x = nn.Sequential(*parts).eval(), torch.randn(2, 1, 4, 4)
    fused = fuse_fx(net)
    assert [type(m).__name__ for m in fused.children()] == ["ConvReLU2d", "LinearReLU"]
    assert torch.allclose(fused(x), net(x), atol=1e-6)
    assert len(list(net)) == 5


def test_errors():
    net, x = nn.Sequential(nn.Linear(2, 2)), torch.ones(1, 2)
    mapping = q.get_default_qconfig_mapping()
    with pytest.raises(AssertionError, match="eval"):
        prepare_fx(net, mapping, (x,))
    with pytest.raises(AssertionError, match="train"):
        prepare_qat_fx(net.eval(), mapping, (x,))
    with pytest.raises(AssertionError, match="prepare_fx"):
        convert_fx(torch.fx.symbolic_trace(net))
    with pytest.raises(NotImplementedError, match="backend_config"):
        prepare_fx(net, mapping, (x,), backend_config={})


def test_operators_by_name():
    a = torch.quantize_per_tensor(torch.tensor([1.0, -2.0]), 0.5, 8, torch.quint8)
    ops = torch.ops.quantized
    assert ops.add(a, a, 1.0, 8).dequantize().tolist() == [2.0, -4.0]
    assert ops.add_relu(a, a, 1.0, 0).dequantize().tolist() == [2.0, 0.0]
    assert ops.mul(a, -3).dequantize().tolist() == [-3.0, 6.0]
    assert ops.cat([a, a], 0, 0.5, 8).shape == (4,)
    weight = torch.quantize_per_tensor(torch.eye(2), 0.5, 0, torch.qint8)
    packed = ops.linear_prepack(weight, torch.tensor([1.0, 0.0]))
    assert ops.linear(a, packed, 1.0, 8).dequantize().tolist() == [2.0, -2.0]
    assert ops.linear_relu(a, packed, 1.0, 8).dequantize().tolist() == [2.0, 0.0]
    assert ops.linear_unpack(packed)[0].equal(weight)
    assert ops.linear_dynamic(torch.ones(1, 2), packed).tolist() == [[2.0, 1.0]]
    image = torch.quantize_per_tensor(torch.ones(1, 1, 3, 3), 0.5, 0, torch.quint8)
    kernel = torch.quantize_per_tensor(torch.ones(1, 1, 2, 2), 0.5, 0, torch.qint8)
    packed = ops.conv2d_prepack(kernel, None, [1, 1], [0, 0], [1, 1], 1)
    assert ops.conv2d(image, packed, 1.0, 0).dequantize().unique().tolist() == [4.0]
