"""Layers: shapes, what they keep, and recurrent and attention layers against plain loops."""

import copy
import math
import pickle

import pytest

import flambeau as torch
import flambeau.nn.functional as F
from flambeau import nn


@pytest.mark.parametrize(
    "make, shape, want",
    [
        (lambda: nn.Linear(3, 4), (2, 3), (2, 4)),
        (lambda: nn.Bilinear(3, 3, 4), (2, 3), (2, 4)),
        (lambda: nn.Conv1d(3, 4, 3, padding="same", dilation=2), (2, 3, 9), (2, 4, 9)),
        (lambda: nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2), (2, 4, 9, 8), (2, 6, 5, 4)),
        (lambda: nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular"), (3, 5, 5), (4, 5, 5)),
        (lambda: nn.Conv3d(2, 3, 2), (1, 2, 3, 4, 5), (1, 3, 2, 3, 4)),
        (lambda: nn.ConvTranspose2d(3, 4, 3, 2, 1, 1), (1, 3, 4, 4), (1, 4, 8, 8)),
        (lambda: nn.BatchNorm2d(3), (2, 3, 4, 4), (2, 3, 4, 4)),
        (lambda: nn.InstanceNorm1d(3, affine=True), (2, 3, 4), (2, 3, 4)),
        (lambda: nn.GroupNorm(2, 4), (2, 4, 3), (2, 4, 3)),
        (lambda: nn.LayerNorm((3, 4)), (2, 3, 4), (2, 3, 4)),
        (lambda: nn.RMSNorm(4), (2, 4), (2, 4)),
        (lambda: nn.MaxPool2d(2), (1, 2, 6, 6), (1, 2, 3, 3)),
        (lambda: nn.AdaptiveAvgPool2d((None, 2)), (1, 2, 5, 7), (1, 2, 5, 2)),
        (lambda: nn.LPPool2d(2, 2), (1, 2, 4, 4), (1, 2, 2, 2)),
        (lambda: nn.FractionalMaxPool2d(2, output_size=3), (1, 2, 7, 7), (1, 2, 3, 3)),
        (lambda: nn.Flatten(), (2, 3, 4), (2, 12)),
        (lambda: nn.Unflatten(1, (2, 3)), (2, 6), (2, 2, 3)),
        (lambda: nn.PixelShuffle(2), (1, 4, 3, 3), (1, 1, 6, 6)),
        (lambda: nn.Upsample(scale_factor=2, mode="bilinear"), (1, 2, 3, 3), (1, 2, 6, 6)),
        (lambda: nn.ReflectionPad2d(1), (1, 2, 3, 3), (1, 2, 5, 5)),
        (lambda: nn.Unfold(2), (1, 2, 3, 3), (1, 8, 4)),
        (lambda: nn.PReLU(3), (2, 3, 4), (2, 3, 4)),
        (lambda: nn.GLU(), (2, 6), (2, 3)),
        (lambda: nn.LazyConv2d(4, 3), (1, 2, 5, 5), (1, 4, 3, 3)),
        (lambda: nn.LazyBatchNorm1d(), (4, 3), (4, 3)),
        (lambda: nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0), (5, 3, 8), (5, 3, 8)),
    ],
)
def test_shapes_gradients_and_copies(make, shape, want):
    layer = make()
    args = [
        torch.randn(shape, requires_grad=True) for _ in range(2 if "Bilinear" in repr(layer) else 1)
    ]
    out = layer(*args)
    assert tuple(out.shape) == want
    out.sum().backward()
    for tensor in (*args, *layer.parameters()):
        assert tensor.grad is not None and tensor.grad.shape == tensor.shape
    layer.eval()
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        if type(layer) is not nn.FractionalMaxPool2d:
            assert torch.equal(twin(*args), layer(*args))
        assert repr(twin) == repr(layer)


def test_batch_norm_statistics():
    layer = nn.BatchNorm1d(2, momentum=None)
    first, second = torch.randn(8, 2), torch.randn(8, 2)
    layer(first), layer(second)
    assert int(layer.num_batches_tracked) == 2
    mean = (first.mean(0) + second.mean(0)) / 2
    assert torch.allclose(layer.running_mean, mean, atol=1e-6)
    layer.eval()
    want = (first - layer.running_mean) / torch.sqrt(layer.running_var + layer.eps)
    assert torch.allclose(layer(first), want, atol=1e-5)
    state = layer.state_dict()
    assert list(state)[2:] == ["running_mean", "running_var", "num_batches_tracked"]
    old = {k: v for k, v in state.items() if k != "num_batches_tracked"}
    layer.load_state_dict(old)  # a checkpoint from before the counter
    with pytest.raises(ValueError, match="expected 4D input"):
        nn.BatchNorm2d(2)(first)


