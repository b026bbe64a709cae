"""Checkpoints made to harm: each is a Python exception, soon, and takes little memory."""

import io
import pickle
import random
import struct
import zipfile

import pytest

import flambeau as torch

ERRORS = (RuntimeError, pickle.UnpicklingError, EOFError)


def good_file(**arguments):
    state = {
        "w": torch.ones(3, 2),
        "v": torch.arange(40)[3:9],
        "flags": torch.tensor([True, False]),
        "half": torch.ones(2).to(torch.bfloat16),
        "p": torch.nn.Parameter(torch.zeros(2)),
        "coo": torch.eye(2).to_sparse(),
        "plain": [1, "a", None, {2.5: (3,)}, {1, 2}, b"bytes", 1 << 70, torch.Size([2]), 1j],
    }
    file = io.BytesIO()
    torch.save(state, file, **arguments)
    return file.getvalue()


def members(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(contents, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(file := io.BytesIO(), "w", compression) as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return file.getvalue()


def directory_at(data):
    return struct.unpack_from("<I", data, len(data) - 6)[0]


def patched(data, at, layout, *values):
    data = bytearray(data)
    struct.pack_into(layout, data, at, *values)
    return bytes(data)


def in_entry(data, field, layout, value, which=0):
    """The file with one field of one entry of its directory changed."""
    at = directory_at(data)
    for _ in range(which):
        at = data.index(b"PK\1\2", at + 4)
    return patched(data, at + field, layout, value)


def archives():
    good = good_file()
    parts = members(good)
    root = "archive"
    yield "byteorder of nonsense", packed({**parts, f"{root}/byteorder": b"middle"})
    yield "byteorder of megabytes", packed({**parts, f"{root}/byteorder": b"l" * 1_000_000})
    yield "big-endian lies", packed({f"{root}/data.pkl": b"N.", f"{root}/byteorder": b"BIG"})
    yield "two roots", packed({**parts, "other/data.pkl": b"N."})
    yield "root above", packed({"../data.pkl": b"N.", "../../data.pkl": b"N."})
    yield "no pickle", packed({k: v for k, v in parts.items() if "pkl" not in k})
    yield "a storage too few", packed({k: v for k, v in parts.items() if not k.endswith("data/1")})
    yield "short storage", packed({**parts, f"{root}/data/0": b"\0" * 3})
    yield "long storage", packed({**parts, f"{root}/data/0": b"\0" * 4000})
    yield "flags of 7", packed({**parts, f"{root}/data/2": b"\7\7"})
    yield "bomb", packed({**parts, f"{root}/data/0": b"\0" * 50_000_000}, zipfile.ZIP_DEFLATED)
    yield "bomb for a pickle", packed({"a/data.pkl": b"(" * 50_000_000}, zipfile.ZIP_DEFLATED)
    yield "TorchScript", packed({**parts, f"{root}/constants.pkl": b"N."})
    yield "empty archive", packed({})
    yield "only a head", good[:40]
    yield "half", good[: len(good) // 2]
    yield "without its end", good[:-22]
    yield "without its first byte", good[1:]
    yield "size of 2**32-2", in_entry(good, 24, "<I", 2**32 - 2)
    yield "size of storages swapped", in_entry(good, 24, "<I", 0, which=4)
    yield "place beyond the end", in_entry(good, 42, "<I", 2**31)
    yield "place within another", in_entry(good, 42, "<I", 7)
    yield "encrypted", in_entry(good, 8, "<H", 1)
    yield "method 99", in_entry(good, 10, "<H", 99)
    yield "name of 65,535", in_entry(good, 28, "<H", 65535)
    yield "directory at 0", patched(good, len(good) - 6, "<I", 0)
    yield "directory beyond the end", patched(good, len(good) - 6, "<I", 2**32 - 2)
    yield "not even an archive", b"PK\3\4" + bytes(100)


@pytest.mark.parametrize("data", [pytest.param(d, id=n.replace(" ", "-")) for n, d in archives()])
@pytest.mark.parametrize("trust", [False, True])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_archives(data, trust, tmp_path):
    with pytest.raises(ERRORS):
        torch.load(io.BytesIO(data), weights_only=not trust)
    (tmp_path / "x.pt").write_bytes(data)
    with pytest.raises(ERRORS):
        torch.load(tmp_path / "x.pt", mmap=True, weights_only=not trust)


def text(value):
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


STORAGE = b"((" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + b"K\4tQ"
TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n" + STORAGE + b"K\0K\4\x85K\1\x85\x89}tR"

PICKLES = {
    "os.system": b"cposix\nsystem\n" + text("echo") + b"\x85R.",
    "subprocess by 4": b"\x8c\nsubprocess\x8c\5Popen\x93" + text("id") + b"\x85R.",
    "eval": b"c__builtin__\neval\n" + text("1") + b"\x85R.",
    "getattr of a tensor": b"c__builtin__\ngetattr\n" + TENSOR + text("__class__") + b"\x86R.",
    "dunder path": b"ctorch\n_utils.__builtins__\n.",
    "module for a class": b"ctorch\nserialization\n)R.",
    "INST": b"(" + text("id") + b"iposix\nsystem\n.",
    "OBJ": b"(cposix\nsystem\n" + text("id") + b"o.",
    "EXT4": b"\x84\1\0\0\0.",
    "persistent number": b"K\1Q.",
    "persistent of 2": b"(" + text("storage") + b"K\1tQ.",
    "persistent module": b"(" + text("module") + b"cposix\nsystem\ntQ)R.",
    "persistent list for a key": (
        b"(" + text("storage") + b"ctorch\nFloatStorage\n]" + text("cpu") + b"K\4tQ."
    ),
    "persistent of a path": (
        b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("../../etc/passwd")
        + text("cpu") + b"K\4tQ."
    ),
    "a tensor's storage type": STORAGE[1:-1].replace(b"FloatStorage", b"Tensor") + b"Q.",
    "location of a kind": STORAGE[1:].replace(b"cpu", b"gpu") + b".",
    "offset of 2**62": TENSOR.replace(b"K\0K\4", b"\x8a\x08" + b"\0" * 7 + b"\x40K\4") + b".",
    "size of 2**40": TENSOR.replace(b"K\4\x85K\1", b"\x8a\x06\0\0\0\0\0\1\x85K\1") + b".",
    "sizes whose product wraps": TENSOR.replace(
        b"K\4\x85K\1\x85", b"\x8a\x05\0\0\0\0\1\x8a\x05\0\0\0\0\1\x86K\0K\0\x86"
    ) + b".",
    "65 dimensions": TENSOR.replace(
        b"K\4\x85K\1\x85", b"(" + b"K\1" * 65 + b"t(" + b"K\1" * 65 + b"t"
    ) + b".",
    "stride of -1": TENSOR.replace(b"K\1\x85\x89", b"J\xff\xff\xff\xff\x85\x89") + b".",
    "size of a string": TENSOR.replace(b"K\4\x85K\1", text("aaaa") + b"K\1") + b".",
    "itself for a size": b"]q\0" + TENSOR.replace(b"K\4\x85K\1\x85", b"h\0h\0") + b".",
    "sparse beyond its size": (
        b"ctorch._utils\n_rebuild_sparse_tensor\n(ctorch.serialization\n_get_layout\n"
        + text("torch.sparse_coo") + b"\x85R(" + TENSOR + TENSOR + b"K\1\x85ttR."
    ),
    "layout of nothing": b"ctorch.serialization\n_get_layout\n" + text("torch.load") + b"\x85R.",
    "device of megabytes": b"ctorch\ndevice\n" + text("cpu" * 1_000_000) + b"\x85R.",
    "bytearray of 2**60": b"c__builtin__\nbytearray\n\x8a\x08\0\0\0\0\0\0\0\x10\x85R.",
    "BUILD on a list": b"](" + text("a") + b"K\1db.",
    "BUILD on a tensor": TENSOR + b"}" + text("data") + b"K\1sb.",
    "BUILD hides items": b"ccollections\nOrderedDict\n)R}" + text("items") + b"K\1sb.",
    "Counter of a list": b"ccollections\nCounter\n]]a\x85R.",
    "unhashable key": b"}]]s.",
    "memo that is not there": b"j\xff\xff\xff\x7f.",
    "a name without end": b"c" + b"a" * 10_000,
    "text of 2 GB": b"X\xff\xff\xff\x7fa.",
    "deep keys": b"}" + b")" + b"\x85" * 100_000 + b"Ns.",
    "POP of nothing": b"0.",
    "marks only": b"(" * 100_000 + b".",
    "nothing": b"",
}  # fmt: skip


@pytest.mark.parametrize("name", PICKLES)
def test_pickles(name):
    data = packed({"a/data.pkl": b"\x80\2" + PICKLES[name], "a/data/0": b"\0" * 16})
    with pytest.raises(ERRORS) as caught:
        torch.load(io.BytesIO(data))
    assert len(str(caught.value)) < 2000


def test_memo_bombs_stay_small():
    """Ten levels of ten references are ten lists, not ten billion."""
    pickled = b"\x80\2]q\0" + b"".join(
        b"](" + b"h%c" % i * 10 + b"eq%c" % (i + 1) for i in range(10)
    )
    got = torch.load(io.BytesIO(packed({"a/data.pkl": pickled + b"\x86" * 9 + b"\x86."})))
    assert isinstance(got, tuple)
    cycle = torch.load(io.BytesIO(packed({"a/data.pkl": b"\x80\2]q\0h\0a."})))
    assert cycle[0] is cycle


@pytest.mark.parametrize("as_zip", [True, False])
def test_damage_at_random(as_zip):
    """Bytes changed, cut out, doubled and swapped, from a fixed seed."""
    torch.serialization.set_crc32_options(False)
    try:
        good = good_file(_use_new_zipfile_serialization=as_zip)
    finally:
        torch.serialization.set_crc32_options(True)
    draw, loaded = random.Random(7), 0
    length = good.index(b"format_version") if as_zip else len(good)
    for _ in range(1500):
        data = bytearray(good)
        for _ in range(draw.randint(1, 3)):
            end = length if draw.random() < 0.7 else len(data)
            at = draw.randrange(min(end, len(data)))
            size = draw.randint(1, 8)
            how = draw.randrange(5)
            if how < 2:
                data[at] = draw.randrange(256)
            elif how == 2:
                del data[at : at + size]
            elif how == 3:
                data[at:at] = data[at : at + size]
            else:
                data[at : at + size] = draw.choice([b"\xff", b"\0", b"\x7f"]) * size
        try:
            torch.load(io.BytesIO(data))
            loaded += 1
        except ERRORS:
            pass
    assert loaded < 1500


def test_a_pickle_module_reads_all_of_a_file():
    file = io.BytesIO()
    torch.save({"x": torch.ones(1), "of": pickle.Pickler}, file)
    file.seek(0)
    assert torch.load(file, pickle_module=pickle)["of"] is pickle.Pickler
    with pytest.raises(RuntimeError, match="explicit pickle_module"):
        torch.load(file, pickle_module=pickle, weights_only=True)
