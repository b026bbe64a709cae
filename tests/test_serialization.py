"""save and load: what goes in comes out, and what is wrong is an error that says so."""

import copy
import io
import os
import pickle
import random
import stat
import struct
import tarfile
import zipfile
from collections import Counter, OrderedDict, defaultdict

import numpy as np
import pytest

import flambeau as torch

DTYPES = (
    "bool uint8 int8 int16 int32 int64 uint16 uint32 uint64 float16 bfloat16 float32 float64 "
    "complex64 complex128"
).split()


def through(value, **arguments):
    file = io.BytesIO()
    torch.save(value, file, **arguments)
    file.seek(0)
    return torch.load(file)


def test_plain_values():
    values = {
        "numbers": [0, 1, 255, 256, 65536, -1, 1 << 31, -(1 << 40), 1 << 80, 2.5, 1j, True, None],
        "text": ["", "a", "ü" * 300],
        "bytes": [b"", b"\x00\xff" * 200, bytearray(b"x")],
        "containers": ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), {1, 2}, [[]], {3: {4: 5}}),
        "ordered": OrderedDict([("b", 1), ("a", 2)]),
        "counts": Counter("abca"),
        "long": list(range(3000)),
        "torch": [torch.Size([1, 2]), torch.device("cpu"), torch.float16, torch.int64],
    }
    for protocol in (2, 3, 4, 5):
        got = through(values, pickle_protocol=protocol)
        assert got == values
        assert [type(v) for v in got["torch"]] == [type(v) for v in values["torch"]]
        assert type(got["ordered"]) is OrderedDict and type(got["bytes"][2]) is bytearray


@pytest.mark.parametrize("name", DTYPES)
def test_dtypes(name):
    dtype = getattr(torch, name)
    tensor = torch.tensor([0, 1, 1, 0, 1]).to(dtype)
    got = through(tensor)
    assert got.dtype == dtype and got.tolist() == tensor.tolist()


def test_views_and_shared_storages():
    base = torch.arange(10.0)
    got = through(
        {"slice": base[2:5], "steps": base[::3], "all": base, "turned": base.view(2, 5).t()}
    )
    assert got["slice"].tolist() == [2, 3, 4] and got["steps"].stride() == (3,)
    assert got["turned"].stride() == (1, 5) and got["slice"].storage_offset() == 2
    got["all"][3] = 100
    assert got["slice"][1] == got["steps"][1] == got["turned"][3, 0] == 100
    twice = [base, base]
    got = through(twice)
    assert got[0] is got[1]


def test_shapes():
    for shape in ((), (0,), (3, 0, 2), (1, 1), (2, 3, 4, 5)):
        got = through(torch.ones(shape))
        assert got.shape == shape and got.sum() == torch.ones(shape).sum()
    expanded = through(torch.ones(3, 1).expand(3, 4))
    assert expanded.shape == (3, 4) and expanded.stride() == (1, 0)


def test_meta():
    got = through(torch.empty(2, 3, device="meta", dtype=torch.float16))
    assert got.device.type == "meta" and got.shape == (2, 3) and got.dtype == torch.float16


def test_parameters_and_attributes():
    parameter = torch.nn.Parameter(torch.ones(2))
    got = through(parameter)
    assert type(got) is torch.nn.Parameter and got.requires_grad
    parameter.note = "kept"
    assert through(parameter).note == "kept"
    frozen = through(torch.nn.Parameter(torch.ones(2), requires_grad=False))
    assert type(frozen) is torch.nn.Parameter and not frozen.requires_grad
    leaf = through(torch.ones(2, requires_grad=True))
    assert type(leaf) is torch.Tensor and leaf.requires_grad
    tensor = torch.ones(2)
    tensor.note = "kept"
    assert through(tensor).note == "kept"
    result = through(torch.ones(2, requires_grad=True) * 2)
    assert result.requires_grad and result.is_leaf


