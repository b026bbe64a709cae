"""Storages of bytes and of numbers."""

import copy
import sys

import pytest

import flambeau as torch


def test_a_storage_has_the_numbers_that_it_is_made_of():
    storage = torch.IntStorage([-1, 0, 3])
    assert storage.tolist() == [-1, 0, 3] and storage.dtype == torch.int32
    assert len(storage) == storage.size() == 3 and storage.type() == "torch.IntStorage"
    assert torch.TypedStorage([1, 2], dtype=torch.float64).tolist() == [1.0, 2.0]
    assert torch.TypedStorage(2, dtype=torch.int8).nbytes() == 2
    assert torch.Storage is torch.FloatStorage
    with pytest.raises(RuntimeError, match="dtype"):
        torch.FloatStorage(dtype=torch.int8)
    with pytest.raises(RuntimeError, match="positional"):
        torch.FloatStorage(1, 2)


def test_storages_of_a_dtype_are_of_its_class():
    storage = torch.ones(3).storage()
    assert isinstance(storage, torch.FloatStorage) and not isinstance(storage, torch.IntStorage)
    assert isinstance(storage, torch.TypedStorage) and torch.is_storage(storage)
    assert torch.ones(3, dtype=torch.int8).storage_type() is torch.CharStorage


def test_casts_convert_the_numbers():
    storage = torch.FloatStorage([1.5, 2.0])
    assert storage.int().tolist() == [1, 2] and storage.int().dtype == torch.int32
    assert storage.half().type() == "torch.HalfStorage"
    assert storage.complex_double().tolist() == [1.5 + 0j, 2 + 0j]
    assert storage.type(torch.LongStorage).tolist() == [1, 2]
    assert storage.type("torch.DoubleStorage").dtype == torch.float64


@pytest.mark.parametrize("order", ["big", "little", "native"])
def test_from_buffer_reads_bytes_in_an_order(order):
    real = sys.byteorder if order == "native" else order
    buffer = bytearray((258).to_bytes(2, real) + (772).to_bytes(2, real))
    assert torch.ShortStorage.from_buffer(buffer, order).tolist() == [258, 772]
    assert torch.ShortStorage.from_buffer(buffer, order, offset=2).tolist() == [772]
    assert torch.ShortStorage.from_buffer(buffer, order, count=1).tolist() == [258]


def test_from_buffer_of_bools_and_of_wrong_orders():
    assert torch.BoolStorage.from_buffer(b"\x00\x07").tolist() == [False, True]
    with pytest.raises(ValueError, match="byte_order"):
        torch.IntStorage.from_buffer(b"1234", "middle")


def test_from_file_shares_the_memory_of_a_file(tmp_path):
    path = str(tmp_path / "numbers")
    first = torch.FloatStorage.from_file(path, True, 10)
    t = torch.FloatTensor(first)
    assert t.shape == (10,) and t.data_ptr() == first.data_ptr()
    t.fill_(2)
    assert torch.FloatStorage.from_file(path, True, 10).tolist() == [2.0] * 10


def test_copies_and_sizes():
    storage = torch.FloatStorage([1, 2])
    twin = copy.deepcopy(storage)
    twin.fill_(5)
    assert storage.tolist() == [1.0, 2.0] and twin.tolist() == [5.0, 5.0]
    assert storage.copy_(torch.IntStorage([3, 4])).tolist() == [3.0, 4.0]
    assert sys.getsizeof(torch.zeros(1000).untyped_storage()) > 4000
    assert sys.getsizeof(torch.zeros(1000).storage()) > 4000
    storage[0:2] = 7
    assert list(storage) == [7.0, 7.0]


def test_meta_storages_have_no_elements():
    with pytest.raises(NotImplementedError):
        torch.ones(3, device="meta").storage()[0]
    with pytest.raises(NotImplementedError):
        torch.ones(3, device="meta").untyped_storage()[0]


def test_storages_of_another_type_are_not_shown():
    with pytest.raises(RuntimeError, match="Expected a Storage of type"):
        torch.zeros(2).set_(torch.zeros(2, dtype=torch.float64).storage())
    bits = torch.zeros(2).set_(torch.ones(2, dtype=torch.int32).untyped_storage())
    assert bits.view(torch.int32).tolist() == [1, 1]


def test_reading_a_storage_is_no_write():
    x = torch.ones(3)
    copy.deepcopy(x)
    x.untyped_storage().clone()
    assert x._version == 0


def mapped(tmp_path, numbers):
    """A mapped file's storage, and a function that gives its numbers as a tensor of their own."""
    path = str(tmp_path / "numbers")
    numbers.contiguous().numpy().tofile(path)
    storage = torch.UntypedStorage.from_file(path, nbytes=numbers.nbytes)

    def tensor(part=slice(None)):
        return torch.asarray(storage[part], dtype=torch.uint8).view(torch.float32)

    return storage, tensor


def test_parts_of_a_mapped_file_see_each_others_writes(tmp_path):
    storage, tensor = mapped(tmp_path, torch.arange(12.0))
    one, other = tensor(), tensor(slice(16, 32))
    one[4] = -1
    other[1] = -2
    assert one.tolist() == [0, 1, 2, 3, -1, -2, 6, 7, 8, 9, 10, 11]
    assert storage[16:20].tolist() == torch.tensor([-1.0]).untyped_storage().tolist()
    del storage, one
    assert other.tolist() == [-1, -2, 6, 7]


def test_weights_of_mapped_files_are_never_stale(tmp_path):
    torch.manual_seed(0)
    weight, x = torch.randn(64, 32, 3, 3), torch.randn(1, 32, 12, 12)
    _, tensor = mapped(tmp_path, weight)
    one, other = tensor().view(64, 32, 3, 3), tensor().view(64, 32, 3, 3)

    def check():
        for _ in range(4):  # the weight is packed meanwhile
            got = torch.conv2d(x, one, padding=1)
        assert torch.equal(got, torch.conv2d(x, one.clone(), padding=1))

    check()
    other.mul_(2)
    check()
    array = other.numpy()
    check()
    array[0] = 1
    check()
    del array
    one[3] = 0
    check()


def test_indices_may_lie_beside_a_meta_tensor():
    x, at = torch.empty(3, 4, device="meta"), torch.tensor([[0]])
    for y in (x.gather(0, at), x.scatter(0, at, 1.0), torch.nn.functional.embedding(at, x), x[at]):
        assert y.is_meta
    assert x.copy_(torch.ones(3, 4)).is_meta
    for mixed in (lambda: torch.cat([x, torch.ones(3, 4)]), lambda: x.mm(torch.ones(4, 2))):
        with pytest.raises((RuntimeError, NotImplementedError)):
            mixed()


def test_tensors_of_storages_view_their_memory():
    x = torch.tensor([1.5, -2.0])
    assert torch.tensor(x.untyped_storage(), dtype=torch.float32).tolist() == [1.5, -2.0]
    assert torch.as_tensor(x.storage()).tolist() == [1.5, -2.0]
    with pytest.raises(RuntimeError, match="Expected a Storage of type"):
        torch.tensor(x.storage(), dtype=torch.float64)
