"""Quantized tensors, and networks made of them: by hand-computed integers and by float results."""

import copy
import io

import pytest

import flambeau as torch
from flambeau import nn
from flambeau.ao import quantization as q


def test_quantize_rounds_after_adding_the_zero_point():
    x = torch.tensor([-1.5, -0.5, 0.5, 1.5, 300.0])
    even = torch.quantize_per_tensor(x, 1.0, 0, torch.qint8)
    assert even.int_repr().tolist() == [-2, 0, 0, 2, 127]
    odd = torch.quantize_per_tensor(x, 1.0, 1, torch.quint8)
    assert odd.int_repr().tolist() == [0, 0, 2, 2, 255]
    assert odd.dequantize().tolist() == [-1.0, -1.0, 1.0, 1.0, 254.0]
    assert odd.is_quantized and odd.dtype == torch.quint8 and odd.q_zero_point() == 1


def test_quantize_per_channel():
    scales, zeros = torch.tensor([1.0, 0.5]), torch.tensor([0, 2])
    made = torch.quantize_per_channel(torch.ones(2, 3), scales, zeros, 0, torch.qint8)
    assert made.int_repr().tolist() == [[1] * 3, [4] * 3]
    assert made.dequantize().tolist() == [[1.0] * 3, [1.0] * 3]
    assert made.q_per_channel_axis() == 0
    with pytest.raises(RuntimeError):
        made.q_scale()


def test_text():
    made = torch.quantize_per_tensor(torch.tensor([0.5]), 0.25, 3, torch.qint8)
    assert repr(made) == (
        "tensor([0.5000], size=(1,), dtype=torch.qint8,\n"
        "       quantization_scheme=torch.per_tensor_affine, scale=0.25, zero_point=3)"
    )


def test_what_moves_keeps_the_scale_and_what_computes_rounds_again():
    made = torch.quantize_per_tensor(torch.tensor([[1.0, -2.0], [3.0, 0.0]]), 0.5, 4, torch.quint8)
    assert made.t()[1].dequantize().tolist() == [-2.0, 0.0]
    assert made.relu().dequantize().tolist() == [[1.0, 0.0], [3.0, 0.0]]
    assert torch.cat([made, made]).shape == (4, 2)
    assert made.mean().dequantize().item() == 0.5
    values, indices = made.topk(1)
    assert values.is_quantized and indices.tolist() == [[0], [0]]
    with pytest.raises(NotImplementedError):
        made + made


def test_fake_quantization_and_its_gradient():
    x = torch.tensor([-3.0, 0.26, 9.0], requires_grad=True)
    y = torch.fake_quantize_per_tensor_affine(x, 0.5, 0, -4, 4)
    assert y.tolist() == [-2.0, 0.5, 2.0]
    y.sum().backward()
    assert x.grad.tolist() == [0.0, 1.0, 0.0]


def test_dynamic_linear_is_the_product_of_integers():
    torch.manual_seed(0)
    layer = nn.Linear(16, 4)
    small = q.quantize_dynamic(nn.Sequential(layer), {nn.Linear})[0]
    x = torch.randn(3, 16)
    weight = small.weight()
    scale, zero = torch._choose_qparams_per_tensor(x, True)
    integers = (x / scale + zero).round().clamp(0, 127) - zero
    exact = integers.double() @ weight.int_repr().double().t() * (scale * weight.q_scale())
    assert torch.allclose(small(x), (exact + layer.bias).float(), atol=1e-6)
    assert (small(x) - layer(x)).abs().max() < 0.05


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
@pytest.mark.parametrize("batch_first", [False, True])
def test_dynamic_recurrent_layers_are_near_those_of_floats(kind, batch_first):
    torch.manual_seed(0)
    layer = kind(6, 8, 2, bidirectional=True, batch_first=batch_first)
    small = q.quantize_dynamic(nn.ModuleDict({"rnn": layer}))["rnn"]
    x = torch.randn(3, 5, 6)
    assert (small(x)[0] - layer(x)[0]).abs().max() < 0.05
    lengths = torch.tensor([5, 2, 4] if batch_first else [3, 1, 2, 3, 2])
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first, enforce_sorted=False)
    assert (small(packed)[0].data - layer(packed)[0].data).abs().max() < 0.05


