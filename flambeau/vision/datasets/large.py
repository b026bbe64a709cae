"""ImageNet, Places365, LFW and PCAM."""

import os

from . import utils
from .folder import ImageFolder, default_loader
from .utils import not_found, verify_str_arg
from .vision import VisionDataset

__all__ = ["PCAM", "ImageNet", "LFWPairs", "LFWPeople", "Places365"]

_IMAGENET = {
    "train": ("ILSVRC2012_img_train.tar", "1d675b47d978889d74fa0da5fadfb00e"),
    "val": ("ILSVRC2012_img_val.tar", "29b22e2961454d5413ddabcf34fc5622"),
    "devkit": ("ILSVRC2012_devkit_t12.tar.gz", "fa75699e90414af021442c21a62c3abf"),
}


class ImageNet(ImageFolder):
    """ILSVRC 2012; the archives are put into `root` by hand, as its terms want it.

    Reading the development kit needs SciPy, the first time.
    """

    def __init__(self, root, split="train", **kwargs):
        root = self.root = os.path.expanduser(root)
        self.split = verify_str_arg(split, "split", ("train", "val"))
        self._unpack()
        import flambeau

        names, self._val_wnids = flambeau.load(os.path.join(root, "meta.bin"))
        super().__init__(os.path.join(root, split), **kwargs)
        self.root = root
        self.wnids, self.wnid_to_idx = self.classes, self.class_to_idx
        self.classes = [names[wnid] for wnid in self.wnids]
        self.class_to_idx = {name: i for i, several in enumerate(self.classes) for name in several}

    def _archive(self, kind):
        name, md5 = _IMAGENET[kind]
        path = os.path.join(self.root, name)
        if not utils.check_integrity(path, md5):
            raise RuntimeError(
                f"The archive {name} is not present in the root directory or is corrupted. You "
                f"need to download it externally and place it in {self.root}."
            )
        return path

    def _unpack(self):
        if not os.path.isfile(os.path.join(self.root, "meta.bin")):
            _parse_devkit(self._archive("devkit"), os.path.join(self.root, "meta.bin"))
        folder = os.path.join(self.root, self.split)
        if os.path.isdir(folder):
            return
        utils.extract_archive(self._archive(self.split), folder)
        if self.split == "train":
            for name in sorted(os.listdir(folder)):
                stem = os.path.splitext(name)[0]
                utils.extract_archive(
                    os.path.join(folder, name), os.path.join(folder, stem), remove_finished=True
                )
            return
        import flambeau

        _, wnids = flambeau.load(os.path.join(self.root, "meta.bin"))
        images = sorted(os.listdir(folder))
        for wnid in set(wnids):
            os.mkdir(os.path.join(folder, wnid))
        for wnid, image in zip(wnids, images, strict=True):
            os.rename(os.path.join(folder, image), os.path.join(folder, wnid, image))

    def extra_repr(self):
        return f"Split: {self.split}"


def _parse_devkit(archive, path):
    """Saves ({wnid: names}, wnids of the validation images)."""
    import tempfile

    import flambeau

    from .arrays import _matlab

    with tempfile.TemporaryDirectory() as folder:
        utils.extract_archive(archive, folder)
        data = os.path.join(folder, "ILSVRC2012_devkit_t12", "data")
        rows = _matlab(os.path.join(data, "meta.mat"))["synsets"].ravel()
        with open(os.path.join(data, "ILSVRC2012_validation_ground_truth.txt")) as file:
            labels = [int(line) for line in file]
    leaves = [row for row in rows if int(row["num_children"].item()) == 0]
    wnids = {int(row["ILSVRC2012_ID"].item()): str(row["WNID"].item()) for row in leaves}
    names = {str(row["WNID"].item()): tuple(str(row["words"].item()).split(", ")) for row in leaves}
    flambeau.save((names, [wnids[i] for i in labels]), path)


