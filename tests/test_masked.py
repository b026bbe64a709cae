# Masked reductions against the selected elements, and tensors that carry a mask.
import copy

import pytest

import flambeau as torch

X = torch.tensor([[1.0, 5.0, 3.0], [4.0, 2.0, 9.0]], dtype=torch.float64)
MASK = torch.tensor([[True, False, True], [True, True, False]])
ROWS = [
    torch.tensor([1.0, 3.0], dtype=torch.float64),
    torch.tensor([4.0, 2.0], dtype=torch.float64),
]


@pytest.mark.parametrize("name", ["sum", "prod", "amax", "amin", "mean", "logsumexp", "var", "std"])
def test_reductions_see_what_is_under_the_mask(name):
    function = getattr(torch.masked, name)
    got = function(X, 1, mask=MASK)
    for value, row in zip(got, ROWS):
        want = row.logsumexp(0) if name == "logsumexp" else getattr(row, name)()
        assert torch.allclose(value, want)
    whole = function(X, mask=MASK)
    picked = X[MASK]
    want = picked.logsumexp(0) if name == "logsumexp" else getattr(picked, name)()
    assert torch.allclose(whole, want)
    assert function(X, 0, keepdim=True, mask=MASK).shape == (1, 3)


def test_rows_without_elements():
    none = torch.zeros(2, 3, dtype=torch.bool)
    assert torch.masked.sum(X, 1, mask=none).tolist() == [0, 0]
    assert torch.masked.prod(X, 1, mask=none).tolist() == [1, 1]
    assert torch.masked.amax(X, 1, mask=none).tolist() == [-float("inf")] * 2
    assert torch.masked.mean(X, 1, mask=none).isnan().all()
    assert torch.masked.softmax(X, 1, mask=none).isnan().all()


def test_of_the_inputs_shape():
    assert torch.masked.cumsum(X, 1, mask=MASK).tolist() == [[1, 1, 4], [4, 6, 6]]
    assert torch.masked.cumprod(X, 1, mask=MASK).tolist() == [[1, 1, 3], [4, 8, 8]]
    soft = torch.masked.softmax(X, 1, mask=MASK)
    assert torch.allclose(soft[0, [0, 2]], ROWS[0].softmax(0)) and soft[0, 1] == 0
    assert torch.allclose(torch.masked.softmin(X, 1, mask=MASK)[1, :2], (-ROWS[1]).softmax(0))
    assert torch.allclose(torch.masked.normalize(X, 2.0, 1, mask=MASK)[0, 0], 1 / ROWS[0].norm())
    assert torch.masked.argmax(X, 1, mask=MASK).tolist() == [2, 0]
    assert torch.masked.median(X, 1, mask=MASK).tolist() == [1, 2]


def test_no_gradient_beyond_the_mask():
    x = X.clone().requires_grad_()
    torch.masked.var(x, mask=MASK).backward()
    assert (x.grad[~MASK] == 0).all() and (x.grad[MASK] != 0).any()
    assert torch.autograd.gradcheck(lambda x: torch.masked.softmax(x, 1, mask=MASK), [x])


def test_wrong_calls():
    with pytest.raises(RuntimeError, match="multiple times"):
        torch.masked.sum(X, (0, 0))
    with pytest.raises(IndexError):
        torch.masked.sum(X, 2)
    with pytest.raises(ValueError):
        torch.masked.var(X, unbiased=True, correction=1)


def test_masked_tensor():
    a = torch.masked.masked_tensor(X, MASK)
    assert isinstance(a, torch.Tensor) and torch.masked.is_masked_tensor(a) and a.shape == (2, 3)
    assert (a + a).to_tensor(0).tolist() == [[2, 0, 6], [8, 4, 0]]
    assert a.sum().item() == 10
    assert a.mean(1).get_data().tolist() == [2, 3]
    assert a.t()[2].get_mask().tolist() == [True, False]
    assert torch.cat([a, a]).shape == (4, 3)
    assert copy.deepcopy(a).to_tensor(0).tolist() == a.to_tensor(0).tolist()
    with pytest.raises(ValueError, match="masks must match"):
        a + torch.masked.masked_tensor(X, ~MASK)
    with pytest.raises(TypeError):
        torch.masked.masked_tensor(X, X)


def test_gradients_flow_through_masked_tensors():
    x = X.clone().requires_grad_()
    (torch.masked.as_masked_tensor(x, MASK) * 3).sum().backward()
    assert x.grad.tolist() == [[3, 0, 3], [3, 3, 0]]
    leaf = torch.masked.masked_tensor(X, MASK, requires_grad=True)
    leaf.sum().backward()
    assert leaf.is_leaf and leaf.grad.to_tensor(0).tolist() == MASK.double().tolist()


def test_printing():
    assert repr(torch.masked.masked_tensor(X, MASK)) == (
        "MaskedTensor(\n  [\n    [  1.0000,       --,   3.0000],\n"
        "    [  4.0000,   2.0000,       --]\n  ]\n)"
    )
