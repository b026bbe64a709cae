"""cond, while_loop, map, scan: operators that take functions."""

import pytest

import flambeau as torch
from flambeau._higher_order_ops import scan, while_loop
from flambeau._higher_order_ops.map import map


def test_cond():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    for pred in (True, 1, torch.tensor([True]), x.sum() > 2):
        y = torch.cond(pred, lambda x: x * 3, lambda x: x, (x,))
        assert torch.autograd.grad(y.sum(), x)[0].tolist() == [3.0, 3.0]
    assert torch.cond(False, lambda: 1, lambda: 2) == 2
    with pytest.raises(RuntimeError, match="bool or tensor"):
        torch.cond("yes", torch.sin, torch.cos, (x,))
    with pytest.raises(RuntimeError, match="single-element"):
        torch.cond(x > 1, torch.sin, torch.cos, (x,))
    with pytest.raises(RuntimeError, match="tensor leaves"):
        torch.cond(True, torch.add, torch.sub, (x, 3))
    with pytest.raises(RuntimeError, match="callable"):
        torch.cond(True, torch.sin, 3, (x,))


def test_while_loop():
    n, x = while_loop(lambda n, x: n < 4, lambda n, x: [n + 1, x * 2], (torch.tensor(0), 1.0))
    assert (n.item(), x) == (4, 16.0)
    with pytest.raises(RuntimeError, match="as many values"):
        while_loop(lambda n, m: n < 1, lambda n, m: n + 1, (torch.tensor(0), torch.tensor(0)))


def test_map_and_scan():
    x = torch.arange(6.0).view(3, 2)
    assert map(lambda row, y: {"s": row.sum() + y}, x, 1)["s"].tolist() == [2.0, 6.0, 10.0]
    last, all_ = scan(lambda c, row: (c + row, c * 1), torch.zeros(2), x, reverse=True)
    assert last.tolist() == [6.0, 9.0]
    assert all_.tolist() == [[6.0, 8.0], [4.0, 5.0], [0.0, 0.0]]
    with pytest.raises(RuntimeError, match="at least one element"):
        map(torch.sin, x[:0])


def test_symbolic_numbers_are_numbers():
    assert torch.sym_sum([1, 2]) == torch.sym_sum(1, 2) == 3
    assert torch.sym_sqrt(9) == 3.0
