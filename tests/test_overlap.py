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
    with pytest.warns(UserWarning, match="masked_fill_ on expanded tensors"):
        many.masked_fill_(mask, 5.0)
    assert one.tolist() == [[5, 2]]
    assert torch.zeros(1).expand(3).squeeze_().shape == (3,)
    assert torch.zeros(2, 1).expand(2, 3).t_().shape == (3, 2)
    for write in (lambda: many.add_(1), lambda: many.copy_(torch.ones(3, 2)), many.exp_):
        with pytest.raises(RuntimeError, match="single memory location"):
            write()


def test_writing_by_index_into_expanded_tensors_warns():
    at, values = torch.tensor([0, 1]), torch.tensor([1.0, 2.0])

    def written(write, expanded):
        with pytest.warns(UserWarning, match="on expanded tensors is deprecated"):
            write(expanded)
        return expanded.tolist()

    def four():
        return torch.zeros(1).expand(4)

    assert written(lambda x: x.index_put_((at,), values), four()) == [2] * 4
    assert written(lambda x: x.index_put_((at,), values, accumulate=True), four()) == [3] * 4
    assert written(lambda x: x.index_fill_(0, at, 5.0), four()) == [5] * 4
    assert written(lambda x: x.__setitem__(at, values), four()) == [2] * 4
    assert written(lambda x: x.__setitem__(torch.arange(4) > 2, 7.0), four()) == [7] * 4
    rows = torch.arange(6.0).view(2, 1, 3).expand(2, 4, 3)
    got = written(lambda x: x.__setitem__((at, at + 1), torch.tensor([-1.0])), rows)
    assert got == [[[-1.0] * 3] * 4, [[-1.0] * 3] * 4]
    rows = torch.arange(6.0).view(2, 1, 3).expand(2, 4, 3)
    assert written(lambda x: x.__setitem__((at[1], at), -1.0), rows)[1] == [[-1.0] * 3] * 4
    assert rows[0, 3].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "write",
    [
        lambda x: x.scatter_(0, AT, x),
        lambda x: x.scatter_add_(0, AT, x),
        lambda x: x.scatter_reduce_(0, AT, x, "sum"),
        lambda x: x.index_add_(0, AT, x),
        lambda x: x.index_copy_(0, AT, x),
        lambda x: x.put_(AT, x),
        lambda x: x.index_put_((AT,), x),
        lambda x: x.__setitem__(AT, x),
        lambda x: torch.scatter(x, 0, AT, x, out=x),
        lambda x: torch.take(x, AT, out=x),
        lambda x: torch.gather(x, 0, AT, out=x),
        lambda x: torch.index_select(x, 0, AT, out=x),
        lambda x: torch.masked_select(x, AT >= 0, out=x),
    ],
)
def test_what_is_read_by_index_is_not_written(write):
    with pytest.raises(RuntimeError, match="refer to a single memory location"):
        write(torch.arange(4.0))


def test_what_is_written_at_indices_may_be_the_result():
    x = torch.arange(4.0)
    assert torch.scatter(x, 0, AT[:1], torch.ones(1), out=x).tolist() == [1, 1, 2, 3]


def test_results_of_another_shape_warn():
    for call in (
        lambda out: torch.add(torch.ones(3), 1, out=out),
        lambda out: torch.mm(torch.ones(3, 3), torch.ones(3, 3), out=out),
        lambda out: torch.linalg.inv(torch.eye(3), out=out),
        lambda out: torch.tensordot(torch.ones(3, 3), torch.ones(3, 3), 1, out=out),
        lambda out: torch.linalg.multi_dot([torch.ones(2, 2)] * 3, out=out),
    ):
        with pytest.warns(UserWarning, match="output with one or more elements was resized"):
            call(torch.ones(2))
        call(torch.empty(0))
    torch.zeros(3, out=torch.ones(2))


@pytest.mark.parametrize("name", ["sum", "prod", "cumsum", "mean"])
def test_dtype_and_out_agree(name):
    reduce, x = getattr(torch, name), torch.ones(3)
    with pytest.raises(RuntimeError, match="Expected out tensor to have dtype"):
        reduce(x, 0, dtype=torch.float64, out=torch.empty(0))
    out = torch.empty(0, dtype=torch.float64)
    assert reduce(x, 0, dtype=torch.float64, out=out) is out


def test_floats_beyond_int32_are_its_smallest():
    beyond = [float("nan"), float("inf"), -float("inf"), 3e9, -3e9]
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        x = torch.tensor(beyond, dtype=dtype)
        assert x.int().tolist() == x.repeat(9).int()[:5].tolist() == [-(2**31)] * 5
        assert x.repeat(2)[::2].int().tolist() == [-(2**31)] * 5


def test_results_are_rounded_before_they_are_cast():
    big = torch.tensor(33000.0, dtype=torch.float16)
    assert torch.add(big, big, out=torch.empty((), dtype=torch.float64)).item() == float("inf")
    small = torch.tensor([17], dtype=torch.uint8)
    assert torch.pow(2, small, out=torch.zeros(1, dtype=torch.int64)).item() == 0


def test_views_as_another_dtype_have_no_gradient():
    x = torch.ones(2, 2, requires_grad=True)
    assert not x.view(torch.int32).requires_grad
    assert not x.view(torch.float64).requires_grad
