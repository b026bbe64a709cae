"""MNIST's files, the embedded digits, grids and pictures."""

import gzip
import hashlib
import io
import struct
import sys
import zlib

import numpy as np
import pytest

import flambeau as torch
from flambeau.utils.data import DataLoader, Subset
from flambeau.vision import datasets, transforms, utils


def idx(array):
    head = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(np.uint8).tobytes()


def write_mnist(folder, zipped, count=5):
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for split in ("train", "t10k"):
        for name, array in (
            (f"{split}-images-idx3-ubyte", rng.integers(0, 256, (count, 28, 28))),
            (f"{split}-labels-idx1-ubyte", rng.integers(0, 10, count)),
        ):
            data = idx(array)
            if zipped:
                (folder / f"{name}.gz").write_bytes(gzip.compress(data))
            else:
                (folder / name).write_bytes(data)


# -- datasets --------------------------------------------------------------------------------------
@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("kind", [datasets.MNIST, datasets.FashionMNIST, datasets.KMNIST])
def test_mnist_files(tmp_path, kind, zipped, nested):
    write_mnist(tmp_path / kind.__name__ / "raw" if nested else tmp_path, zipped)
    train, test = kind(tmp_path), kind(str(tmp_path), train=False, download=True)
    assert len(train) == 5 and train.data.shape == (5, 28, 28) and train.data.dtype == torch.uint8
    assert train.targets.dtype == torch.int64 and not torch.equal(train.data, test.data)
    image, label = train[1]
    assert np.array_equal(np.asarray(image), train.data[1].numpy())
    assert label == train.targets[1] and type(label) is int
    assert len(kind.classes) == 10 and train.class_to_idx[kind.classes[3]] == 3
    lines = repr(train).splitlines()
    assert lines[0] == f"Dataset {kind.__name__}" and "    Number of datapoints: 5" in lines
    assert lines[-1] == "    Split: Train"


def test_emnist(tmp_path):
    images, labels = np.zeros((3, 28, 28)), np.array([1, 2, 26])
    for name, array in (("images-idx3", images), ("labels-idx1", labels)):
        path = tmp_path / f"emnist-letters-test-{name}-ubyte.gz"
        path.write_bytes(gzip.compress(idx(array)))
    letters = datasets.EMNIST(tmp_path, "letters", train=False)
    assert letters.targets.tolist() == [1, 2, 26] and letters.classes[26] == "z"
    assert len(datasets.EMNIST.classes_split_dict["balanced"]) == 47
    with pytest.raises(ValueError, match="split"):
        datasets.EMNIST(tmp_path, "numbers")


def test_missing_files(tmp_path):
    with pytest.raises(RuntimeError, match="Dataset not found.*train-images.*download=True"):
        datasets.MNIST(tmp_path)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0\0\x08",
        struct.pack(">HBB3I", 1, 8, 3, 5, 28, 28) + b"\0" * 3920,
        struct.pack(">HBB3I", 0, 13, 3, 5, 28, 28) + b"\0" * 3920,
        struct.pack(">HBB3I", 0, 8, 3, 5, 28, 28) + b"\0" * 3919,
        struct.pack(">HBB3I", 0, 8, 3, 5, 28, 28) + b"\0" * 3921,
        struct.pack(">HBB3I", 0, 8, 3, *[(1 << 32) - 1] * 3) + b"\0" * 100,
        struct.pack(">HBB3I", 0, 8, 3, 4, 28, 28) + b"\0" * 3136,
        struct.pack(">HBBI", 0, 8, 1, 5) + b"\0" * 5,
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_damaged_files(tmp_path, data, zipped):
    write_mnist(tmp_path, zipped)
    name = "train-images-idx3-ubyte"
    if zipped:
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(data))
    else:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(RuntimeError, match=name):
        datasets.MNIST(tmp_path)


def test_damaged_gzip(tmp_path):
    write_mnist(tmp_path, True)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    good = path.read_bytes()
    for data in (good[:-20], b"junk" * 100, good[:500] + b"\0" * 100 + good[600:]):
        path.write_bytes(data)
        with pytest.raises(RuntimeError, match="not a whole idx file"):
            datasets.MNIST(tmp_path)


def test_download(tmp_path, monkeypatch):
    write_mnist(tmp_path / "source", True)

    class Served(datasets.MNIST):
        mirrors = [(tmp_path / "nothing").as_uri() + "/", (tmp_path / "source").as_uri() + "/"]
        resources = [
            (path.name, hashlib.md5(path.read_bytes()).hexdigest())
            for path in sorted((tmp_path / "source").iterdir())
        ]

    root = tmp_path / "root"
    assert len(Served(root, download=True)) == 5
    assert (root / "Served/raw/train-images-idx3-ubyte.gz").is_file()
    monkeypatch.setattr(Served, "mirrors", [])
    assert len(Served(root, download=True)) == 5  # nothing is fetched again

    class Altered(Served):
        mirrors = [(tmp_path / "source").as_uri() + "/"]
        resources = [(name, "0" * 32) for name, _ in Served.resources]

    with pytest.raises(RuntimeError, match="invalid hash value .md5"):
        Altered(root, download=True)
    assert not any((root / "Altered/raw").iterdir())


