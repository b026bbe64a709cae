"""The CTC loss against the sum over all alignments."""

import itertools

import numpy as np
import pytest

import flambeau as torch
import flambeau.nn.functional as F


def collapsed(path, blank):
    return [k for k, _ in itertools.groupby(path) if k != blank]


def by_enumeration(log_probs, target, blank):
    """log_probs [times, classes]"""
    times, classes = log_probs.shape
    total = sum(
        np.exp(sum(log_probs[t, k] for t, k in enumerate(path)))
        for path in itertools.product(range(classes), repeat=times)
        if collapsed(path, blank) == list(target)
    )
    return -np.log(total) if total else np.inf


CASES = [
    (4, [1, 2], 0),
    (5, [1, 1], 0),
    (3, [1, 1], 0),
    (2, [1, 1], 0),  # no room for the blank between
    (4, [], 0),
    (4, [0, 2, 0], 1),
    (5, [2], 1),
    (1, [2], 0),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_against_all_alignments(dtype):
    x = torch.randn(5, len(CASES), 3, dtype=torch.float64).log_softmax(2)
    # Blanks differ, so samples go one by one; then together with those of blank 0.
    for n, (times, target, blank) in enumerate(CASES):
        want = by_enumeration(x[:times, n].numpy(), target, blank)
        args = (torch.tensor(target, dtype=torch.int64), (times,), (len(target),), blank, "sum")
        got = F.ctc_loss(x[:, n : n + 1].to(dtype), *args).item()
        assert got == pytest.approx(want, rel=1e-5)
    some = [n for n, case in enumerate(CASES) if case[2] == 0]
    flat = torch.tensor([k for n in some for k in CASES[n][1]])
    times, lengths = [CASES[n][0] for n in some], [len(CASES[n][1]) for n in some]
    got = F.ctc_loss(x[:, some].to(dtype), flat, times, lengths, reduction="none")
    want = [by_enumeration(x[:t, n].numpy(), CASES[n][1], 0) for n, t in zip(some, times)]
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-5)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_gradient(reduction):
    x = torch.randn(6, 3, 4, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([[1, 2, 2], [3, 1, 0], [1, 0, 0]])

    def loss(x):
        lengths = torch.tensor([3, 2, 0])
        return F.ctc_loss(x.log_softmax(2), labels, (6, 4, 5), lengths, 0, reduction)

    assert torch.autograd.gradcheck(loss, (x,))


def test_long_and_wide():
    x = torch.randn(150, 2, 30, dtype=torch.float64)
    labels = torch.randint(1, 30, (2, 40))
    both = F.ctc_loss(x.log_softmax(2), labels, (150, 120), (40, 25), reduction="none")
    single = x.float().log_softmax(2)
    np.testing.assert_allclose(
        F.ctc_loss(single, labels, (150, 120), (40, 25), reduction="none").numpy(),
        both.numpy(),
        rtol=1e-4,
    )


def test_impossible_targets():
    x = torch.randn(2, 1, 3, requires_grad=True)
    target = torch.tensor([[1, 2, 1]])
    args = (x.log_softmax(2), target, (2,), (3,))
    assert F.ctc_loss(*args).item() == float("inf")
    loss = F.ctc_loss(*args, zero_infinity=True)
    assert loss.item() == 0
    loss.backward()
    assert x.grad.abs().sum().item() == 0


@pytest.mark.parametrize(
    "call",
    [
        lambda x: F.ctc_loss(x, torch.tensor([[9]]), (3,), (1,)),
        lambda x: F.ctc_loss(x, torch.tensor([[-1]]), (3,), (1,)),
        lambda x: F.ctc_loss(x, torch.tensor([[1]]), (4,), (1,)),
        lambda x: F.ctc_loss(x, torch.tensor([[1]]), (-1,), (1,)),
        lambda x: F.ctc_loss(x, torch.tensor([[1]]), (3,), (2,)),
        lambda x: F.ctc_loss(x, torch.tensor([[1]]), (3,), (1,), blank=5),
        lambda x: F.ctc_loss(x, torch.tensor([[1]]), (3, 3), (1,)),
        lambda x: F.ctc_loss(x.half(), torch.tensor([[1]]), (3,), (1,)),
    ],
)
def test_errors(call):
    with pytest.raises(RuntimeError):
        call(torch.zeros(3, 1, 3).log_softmax(2))


def test_lengths_must_be_integers():
    args = torch.zeros(3, 1, 2).log_softmax(2), torch.tensor([[1]])
    with pytest.raises(RuntimeError, match="integral"):
        torch.nn.functional.ctc_loss(*args, torch.tensor([3.0]), torch.tensor([1]))
    with pytest.raises(TypeError):
        torch.nn.functional.ctc_loss(*args, (3,), (1.0,))
