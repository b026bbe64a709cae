"""Datasets that come as arrays of small images: CIFAR, SVHN, STL10, USPS, SEMEION."""

import os
import pickle

from . import utils
from .utils import not_found, verify_str_arg
from .vision import VisionDataset

__all__ = ["CIFAR10", "CIFAR100", "SEMEION", "STL10", "SVHN", "USPS", "MovingMNIST"]


class _PlainUnpickler(pickle.Unpickler):
    """Arrays, bytes and plain containers only: a pickle from the net runs no code."""

    _allowed = {
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("_codecs", "encode"),
    }

    def find_class(self, module, name):
        if (module, name) not in self._allowed:
            raise pickle.UnpicklingError(f"the file wants {module}.{name}, which is no data")
        return super().find_class(module, name)


class _ArrayDataset(VisionDataset):
    """data [N, H, W, C] or [N, H, W] uint8, and a list of targets."""

    def _picture(self, index):
        from PIL import Image

        return Image.fromarray(self.data[index])

    def _target(self, index):
        return self.targets[index]

    def __getitem__(self, index):
        image, target = self._picture(index), self._target(index)
        return self._transformed(image, target)

    def __len__(self):
        return len(self.data)


class CIFAR10(_ArrayDataset):
    """60,000 images of 32x32 in 10 classes, in the original pickles for Python."""

    base_folder = "cifar-10-batches-py"
    url = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
    filename = "cifar-10-python.tar.gz"
    tgz_md5 = "c58f30108f718f92721af3b95e74349a"
    train_list = [
        ["data_batch_1", "c99cafc152244af753f735de768cd75f"],
        ["data_batch_2", "d4bba439e000b95fd0a9bffe97cbabec"],
        ["data_batch_3", "54ebc095f3ab1f0389bbae665268c751"],
        ["data_batch_4", "634d18415352ddfa80567beed471001a"],
        ["data_batch_5", "482c414d41f54cd18b22e5b47cb7c3cb"],
    ]
    test_list = [["test_batch", "40351d587109b95175f43aff81a1287e"]]
    meta = {
        "filename": "batches.meta",
        "key": "label_names",
        "md5": "5ff9c542aee3614f3951f8cda6e48888",
    }

    def __init__(self, root, train=True, transform=None, target_transform=None, download=False):
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.train = train
        if download:
            self.download()
        if not self._check_integrity():
            raise not_found()
        import numpy

        parts, self.targets = [], []
        for name, _ in self.train_list if train else self.test_list:
            entry = self._read(name)
            parts.append(entry["data"])
            self.targets.extend(entry.get("labels", entry.get("fine_labels")))
        images = numpy.vstack(parts).reshape(-1, 3, 32, 32)
        self.data = numpy.ascontiguousarray(images.transpose(0, 2, 3, 1))
        self.classes = self._read(self.meta["filename"])[self.meta["key"]]
        self.class_to_idx = {name: i for i, name in enumerate(self.classes)}

    def _path(self, name):
        return os.path.join(self.root, self.base_folder, name)

    def _read(self, name):
        with open(self._path(name), "rb") as file:
            return _PlainUnpickler(file, encoding="latin1").load()

    def _check_integrity(self):
        return all(
            utils.check_integrity(self._path(name), md5)
            for name, md5 in self.train_list + self.test_list
        )

    def download(self):
        """Fetches and unpacks the archive, unless the files are there."""
        if not self._check_integrity():
            utils.download_and_extract_archive(
                self.url, self.root, filename=self.filename, md5=self.tgz_md5
            )

    def extra_repr(self):
        return f"Split: {'Train' if self.train is True else 'Test'}"


class CIFAR100(CIFAR10):
    """60,000 images of 32x32 in 100 classes."""

    base_folder = "cifar-100-python"
    url = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
    filename = "cifar-100-python.tar.gz"
    tgz_md5 = "eb9058c3a382ffc7106e4002c42a8d85"
    train_list = [["train", "16019d7e3df5f24257cddd939b257f8d"]]
    test_list = [["test", "f0ef6b0ae62326f3e7ffdfab6717acfc"]]
    meta = {
        "filename": "meta",
        "key": "fine_label_names",
        "md5": "7973b15100ade9c7d40fb424638fde48",
    }