def test_state_dicts():
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.rand(5, 3)).sum().backward()
    optimizer.step()
    got = through({"model": model.state_dict(), "optimizer": optimizer.state_dict()})
    assert got["model"]._metadata == model.state_dict()._metadata
    twin = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    twin.load_state_dict(got["model"])
    again = torch.optim.Adam(twin.parameters())
    again.load_state_dict(got["optimizer"])
    for part, optimized in ((model, optimizer), (twin, again)):
        optimized.zero_grad()
        part(torch.ones(5, 3)).square().sum().backward()
        optimized.step()
    for a, b in zip(model.state_dict().values(), twin.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_whole_modules_need_trust():
    file = io.BytesIO()
    torch.save(torch.nn.Linear(2, 3), file)
    file.seek(0)
    refusal = "Weights only load failed.*GLOBAL torch.nn.modules.linear"
    with pytest.raises(pickle.UnpicklingError, match=refusal):
        torch.load(file)
    file.seek(0)
    got = torch.load(file, weights_only=False)
    assert type(got) is torch.nn.Linear and got(torch.ones(2)).shape == (3,)


@pytest.mark.parametrize("protocol", [2, 4])
def test_files_that_are_trusted(protocol):
    layer = torch.nn.TransformerEncoderLayer(4, 2, 8)
    optimizer = torch.optim.Adafactor(layer.parameters())
    values = [
        [layer, torch.nn.LSTM(2, 2), torch.nn.utils.spectral_norm(torch.nn.Linear(2, 2))],
        optimizer,
        [defaultdict(int, a=1), slice(1, 2), len, torch.relu, torch.Tensor.add],
        torch.max(torch.ones(1, 2), 1),
        torch.distributions.Normal(0.0, 1.0),
    ]
    file = io.BytesIO()
    torch.save(values, file, pickle_protocol=protocol)
    text = zipfile.ZipFile(file).read("archive/data.pkl")
    for module in (b"nn.modules.activation", b"nn.utils.spectral_norm", b"distributions.normal"):
        assert b"torch." + module in text
    got = torch.load(file, weights_only=False)
    assert [type(module) for module in got[0]] == [type(module) for module in values[0]]
    assert got[0][1](torch.ones(1, 1, 2))[0].shape == (1, 1, 2)
    assert got[2] == values[2] and got[3].indices.tolist() == [0]
    assert got[1].state_dict() == optimizer.state_dict() and got[4].mean == 0


def test_storages_and_types_over_one():
    tensor = torch.arange(4.0)
    got = through([tensor.storage(), tensor, tensor.view(torch.int32), torch.empty(0).storage()])
    assert type(got[0]) is torch.storage.TypedStorage and got[0].tolist() == [0, 1, 2, 3]
    assert got[2].dtype == torch.int32 and torch.equal(got[2], tensor.view(torch.int32))
    got[1][0] = 5
    assert got[0][0] == 5 and got[2][0] == tensor.new_tensor(5).view(torch.int32)
    odd = torch.arange(6).to(torch.uint8)[:4].view(torch.float32)  # on a storage of 6 bytes
    assert torch.equal(through(odd), odd)
    assert through(torch.arange(3).untyped_storage()).dtype == torch.uint8


def test_pickle_and_copy():
    base = torch.arange(6.0)
    for again in (
        lambda x: pickle.loads(pickle.dumps(x, 2)),
        lambda x: pickle.loads(pickle.dumps(x, 5)),
        copy.deepcopy,
    ):
        whole, part, turned = again([base, base[2:4], base.view(2, 3).t()])
        whole[2] = 9
        assert part.tolist() == [9, 3] and turned.stride() == (1, 3) and base[2] == 2
        assert again(torch.empty(2, 0)).shape == (2, 0)
        assert again(torch.empty(2, 3, device="meta")).device.type == "meta"
        for name in DTYPES:
            tensor = torch.tensor([0, 1]).to(getattr(torch, name))
            assert again(tensor).dtype == tensor.dtype and again(tensor).tolist() == tensor.tolist()
        leaf = torch.ones(2, requires_grad=True)
        leaf.note = [1]
        got = again(leaf)
        assert got.requires_grad and got.note == [1] and got.note is not leaf.note
        parameter = again(torch.nn.Parameter(torch.ones(2)))
        assert type(parameter) is torch.nn.Parameter and parameter.requires_grad
        model = again(torch.nn.Linear(2, 3))
        assert model(torch.ones(2)).shape == (3,)
    leaf.sum().backward()
    assert copy.deepcopy(leaf).grad.tolist() == [1, 1]
    with pytest.raises(RuntimeError, match="graph leaves"):
        copy.deepcopy(leaf * 2)


# -- the file --------------------------------------------------------------------------------------
def test_the_archive_is_a_sound_zip(tmp_path):
    path = tmp_path / "model.v1.pt"
    torch.save({"x": torch.arange(100), "y": torch.ones(3)}, path)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert names[0] == "model.v1/data.pkl" and "model.v1/data/1" in names
        assert archive.read("model.v1/version") == b"3\n"
        assert archive.read("model.v1/byteorder") == b"little"
        raw = path.read_bytes()
        for member in archive.infolist():
            lengths = struct.unpack_from("<2H", raw, member.header_offset + 26)
            assert (member.header_offset + 30 + sum(lengths)) % 64 == 0


def test_names_are_pytorchs():
    file = io.BytesIO()
    torch.save({"x": torch.nn.Parameter(torch.ones(2)), "d": torch.float32}, file)
    text = zipfile.ZipFile(file).read("archive/data.pkl")
    for name in (
        b"torch._utils\n_rebuild_tensor_v2\n",
        b"torch\nFloatStorage\n",
        b"torch\nfloat32\n",
    ):
        assert name in text
    assert b"flambeau" not in text


def test_paths(tmp_path):
    path = tmp_path / "x.pt"
    torch.save(1, str(path))
    os.chmod(path, 0o640)
    torch.save(2, path)
    assert torch.load(path) == torch.load(str(path)) == 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    link = tmp_path / "link.pt"
    link.symlink_to(path)
    torch.save(3, link)
    assert link.is_symlink() and torch.load(path) == 3
    with pytest.raises(RuntimeError, match="does not exist"):
        torch.save(1, tmp_path / "no" / "x.pt")
    with pytest.raises(FileNotFoundError):
        torch.load(tmp_path / "none.pt")
    with pytest.raises(IsADirectoryError):
        torch.load(tmp_path)


def test_a_failed_save_leaves_the_old_file(tmp_path):
    path = tmp_path / "x.pt"
    torch.save("old", path)
    with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
        torch.save([torch.ones(1000), lambda: 0], path)
    assert torch.load(path) == "old" and os.listdir(tmp_path) == ["x.pt"]


def test_files_and_wrong_files():
    class Plain:  # neither readinto nor anything else that is not needed
        def __init__(self, file):
            self.read, self.seek, self.tell = file.read, file.seek, file.tell

    file = io.BytesIO()
    torch.save(torch.ones(3), file)
    assert torch.load(Plain(file)).tolist() == [1, 1, 1]
    with pytest.raises(AttributeError):
        torch.save(1, 3)
    with pytest.raises(AttributeError):
        torch.load(3)
    with pytest.raises(ValueError, match="pickle_protocol"):
        torch.save(1, file, pickle_protocol=1)


def test_mmap(tmp_path):
    path = tmp_path / "x.pt"
    torch.save({"x": torch.arange(1000.0), "empty": torch.empty(0)}, path)
    got = torch.load(path, mmap=True)
    assert got["x"].sum() == 499500 and got["empty"].numel() == 0
    got["x"][0] = 7  # a private copy
    assert torch.load(path)["x"][0] == 0
    with pytest.raises(ValueError, match="file path"):
        torch.load(io.BytesIO(path.read_bytes()), mmap=True)


def test_map_location():
    file = io.BytesIO()
    torch.save(torch.ones(3), file)
    calls = []
    for place, kind in [
        ("cpu", "cpu"),
        ("meta", "meta"),
        (torch.device("cpu"), "cpu"),
        ({"cpu": "meta"}, "meta"),
        ({"cuda:0": "cpu"}, "cpu"),
        (lambda storage, location: calls.append(location), "cpu"),
        (lambda storage, location: storage, "cpu"),
    ]:
        file.seek(0)
        assert torch.load(file, map_location=place).device.type == kind
    assert calls == ["cpu"]
    with pytest.raises(TypeError):
        torch.load(file, map_location=3)
    with pytest.raises(RuntimeError, match="restore data at location"):
        torch.load(file, map_location="moon")


def test_files_from_cuda_say_what_to_do():
    file = io.BytesIO()
    make(
        file,
        PLAIN.replace(b"cpu", b"cuda:0").replace(b"X\3\0\0\0cuda", b"X\6\0\0\0cuda"),
        b"\0" * 16,
    )
    with pytest.raises(
        RuntimeError, match="Attempting to deserialize object on a CUDA device.*map_location"
    ):
        torch.load(file)
    assert torch.load(file, map_location="cpu").tolist() == [0, 0, 0, 0]


def test_options():
    serialization = torch.serialization
    serialization.set_crc32_options(False)
    try:
        assert not serialization.get_crc32_options()
        assert through(torch.ones(3)).tolist() == [1, 1, 1]
    finally:
        serialization.set_crc32_options(True)
    with serialization.skip_data():
        assert through(torch.ones(3)).shape == (3,)
    file = io.BytesIO()
    torch.save({"x": torch.ones(2)}, file)
    assert serialization.get_unsafe_globals_in_checkpoint(file) == []
    file = io.BytesIO()
    torch.save(Safe(), file, pickle_protocol=4)
    assert serialization.get_unsafe_globals_in_checkpoint(file) == [f"{__name__}.Safe"]


class Safe:
    def __init__(self):
        self.value = torch.ones(2)


def test_the_environment_may_say_what_is_trusted(monkeypatch):
    file = io.BytesIO()
    torch.save(slice(1, 2), file)

    def load(**arguments):
        file.seek(0)
        return torch.load(file, **arguments)

    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    assert load() == slice(1, 2)
    with pytest.raises(pickle.UnpicklingError):
        load(weights_only=True)
    monkeypatch.setenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "1")
    with pytest.raises(RuntimeError, match="Only one of"):
        load()
    monkeypatch.delenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD")
    with pytest.raises(pickle.UnpicklingError):
        load(weights_only=False)


