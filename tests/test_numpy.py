"""Memory shared with NumPy, buffers and DLPack; data into tensors and back."""

import array as arrays
import subprocess
import sys

import numpy as np
import pytest

import flambeau as torch

DTYPES = (
    "uint8 int8 int16 int32 int64 uint16 uint32 uint64 float16 float32 float64 complex64 "
    "complex128 bool"
).split()


def test_numpy_is_not_imported():
    code = "import flambeau, sys; flambeau.tensor([1., 2.]); assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0), (2, 3)])
def test_both_ways(name, shape):
    given = np.arange(np.prod(shape)).reshape(shape).astype(name)
    tensor = torch.from_numpy(given)
    assert str(tensor.dtype) == f"torch.{name}" and tuple(tensor.shape) == shape
    back = tensor.numpy()
    assert back.dtype == given.dtype and (back == given).all() and back.shape == shape
    assert tensor.tolist() == given.tolist()


def test_memory_is_shared():
    array = np.zeros((4, 6), dtype=np.float32)
    tensor = torch.from_numpy(array[::2, 1::2])
    tensor[1, 1] = 5.0
    assert array[2, 3] == 5.0
    tensor.numpy()[0, 0] = 7.0
    assert array[0, 1] == 7.0
    view = tensor.numpy()
    del tensor, array
    assert view[0, 0] == 7.0


def test_exported_memory_stays():
    tensor = torch.ones(4)
    array = tensor.numpy()
    with pytest.raises(RuntimeError):
        tensor.untyped_storage().resize_(1 << 20)
    tensor.data = torch.zeros(2)
    assert array.tolist() == [1, 1, 1, 1]


def test_numpy_refuses():
    with pytest.raises(RuntimeError, match="detach"):
        torch.ones(2).requires_grad_().numpy()
    with pytest.raises(TypeError, match="BFloat16"):
        torch.ones(2, dtype=torch.bfloat16).numpy()
    with pytest.raises(TypeError, match="meta"):
        torch.ones(2, device="meta").numpy()
    with pytest.raises(ValueError, match="negative"):
        torch.from_numpy(np.ones(3)[::-1])
    with pytest.raises(TypeError, match="np.ndarray"):
        torch.from_numpy([1])
    with pytest.raises(TypeError, match="numpy.str_"):
        torch.tensor(np.array(["a"]))
    with pytest.raises(TypeError, match="numpy.object_"):
        torch.tensor(np.array([1, None]))
    with pytest.raises(ValueError, match="byte order"):
        torch.from_numpy(np.ones(2, dtype=">f4"))


def test_array_functions():
    tensor = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert np.asarray(tensor).sum() == 10
    assert np.array(tensor, dtype=np.int64).dtype == np.int64
    assert np.stack([tensor, tensor]).shape == (2, 2, 2)
    with pytest.raises(RuntimeError, match="requires grad"):
        np.asarray(torch.ones(1).requires_grad_())


def test_buffers():
    data = bytearray(b"\0\0\x80?\0\0\0@")
    tensor = torch.frombuffer(data, dtype=torch.float32)
    assert tensor.tolist() == [1.0, 2.0]
    tensor[0] = 0.0
    assert data[:4] == b"\0\0\0\0"
    assert torch.frombuffer(data, dtype=torch.float32, offset=4).tolist() == [2.0]
    assert torch.frombuffer(data, dtype=torch.uint8, count=2).tolist() == [0, 0]
    assert torch.frombuffer(arrays.array("i", [1, 2]), dtype=torch.int32).tolist() == [1, 2]
    for arguments in ({"offset": 8}, {"offset": 1}, {"count": 3}, {"count": 0}, {"offset": -1}):
        with pytest.raises(ValueError):
            torch.frombuffer(data, dtype=torch.float32, **arguments)
    assert memoryview(torch.ones(2, 3)).shape == (2, 3)
    assert bytes(memoryview(torch.tensor([1], dtype=torch.int16))) == b"\1\0"


