"""Parts of storages in old checkpoints; deep copies of classes around a tensor."""

import copy
import io
import pickle
import struct

import numpy as np
import pytest

import flambeau as torch


def test_parts_of_storages_in_old_checkpoints():
    def text(s):
        return b"X" + struct.pack("<I", len(s)) + s

    def part(key, start, size):
        view = text(key) + b"K" + bytes([start]) + b"K" + bytes([size]) + b"\x87"
        return (
            b"("
            + text(b"storage")
            + b"ctorch\nFloatStorage\n"
            + text(b"k")
            + text(b"cpu")
            + (b"K\x02" + view + b"tQ")
        )

    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    head = b"".join(pickle.dumps(v, 2) for v in (0x1950A86A20F9469CFC6C, 1001, system))
    body = pickle.dumps(["k"], 2) + struct.pack("<qff", 2, 3.0, 4.0)
    data = head + b"\x80\x02(" + part(b"a", 0, 1) + part(b"b", 1, 1) + b"l." + body
    a, b = torch.load(io.BytesIO(data))
    assert (a[0], b[0], len(b)) == (3.0, 4.0, 1)
    assert a.data_ptr() + 4 == b.data_ptr()
    beyond = head + b"\x80\x02(" + part(b"a", 1, 2) + b"l." + body
    with pytest.raises(RuntimeError, match="beyond its storage"):
        torch.load(io.BytesIO(beyond))


class Around(torch.Tensor):
    """Holds its elements in an attribute."""

    @staticmethod
    def __new__(cls, inner):
        made = torch.Tensor._make_subclass(cls, inner.to("meta"), inner.requires_grad)
        made.inner = inner
        return made

    def clone(self):
        return type(self)(self.inner.clone())


def test_deep_copies_of_classes_around_a_tensor():
    x = Around(torch.ones(2))
    x.note = "kept"
    y = copy.deepcopy(x)
    assert type(y) is Around and y.note == "kept"
    assert torch.equal(y.inner, x.inner) and y.inner is not x.inner


SMALL = ["bool", "uint8", "int8", "int16", "int32"]


@pytest.mark.parametrize("source", SMALL)
@pytest.mark.parametrize("target", [*SMALL, "int64", "float32", "bfloat16", "float64"])
def test_conversions_of_small_integers(source, target):
    source, target = getattr(torch, source), getattr(torch, target)
    values = [0, 1, 2, 100, 127, 128, 255, 256, 300, 32767, -1, -128, -129, -32768] * 5
    numbers = torch.tensor(values).to(source)
    held = numbers.tolist()
    wanted = torch.tensor(held, dtype=torch.int64).to(target)
    assert torch.equal(numbers.to(target), wanted)
    wide = numbers.reshape(10, 7)
    assert torch.equal(wide.T.to(target), wanted.reshape(10, 7).T)
    assert torch.equal(wide[:, ::2].to(target), wanted.reshape(10, 7)[:, ::2])


@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "int16", "bfloat16", "int32", "int64", "float64", "complex128"]
)
@pytest.mark.parametrize("shape", [(8, 8), (9, 23), (40, 64), (33, 70)])
def test_turned_copies(dtype, shape):
    n = shape[0] * shape[1]
    x = (torch.arange(n) * 7 % 251 % 127).reshape(shape).to(getattr(torch, dtype))
    y = x.T.contiguous()
    assert y.is_contiguous() and y.tolist() == [list(row) for row in zip(*x.tolist(), strict=True)]


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int64"])
def test_clamped_integers(dtype):
    x = torch.arange(0, 120, dtype=getattr(torch, dtype)).repeat(3)
    assert x.clamp(10, 50).tolist() == [min(max(v, 10), 50) for v in x.tolist()]
    assert x.clamp_(10, 50).tolist() == [min(max(v, 10), 50) for v in list(range(120)) * 3]


def test_repeats_lie_in_plain_order():
    x = torch.arange(24).view(2, 3, 4).permute(2, 0, 1)
    for counts in ((1, 1, 1), (5, 1, 1, 1), (2, 1, 3)):
        y = x.repeat(*counts)
        assert y.is_contiguous() and (y.numpy() == np.tile(x.numpy(), counts)).all()
