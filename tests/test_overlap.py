"""Writes to memory that has an element twice, or that is read at the same time."""

import pytest

import flambeau as torch

S = torch.ones(4)
AT = torch.arange(4)


@pytest.mark.parametrize(
    "write",
    [
        lambda b: b[1:].add_(b[:-1]),
        lambda b: b[1:].copy_(b[:-1]),
        lambda b: b[1:].index_add_(0, AT, b[:-1]),
        lambda b: b[1:].index_copy_(0, AT, b[:-1]),
        lambda b: b[1:].put_(AT, b[:-1]),
        lambda b: b[1:].scatter_(0, AT, b[:-1]),
        lambda b: torch.add(b[:-1], 1, out=b[1:]),
        lambda b: torch.gather(b[:-1], 0, AT, out=b[1:]),
        lambda b: torch.cat([b[:2], b[2:4]], out=b[1:]),
        lambda b: torch.cumsum(b[:-1], 0, out=b[1:]),
        lambda b: b[:4].view(2, 2).add_(b[:4].view(2, 2).t()),
    ],
)
def test_parts_that_are_read_are_not_written(write):
    with pytest.raises(RuntimeError, match="refer to a single memory location"):
        write(torch.arange(5.0))


def test_the_same_elements_may_be_read_and_written():
    b = torch.arange(4.0)
    assert b.add_(b).tolist() == [0, 2, 4, 6]
    assert b.copy_(b[:]).tolist() == [0, 2, 4, 6]
    assert torch.exp(b[:2], out=b[2:]).tolist() == torch.exp(b[:2]).tolist()
    assert b.set_(b[1:]).numel() == 3


def test_expanded_tensors_take_what_is_the_same_everywhere():
    one = torch.zeros(1, 2)
    many = one.expand(3, 2)
    assert many.fill_(2).tolist() == [[2, 2]] * 3
    mask = torch.tensor([[True, False], [False, False], [False, False]])
    many.masked_fill_(mask, 5.0)
    assert one.tolist() == [[5, 2]]
    assert torch.zeros(1).expand(3).squeeze_().shape == (3,)
    assert torch.zeros(2, 1).expand(2, 3).t_().shape == (3, 2)
    for write in (lambda: many.add_(1), lambda: many.copy_(torch.ones(3, 2)), many.exp_):
        with pytest.raises(RuntimeError, match="single memory location"):
            write()


def test_results_are_rounded_before_they_are_cast():
    big = torch.tensor(33000.0, dtype=torch.float16)
    assert torch.add(big, big, out=torch.empty((), dtype=torch.float64)).item() == float("inf")
    small = torch.tensor([17], dtype=torch.uint8)
    assert torch.pow(2, small, out=torch.zeros(1, dtype=torch.int64)).item() == 0


def test_views_as_another_dtype_have_no_gradient():
    x = torch.ones(2, 2, requires_grad=True)
    assert not x.view(torch.int32).requires_grad
    assert not x.view(torch.float64).requires_grad