class Places365(VisionDataset):
    """365 kinds of places (Zhou et al., 2017)."""

    _BASE_URL = "http://data.csail.mit.edu/places/places365/"
    _DEVKIT = {
        "standard": ("filelist_places365-standard.tar", "35a0585fee1fa656440f3ab298f8479c"),
        "challenge": ("filelist_places365-challenge.tar", "70a8307e459c3de41690a7c76c931734"),
    }
    _IMAGES = {
        ("train-standard", False): (
            "train_large_places365standard.tar",
            "67e186b496a84c929568076ed01a8aa1",
        ),
        ("train-challenge", False): (
            "train_large_places365challenge.tar",
            "605f18e68e510c82b958664ea134545f",
        ),
        ("val", False): ("val_large.tar", "9b71c4993ad89d2d8bcbdc4aef38042f"),
        ("test", False): ("test_large.tar", "41a4b6b724b1d2cd862fb3871ed59913"),
        ("train-standard", True): (
            "train_256_places365standard.tar",
            "53ca1c756c3d1e7809517cc47c5561c5",
        ),
        ("train-challenge", True): (
            "train_256_places365challenge.tar",
            "741915038a5e3471ec7332404dfb64ef",
        ),
        ("val", True): ("val_256.tar", "e27b17d8d44f4af9a78502beb927f808"),
        ("test", True): ("test_256.tar", "f532f6ad7b582262a2ec8009075e186b"),
    }

    def __init__(
        self,
        root,
        split="train-standard",
        small=False,
        download=False,
        transform=None,
        target_transform=None,
        loader=default_loader,
    ):
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.split = verify_str_arg(split, "split", sorted({s for s, _ in self._IMAGES}))
        self.small = small
        self.loader = loader
        size = "256" if small else "large"
        variant = "challenge" if "challenge" in split else "standard"
        if split.startswith("train"):
            self.images_dir = os.path.join(self.root, f"data_{size}_{variant}")
        else:
            self.images_dir = os.path.join(self.root, f"{split}_{size}")
        if download:
            self._download(variant)
        categories = os.path.join(self.root, "categories_places365.txt")
        if not os.path.isfile(categories) or not os.path.isdir(self.images_dir):
            raise not_found()
        with open(categories) as file:
            rows = [line.split() for line in file if line.strip()]
        self.class_to_idx = {name: int(i) for name, i in rows}
        self.classes = sorted(self.class_to_idx, key=self.class_to_idx.get)
        name = f"places365_{split.replace('-', '_')}.txt"
        with open(os.path.join(self.root, name)) as file:
            rows = [line.split() for line in file if line.strip()]
        self.imgs = [
            (
                os.path.join(self.images_dir, row[0].lstrip("/")),
                int(row[1]) if len(row) > 1 else None,
            )
            for row in rows
        ]
        self.targets = [target for _, target in self.imgs]

    def _download(self, variant):
        name, md5 = self._DEVKIT[variant]
        utils.download_and_extract_archive(self._BASE_URL + name, self.root, md5=md5)
        if os.path.exists(self.images_dir):
            return
        name, md5 = self._IMAGES[self.split, self.small]
        utils.download_and_extract_archive(self._BASE_URL + name, self.root, md5=md5)
        if self.split.startswith("train"):
            unpacked = os.path.join(self.root, "data_256" if self.small else "data_large")
            os.rename(unpacked, self.images_dir)

    def __getitem__(self, index):
        path, target = self.imgs[index]
        image = self.loader(path)
        return self._transformed(image, target)

    def __len__(self):
        return len(self.imgs)


class _LFW(VisionDataset):
    """Labeled Faces in the Wild (Huang et al., 2007)."""

    _URL = "http://vis-www.cs.umass.edu/lfw/"
    _FILES = {
        "original": ("lfw", "lfw.tgz", "a17d05bd522c52d84eca14327a23d494"),
        "funneled": ("lfw_funneled", "lfw-funneled.tgz", "1b42dfed7d15c9b2dd63d5e5840c86ad"),
        "deepfunneled": (
            "lfw-deepfunneled",
            "lfw-deepfunneled.tgz",
            "68331da3eb755a505a502b5aacb3c201",
        ),
    }
    _view = None

    def __init__(
        self,
        root,
        split="10fold",
        image_set="funneled",
        transform=None,
        target_transform=None,
        download=False,
        loader=default_loader,
    ):
        super().__init__(
            os.path.join(os.path.expanduser(root), "lfw-py"),
            transform=transform,
            target_transform=target_transform,
        )
        verify_str_arg(image_set.lower(), "image_set", tuple(self._FILES))
        self.split = verify_str_arg(split.lower(), "split", ("10fold", "train", "test"))
        self.loader = loader
        folder, archive, md5 = self._FILES[image_set.lower()]
        self.images_dir = os.path.join(self.root, folder)
        suffix = {"10fold": "", "train": "DevTrain", "test": "DevTest"}[self.split]
        self.labels_file = f"{self._view}{suffix}.txt"
        if download:
            utils.download_and_extract_archive(self._URL + archive, self.root, md5=md5)
            for name in (self.labels_file, "lfw-names.txt"):
                utils.download_url(self._URL + name, self.root)
        if not os.path.isdir(self.images_dir):
            raise not_found()
        with open(os.path.join(self.root, self.labels_file)) as file:
            self._rows = [line.strip().split("\t") for line in file]

    def _image(self, person, number):
        return os.path.join(self.images_dir, person, f"{person}_{int(number):04d}.jpg")

    def _blocks(self, per_fold):
        """The lines of all folds: each fold begins with their number."""
        folds, at = (int(self._rows[0][0]), 1) if self.split == "10fold" else (1, 0)
        if self.split == "10fold" and per_fold is not None:
            count = int(self._rows[0][1])
            for _ in range(folds):
                yield from self._rows[at : at + count * per_fold]
                at += count * per_fold
            return
        for _ in range(folds):
            count = int(self._rows[at][0]) * (per_fold or 1)
            yield from self._rows[at + 1 : at + 1 + count]
            at += 1 + count

    def _changed(self, image):
        return image if self.transform is None else self.transform(image)

    def __len__(self):
        return len(self.data)