def _calibrated():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.quant, self.dequant = q.QuantStub(), q.DeQuantStub()
            self.conv, self.bn, self.relu = nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU()
            self.add = torch.ao.nn.quantized.FloatFunctional()
            self.fc = nn.Linear(4, 2)

        def forward(self, x):
            x = self.relu(self.bn(self.conv(self.quant(x))))
            return self.dequant(self.fc(self.add.add(x, x).mean([2, 3])))

    torch.manual_seed(0)
    return Net(), torch.randn(8, 2, 6, 6)


def test_static_quantization_and_its_state():
    net, x = _calibrated()
    net = q.fuse_modules(net.eval(), ["conv", "bn", "relu"])
    net.qconfig = q.get_default_qconfig()
    ready = q.prepare(net)
    ready(x)
    small = q.convert(ready)
    assert type(small.conv) is torch.ao.nn.quantized.ConvReLU2d
    assert (small(x) - net(x)).abs().max() < 0.1
    file = io.BytesIO()
    torch.save(small.state_dict(), file)
    file.seek(0)
    other = q.convert(ready)
    other.fc.scale = 3.0
    other.load_state_dict(torch.load(file))
    assert torch.equal(other(x), small(x))


def test_training_with_rounding():
    net, x = _calibrated()
    net = q.fuse_modules_qat(net.train(), ["conv", "bn", "relu"])
    net.qconfig = q.get_default_qat_qconfig()
    ready = q.prepare_qat(net)
    optimizer = torch.optim.SGD(ready.parameters(), 0.1)
    losses = []
    for _ in range(20):
        loss = (ready(x) + 0.1).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
    ready.apply(q.disable_observer)
    small = q.convert(ready.eval())
    assert (small(x) - ready(x)).abs().max() < 0.1


class _Doubled(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x) * 2

    @classmethod
    def from_float(cls, mod):
        made = cls(mod.inner)
        made.qconfig = mod.qconfig
        return made

    @classmethod
    def from_observed(cls, mod):
        return cls(nn.Identity())


def test_own_classes_and_lists_say_what_is_quantized():
    class Observed(_Doubled):
        pass

    class Converted(_Doubled):
        pass

    net = nn.Sequential(nn.Linear(2, 2), _Doubled(nn.Linear(2, 2))).eval()
    net.qconfig = q.get_default_qconfig()

    def watched(net):
        return [hasattr(m, "activation_post_process") for m in (net[0], net[1], net[1].inner)]

    assert watched(q.prepare(net)) == [True, False, True]
    assert watched(q.prepare(net, allow_list={nn.ReLU})) == [False, False, False]
    assert watched(q.prepare(net, observer_non_leaf_module_list=[_Doubled])) == [True, True, False]
    left = {"non_traceable_module_class": [_Doubled]}
    assert watched(q.prepare(net, prepare_custom_config_dict=left)) == [True, False, False]
    own = {"float_to_observed_custom_module_class": {_Doubled: Observed}}
    ready = q.prepare(net, prepare_custom_config_dict=own)
    assert type(ready[1]) is Observed and watched(ready) == [True, True, False]
    ready(torch.ones(1, 2))
    own = {"observed_to_quantized_custom_module_class": {Observed: Converted}}
    assert type(q.convert(ready, convert_custom_config_dict=own)[1]) is Converted