def _matlab(path):
    try:
        from scipy.io import loadmat
    except ImportError:
        raise RuntimeError(
            f"Scipy is not found. {os.path.basename(path)} is a MATLAB file, which needs SciPy to "
            "be read: pip install scipy"
        ) from None
    return loadmat(path)


class SVHN(_ArrayDataset):
    """House numbers in Street View (Netzer et al., 2011), 32x32."""

    split_list = {
        "train": [
            "http://ufldl.stanford.edu/housenumbers/train_32x32.mat",
            "train_32x32.mat",
            "e26dedcc434d2e4c54c9b2d4a06d8373",
        ],
        "test": [
            "http://ufldl.stanford.edu/housenumbers/test_32x32.mat",
            "test_32x32.mat",
            "eb5a983be6a315427106f1b164d9cef3",
        ],
        "extra": [
            "http://ufldl.stanford.edu/housenumbers/extra_32x32.mat",
            "extra_32x32.mat",
            "a93ce644f1a588dc4d68dda5feec44a7",
        ],
    }

    def __init__(self, root, split="train", transform=None, target_transform=None, download=False):
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.split = verify_str_arg(split, "split", tuple(self.split_list))
        self.url, self.filename, self.file_md5 = self.split_list[split]
        if download:
            self.download()
        path = os.path.join(self.root, self.filename)
        if not utils.check_integrity(path, self.file_md5):
            raise not_found()
        content = _matlab(path)
        self.labels = content["y"].astype("int64").reshape(-1)
        self.labels[self.labels == 10] = 0  # in the file 10 stands for the digit 0
        self.data = content["X"].transpose(3, 2, 0, 1)

    def _picture(self, index):
        from PIL import Image

        return Image.fromarray(self.data[index].transpose(1, 2, 0))

    def _target(self, index):
        return int(self.labels[index])

    def download(self):
        """Fetches the file, unless it is there."""
        utils.download_url(self.url, self.root, self.filename, self.file_md5)

    def extra_repr(self):
        return f"Split: {self.split}"


class STL10(_ArrayDataset):
    """96x96 images in 10 classes, most of them without a label (-1)."""

    base_folder = "stl10_binary"
    url = "http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz"
    filename = "stl10_binary.tar.gz"
    tgz_md5 = "91f7769df0f17e558f3565bffb0c7dfb"
    splits = ("train", "train+unlabeled", "unlabeled", "test")

    def __init__(
        self,
        root,
        split="train",
        folds=None,
        transform=None,
        target_transform=None,
        download=False,
    ):
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.split = verify_str_arg(split, "split", self.splits)
        if folds is not None and folds not in range(10):
            raise ValueError(
                f"Value for argument folds should be in the range [0, 10), got {folds}"
            )
        self.folds = folds
        if download:
            self.download()
        if not os.path.isfile(self._path("test_X.bin")):
            raise not_found()
        import numpy

        parts = [self._load(name) for name in split.split("+")]
        self.data = numpy.concatenate([images for images, _ in parts])
        self.labels = numpy.concatenate([labels for _, labels in parts])
        with open(self._path("class_names.txt")) as file:
            self.classes = file.read().splitlines()

    def _path(self, name):
        return os.path.join(self.root, self.base_folder, name)

    def _load(self, name):
        import numpy

        images = numpy.fromfile(self._path(f"{name}_X.bin"), dtype=numpy.uint8)
        images = images.reshape(-1, 3, 96, 96).transpose(0, 1, 3, 2)  # files go by columns
        if name == "unlabeled":
            return images, numpy.full(len(images), -1)
        labels = numpy.fromfile(self._path(f"{name}_y.bin"), dtype=numpy.uint8).astype("int64") - 1
        if name == "train" and self.folds is not None:
            with open(self._path("fold_indices.txt")) as file:
                rows = file.read().splitlines()[self.folds]
            index = numpy.array(rows.split(), dtype=numpy.int64)
            return images[index], labels[index]
        return images, labels

    def _picture(self, index):
        from PIL import Image

        return Image.fromarray(self.data[index].transpose(1, 2, 0).copy())

    def _target(self, index):
        return int(self.labels[index])

    def download(self):
        """Fetches and unpacks the archive, unless the files are there."""
        if not os.path.isfile(self._path("test_X.bin")):
            utils.download_and_extract_archive(
                self.url, self.root, filename=self.filename, md5=self.tgz_md5
            )

    def extra_repr(self):
        return f"Split: {self.split}"


