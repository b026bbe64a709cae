"""LSTM and GRU layers: against their equations, cell by cell; gradients of both orders."""

import copy

import numpy as np
import pytest

import flambeau as torch

RNG = np.random.default_rng(9)


def draw(*shape):
    return torch.from_numpy(RNG.standard_normal(shape))


def by_cells(layer, x, state):
    """One layer in one direction, with the cell of the same weights."""
    cell = getattr(torch.nn, type(layer).__name__ + "Cell")(x.shape[-1], layer.hidden_size).double()
    cell.load_state_dict({k[: -len("_l0")]: v for k, v in layer.state_dict().items()})
    outputs = []
    for step in x:
        state = cell(step, state)
        outputs.append(state[0] if isinstance(state, tuple) else state)
    return torch.stack(outputs), state


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
@pytest.mark.parametrize("batch", [1, 8, 9, 20])
def test_against_cells(kind, batch):
    layer = getattr(torch.nn, kind)(5, 7).double()
    x = draw(4, batch, 5)
    state = (draw(1, batch, 7), draw(1, batch, 7)) if kind == "LSTM" else draw(1, batch, 7)
    output, end = layer(x, state)
    first = tuple(s[0] for s in state) if kind == "LSTM" else state[0]
    wanted, last = by_cells(layer, x, first)
    assert torch.allclose(output, wanted)
    for a, b in zip(end if kind == "LSTM" else [end], last if kind == "LSTM" else [last]):
        assert torch.allclose(a[0], b)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
@pytest.mark.parametrize("both", [False, True])
def test_gradients(kind, both):
    layer = getattr(torch.nn, kind)(2, 3, bidirectional=both, num_layers=2).double()
    x = draw(3, 2, 2).requires_grad_()
    states = [draw(4 if both else 2, 2, 3).requires_grad_() for _ in range(1 + (kind == "LSTM"))]
    weights = list(layer.parameters())[:4]

    def run(x, *rest):
        output, end = layer(x, tuple(rest[: len(states)]) if kind == "LSTM" else rest[0])
        return (output, *end) if kind == "LSTM" else (output, end)

    assert torch.autograd.gradcheck(run, (x, *states, *weights))
    if not both:
        assert torch.autograd.gradgradcheck(run, (x, *states))


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_packed_sequences_agree(kind):
    layer = getattr(torch.nn, kind)(3, 4, bidirectional=True).double()
    x = draw(5, 2, 3)
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor([5, 5]))
    output, _ = torch.nn.utils.rnn.pad_packed_sequence(layer(packed)[0])
    assert torch.allclose(output, layer(x)[0])


def test_batch_first_and_unbatched():
    layer = torch.nn.GRU(3, 4, batch_first=True).double()
    x = draw(2, 5, 3)
    output, end = layer(x)
    assert output.is_contiguous() and torch.allclose(output[:, -1], end[0])
    assert torch.allclose(layer(x[1])[0], output[1])


def test_half_precision_is_kept_in_float32_between_steps():
    torch.manual_seed(0)
    layer = torch.nn.LSTM(4, 8)
    x = torch.randn(20, 2, 4)
    low = copy.deepcopy(layer).bfloat16()(x.bfloat16())[0]
    assert low.dtype == torch.bfloat16
    assert (low.float() - layer(x)[0]).abs().max() < 0.02


def test_autocast_lowers_an_lstm_but_no_gru():
    x = torch.ones(3, 2, 4)
    with torch.autocast("cpu"):
        output, state = torch.nn.LSTM(4, 5)(x)
        assert {t.dtype for t in (output, *state)} == {torch.bfloat16}
        assert torch.nn.GRU(4, 5)(x)[0].dtype == torch.float32
    output.sum().backward()


def test_what_subclasses_ask_of_a_layer():
    layer = torch.nn.LSTM(2, 3, 2, proj_size=2, bidirectional=True)
    x = torch.ones(5, 4, 2)
    assert layer.get_expected_hidden_size(x, None) == (4, 4, 2)
    assert layer.get_expected_cell_size(x, torch.tensor([3])) == (4, 3, 3)
    assert [w.shape for w in layer._flat_weights[:2]] == [(12, 2), (12, 2)]
    with pytest.raises(RuntimeError, match=r"hidden\[0\] size \(4, 4, 2\), got \[1\]"):
        layer.check_forward_args(x, (torch.ones(1), torch.ones(1)), None)
    with pytest.raises(ValueError, match="does not match weight dtype"):
        layer(x.double())
    order = torch.tensor([1, 0])
    assert torch.nn.GRU(2, 3).permute_hidden(torch.ones(1, 2, 3), order).shape == (1, 2, 3)


def test_packed_sequences_change_type():
    packed = torch.nn.utils.rnn.pack_sequence([torch.ones(2), torch.ones(1)])
    for name in ("byte", "char", "short", "int", "long", "half", "double"):
        assert getattr(packed, name)().data.dtype == getattr(torch.ones(1), name)().dtype
    assert packed.cpu() is packed


@pytest.mark.parametrize("kind", [torch.nn.LSTM, torch.nn.GRU])
@pytest.mark.parametrize("lengths", [(5, 3, 2), (40, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)])
def test_packed_sequences_run_as_each_alone(kind, lengths):
    torch.manual_seed(0)
    layer = kind(3, 4, 2, bidirectional=True).double()
    sequences = [torch.randn(n, 3, dtype=torch.float64, requires_grad=True) for n in lengths]
    shuffled = sequences[1:] + sequences[:1]
    packed = torch.nn.utils.rnn.pack_sequence(shuffled, enforce_sorted=False)
    output, state = layer(packed)
    state = state if isinstance(state, tuple) else (state,)
    together = torch.nn.utils.rnn.unpack_sequence(output)
    wanted = []
    for i, sequence in enumerate(shuffled):
        alone, end = layer(sequence)
        end = end if isinstance(end, tuple) else (end,)
        wanted.append(alone)
        assert torch.allclose(together[i], alone)
        assert all(torch.allclose(s[:, i], e) for s, e in zip(state, end))
    gradients = torch.autograd.grad([t.sum() for t in together], sequences)
    for got, want in zip(
        gradients, torch.autograd.grad([t.sum() for t in wanted], sequences), strict=True
    ):
        assert torch.allclose(got, want)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
@pytest.mark.parametrize("batch", [1, 3, 8])
def test_few_sequences_and_many_steps(kind, batch):
    """The weight is packed, at the third call kept so: the bits stay, until it changes."""
    layer = getattr(torch.nn, kind)(5, 37).eval()
    x = torch.randn(9, batch, 5)
    with torch.no_grad():
        results = [layer(x)[0] for _ in range(4)]
        state, steps = None, []
        for row in x:  # one step at a time the weight is read where it lies
            out, state = layer(row[None], state)
            steps.append(out)
        assert all(torch.equal(r, results[0]) for r in results)
        assert torch.allclose(torch.cat(steps), results[0], atol=1e-6)
        layer.weight_hh_l0.mul_(0.5)
        changed = layer(x)[0]
        assert not torch.allclose(changed, results[0], atol=1e-3)
        layer.weight_hh_l0.mul_(2)
        assert torch.equal(layer(x)[0], results[0])
    twice = layer.double()(x.double())[0]
    assert torch.allclose(twice.float(), results[0], atol=1e-5)
