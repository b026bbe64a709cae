"""MNIST and its relatives, read from idx files; and a sample that travels with the package."""

import os
import struct

import flambeau
from flambeau import _download

from .vision import VisionDataset

__all__ = ["EMNIST", "KMNIST", "MNIST", "QMNIST", "FashionMNIST", "MNISTSample"]

_DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
_UINT8 = 8  # idx's code for the element type


class MNIST(VisionDataset):
    """Handwritten digits: 60,000 to train on and 10,000 to test, 28x28 pixels of grey.

    The idx files, plain or `.gz`, lie in `root/MNIST/raw`, where `download=True` puts them, or in
    `root` itself. Samples are `(image, label)`; the image is a PIL image, or a [28, 28] uint8
    array where Pillow is not installed, and goes through `transform` first.
    """

    mirrors = [
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "http://yann.lecun.com/exdb/mnist/",
    ]
    resources = [
        ("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        ("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
        ("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
        ("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
    ]
    classes = [f"{i} - {name}" for i, name in enumerate(_DIGITS)]

    def __init__(self, root, train=True, transform=None, target_transform=None, download=False):
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.train = train
        if download:
            self.download()
        self.data, self.targets = self._load_data()

    def _files(self):
        """The names of the files with images and labels, without `.gz`."""
        split = "train" if self.train else "t10k"
        return f"{split}-images-idx3-ubyte", f"{split}-labels-idx1-ubyte"

    def _find(self, name):
        for folder in (self.raw_folder, self.root):
            for ending in ("", ".gz"):
                path = os.path.join(folder, name + ending)
                if os.path.isfile(path):
                    return path
        return None

    def _check_exists(self):
        return all(self._find(name) for name in self._files())

    def _load_data(self):
        paths = [self._find(name) for name in self._files()]
        if None in paths:
            missing = self._files()[paths.index(None)]
            raise RuntimeError(
                f"Dataset not found. {type(self).__name__}: there is no {missing}[.gz] in "
                f"{self.raw_folder} or {self.root}. You can use download=True to download it"
            )
        images, labels = map(read_idx, paths)
        return _checked(images, labels, paths[0])

    def download(self):
        """Fetches the files from the mirrors and checks their sums, unless they are there."""
        if self._check_exists():
            return
        for name, md5 in self.resources:
            if self._find(name.removesuffix(".gz")) is None:
                sources = [mirror + name for mirror in self.mirrors]
                _download.fetch(sources, os.path.join(self.raw_folder, name), md5)

    @property
    def raw_folder(self):
        return os.path.join(self.root, type(self).__name__, "raw")

    @property
    def processed_folder(self):
        return os.path.join(self.root, type(self).__name__, "processed")

    @property
    def class_to_idx(self):
        return {name: i for i, name in enumerate(self.classes)}

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        image, target = _as_image(self.data[index]), int(self.targets[index])
        return self._transformed(image, target)

    def _batch_fetcher(self):
        """Whole batches at once, where the transform is one that sees no single image."""
        transform = getattr(self.transform, "_on_batch", None)
        if transform is None or self.target_transform is not None:
            return None
        if transform(self.data[:1].unsqueeze(1)) is None:
            return None
        data, targets = self.data, self.targets
        return lambda indices: [
            transform(data.index_select(0, indices).unsqueeze(1)),
            targets.index_select(0, indices),
        ]

    def extra_repr(self):
        return f"Split: {'Train' if self.train is True else 'Test'}"


class MNISTSample(MNIST):
    """5,000 digits of MNIST's training set that travel with the package, 500 of each class.

    4,000 are to train on, and of each class every fifth is held back to test with.

    >>> from flambeau.vision import datasets
    >>> held_back = datasets.MNISTSample(train=False)
    >>> len(held_back), held_back.targets[:10].tolist()
    (1000, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    """

    def __init__(self, train=True, transform=None, target_transform=None):
        folder = os.path.dirname(os.path.abspath(__file__))
        super().__init__(folder, train, transform, target_transform)

    def _load_data(self):
        images, labels = read_idx(os.path.join(self.root, "digits.gz"), arrays=2)
        held_back = flambeau.arange(len(labels)) // 10 % 5 == 4
        wanted = ~held_back if self.train else held_back
        return images[wanted], labels[wanted].to(flambeau.int64)

    def download(self):
        """There is nothing to fetch."""


class FashionMNIST(MNIST):
    """Zalando's articles of clothing, in MNIST's format."""

    mirrors = ["http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"]
    resources = [
        ("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        ("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
        ("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
        ("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
    ]
    classes = "T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot".split(
        ","
    )


class KMNIST(MNIST):
    """Kuzushiji characters, in MNIST's format."""

    mirrors = ["http://codh.rois.ac.jp/kmnist/dataset/kmnist/"]
    resources = [
        ("train-images-idx3-ubyte.gz", "bdb82020997e1d708af4cf47b453dcf7"),
        ("train-labels-idx1-ubyte.gz", "e144d726b3acfaa3e44228e80efcd344"),
        ("t10k-images-idx3-ubyte.gz", "5c965bf0a639b31b8f53240b1b52f4d7"),
        ("t10k-labels-idx1-ubyte.gz", "7320c461ea6c1c855c0b718fb2a4b134"),
    ]
    classes = ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"]


class EMNIST(MNIST):
    """Letters and digits of NIST's Special Database 19: six splits, in MNIST's format.

    The images lie on their side, as in the files.
    """

    url = "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip"
    md5 = "58c8d27c78d21e728a6bc7b3cc06412e"
    splits = ("byclass", "bymerge", "balanced", "letters", "digits", "mnist")
    _all = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    _merged = sorted(set(_all) - set("cijklmopsuvwxyz"))
    classes_split_dict = {
        "byclass": sorted(_all),
        "bymerge": _merged,
        "balanced": _merged,
        "letters": ["N/A", *"abcdefghijklmnopqrstuvwxyz"],
        "digits": list("0123456789"),
        "mnist": list("0123456789"),
    }

    def __init__(self, root, split, **kwargs):
        if split not in self.splits:
            raise ValueError(
                f"Unknown value '{split}' for argument split. Valid values are {self.splits}."
            )
        self.split = split
        self.classes = self.classes_split_dict[split]
        super().__init__(root, **kwargs)

    def _files(self):
        part = f"emnist-{self.split}-{'train' if self.train else 'test'}"
        return f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"

    def download(self):
        """Fetches the archive of all splits and unpacks it, unless the files are there."""
        if self._check_exists():
            return
        import zipfile

        archive = os.path.join(self.raw_folder, "gzip.zip")
        _download.fetch([self.url], archive, self.md5)
        with zipfile.ZipFile(archive) as members:
            for member in members.infolist():
                name = os.path.basename(member.filename)
                if name.startswith("emnist-") and name.endswith(".gz"):
                    with open(os.path.join(self.raw_folder, name), "wb") as file:
                        file.write(members.read(member))
        os.remove(archive)


class QMNIST(MNIST):
    """MNIST with the 50,000 test images that were lost, and more labels (arXiv 1905.10498).

    `what` is train, test, test10k, test50k or nist. With `compat` targets are classes, else rows
    of eight numbers.
    """

    subsets = {
        "train": "train",
        "test": "test",
        "test10k": "test",
        "test50k": "test",
        "nist": "nist",
    }
    _BASE = "https://raw.githubusercontent.com/facebookresearch/qmnist/master/"
    _PARTS = {
        "train": ("qmnist-train-images-idx3-ubyte", "qmnist-train-labels-idx2-int"),
        "test": ("qmnist-test-images-idx3-ubyte", "qmnist-test-labels-idx2-int"),
        "nist": ("xnist-images-idx3-ubyte", "xnist-labels-idx2-int"),
    }

    def __init__(self, root, what=None, compat=True, train=True, **kwargs):
        what = what or ("train" if train else "test")
        if what not in self.subsets:
            raise ValueError(
                f"Unknown value '{what}' for argument what. Valid values are {tuple(self.subsets)}."
            )
        self.what = what
        self.compat = compat
        super().__init__(root, train, **kwargs)

    def _files(self):
        return self._PARTS[self.subsets[self.what]]

    def _load_data(self):
        paths = [self._find(name) for name in self._files()]
        if None in paths:
            raise RuntimeError(
                "Dataset not found. You can use download=True to download it: there is no "
                f"{self._files()[paths.index(None)]}[.gz] in {self.raw_folder} or {self.root}"
            )
        images, labels = read_idx(paths[0]), _read_int_rows(paths[1])
        part = {"test10k": slice(0, 10000), "test50k": slice(10000, 60000)}.get(self.what)
        return (images, labels) if part is None else (images[part], labels[part])

    def download(self):
        """Fetches the two files, unless they are there."""
        for name in self._files():
            if self._find(name) is None:
                ending = ".xz" if self.subsets[self.what] == "nist" else ".gz"
                path = os.path.join(self.raw_folder, name + ending)
                _download.fetch([self._BASE + name + ending], path)
                if ending == ".xz":
                    from .utils import extract_archive

                    extract_archive(path, remove_finished=True)

    def __getitem__(self, index):
        image, target = _as_image(self.data[index]), self.targets[index]
        if self.transform is not None:
            image = self.transform(image)
        if self.compat:
            target = int(target[0])
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target

    def _batch_fetcher(self):
        return None

    def extra_repr(self):
        return f"Split: {self.what}"


def _read_int_rows(path):
    """[rows, columns] int64 of an idx file of 32-bit integers."""
    import gzip

    import numpy

    with (gzip.open if path.endswith(".gz") else open)(path, "rb") as file:
        zero, kind, dims = struct.unpack(">HBB", file.read(4))
        if (zero, kind, dims) != (0, 12, 2):
            raise RuntimeError(f"{path}: not an idx file of rows of integers")
        shape = struct.unpack(">2I", file.read(8))
        rows = numpy.frombuffer(file.read(), ">i4").reshape(shape)
    return flambeau.from_numpy(rows.astype(numpy.int64))


def read_idx(path, arrays=1):
    """The uint8 array in an idx file, plain or gzip; a list if the file holds several in a row."""
    import gzip
    import zlib

    path = os.fspath(path)
    opener = gzip.open if path.endswith(".gz") else open
    try:
        with opener(path, "rb") as file:
            read = [_read_array(file, path) for _ in range(arrays)]
            if file.read(1):
                raise RuntimeError(f"{path}: there is more in the file than its header says")
    except (EOFError, gzip.BadGzipFile, struct.error, zlib.error) as error:
        raise RuntimeError(f"{path}: not a whole idx file: {error}") from error
    return read[0] if arrays == 1 else read


def _read_array(file, path):
    zero, kind, dims = struct.unpack(">HBB", file.read(4))
    if zero != 0 or kind != _UINT8 or not 1 <= dims <= 3:
        raise RuntimeError(f"{path}: not an idx file of bytes, it starts with {(zero, kind, dims)}")
    shape = struct.unpack(f">{dims}I", file.read(4 * dims))
    size = 1
    for length in shape:
        size *= length
    data = bytearray()
    while len(data) < size:  # in pieces: the header may claim more than there is
        piece = file.read(min(size - len(data), 1 << 24))
        if not piece:
            raise RuntimeError(f"{path}: {len(data)} bytes of data, the header says {size}")
        data += piece
    if size == 0:
        return flambeau.empty(shape, dtype=flambeau.uint8)
    return flambeau.frombuffer(data, dtype=flambeau.uint8).view(shape)


def _checked(images, labels, path):
    if images.dim() != 3 or labels.dim() != 1 or len(images) != len(labels):
        raise RuntimeError(
            f"{path}: images of shape {tuple(images.shape)} do not go with labels of shape "
            f"{tuple(labels.shape)}"
        )
    return images, labels.to(flambeau.int64)


def _as_image(pixels):
    try:
        from PIL import Image
    except ImportError:
        return pixels.numpy()
    return Image.fromarray(pixels.numpy())