class USPS(_ArrayDataset):
    """16x16 digits of the US Postal Service, in LIBSVM's format."""

    split_list = {
        "train": [
            "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/usps.bz2",
            "usps.bz2",
            "ec16c51db3855ca6c91edd34d0e9b197",
        ],
        "test": [
            "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/usps.t.bz2",
            "usps.t.bz2",
            "8ea070ee2aca1ac39742fdd1ef5ed118",
        ],
    }

    def __init__(self, root, train=True, transform=None, target_transform=None, download=False):
        super().__init__(root, transform=transform, target_transform=target_transform)
        url, filename, md5 = self.split_list["train" if train else "test"]
        path = os.path.join(self.root, filename)
        if download and not utils.check_integrity(path, md5):
            utils.download_url(url, self.root, filename, md5)
        import bz2

        import numpy

        with bz2.open(path) as file:
            rows = [line.decode().split() for line in file]
        values = [[float(item.split(":")[-1]) for item in row[1:]] for row in rows]
        images = numpy.asarray(values, dtype=numpy.float32).reshape(-1, 16, 16)
        self.data = ((images + 1) / 2 * 255).astype(numpy.uint8)
        self.targets = [int(row[0]) - 1 for row in rows]


class SEMEION(_ArrayDataset):
    """16x16 handwritten digits in black and white."""

    url = "http://archive.ics.uci.edu/ml/machine-learning-databases/semeion/semeion.data"
    filename = "semeion.data"
    md5_checksum = "cb545d371d2ce14ec121470795a77432"

    def __init__(self, root, transform=None, target_transform=None, download=True):
        super().__init__(root, transform=transform, target_transform=target_transform)
        if download:
            utils.download_url(self.url, self.root, self.filename, self.md5_checksum)
        path = os.path.join(self.root, self.filename)
        if not utils.check_integrity(path, self.md5_checksum):
            raise not_found()
        import numpy

        rows = numpy.loadtxt(path)
        self.data = (rows[:, :256] * 255).astype("uint8").reshape(-1, 16, 16)
        self.labels = rows[:, 256:].argmax(axis=1)

    def _target(self, index):
        return int(self.labels[index])


class MovingMNIST(VisionDataset):
    """10,000 videos of two digits, 20 frames of 64x64 (Srivastava et al., arXiv 1502.04681)."""

    _URL = "http://www.cs.toronto.edu/~nitish/unsupervised_video/mnist_test_seq.npy"

    def __init__(self, root, split=None, split_ratio=10, download=False, transform=None):
        super().__init__(root, transform=transform)
        folder = os.path.join(self.root, type(self).__name__)
        path = os.path.join(folder, os.path.basename(self._URL))
        if split is not None:
            verify_str_arg(split, "split", ("train", "test"))
        if not 1 <= split_ratio <= 19:
            raise ValueError(f"`split_ratio` should be an integer in [1, 19], got {split_ratio}")
        if download:
            utils.download_url(self._URL, folder)
        if not os.path.exists(path):
            raise not_found()
        import numpy

        import flambeau

        data = flambeau.from_numpy(numpy.load(path, allow_pickle=False))
        if split == "train":
            data = data[:split_ratio]
        elif split == "test":
            data = data[split_ratio:]
        self.split = split
        self.data = data.transpose(0, 1).unsqueeze(2).contiguous()

    def __getitem__(self, index):
        video = self.data[index]
        return video if self.transform is None else self.transform(video)

    def __len__(self):
        return len(self.data)