def test_scales_that_are_known_already():
    net = nn.Sequential(nn.Linear(2, 2)).train()
    net.qconfig = q.get_default_qat_qconfig()
    ready = q.prepare_qat(net)
    assert "FusedMovingAvgObsFakeQuantize" in str(ready)
    ready(torch.ones(1, 2))
    scale = ready[0].weight_fake_quant.calculate_qparams()[0]
    ready[0].weight.data.mul_(2)
    kept = q.convert(ready, use_precomputed_fake_quant=True)[0].weight().q_per_channel_scales()
    assert torch.equal(kept.float(), scale)
    seen = q.convert(ready)[0].weight().q_per_channel_scales()
    assert bool((seen.float() > scale).all())
    assert "reduce_range" not in repr(q.default_fixed_qparams_range_0to1_fake_quant())


def test_observers():
    seen = q.MinMaxObserver(dtype=torch.qint8, qscheme=torch.per_tensor_symmetric)
    seen(torch.tensor([-2.55, 1.0]))
    scale, zero = seen.calculate_qparams()
    assert torch.allclose(scale, torch.tensor([0.02])) and zero.tolist() == [0]
    rows = q.PerChannelMinMaxObserver()
    rows(torch.tensor([[0.0, 2.55], [-5.1, 0.0]]))
    scale, zero = rows.calculate_qparams()
    assert torch.allclose(scale, torch.tensor([0.01, 0.02])) and zero.tolist() == [0, 255]
    counts = q.HistogramObserver()
    for part in torch.linspace(-1, 1, 1000), torch.linspace(-2, 2, 1000):
        counts(part)
    assert counts.histogram.sum() == 2000 and counts.min_val == -2


def test_embeddings_of_integers():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Embedding(10, 8))
    small = q.quantize_dynamic(net, dtype=torch.quint8)
    index = torch.tensor([1, 7])
    assert (small(index) - net(index)).abs().max() < 0.02


def test_files_and_copies_keep_the_scale():
    made = torch.quantize_per_tensor(torch.arange(6.0).view(2, 3), 0.5, 1, torch.quint8).t()
    by_row = torch.quantize_per_channel(
        torch.ones(2, 2), torch.tensor([0.1, 0.2]), torch.tensor([0, 1]), 1, torch.qint8
    )
    floating = torch.quantize_per_channel(
        torch.ones(2, 2), torch.tensor([0.1, 0.2]), torch.tensor([0.5, 1.0]), 0, torch.quint8
    )
    assert floating.qscheme() is torch.per_channel_affine_float_qparams
    file = io.BytesIO()
    torch.save([made, by_row, floating], file)
    assert b"float_qparams" not in file.getvalue()  # the points' dtype says it
    file.seek(0)
    for old, new in zip((made, by_row, floating), torch.load(file), strict=True):
        assert torch.equal(old, new) and old.stride() == new.stride()
        assert old.qscheme() is new.qscheme()
    assert torch.equal(copy.deepcopy(made), made)


def test_functions_of_quantized_tensors_alone():
    x = torch.arange(8.0).view(1, 2, 2, 2)
    q = torch.quantize_per_tensor(x, 0.5, 1, torch.quint8)
    assert torch.quantized_max_pool2d(q, [2, 2]).dequantize().flatten().tolist() == [3, 7]
    assert torch.quantized_max_pool1d(q[0], 2).q_scale() == 0.5
    with pytest.raises(NotImplementedError):
        torch.quantized_max_pool2d(x, [2, 2])
    one, mean = torch.ones(2), torch.tensor([1.0, 5.0])
    made = torch.quantized_batch_norm(q, one, one, mean, one, 0.0, 1.0, 2)
    assert made.int_repr().flatten().tolist() == [2, 3, 4, 5, 2, 3, 4, 5]