def test_embedded_digits():
    train, test = datasets.MNISTSample(), datasets.MNISTSample(train=False)
    assert len(train) == 4000 and len(test) == 1000
    for part in (train, test):
        assert part.targets.bincount().tolist() == [len(part) // 10] * 10
    rows = {row.tobytes() for row in train.data.numpy()}
    assert not any(row.tobytes() in rows for row in test.data.numpy())
    assert zlib.crc32(train.data.numpy().tobytes()) == 0x0D28C989
    assert datasets.MNISTSample(train=False, transform=transforms.ToTensor())[3][0].max() == 1


def test_whole_batches_are_what_items_give():
    prepare = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))]
    )
    fast = datasets.MNISTSample(train=False, transform=prepare)
    slow = datasets.MNISTSample(train=False, transform=lambda image: prepare(image))
    for one, other in ((fast, slow), (Subset(fast, range(3, 99)), Subset(slow, range(3, 99)))):
        for (a, b), (c, d), _ in zip(DataLoader(one, 16), DataLoader(other, 16), range(3)):
            assert torch.equal(a, c) and torch.equal(b, d) and a.shape == (16, 1, 28, 28)
    doubled = datasets.MNISTSample(transform=prepare, target_transform=lambda label: 2 * label)
    assert (next(iter(DataLoader(doubled, 10)))[1] % 2 == 0).all()


def test_without_pillow(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    dataset = datasets.MNISTSample(transform=transforms.ToTensor())
    assert type(datasets.MNISTSample()[0][0]) is np.ndarray
    assert torch.equal(dataset[0][0], dataset.data[:1].float() / 255)


# -- grids and pictures ----------------------------------------------------------------------------
def test_make_grid():
    images = torch.arange(5 * 3 * 2 * 2).reshape(5, 3, 2, 2).float()
    grid = utils.make_grid(images, nrow=3, padding=1, pad_value=-1)
    assert grid.shape == (3, 7, 10)
    assert torch.equal(grid[:, 1:3, 4:6], images[1]) and torch.equal(grid[:, 4:6, 1:3], images[3])
    assert (grid[:, 0] == -1).all() and (grid[:, 4:, 7:] == -1).all()
    assert torch.equal(utils.make_grid(list(images), nrow=3, padding=1, pad_value=-1), grid)
    assert utils.make_grid(torch.ones(2, 2)).shape == (3, 2, 2)
    assert utils.make_grid(torch.ones(4, 1, 2, 2), padding=0).shape == (3, 2, 8)


def test_make_grid_normalizes():
    images = torch.tensor([[0.0, 4.0], [2.0, 3.0]]).view(2, 1, 1, 2)
    grid = utils.make_grid(images, padding=0, normalize=True)
    assert grid[0, 0].tolist() == [0, 1, 0.5, 0.75]
    each = utils.make_grid(images, padding=0, normalize=True, scale_each=True)
    assert each[0, 0].tolist() == [0, 1, 0, 1]
    fixed = utils.make_grid(images, padding=0, normalize=True, value_range=(0, 2))
    assert fixed[0, 0].tolist() == [0, 1, 1, 1]
    assert images.max() == 4
    with pytest.raises(TypeError):
        utils.make_grid("images")
    with pytest.raises(TypeError):
        utils.make_grid(images, normalize=True, value_range=[0, 1])


def read_png(data):
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, chunks = 8, {}
    while at < len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + size]
        assert struct.unpack_from(">I", data, at + 8 + size)[0] == zlib.crc32(name + body)
        chunks[name] = chunks.get(name, b"") + body
        at += 12 + size
    width, height, depth, kind = struct.unpack_from(">2I2B", chunks[b"IHDR"])
    channels = {0: 1, 2: 3}[kind]
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, -1)
    assert depth == 8 and not rows[:, 0].any()
    return rows[:, 1:].reshape(height, width, channels)


def test_save_image(tmp_path, monkeypatch):
    image = torch.tensor([-1.0, 0.0, 0.25, 0.5, 1.0, 2.0]).view(1, 1, 2, 3).expand(1, 3, 2, 3)
    expected = [[[v] * 3 for v in row] for row in ([0, 0, 64], [128, 255, 255])]
    monkeypatch.setitem(sys.modules, "PIL", None)
    utils.save_image(image, tmp_path / "x.png")
    assert read_png((tmp_path / "x.png").read_bytes()).tolist() == expected
    file = io.BytesIO()
    utils.save_image(image, file, format="png")
    assert file.getvalue() == (tmp_path / "x.png").read_bytes()
    with pytest.raises(ValueError, match="only PNG"):
        utils.save_image(image, tmp_path / "x.jpg")
    monkeypatch.undo()
    image_module = pytest.importorskip("PIL.Image")
    assert np.asarray(image_module.open(tmp_path / "x.png")).tolist() == expected
    utils.save_image(image, tmp_path / "y.png")
    assert np.asarray(image_module.open(tmp_path / "y.png")).tolist() == expected