def test_safe_globals():
    serialization = torch.serialization
    with pytest.raises(pickle.UnpicklingError, match="add_safe_globals"):
        through(Safe())
    with serialization.safe_globals([Safe]):
        assert serialization.get_safe_globals() == [Safe]
        assert through(Safe()).value.tolist() == [1, 1]
    serialization.add_safe_globals([Safe])
    try:
        assert through([Safe(), Safe()])[1].value.tolist() == [1, 1]
    finally:
        serialization.clear_safe_globals()
    assert serialization.get_safe_globals() == []
    with serialization.safe_globals([defaultdict, int]):  # protocol 2 calls it __builtin__.long
        assert through(defaultdict(int, a=1)) == {"a": 1}


def test_arrays_need_trust():
    file = io.BytesIO()
    torch.save(np.arange(3), file)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(file)
    assert torch.load(file, weights_only=False).tolist() == [0, 1, 2]


# -- hostile files ---------------------------------------------------------------------------------
def make(file, pickled, *storages, root="archive", compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr(f"{root}/data.pkl", pickled)
        for i, data in enumerate(storages):
            archive.writestr(f"{root}/data/{i}", data)
        archive.writestr(f"{root}/version", b"3\n")
    file.seek(0)
    return file


def load_pickle(pickled, *storages):
    return torch.load(make(io.BytesIO(), pickled, *storages))


# A tensor of 4 floats: the storage, then offset, size, stride, requires_grad, hooks.
STORAGE = b"((X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0" + b"0X\3\0\0\0cpuK\4tQ"
PLAIN = b"\x80\2ctorch._utils\n_rebuild_tensor_v2\n" + STORAGE + b"K\0K\4\x85K\1\x85\x89}tR."


def test_the_plain_file_is_good():
    assert load_pickle(PLAIN, struct.pack("<4f", 1, 2, 3, 4)).tolist() == [1, 2, 3, 4]


def changed(offset=b"K\0", size=b"K\4\x85", stride=b"K\1\x85", rest=b"\x89}"):
    return PLAIN[: PLAIN.index(b"K\0K\4")] + offset + size + stride + rest + b"tR."


@pytest.mark.parametrize(
    "pickled",
    [
        changed(offset=b"K\1"),
        changed(offset=b"J\xff\xff\xff\xff"),
        changed(size=b"K\5\x85"),
        changed(size=b"J\xff\xff\xff\xff\x85"),
        changed(stride=b"K\2\x85"),
        changed(stride=b"J\xff\xff\xff\xff\x85"),
        changed(size=b"\x8a\x08" + b"\xff" * 7 + b"\x7f\x85"),
        changed(stride=b"\x8a\x09" + b"\xff" * 8 + b"\x00\x85"),
        changed(size=b"K\2K\2\x86"),
        changed(size=b"\x88\x85"),
        changed(size=b"G" + struct.pack(">d", 4) + b"\x85"),
        changed(offset=b"N"),
        PLAIN.replace(b"cpuK\4", b"cpuK\5"),
        PLAIN.replace(b"cpuK\4", b"cpuK\0"),
        PLAIN.replace(b"cpuK\4", b"cpuJ\xff\xff\xff\xff"),
        PLAIN.replace(b"X\1\0\0\0" + b"0", b"X\1\0\0\0" + b"9"),
        PLAIN.replace(b"X\1\0\0\0" + b"0", b"X\x0a\0\0\0" + b"../version"),
        PLAIN.replace(b"FloatStorage", b"DoubleStorage"),
        PLAIN.replace(b"FloatStorage", b"float32"),
    ],
)
def test_tensors_that_do_not_fit(pickled):
    with pytest.raises((RuntimeError, pickle.UnpicklingError)) as caught:
        load_pickle(pickled, b"\0" * 16)
    assert str(caught.value)


def test_bools_are_0_or_1():
    pickled = PLAIN.replace(b"FloatStorage", b"BoolStorage")
    assert load_pickle(pickled, b"\0\1\1\0").tolist() == [False, True, True, False]
    with pytest.raises(RuntimeError, match="neither 0 nor 1"):
        load_pickle(pickled, b"\0\1\2\0")


RAN = []


def run_me():
    RAN.append(1)


@pytest.mark.parametrize(
    "pickled",
    [
        b"cos\nsystem\nX\4\0\0\0echo\x85R.",
        f"c{__name__}\nrun_me\n)R.".encode(),
        b"cbuiltins\neval\nX\1\0\0\0001\x85R.",
        b"cbuiltins\ngetattr\n.",
        b"ctorch.nn.modules.linear\nLinear\n)\x81.",
        b"ctorch\nload\n)R.",
        b"ctorch.serialization\nos.system\n.",
        b"ctorch._utils\n_rebuild_tensor_v2\n}b.",  # state into a function
        b"ctorch._utils\n_rebuild_tensor_v2\nX\x08\0\0\0__code__Ns.",
        b"ctorch\nTensor\n)R.",
        b"ctorch\nTensor\n)\x81.",
        b"ccollections\nOrderedDict\n)R}X\5\0\0\0itemsK\1sb.",  # would hide a method
        b"K\1)R.",
        b"]}b.",
        b"\x82\1.",  # extension registry
        b"ios\nsystem\n.",
        b"(cos\nsystem\no.",
        b"Pname\n.",
        b"X\1\0\0\0aQ.",
        b"K\1Q.",
        b"cbuiltins\nbytearray\n\x8a\6\0\0\0\0\0\x40\x85R.",  # memory for nothing
    ],
)
def test_pickles_run_nothing(pickled):
    with pytest.raises((pickle.UnpicklingError, RuntimeError)):
        load_pickle(b"\x80\2" + pickled)
    assert not RAN


@pytest.mark.parametrize(
    "pickled",
    [
        b"",
        b".",
        b"\x80",
        b"\x80\7N.",
        b"N",
        b"NN.",
        b"(N.",
        b"t.",
        b"\x85.",
        b"h\1.",
        b"q\0.",
        b"R.",
        b"b.",
        b"s.",
        b"}(K\1u.",
        b"](K\1u.",
        b"}]K\1s.",
        b"X\xff\xff\xff\x7fabc.",
        b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7fabc.",
        b"\x96\0\0\0\0\0\0\0\x40abc.",
        b"\x8b\xff\xff\xff\xff1.",
        b"X\1\0\0\0\xff.",
        b"cname",
        b"\xff.",
        b"K\1\x93.",
    ],
)
def test_pickles_that_are_none(pickled):
    with pytest.raises(pickle.UnpicklingError):
        load_pickle(pickled)


def test_huge_memo_and_depth():
    assert load_pickle(b"Nr\xff\xff\xff\xff.") is None  # takes no memory
    deep = b")" + b"\x85" * 300_000
    value, depth = load_pickle(deep + b"."), 0
    while value:
        value, depth = value[0], depth + 1
    assert depth == 300_000
    for pickled in (b"}" + deep + b"Ns.", b"\x8f(" + deep + b"\x90.", b"(" + deep + b"\x91."):
        with pytest.raises(pickle.UnpicklingError, match="too deep"):
            load_pickle(pickled)


def test_archives_that_are_none(tmp_path):
    file = io.BytesIO()
    torch.save({"x": torch.arange(1000)}, file)
    good = file.getvalue()
    with pytest.raises(EOFError):
        torch.load(io.BytesIO(b""))
    for data in (b"hello world" * 10, good[:2000], good[:-1], good[64:], b"PK\5\6" + b"\0" * 18):
        with pytest.raises((RuntimeError, pickle.UnpicklingError)):
            torch.load(io.BytesIO(data))
    with pytest.raises(RuntimeError, match="compressed"):
        torch.load(make(io.BytesIO(), PLAIN, b"\0" * 16, compression=zipfile.ZIP_DEFLATED))
    with pytest.raises(RuntimeError, match="no data.pkl"):
        torch.load(make(io.BytesIO(), PLAIN, root="a/b"))
    with pytest.warns(UserWarning, match="Duplicate name"):
        with zipfile.ZipFile(file := io.BytesIO(), "w") as archive:
            archive.writestr("a/data.pkl", b"N.")
            archive.writestr("a/data.pkl", b"N.")
    with pytest.raises(RuntimeError, match="same name"):
        torch.load(file)


@pytest.mark.parametrize("count", [1000, 1_000_000])
def test_damage_is_noticed(count):
    file = io.BytesIO()
    torch.save([torch.arange(count), torch.ones(3)], file)
    data = bytearray(file.getvalue())
    data[data.index(struct.pack("<2q", 500, 501))] ^= 1
    for trust in (False, True):
        with pytest.raises(RuntimeError, match="data/0.*has changed"):
            torch.load(io.BytesIO(data), weights_only=not trust)


def test_members_that_share_bytes():
    """One stretch of zeros listed as many storages: claims more than the file has."""
    file = make(io.BytesIO(), b"N.", b"\0" * 100_000)
    data = file.getvalue()
    start = struct.unpack_from("<I", data, len(data) - 6)[0]
    head, directory = data[:start], data[start:-22]
    at = directory.index(b"PK\1\2", 4)
    entry = directory[at : directory.index(b"PK\1\2", at + 4)]
    more = b"".join(entry.replace(b"data/0", b"data/%d" % i) for i in range(1, 10))
    directory += more
    tail = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 12, 12, len(directory), len(head), 0)
    with pytest.raises(RuntimeError, match="more bytes than it has|cannot read"):
        torch.load(io.BytesIO(head + directory + tail))