def test_dlpack():
    array = np.arange(6, dtype=np.float64).reshape(2, 3)
    tensor = torch.from_dlpack(array)
    tensor[0, 0] = -1.0
    assert array[0, 0] == -1
    back = np.from_dlpack(tensor[:, 1:])
    assert back.tolist() == array[:, 1:].tolist()
    again = torch.from_dlpack(torch.ones(2, dtype=torch.bfloat16))
    assert again.dtype == torch.bfloat16
    capsule = torch.ones(2).__dlpack__()
    assert torch.from_dlpack(capsule).tolist() == [1.0, 1.0]
    with pytest.raises(RuntimeError, match="once"):
        torch.from_dlpack(capsule)
    with pytest.raises(BufferError):
        torch.ones(1).requires_grad_().__dlpack__()
    assert torch.ones(1).__dlpack_device__() == (1, 0)


@pytest.mark.parametrize(
    "data, dtype",
    [
        (1, torch.int64),
        (1.5, torch.float32),
        (True, torch.bool),
        (1j, torch.complex64),
        ([1, 2.0], torch.float32),
        ([True, 1], torch.int64),
        ([1, 1j], torch.complex64),
        ([], torch.float32),
        ([[], []], torch.float32),
        (range(3), torch.int64),
        (((1, 2), [3, 4]), torch.int64),
        (np.float64(1), torch.float64),
        ([np.float32(1)], torch.float32),
        (np.int8(3), torch.int8),
        ([np.ones(2), np.zeros(2)], torch.float64),
        (bytearray(b"ab"), torch.int64),
    ],
)
def test_dtype_of_data(data, dtype):
    assert torch.tensor(data).dtype == dtype


@pytest.mark.parametrize(
    "data, error, text",
    [
        ([[1, 2], [3]], ValueError, r"expected sequence of length 2 at dim 1 \(got 1\)"),
        ([[1], 2], TypeError, "not a sequence"),
        ([1, [2]], TypeError, "must be a number, not list"),
        ("a", TypeError, "invalid data type 'str'"),
        (["a"], ValueError, "too many dimensions 'str'"),
        (None, RuntimeError, "Could not infer dtype of NoneType"),
        ({1: 2}, RuntimeError, "Could not infer dtype of dict"),
        (2**64, ValueError, "Overflow"),
    ],
)
def test_bad_data(data, error, text):
    with pytest.raises(error, match=text):
        torch.tensor(data)


def test_bad_numbers():
    with pytest.raises(RuntimeError, match="uint8 without overflow"):
        torch.tensor(300, dtype=torch.uint8)
    with pytest.raises(RuntimeError, match="without overflow"):
        torch.tensor(float("nan"), dtype=torch.int64)
    with pytest.raises(TypeError):
        torch.tensor([1j], dtype=torch.float32)
    assert torch.tensor(-1, dtype=torch.uint8).item() == 255
    nested = []
    nested.append(nested)
    with pytest.raises(ValueError, match="too many dimensions"):
        torch.tensor(nested)


def test_as_tensor_and_asarray():
    array = np.ones(3, dtype=np.float32)
    assert torch.as_tensor(array).data_ptr() == array.ctypes.data
    assert torch.asarray(array).data_ptr() == array.ctypes.data
    tensor = torch.ones(2)
    assert torch.as_tensor(tensor) is tensor
    assert torch.as_tensor(tensor, dtype=torch.float64).dtype == torch.float64
    assert torch.asarray(tensor, copy=True).data_ptr() != tensor.data_ptr()
    assert torch.asarray([1, 2], dtype=torch.int8).dtype == torch.int8
    with pytest.raises(ValueError):
        torch.asarray([1, 2], copy=False)


def test_arrays_beside_tensors():
    tensor, array = torch.ones(2), np.array([1.0, 2.0])
    for result in (tensor + array, array + tensor):
        assert isinstance(result, torch.Tensor) and result.dtype == torch.float64
        assert result.tolist() == [2.0, 3.0]
    assert (tensor == array).tolist() == [True, False]
    assert (np.float64(2) * tensor).tolist() == [2.0, 2.0]


def test_numbers_of_numpy_are_promoted_as_pythons():
    whole = torch.ones(1, dtype=torch.int32)
    assert torch.result_type(whole, np.float32(2)) == torch.float32
    assert torch.result_type(np.int64(1), whole) == torch.int32
    with pytest.raises(TypeError):
        torch.result_type(whole, np.ones(2))


def test_a_tensor_becomes_what_holds_the_array_that_is_added():
    x = y = torch.tensor([1, 2])
    y += np.array([0.5, 1.0])
    assert y.tolist() == [1.5, 3] and x.tolist() == [1, 2]
