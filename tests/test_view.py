# Views and rearrangements against NumPy: values, shared memory, gradients, errors.
import numpy as np
import pytest

import flambeau as torch


def numbers(*shape):
    return torch.arange(int(np.prod(shape)), dtype=torch.float64).reshape(*shape)


VIEWS = [
    (lambda x: x.view(4, 6), lambda a: a.reshape(4, 6)),
    (lambda x: x.reshape(-1, 2), lambda a: a.reshape(-1, 2)),
    (lambda x: x.permute(2, 0, 1), lambda a: a.transpose(2, 0, 1)),
    (lambda x: x.transpose(0, -1), lambda a: a.swapaxes(0, -1)),
    (lambda x: x.movedim(0, 2), lambda a: np.moveaxis(a, 0, 2)),
    (lambda x: x.unsqueeze(1).squeeze(1), lambda a: a),
    (lambda x: x.flatten(1), lambda a: a.reshape(2, 12)),
    (lambda x: x.unflatten(2, (2, -1)), lambda a: a.reshape(2, 3, 2, 2)),
    (lambda x: x.select(1, -1), lambda a: a[:, -1]),
    (lambda x: x.narrow(2, 1, 2), lambda a: a[:, :, 1:3]),
    (lambda x: x.diagonal(1, 1, 2), lambda a: a.diagonal(1, 1, 2)),
    (lambda x: x.unfold(2, 2, 1), lambda a: np.lib.stride_tricks.sliding_window_view(a, 2, 2)),
    (lambda x: x[:, :1].expand(2, 5, 4), lambda a: np.broadcast_to(a[:, :1], (2, 5, 4))),
    (lambda x: x.as_strided((2, 2), (1, 3), 4), lambda a: a.ravel()[[[4, 7], [5, 8]]]),
]


@pytest.mark.parametrize("ours,numpys", VIEWS)
def test_views_share_memory_and_have_the_values(ours, numpys):
    x = numbers(2, 3, 4)
    y = ours(x)
    np.testing.assert_array_equal(y.numpy(), numpys(x.numpy()))
    x.fill_(7.0)
    assert (y == 7).all()


@pytest.mark.parametrize("ours,numpys", VIEWS)
def test_gradients_of_views(ours, numpys):
    x = numbers(2, 3, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: ours(x) * 2, [x])


MOVES = [
    (lambda x: x.flip(0, 2), lambda a: np.flip(a, (0, 2))),
    (lambda x: x.roll((1, -1), (0, 2)), lambda a: np.roll(a, (1, -1), (0, 2))),
    (lambda x: x.roll(5), lambda a: np.roll(a, 5)),
    (lambda x: x.repeat(2, 1, 3), lambda a: np.tile(a, (2, 1, 3))),
    (lambda x: x.repeat_interleave(2, 1), lambda a: a.repeat(2, 1)),
    (lambda x: x.tril(1), lambda a: np.tril(a, 1)),
    (lambda x: x.triu(-1), lambda a: np.triu(a, -1)),
    (lambda x: torch.rot90(x, 1, (1, 2)), lambda a: np.rot90(a, 1, (1, 2))),
]


@pytest.mark.parametrize("ours,numpys", MOVES)
def test_moves(ours, numpys):
    x = numbers(2, 3, 4)
    for source in (x, x.transpose(0, 2).contiguous().transpose(0, 2)):
        np.testing.assert_array_equal(ours(source).numpy(), numpys(x.numpy()))
    assert torch.autograd.gradcheck(ours, [x.requires_grad_()])


def test_split_chunk_unbind():
    x = numbers(7, 2)
    assert [len(p) for p in x.split(3)] == [3, 3, 1]
    assert [len(p) for p in x.split([2, 5])] == [2, 5]
    assert [len(p) for p in x.chunk(3)] == [3, 3, 1]
    assert [len(p) for p in x.tensor_split(3)] == [3, 2, 2]
    assert len(x.unbind(1)) == 2
    x.requires_grad_()
    a, _, c = x.split(3)
    (a.sum() + (2 * c).sum()).backward()
    np.testing.assert_array_equal(x.grad[:, 0].numpy(), [1, 1, 1, 0, 0, 0, 2])


def test_conversions_keep_what_is_right_already():
    x = numbers(3)
    assert x.to(torch.float64) is x and x.contiguous() is x and x.double() is x
    assert x.to("cpu", torch.int32).dtype == torch.int32
    assert x.to(torch.float64, copy=True) is not x
    assert x.long().tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "call,error",
    [
        (lambda x: x.view(5, 5), RuntimeError),
        (lambda x: x.t().view(-1), RuntimeError),
        (lambda x: x.view(-1, -1), RuntimeError),
        (lambda x: x.permute(0, 0), RuntimeError),
        (lambda x: x.transpose(0, 2), IndexError),
        (lambda x: x.select(0, 3), IndexError),
        (lambda x: x.expand(3, 5), RuntimeError),
        (lambda x: x.as_strided((100,), (1,)), RuntimeError),
        (lambda x: x.split([1, 1]), RuntimeError),
        (lambda x: x.unfold(0, 4, 1), RuntimeError),
    ],
)
def test_bad_input(call, error):
    with pytest.raises(error):
        call(numbers(3, 4))


def test_meta_has_shapes_only():
    x = torch.empty(3, 4, device="meta")
    assert x.t().reshape(2, 6).shape == (2, 6)
    assert torch.cat([x, x]).shape == (6, 4)
    with pytest.raises(NotImplementedError):
        x.nonzero()


def test_sizes_beyond_memory_are_refused():
    for call in (lambda: torch.zeros(2).resize_(2**62, 4), lambda: torch.empty(2**62, 8)):
        with pytest.raises(RuntimeError, match="overflow"):
            call()
    with pytest.raises(RuntimeError, match="overflow"):
        torch.zeros(2).resize_(2**61)
    assert torch.zeros(2).resize_(0, 5).shape == (0, 5)


def test_resize_as_takes_the_order_of_the_template():
    like = torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    flat = torch.randn(96).resize_as_(like, memory_format=torch.preserve_format)
    assert flat.is_contiguous(memory_format=torch.channels_last)


def test_as_strided_of_an_expanded_tensor_shares_its_gradient():
    x = torch.randn(5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: t.expand(5, 5).as_strided((5, 5), (0, 1), 0), [x])


def test_copies_of_views_are_contiguous():
    x = torch.arange(6).view(2, 3)
    assert torch.transpose_copy(x, 0, 1).is_contiguous()
    assert torch.expand_copy(x[:1], (4, 3)).stride() == (3, 1)
