# New tensors and joined ones against NumPy.
import numpy as np
import pytest

import flambeau as torch


def test_filled():
    assert torch.zeros(2, 3).tolist() == [[0, 0, 0]] * 2
    assert torch.ones((2,), dtype=torch.int32).dtype == torch.int32
    assert torch.full((2,), 7).dtype == torch.int64 and torch.full((2,), True).dtype == torch.bool
    assert torch.empty(3, 0).shape == (3, 0)
    x = torch.ones(2, 3).t()
    assert torch.zeros_like(x).stride() == x.stride()
    assert x.new_full((2,), 3).dtype == x.dtype
    assert torch.zeros(2, requires_grad=True).requires_grad
    assert torch.empty(2, 3, 4, 5, memory_format=torch.channels_last).stride() == (60, 1, 15, 3)


@pytest.mark.parametrize("bounds", [(5,), (2, 9), (9, 2, -3), (0.0, 1.0, 0.3), (0, 70000)])
def test_arange(bounds):
    np.testing.assert_allclose(torch.arange(*bounds).numpy(), np.arange(*bounds), rtol=1e-6)


@pytest.mark.parametrize("n", [0, 1, 2, 5, 100])
def test_linspace(n):
    got = torch.linspace(-1, 3, n, dtype=torch.float64)
    np.testing.assert_allclose(got.numpy(), np.linspace(-1, 3, n), rtol=1e-12, atol=1e-12)
    got = torch.logspace(0, 2, n, dtype=torch.float64)
    np.testing.assert_allclose(got.numpy(), np.logspace(0, 2, n), rtol=1e-12)


def test_matrices():
    np.testing.assert_array_equal(torch.eye(2, 3).numpy(), np.eye(2, 3))
    np.testing.assert_array_equal(torch.tril_indices(3, 3).numpy(), np.tril_indices(3))
    np.testing.assert_array_equal(torch.diag(torch.tensor([1, 2]), 1).numpy(), np.diag([1, 2], 1))


def test_complex():
    re = torch.tensor([1.0, 2], dtype=torch.float64, requires_grad=True)
    z = torch.complex(re, torch.ones(2, dtype=torch.float64))
    assert z.tolist() == [1 + 1j, 2 + 1j]
    assert torch.view_as_real(z).shape == (2, 2)
    z.real.sum().backward()
    assert re.grad.tolist() == [1, 1]


def test_joined():
    a, b = torch.arange(6).view(2, 3), torch.arange(6.0).view(2, 3)
    np.testing.assert_array_equal(torch.cat([a, b], 1).numpy(), np.concatenate([a, b], 1))
    assert torch.cat([a, b]).dtype == torch.float32
    np.testing.assert_array_equal(torch.stack([a, a], 1).numpy(), np.stack([a, a], 1))
    np.testing.assert_array_equal(torch.hstack([a, a]).numpy(), np.hstack([a, a]))
    assert torch.cat([torch.empty(0), b]).shape == (2, 3)
    x = torch.rand(2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: torch.cat([x, x * 2], 1), [x])
    assert torch.autograd.gradcheck(lambda x: torch.stack([x, x * 2], 1), [x])


@pytest.mark.parametrize(
    "call",
    [
        lambda: torch.zeros(-1),
        lambda: torch.arange(0, 5, 0),
        lambda: torch.arange(5, 0),
        lambda: torch.linspace(0, 1, -1),
        lambda: torch.cat([torch.ones(2), torch.ones(2, 2)]),
        lambda: torch.cat([torch.ones(2, 3), torch.ones(3, 2)]),
        lambda: torch.stack([torch.ones(2), torch.ones(3)]),
        lambda: torch.ones(2, requires_grad=True).resize_(5),
    ],
)
def test_bad_input(call):
    with pytest.raises(RuntimeError):
        call()


