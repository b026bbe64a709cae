"""Files of PyTorch before 1.6, and of Python 2: read, and written on demand."""

import functools
import io
import pickle
import struct

import pytest

import flambeau as torch

OLD_DATA = struct.pack("<q4f", 4, 1, 2, 3, 4)


def old_file(count=4, keys=("7",), data=OLD_DATA):
    persistent = (
        b"(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0" + b"7X\3\0\0\0cpuK%cNtQ" % count
    )
    tensor = b"\x80\2ctorch._utils\n_rebuild_tensor_v2\n(" + persistent
    tensor += b"K\0K\4\x85K\1\x85\x89}tR."
    head = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
    pickles = b"".join(pickle.dumps(value, 2) for value in head)
    return io.BytesIO(pickles + tensor + pickle.dumps(list(keys), 2) + data)


def test_old_files():
    assert torch.load(old_file()).tolist() == [1, 2, 3, 4]
    assert torch.load(old_file(), weights_only=False).tolist() == [1, 2, 3, 4]
    for wrong in (
        old_file(3),
        old_file(200),
        old_file(keys=["8"]),
        old_file(data=b"\4" + b"\0" * 7),
    ):
        with pytest.raises((RuntimeError, pickle.UnpicklingError)):
            torch.load(wrong)
    with pytest.raises(RuntimeError, match="magic"):
        torch.load(io.BytesIO(pickle.dumps(3)))


def test_files_of_before_0_4():
    file = old_file().getvalue().replace(b"_rebuild_tensor_v2", b"_rebuild_tensor")
    file = file.replace(b"K\1\x85\x89}tR.", b"K\1\x85tR.")
    for only in (True, False):
        assert torch.load(io.BytesIO(file), weights_only=only).tolist() == [1, 2, 3, 4]


def test_old_files_are_written_too():
    base = torch.arange(6.0)
    values = {
        "view": base[2:5],
        "whole": base,
        "bytes": torch.arange(3).to(torch.uint16),
        "coo": torch.eye(3).to_sparse(),
        "csr": torch.eye(3).to_sparse_csr(),
    }
    file = io.BytesIO()
    torch.save(values, file, _use_new_zipfile_serialization=False)
    assert file.getvalue()[:2] == b"\x80\2"
    for trust in (True, False):
        file.seek(0)
        got = torch.load(file, weights_only=not trust)
        got["whole"][3] = 100
        assert got["view"].tolist() == [2, 100, 4] and got["bytes"].dtype == torch.uint16
        assert torch.equal(got["coo"].to_dense(), torch.eye(3)) and got["coo"].is_coalesced()
        assert torch.equal(got["csr"].to_dense(), torch.eye(3))
    file = io.BytesIO()
    torch.save(torch.nn.Linear(2, 3), file, _use_new_zipfile_serialization=False)
    file.seek(0)
    assert torch.load(file, weights_only=False)(torch.ones(2)).shape == (3,)


def test_strings_of_python_2_are_decoded_or_left():
    """The old format as Python 2 wrote it: strings of bytes (opcode U) instead of text."""

    def old(*values):
        stream = b"".join(b"U" + bytes([len(v)]) + v for v in values)
        return b"\x80\x02(" + stream + b"l."  # a list of them

    def number(value):
        return pickle.dumps(value, 2)

    word = "zażółć".encode()
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    head = number(0x1950A86A20F9469CFC6C) + number(1001) + number(system)
    data = head + old(word) + number([])
    for weights_only in (True, False):
        load = functools.partial(torch.load, weights_only=weights_only)
        assert load(io.BytesIO(data)) == [word.decode()]
        assert load(io.BytesIO(data), encoding="latin1") == [word.decode("latin1")]
        assert load(io.BytesIO(data), encoding="bytes") == [word]