@pytest.mark.parametrize(
    "act",
    [
        lambda: nn.Conv2d(3, 4, 3, groups=2),
        lambda: nn.Conv2d(3, 4, 3, stride=2, padding="same"),
        lambda: nn.Conv2d(3, 4, 3, padding_mode="mirror"),
        lambda: nn.ConvTranspose2d(3, 4, 3, padding_mode="circular"),
        lambda: nn.GroupNorm(3, 4),
        lambda: nn.Dropout(2),
        lambda: nn.RNN(2, 3, nonlinearity="sin"),
        lambda: nn.LSTM(2, 3, proj_size=3),
        lambda: nn.FractionalMaxPool2d(3),
        lambda: nn.TripletMarginLoss(margin=-1),
        lambda: nn.ConvTranspose2d(1, 1, 3, 2)(torch.ones(1, 1, 2, 2), output_size=(9, 9)),
    ],
)
def test_errors(act):
    with pytest.raises(ValueError):
        act()


def test_embedding():
    layer = nn.Embedding(5, 3, padding_idx=1)
    assert float(layer.weight[1].abs().sum()) == 0
    layer(torch.tensor([0, 1, 1])).sum().backward()
    assert layer.weight.grad.sum(1).tolist() == [3, 0, 0, 0, 0]
    fixed = nn.Embedding.from_pretrained(torch.eye(3))
    assert not fixed.weight.requires_grad
    assert repr(layer) == "Embedding(5, 3, padding_idx=1)"


def test_lstm_against_a_plain_loop():
    layer = nn.LSTM(3, 4, num_layers=2, bidirectional=True, batch_first=True)
    x = torch.randn(2, 5, 3)
    output, (hidden, cell) = layer(x)
    assert output.shape == (2, 5, 8) and hidden.shape == cell.shape == (4, 2, 4)
    single = nn.LSTM(3, 4)
    steps = x.transpose(0, 1)
    h = c = torch.zeros(2, 4)
    for step in steps:
        gates = step @ single.weight_ih_l0.t() + single.bias_ih_l0 + h @ single.weight_hh_l0.t()
        i, f, g, o = (gates + single.bias_hh_l0).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
    output, (hidden, cell) = single(steps)
    assert torch.allclose(output[-1], h, atol=1e-5) and torch.allclose(cell[0], c, atol=1e-5)


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
def test_packed_sequences_equal_single_ones(kind):
    layer = kind(3, 4, 2, bidirectional=True)
    parts = [torch.randn(n, 3) for n in (2, 5, 3)]
    packed = nn.utils.rnn.pack_sequence(parts, enforce_sorted=False)
    output, _ = layer(packed)
    for got, part in zip(nn.utils.rnn.unpack_sequence(output), parts):
        assert torch.allclose(got, layer(part)[0], atol=1e-5)


def test_cells_equal_layers():
    for cell, layer in ((nn.RNNCell(3, 4), nn.RNN(3, 4)), (nn.GRUCell(3, 4), nn.GRU(3, 4))):
        for name, weight in cell.named_parameters():
            with torch.no_grad():
                getattr(layer, name + "_l0").copy_(weight)
        x = torch.randn(1, 2, 3)
        assert torch.allclose(layer(x)[0][0], cell(x[0]), atol=1e-6)


def test_padding_sequences():
    parts = [torch.ones(2), torch.ones(3)]
    padded = nn.utils.rnn.pad_sequence(parts, batch_first=True, padding_side="left")
    assert padded.tolist() == [[0, 1, 1], [1, 1, 1]]


def test_attention_masks_and_weights():
    layer = nn.MultiheadAttention(8, 2, batch_first=True)
    x = torch.randn(3, 5, 8)
    mask = nn.Transformer.generate_square_subsequent_mask(5)
    output, weights = layer(x, x, x, attn_mask=mask)
    assert torch.allclose(weights.sum(-1), torch.ones(3, 5), atol=1e-5)
    assert float(weights[:, 0, 1:].abs().max()) == 0
    fast, none = layer(x, x, x, attn_mask=mask, need_weights=False, is_causal=True)
    assert none is None and torch.allclose(output, fast, atol=1e-5)
    padding = torch.tensor([[False] * 4 + [True]] * 3)
    assert float(layer(x, x, x, key_padding_mask=padding)[1][..., 4].abs().max()) == 0


def test_transformer():
    net = nn.Transformer(8, 2, 2, 2, 16, dropout=0.0, batch_first=True)
    src, tgt = torch.randn(2, 5, 8), torch.randn(2, 4, 8)
    mask = net.generate_square_subsequent_mask(4)
    out = net(src, tgt, tgt_mask=mask)
    changed = tgt.clone()
    changed[:, 3] = 0
    assert torch.allclose(net(src, changed, tgt_mask=mask)[:, :3], out[:, :3], atol=1e-5)


def test_losses_are_the_functions():
    x, y = torch.randn(4, 3), torch.tensor([0, 2, 1, 1])
    F = nn.functional
    assert torch.equal(nn.CrossEntropyLoss()(x, y), F.cross_entropy(x, y))
    assert torch.equal(nn.MSELoss(reduction="sum")(x, x * 2), F.mse_loss(x, x * 2, reduction="sum"))
    weighted = nn.NLLLoss(weight=torch.ones(3))
    assert list(weighted.state_dict()) == ["weight"]