class _Recurrent(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.quant, self.layer, self.dequant = q.QuantStub(), layer, q.DeQuantStub()

    def forward(self, x):
        x = self.quant(x)
        result, more = self.layer(x, x, x) if hasattr(self.layer, "num_heads") else self.layer(x)
        more = more if isinstance(more, tuple) else (more,)
        return [self.dequant(each) for each in (result, *more)]


@pytest.mark.parametrize(
    "options", [{}, {"num_layers": 2, "bidirectional": True, "batch_first": True}]
)
def test_a_calibrated_lstm_is_made_of_integers(options):
    torch.manual_seed(0)
    net = _Recurrent(nn.LSTM(3, 4, **options)).eval()
    net.qconfig = q.default_qconfig
    x = torch.randn(5, 2, 3)
    ready = q.prepare(net)
    assert isinstance(ready.layer, torch.ao.nn.quantizable.LSTM)
    for ours, theirs in zip(ready(x), net(x), strict=True):
        torch.testing.assert_close(ours, theirs)
    made = q.convert(ready)
    assert type(made.layer) is torch.ao.nn.quantized.LSTM
    assert "layer.layers.0.layer_fw.cell.igates._packed_params.dtype" in made.state_dict()
    for ours, theirs in zip(made(x), net(x), strict=True):
        assert (ours - theirs).abs().mean() < 0.02


@pytest.mark.parametrize("options", [{}, {"add_bias_kv": True, "add_zero_attn": True}])
def test_calibrated_attention_is_made_of_integers(options):
    torch.manual_seed(0)
    net = _Recurrent(nn.MultiheadAttention(8, 2, batch_first=True, **options)).eval()
    net.qconfig = q.default_qconfig
    x = torch.randn(2, 5, 8)
    ready = q.prepare(net)
    for ours, theirs in zip(ready(x), net(x), strict=True):
        torch.testing.assert_close(ours, theirs)
    made = q.convert(ready)
    assert type(made.layer) is torch.ao.nn.quantized.MultiheadAttention
    assert "layer.in_proj_weight" not in made.state_dict()
    again = _Recurrent(made.layer.dequantize())
    for ours, theirs, back in zip(made(x), net(x), again(x), strict=True):
        assert (ours - theirs).abs().max() < 0.03 and (back - theirs).abs().max() < 0.02


def test_masks_of_observed_attention():
    torch.manual_seed(0)
    layer = nn.MultiheadAttention(8, 2).eval()
    layer.qconfig = q.default_qconfig
    ready = torch.ao.nn.quantizable.MultiheadAttention.from_float(layer)
    x = torch.randn(5, 3, 8)
    causal = torch.ones(5, 5, dtype=torch.bool).triu(1)
    for masks in (
        {"attn_mask": causal},
        {"attn_mask": causal.expand(6, 5, 5), "average_attn_weights": False},
        {"key_padding_mask": torch.arange(5).expand(3, 5) > torch.tensor([[1], [2], [4]])},
        {"need_weights": False},
    ):
        for ours, theirs in zip(ready(x, x, x, **masks), layer(x, x, x, **masks), strict=True):
            torch.testing.assert_close(ours, theirs)


def test_what_observers_saw_goes_to_another_network():
    net = nn.Sequential(nn.Linear(2, 2)).eval()
    net.qconfig = q.default_qconfig
    seen, fresh = q.prepare(net), q.prepare(net)
    seen(torch.ones(1, 2))
    state = q.get_observer_state_dict(seen)
    assert all("activation_post_process" in name for name in state)
    q.load_observer_state_dict(fresh, state)
    other = fresh[0].activation_post_process
    assert torch.equal(other.min_val, seen[0].activation_post_process.min_val)
    with pytest.raises(RuntimeError, match="Missing"):
        q.load_observer_state_dict(fresh, {})


def test_statistics_of_all_batch_norms_freeze_and_go_on():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).train()
    net.qconfig = q.default_symmetric_qnnpack_qat_qconfig
    ready = q.prepare_qat(q.fuse_modules_qat(net, ["0", "1"]))
    before = ready[0].bn.running_mean.clone()
    ready.apply(torch.nn.intrinsic.qat.freeze_bn_stats)
    ready(torch.randn(2, 1, 5, 5))
    assert torch.equal(ready[0].bn.running_mean, before)
    ready.apply(torch.nn.intrinsic.qat.update_bn_stats)
    ready(torch.randn(2, 1, 5, 5))
    assert not torch.equal(ready[0].bn.running_mean, before)
    assert ready[0].weight_fake_quant.quant_min == -127