def test_out_gives_its_type():
    ints = torch.empty(2, 2, dtype=torch.uint8)
    assert torch.eye(2, out=ints) is ints and ints.tolist() == [[1, 0], [0, 1]]
    for make in (torch.zeros, torch.ones, torch.empty):
        assert make((2,), out=torch.empty(2, dtype=torch.int64)).dtype == torch.int64
    assert torch.full((2,), 1.5, out=torch.empty(2, dtype=torch.int64)).tolist() == [1, 1]
    assert torch.linspace(0, 4, 3, out=torch.empty(3, dtype=torch.int16)).tolist() == [0, 2, 4]
    with pytest.raises(RuntimeError, match="does not match dtype of out"):
        torch.zeros(2, dtype=torch.int64, out=torch.empty(2))


def test_sizes_may_be_tensors_of_one_integer():
    assert torch.ones(torch.tensor(3), torch.tensor(2)).shape == (3, 2)
    assert torch.zeros(torch.tensor([2, 3]).prod()).shape == (6,)
    assert torch.zeros(6).view(torch.tensor(2), 3).shape == (2, 3)
    with pytest.raises(TypeError, match="must be tuple of ints, not Tensor"):
        torch.ones(torch.tensor(3.0))


def test_python_integers_of_any_size():
    assert torch.tensor(2**64 - 1, dtype=torch.float32) == 2.0**64
    assert torch.tensor(2**70, dtype=torch.float64) == 2.0**70
    assert torch.tensor([2**64, 0], dtype=torch.bool).tolist() == [True, False]
    assert torch.tensor(2**63, dtype=torch.uint64).item() == 2**63
    for number in (2**63, [2**63], -(2**63) - 1):
        with pytest.raises(ValueError, match="Overflow"):
            torch.tensor(number)


def test_sequences_may_hold_arrays_without_dimensions():
    np = pytest.importorskip("numpy")
    got = torch.tensor(((7, np.array(5)), (np.array(9), 5.0)))
    assert got.dtype == torch.float32 and got.tolist() == [[7, 5], [9, 5]]


def test_meshgrid_wants_tensors_of_one_kind():
    with pytest.raises(RuntimeError, match="non-empty"):
        torch.meshgrid(indexing="ij")
    with pytest.raises(RuntimeError, match="same dtype"):
        torch.meshgrid(torch.ones(2), torch.ones(2, dtype=torch.int32), indexing="ij")
    with pytest.warns(UserWarning, match="indexing"):
        assert torch.meshgrid(torch.ones(2), torch.ones(3))[0].shape == (2, 3)


def test_nothing_can_be_joined_along_any_dimension():
    assert torch.cat([torch.empty(0), torch.empty(0)], 1).shape == (0,)


def test_sequences_fill_views_of_as_many_elements():
    base = torch.zeros(2, 3)
    view = base.narrow(1, 1, 2)
    assert torch.arange(0, 4, out=view) is view and view.shape == (2, 2)
    assert base.tolist() == [[0, 0, 1], [0, 2, 3]]
    torch.linspace(0, 3, 4, out=view)
    assert base.tolist() == [[0, 0, 1], [0, 2, 3]]
    torch.logspace(0, 3, 4, base=2, out=view)
    assert base.tolist() == [[0, 1, 2], [0, 4, 8]]
    assert torch.arange(3, out=torch.empty(0, dtype=torch.int64)).tolist() == [0, 1, 2]


def test_text_is_no_data():
    with pytest.raises(TypeError, match="invalid data type"):
        torch.tensor([0, "one"])
    with pytest.raises(ValueError, match="buffer protocol"):
        torch.frombuffer([1, 2], dtype=torch.int32)


def test_asarray_keeps_the_history_of_a_tensor():
    x = torch.ones(2, requires_grad=True)
    assert torch.asarray(x) is x and torch.asarray(2 * x).requires_grad
    assert not torch.asarray(2 * x, requires_grad=False).requires_grad
    torch.asarray(x, copy=True).sum().backward()
    assert x.grad.tolist() == [1, 1]


def test_asarray_of_capsules_and_numbers_of_numpy():
    np = pytest.importorskip("numpy")
    x = torch.arange(3.0)
    got = torch.asarray(torch.utils.dlpack.to_dlpack(x))
    assert got.data_ptr() == x.data_ptr() and torch.equal(got, x)
    assert torch.asarray(np.float64(3)).item() == 3
    with pytest.raises(RuntimeError, match="can't alias NumPy scalars"):
        torch.asarray(np.float64(3), copy=False)