def test_adaptive_softmax():
    layer = nn.AdaptiveLogSoftmaxWithLoss(8, 20, [4, 10], div_value=2.0)
    x = torch.randn(3, 8)
    log_p = layer.log_prob(x)
    assert torch.allclose(log_p.exp().sum(1), torch.ones(3), atol=1e-5)
    output, loss = layer(x, torch.tensor([1, 7, 19]))
    assert math.isclose(float(loss.detach()), -float(output.detach().mean()), rel_tol=1e-5)


def test_a_small_net_learns():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2))
    x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    y = torch.tensor([0, 1, 1, 0])
    opt = torch.optim.Adam(net.parameters(), lr=0.05)
    for _ in range(200):
        opt.zero_grad()
        loss = nn.functional.cross_entropy(net(x), y)
        loss.backward()
        opt.step()
    assert net(x).argmax(1).tolist() == y.tolist()


def test_batches_of_nothing():
    x = torch.randn(0, 3, 2, 2, requires_grad=True)
    norm = nn.BatchNorm2d(3)
    norm(x).sum().backward()
    assert x.grad.shape == x.shape and norm.weight.grad.tolist() == [0, 0, 0]
    for layer in (nn.RNN(3, 4), nn.LSTM(3, 4), nn.GRU(3, 4)):
        y = layer(torch.zeros(5, 0, 3))[0]
        assert y.shape == (5, 0, 4)
        y.sum().backward()
        with pytest.raises(RuntimeError, match="sequence length"):
            layer(torch.zeros(0, 5, 3))
    assert nn.GRUCell(3, 0)(torch.ones(2, 3), torch.ones(2, 0)).shape == (2, 0)
    empty = torch.rand(5, 0, 8)
    assert nn.TransformerEncoderLayer(8, 2, 16)(empty).shape == (5, 0, 8)
    image, places = torch.rand(2, 0, 3, 3, 3), torch.zeros(2, 2, 2, 2, 3)
    assert F.grid_sample(image, places, align_corners=False).shape == (2, 0, 2, 2, 2)
    assert nn.CrossEntropyLoss()(torch.rand(5, 0), torch.rand(5, 0)).isnan()


def test_far_from_zero_logarithms_of_softmax_keep_their_digits():
    x = torch.tensor([[1.0, 3.0, 2.0], [7.0, 7.0, 5.0]])
    for dim in (0, 1):
        assert torch.equal(F.log_softmax(x + 2.0**23, dim), F.log_softmax(x, dim))
    target = torch.tensor([1, 2])
    assert torch.allclose(F.cross_entropy(x + 2.0**23, target), F.cross_entropy(x, target))


def test_layers_refuse():
    with pytest.raises(ValueError, match="more than 1 value"):
        nn.GroupNorm(3, 3)(torch.ones(1, 3))
    with pytest.raises(RuntimeError, match="copy"):
        nn.Linear(1, 1).to("cpu", copy=True)
    with pytest.warns(UserWarning, match="Complex modules"):
        nn.Linear(1, 1).to(torch.complex64)


def test_parameters_of_a_plain_mapping_go_by_name():
    named = {"b": torch.ones(1), "a": torch.ones(1)}
    assert list(nn.ParameterDict(named)) == ["a", "b"]
    assert list(nn.ParameterDict(named.items())) == ["b", "a"]


def test_state_of_a_spectral_norm_loads():
    layer, other = (nn.utils.spectral_norm(nn.Linear(3, 3)) for _ in range(2))
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other.weight_u, layer.weight_u)


def test_rrelu_twice_differentiated():
    layer = nn.RReLU()
    x = torch.randn(5, dtype=torch.float64, requires_grad=True)
    g = torch.ones(5, dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(layer(x), x, g, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), g, retain_graph=True)
    assert torch.equal(second, first)
    assert torch.autograd.grad(first.sum(), x, allow_unused=True) == (None,)


@pytest.mark.parametrize(
    "layer, shape",
    [
        (nn.ReflectionPad1d(1), (3, 0, 2)),
        (nn.ReflectionPad2d(1), (1, 0, 2, 2)),
        (nn.ReplicationPad3d(1), (2, 0, 3, 3, 3)),
        (nn.Unfold(2), (1, 0, 3, 4)),
        (nn.AdaptiveMaxPool2d(3), (1, 0, 5, 5)),
        (nn.AdaptiveAvgPool3d(3), (1, 0, 5, 5, 5)),
    ],
    ids=lambda value: value if isinstance(value, tuple) else type(value).__name__,
)
def test_nothing_but_batches_may_be_empty(layer, shape):
    with pytest.raises(RuntimeError, match="Expected"):
        layer(torch.zeros(shape))
    assert 0 in layer(torch.zeros((0, 2, *[n or 3 for n in shape[2:]]))).shape
