"""tensor[...] against NumPy: views, advanced indices, masks, assignment, errors."""

import numpy as np
import pytest

import flambeau as torch


def pair(*shape):
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    return array, torch.tensor(array)


BASIC = [
    (0,),
    (-1,),
    (slice(None), 1),
    (slice(1, None), slice(None, None, 2)),
    (slice(5, 2),),
    (slice(-100, 100, 3),),
    (Ellipsis, 0),
    (0, Ellipsis, 1),
    (None, 1, None, slice(0, 1)),
    (Ellipsis,),
    (),
    (1, 2, 3),
]
ADVANCED = [
    ([0, 1],),
    ([[0, 1], [1, 0]],),
    (slice(None), [2, 0]),
    ([0, 1], slice(None), [1, 3]),
    ([0, 1], [1, 2]),
    (slice(None), [0, 2], [1, 3]),
    (np.array([1, 0]),),
    ([True, False],),
    (slice(None), [True, False, True]),
    (0, [1, -1]),
    (None, [0]),
    ([],),
]


@pytest.mark.parametrize("index", BASIC + ADVANCED, ids=repr)
def test_get(index):
    array, tensor = pair(2, 3, 4)
    if index and isinstance(index[0], list) and not index[0]:
        index = (np.array([], dtype=int),)  # NumPy takes an empty list for floats
    array = array[index]
    got = tensor[index]
    assert tuple(got.shape) == array.shape
    assert got.tolist() == array.tolist()


@pytest.mark.parametrize("index", BASIC, ids=repr)
def test_basic_indices_are_views(index):
    _, tensor = pair(2, 3, 4)
    view = tensor[index]
    assert view._is_view() and view.untyped_storage() is tensor.untyped_storage()
    before = tensor._version
    tensor[index] = -1
    assert tensor._version == before + 1
    assert (view.numpy() == -1).all()


@pytest.mark.parametrize("index", BASIC + ADVANCED[:-1], ids=repr)
@pytest.mark.parametrize("kind", ["number", "tensor", "row"])
def test_set(index, kind):
    array, tensor = pair(2, 3, 4)
    shape = array[index].shape
    if kind == "row":
        shape = shape[-1:]
    value = -np.arange(1, np.prod(shape) + 1, dtype=np.float32).reshape(shape)
    if kind == "number":
        array[index], tensor[index] = 7.5, 7.5
    else:
        array[index] = value
        tensor[index] = torch.tensor(value)
    assert tensor.tolist() == array.tolist()


def test_masks():
    array, tensor = pair(3, 4)
    mask = array % 3 == 0
    assert tensor[torch.tensor(mask)].tolist() == array[mask].tolist()
    assert tensor[torch.tensor([True, False, True])].tolist() == array[[0, 2]].tolist()
    tensor[torch.tensor(mask)] = -1.0
    assert tensor.tolist() == np.where(mask, -1, array).tolist()
    assert tuple(tensor[True].shape) == (1, 3, 4)
    assert tuple(tensor[False].shape) == (0, 3, 4)


def test_mask_over_two_dimensions_beside_a_slice():
    array, tensor = pair(2, 3, 4)
    mask = np.array([[True, False, True], [False, True, False]])
    assert tensor[torch.tensor(mask), 1:].tolist() == array[mask, 1:].tolist()


def test_tensor_numbers_select():
    array, tensor = pair(3, 4)
    assert tensor[torch.tensor(1)].tolist() == array[1].tolist()
    assert tensor[torch.tensor(1), torch.tensor(2)].item() == array[1, 2]
    assert tensor[np.int64(2)].tolist() == array[2].tolist()
    assert tensor[torch.tensor(1) : torch.tensor(3)].tolist() == array[1:3].tolist()


def test_value_with_leading_ones():
    _, tensor = pair(2, 3)
    tensor[0] = torch.ones(1, 1, 3)
    tensor[:, 0] = torch.zeros(1, 2)
    assert tensor.tolist() == [[0, 1, 1], [0, 4, 5]]


