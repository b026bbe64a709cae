"""Nested tensors, by what plain tensors give part by part."""

import copy
import io

import pytest

import flambeau as torch
from flambeau import nn

F = nn.functional
LAYOUTS = [torch.strided, torch.jagged]


def _parts():
    torch.manual_seed(0)
    return [torch.randn(2, 6), torch.randn(4, 6)]


def _same(nested, parts):
    assert nested.is_nested
    for got, want in zip(nested.unbind(), parts, strict=True):
        assert torch.allclose(got, want, atol=1e-6)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_functions_work_part_by_part(layout):
    parts = _parts()
    nested = torch.nested.nested_tensor(parts, layout=layout)
    layer, norm = nn.Linear(6, 3), nn.LayerNorm(6)
    _same(nested * 2 + nested, [3 * p for p in parts])
    _same(layer(nested), [layer(p) for p in parts])
    _same(norm(nested), [norm(p) for p in parts])
    _same(F.softmax(nested, -1), [p.softmax(-1) for p in parts])
    _same(F.gelu(nested), [F.gelu(p) for p in parts])
    _same(nested.sum(-1), [p.sum(-1) for p in parts])
    _same(nested.unflatten(-1, [2, 3]).transpose(1, 2),
          [p.unflatten(-1, [2, 3]).transpose(0, 1) for p in parts])  # fmt: skip
    _same(nested.chunk(2, -1)[1], [p.chunk(2, -1)[1] for p in parts])
    for dim, rows in ((1, lambda p: p[:2]), (2, lambda p: p[:, :2])):
        _same(nested.narrow(dim, 0, 2), [rows(p) for p in parts])
    _same(nested @ torch.ones(6, 2), [p @ torch.ones(6, 2) for p in parts])
    _same(nested.transpose(1, 2), [p.t() for p in parts])
    _same(nested.view(2, -1, 2, 3), [p.view(-1, 2, 3) for p in parts])
    assert torch.equal(nested[1], parts[1]) and nested.size(-1) == 6 and nested.size(0) == 2


def test_jagged_reduces_over_what_differs():
    parts = _parts()
    nested = torch.nested.nested_tensor(parts, layout=torch.jagged)
    assert torch.allclose(nested.sum(1), torch.stack([p.sum(0) for p in parts]), atol=1e-6)
    assert torch.equal(nested.amax(1), torch.stack([p.amax(0) for p in parts]))
    assert nested.offsets().tolist() == [0, 2, 6] and nested.values().shape == (6, 6)
    rows, size, last = nested.shape
    assert (rows, last) == (2, 6)
    _same(nested.view(rows, size, 3, 2), [p.view(-1, 3, 2) for p in parts])
    _same(nested + torch.ones(2, 1, 6), [p + 1 for p in parts])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_padding(layout):
    parts = _parts()
    nested = torch.nested.nested_tensor(parts, layout=layout)
    padded = torch.nested.to_padded_tensor(nested, -1.0)
    assert padded.shape == (2, 4, 6) and (padded[0, 2:] == -1).all()
    assert torch.equal(padded[0, :2], parts[0]) and torch.equal(padded[1], parts[1])
    assert nested.to_padded_tensor(0.0, (2, 5, 7)).shape == (2, 5, 7)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_attention(layout):
    torch.manual_seed(0)
    parts = [torch.randn(2, 3, 4), torch.randn(2, 5, 4)]  # heads, length, width
    flat = [p.transpose(0, 1).contiguous() for p in parts]
    nested = torch.nested.nested_tensor(flat, layout=layout).transpose(1, 2)
    _same(F.scaled_dot_product_attention(nested, nested, nested, is_causal=True),
          [F.scaled_dot_product_attention(p, p, p, is_causal=True) for p in parts])  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_transformer_takes_it(layout):
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    net = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval()
    parts = [torch.randn(3, 8), torch.randn(5, 8)]
    nested = torch.nested.nested_tensor(parts, layout=layout)
    _same(net(nested), [net(p.unsqueeze(0)).squeeze(0) for p in parts])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_gradients(layout):
    parts = [p.requires_grad_() for p in _parts()]
    nested = torch.nested.as_nested_tensor(parts, layout=layout)
    torch.nested.to_padded_tensor(nested * nested, 0.0).sum().backward()
    for p in parts:
        assert torch.allclose(p.grad, 2 * p)
    leaf = torch.nested.nested_tensor(parts, layout=layout, requires_grad=True)
    (leaf * 3).values().sum().backward()
    _same(leaf.grad, [torch.full_like(p, 3) for p in parts])


def test_over_values():
    values = torch.arange(12.0).view(6, 2)
    whole = torch.nested.nested_tensor_from_jagged(values, lengths=torch.tensor([2, 4]))
    _same(whole, [values[:2], values[2:]])
    gaps = torch.nested.nested_tensor_from_jagged(
        values, torch.tensor([0, 2, 6]), torch.tensor([1, 3])
    )
    _same(gaps, [values[:1], values[2:5]])
    picked = torch.nested.masked_select(torch.eye(2), torch.tensor([[True, False], [True, True]]))
    _same(picked, [torch.ones(1), torch.tensor([0.0, 1.0])])


def test_text_and_copies():
    nested = torch.nested.nested_tensor([[1.0], [2.0, 3.0]])
    assert repr(nested) == "nested_tensor([\n  tensor([1.]),\n  tensor([2., 3.])\n])"
    _same(copy.deepcopy(nested), nested.unbind())
    with pytest.raises(NotImplementedError):
        torch.fft.fft(nested)
    with pytest.raises(RuntimeError):
        nested.size(1)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_files(layout, zipped):
    parts, file = _parts(), io.BytesIO()
    nested = torch.nested.nested_tensor(parts, layout=layout)
    torch.save({"x": nested}, file, _use_new_zipfile_serialization=zipped)
    file.seek(0)
    loaded = torch.load(file)["x"]
    assert loaded.layout == layout
    _same(loaded, parts)


def test_a_file_cannot_reach_beyond_the_values():
    from flambeau.nested._tensor import of_buffer, of_state

    offsets = torch.tensor([0, 9])
    with pytest.raises(RuntimeError, match="outside"):
        of_state({"values": torch.zeros(4), "offsets": offsets, "_ragged_idx": 1})
    with pytest.raises(RuntimeError):
        of_buffer(torch.zeros(4), torch.tensor([[9]]), torch.tensor([[1]]), torch.tensor([0]))


def test_parts_that_were_not_used_have_gradients_of_zeros():
    x = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], requires_grad=True)
    x.unbind()[0].sum().backward()
    assert [t.tolist() for t in x.grad.unbind()] == [[1, 1], [0, 0, 0]]