class LFWPeople(_LFW):
    """Faces and whose they are."""

    _view = "people"

    def __init__(self, root, *args, **kwargs):
        super().__init__(root, *args, **kwargs)
        with open(os.path.join(self.root, "lfw-names.txt")) as file:
            self.class_to_idx = {line.split()[0]: i for i, line in enumerate(file)}
        self.data, self.targets = [], []
        for person, count in self._blocks(None):
            for number in range(1, int(count) + 1):
                self.data.append(self._image(person, number))
                self.targets.append(self.class_to_idx[person])

    def __getitem__(self, index):
        image, target = self._changed(self.loader(self.data[index])), self.targets[index]
        return image, target if self.target_transform is None else self.target_transform(target)


class LFWPairs(_LFW):
    """Pairs of faces, and whether they are one person's."""

    _view = "pairs"

    def __init__(self, root, *args, **kwargs):
        super().__init__(root, *args, **kwargs)
        self.data, self.targets = [], []
        for row in self._blocks(2):
            same = len(row) == 3
            first, second = (row[0], row[1]), (row[0], row[2]) if same else (row[2], row[3])
            self.data.append((self._image(*first), self._image(*second)))
            self.targets.append(int(same))

    def __getitem__(self, index):
        first, second = (self._changed(self.loader(path)) for path in self.data[index])
        target = self.targets[index]
        if self.target_transform is not None:
            target = self.target_transform(target)
        return first, second, target


class PCAM(VisionDataset):
    """Tissue with and without tumours (Veeling et al., arXiv 1806.03962); needs h5py."""

    _FILES = {
        "train": (
            "1Ka0XfEMiwgCYPdTI-vv6eUElOBnKFKQ2",
            "1571f514728f59376b705fc836ff4b63",
            "1269yhu3pZDP8UYFQs-NYs3FPwuK-nGSG",
            "35c2d7259d906cfc8143347bb8e05be7",
        ),
        "test": (
            "1qV65ZqZvWzuIVthK8eVDhIwrbnsJdbg_",
            "d8c2d60d490dbd479f8199bdfa0cf6ec",
            "17BHrSrwWKjYsOgTMmoqrIjDy6Fa2o_gP",
            "60a7035772fbdb7f34eb86d4420cf66a",
        ),
        "val": (
            "1hgshYGWK8V-eGRy8LToWJJgDU_rXWVJ3",
            "d5b63470df7cfa627aeec8b9dc0c066e",
            "1bH8ZRbhSVAhScTS0p9-ZzGnX91cHT3uO",
            "2b85f58b927af9964a4c15b8f7e8f179",
        ),
    }

    def __init__(self, root, split="train", transform=None, target_transform=None, download=False):
        try:
            import h5py
        except ImportError:
            raise RuntimeError(
                "h5py is not found. This dataset needs to have h5py installed: pip install h5py"
            ) from None
        self._h5py = h5py
        super().__init__(root, transform=transform, target_transform=target_transform)
        self._split = verify_str_arg(split, "split", ("train", "test", "val"))
        folder = os.path.join(self.root, "pcam")
        part = {"train": "train", "test": "test", "val": "valid"}[split]
        names = [f"camelyonpatch_level_2_split_{part}_{axis}.h5" for axis in "xy"]
        files = self._FILES[split]
        if download:
            for name, file_id, md5 in zip(names, files[::2], files[1::2], strict=True):
                utils.download_file_from_google_drive(file_id, folder, f"{name}.gz", md5)
                utils.extract_archive(os.path.join(folder, f"{name}.gz"))
        self._images, self._targets = (os.path.join(folder, name) for name in names)
        if not os.path.exists(self._images) or not os.path.exists(self._targets):
            raise not_found()

    def __len__(self):
        with self._h5py.File(self._images) as file:
            return file["x"].shape[0]

    def __getitem__(self, index):
        from PIL import Image

        with self._h5py.File(self._images) as file:
            image = Image.fromarray(file["x"][index]).convert("RGB")
        with self._h5py.File(self._targets) as file:
            target = int(file["y"][index, 0, 0, 0])
        return self._transformed(image, target)