def test_overlapping_assignment():
    _, tensor = pair(6)
    with pytest.raises(RuntimeError, match="refer to a single memory location"):
        tensor[1:] = tensor[:-1]
    tensor[1:] = tensor[:-1].clone()
    assert tensor.tolist() == [0, 0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "index, error, text",
    [
        (5, IndexError, "index 5 is out of bounds for dimension 0 with size 3"),
        ((0, -5), IndexError, "index -5 is out of bounds for dimension"),
        ((0, 0, 0), IndexError, "too many indices for tensor of dimension 2"),
        (slice(None, None, -1), ValueError, "step must be greater than zero"),
        (slice(None, None, 0), ValueError, "step must be greater than zero"),
        (1.5, IndexError, "tensors used as indices"),
        ((Ellipsis, 0, Ellipsis), IndexError, "single ellipsis"),
        ([0.5], IndexError, "tensors used as indices must be long, int, byte or bool"),
        ([7], IndexError, "out of bounds"),
        (slice("a", None), TypeError, "slice indices must be integers"),
    ],
)
def test_errors(index, error, text):
    _, tensor = pair(3, 4)
    with pytest.raises(error, match=text):
        tensor[index]
    with pytest.raises(error, match=text):
        tensor[index] = 0


def test_wrong_values():
    _, tensor = pair(3, 4)
    with pytest.raises(RuntimeError, match="size of the tensor|size of tensor"):
        tensor[0] = torch.ones(5)
    with pytest.raises(TypeError, match="can't assign"):
        tensor[0] = "text"
    with pytest.raises(TypeError):
        del tensor[0]
    with pytest.raises(RuntimeError, match="single memory location"):
        torch.ones(1).expand(3)[:] = 2.0


def test_history():
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    assert x[0].grad_fn.name() == "SelectBackward0"
    assert x[0:1].grad_fn.name() == "SliceBackward0"
    assert x[None].grad_fn.name() == "UnsqueezeBackward0"
    assert x[[0]].grad_fn.name() == "IndexBackward0"
    x[:, 1].backward(torch.tensor([1.0, 2.0]))
    assert x.grad.tolist() == [[0.0, 1.0], [0.0, 2.0]]


def test_assignment_is_recorded():
    x = torch.zeros(3)
    w = torch.tensor(2.0, requires_grad=True)
    x[1] = w
    assert x.requires_grad
    x.backward(torch.tensor([1.0, 5.0, 1.0]))
    assert w.grad.item() == 5.0
    leaf = torch.zeros(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="leaf"):
        leaf[0] = 1.0


def test_short_lists_of_more_than_numbers_are_tuples():
    x = torch.arange(12).view(3, 4)
    assert x[[[0, 1], [1, 0]]].tolist() == [1, 4]
    assert x[[torch.tensor([0, 2]), torch.tensor([1, 1])]].tolist() == [1, 9]
    assert x[[torch.tensor(1), 0]] == 4 and x[[0, [1, 2]]].tolist() == [1, 2]
    assert x[[0, 1]].shape == (2, 4) and x[[[0, 1]]].shape == (2, 4)
    assert x[[[[0, 1], [1, 0]]]].shape == (2, 2, 4)
    y = x.clone()
    y[[[0, 1], [1, 0]]] = -1
    assert y[0, 1] == y[1, 0] == -1 and (y == -1).sum() == 2


def test_bytes_without_dimensions_are_masks():
    on, off = torch.tensor(1, dtype=torch.uint8), torch.tensor(0, dtype=torch.uint8)
    x = torch.arange(6).view(2, 3)
    with pytest.warns(UserWarning, match="uint8"):
        assert x[on].shape == (1, 2, 3) and x[off].shape == (0, 2, 3)
    with pytest.warns(UserWarning, match="uint8"):
        x[torch.tensor([1, 0], dtype=torch.uint8)] = 9
    assert x.tolist() == [[9, 9, 9], [3, 4, 5]]


def test_errors_name_the_dimension_of_the_tensor():
    with pytest.raises(IndexError, match="index 5 is out of bounds for dimension 1 with size 5"):
        torch.zeros(2, 5)[0, 5]
    with pytest.raises(IndexError, match="index 7 is out of bounds for dimension 2 with size 6"):
        torch.zeros(2, 5, 6, requires_grad=True)[None, 0, ..., 7]
    with pytest.raises(IndexError):
        torch.tensor(1)[0]


@pytest.mark.parametrize("recorded", [False, True])
def test_part_of_a_tensor_is_repeated_over_more_of_it(recorded):
    x = torch.arange(9.0).view(3, 3)
    w = torch.ones((), requires_grad=recorded)
    y = x * w
    y[1:] = y[0]
    assert y.tolist() == [[0, 1, 2]] * 3
    y[0] = y[0][1]
    assert y[0].tolist() == [1, 1, 1]
    with pytest.raises(RuntimeError, match="single memory location"):
        x[1:] = x[:-1]
