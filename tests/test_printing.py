"""Tensors as text."""

import pytest

import flambeau as torch


@pytest.fixture(autouse=True)
def default_options():
    yield
    torch.set_printoptions(profile="default")


def lines(*texts):
    return "\n".join(texts)


CASES = [
    (lambda: torch.tensor(3), "tensor(3)"),
    (lambda: torch.tensor(1.5), "tensor(1.5000)"),
    (lambda: torch.tensor([1.0, 2.0]), "tensor([1., 2.])"),
    (lambda: torch.tensor([1.0, 2.5]), "tensor([1.0000, 2.5000])"),
    (lambda: torch.tensor([1.0, 1e5]), "tensor([1.0000e+00, 1.0000e+05])"),
    (lambda: torch.tensor([1e-5, 1.0]), "tensor([1.0000e-05, 1.0000e+00])"),
    (lambda: torch.tensor([float("nan"), 1.0, float("-inf")]), "tensor([nan, 1., -inf])"),
    (lambda: torch.tensor([0.0, -0.0]), "tensor([0., -0.])"),
    (lambda: torch.tensor([[1, -20], [300, 4]]), "tensor([[  1, -20],\n        [300,   4]])"),
    (lambda: torch.tensor([True, False]), "tensor([ True, False])"),
    (lambda: torch.tensor([1 + 2j, -1.5j]), "tensor([1.+2.0000j, -0.-1.5000j])"),
    (lambda: torch.tensor([]), "tensor([])"),
    (lambda: torch.empty(0, 3), "tensor([], size=(0, 3))"),
    (lambda: torch.empty(0, dtype=torch.int64), "tensor([], dtype=torch.int64)"),
    (lambda: torch.tensor([1], dtype=torch.int8), "tensor([1], dtype=torch.int8)"),
    (lambda: torch.tensor([1.0]).double(), "tensor([1.], dtype=torch.float64)"),
    (lambda: torch.empty(2, 3, device="meta"), "tensor(..., device='meta', size=(2, 3))"),
    (
        lambda: torch.empty(2, dtype=torch.int32, device="meta"),
        "tensor(..., device='meta', size=(2,), dtype=torch.int32)",
    ),
    (lambda: torch.ones(1, requires_grad=True), "tensor([1.], requires_grad=True)"),
    (lambda: torch.ones(1, requires_grad=True) + 1, "tensor([2.], grad_fn=<AddBackward0>)"),
    (
        lambda: torch.ones(1, 2, 2),
        lines("tensor([[[1., 1.],", "         [1., 1.]]])"),
    ),
    (
        lambda: torch.zeros(2, 1, 2),
        lines("tensor([[[0., 0.]],", "", "        [[0., 0.]]])"),
    ),
    (
        lambda: torch.arange(1001),
        "tensor([   0,    1,    2,  ...,  998,  999, 1000])",
    ),
    (
        lambda: torch.arange(20) + 100000000,
        lines(
            "tensor([100000000, 100000001, 100000002, 100000003, 100000004, 100000005,",
            "        100000006, 100000007, 100000008, 100000009, 100000010, 100000011,",
            "        100000012, 100000013, 100000014, 100000015, 100000016, 100000017,",
            "        100000018, 100000019])",
        ),
    ),
    (
        lambda: torch.zeros(500, 4),
        lines(
            "tensor([[0., 0., 0., 0.],",
            "        [0., 0., 0., 0.],",
            "        [0., 0., 0., 0.],",
            "        ...,",
            "        [0., 0., 0., 0.],",
            "        [0., 0., 0., 0.],",
            "        [0., 0., 0., 0.]])",
        ),
    ),
    (
        lambda: torch.nn.Parameter(torch.ones(1)),
        "Parameter containing:\ntensor([1.], requires_grad=True)",
    ),
]


@pytest.mark.parametrize("make, text", CASES, ids=[text[:40] for _, text in CASES])
def test_text(make, text):
    assert repr(make()) == text == str(make())


def test_options():
    value = torch.tensor([1.23456, 100.0])
    torch.set_printoptions(precision=2)
    assert repr(value) == "tensor([  1.23, 100.00])"
    torch.set_printoptions(sci_mode=True)
    assert repr(value) == "tensor([1.23e+00, 1.00e+02])"
    torch.set_printoptions(profile="default")
    assert repr(value) == "tensor([  1.2346, 100.0000])"
    torch.set_printoptions(threshold=3, edgeitems=1)
    assert repr(torch.arange(5)) == "tensor([0,  ..., 4])"
    torch.set_printoptions(profile="full", linewidth=20)
    assert repr(torch.arange(5)) == "tensor([0, 1, 2, 3,\n        4])"
    torch.set_printoptions(profile="none")  # changes nothing, as in PyTorch
    assert repr(torch.arange(5)) == "tensor([0, 1, 2, 3,\n        4])"


def test_subclass():
    class Named(torch.Tensor):
        pass

    assert repr(torch.ones(2).as_subclass(Named)) == "Named([1., 1.])"