def test_random_damage_never_crashes():
    file = io.BytesIO()
    state = {"w": torch.ones(3, 2), "v": torch.arange(4), "n": [1, "a", None, {2.5: (3,)}]}
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(state, file)
    finally:
        torch.serialization.set_crc32_options(True)
    good, draw = file.getvalue(), random.Random(0)
    length = good.index(b"format_version")
    for _ in range(1500):
        data = bytearray(good)
        for _ in range(draw.randint(1, 4)):
            at = draw.randrange(length if draw.random() < 0.8 else len(data))
            data[at] = draw.randrange(256)
        try:
            torch.load(io.BytesIO(data))
        except (RuntimeError, pickle.UnpicklingError, EOFError):
            pass


def test_archives_of_other_sorts():
    with zipfile.ZipFile(file := io.BytesIO(), "w") as archive:
        archive.writestr("m/data.pkl", b"N.")
        archive.writestr("m/constants.pkl", b"N.")
    with pytest.raises(RuntimeError, match="TorchScript"):
        torch.load(file)
    with tarfile.open(fileobj=(file := io.BytesIO()), mode="w") as archive:
        archive.addfile(tarfile.TarInfo("sys_info"))
    with pytest.raises(RuntimeError, match="tar file"):
        torch.load(file)


def test_members_by_name(tmp_path):
    torch.save({"w": torch.arange(4.0)}, tmp_path / "c.pt")
    reader = torch.PyTorchFileReader(str(tmp_path / "c.pt"))
    assert {"data.pkl", "data/0", "version"} <= set(reader.get_all_records())
    assert reader.has_record("data/0") and not reader.has_record("data/1")
    assert reader.get_storage_from_record("data/0", 4, torch.float32).tolist() == [0, 1, 2, 3]
    assert reader.version() >= 3


def test_checkpoints_follow_each_other_in_a_file():
    a, b = torch.randn(3), torch.randn(2)
    file = io.BytesIO()
    pickle.dump(41, file)
    torch.save(a, file, _use_new_zipfile_serialization=False)
    pickle.dump(43, file)
    torch.save(b, file)
    file.seek(0)
    assert pickle.load(file) == 41
    assert torch.equal(torch.load(file), a)
    assert pickle.load(file) == 43
    assert torch.equal(torch.load(file), b)


def test_what_is_saved_is_written_through(tmp_path):
    path = tmp_path / "x.pt"
    with open(path, "wb") as file:
        torch.save(torch.ones(3), file)
        assert torch.equal(torch.load(path), torch.ones(3))


def test_storages_of_two_dtypes_over_the_same_bytes():
    x = torch.ones(3)
    other = torch.TypedStorage(wrap_storage=x.untyped_storage(), dtype=torch.uint8)
    with pytest.raises(RuntimeError, match="view the same data as different types"):
        torch.save([x, other], io.BytesIO())
