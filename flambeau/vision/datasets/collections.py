"""Large collections: of species, of scenes, of photographs with captions, of matching patches."""

import os

from . import utils
from .folder import default_loader
from .utils import not_found, verify_str_arg
from .vision import VisionDataset

__all__ = ["INaturalist", "LSUN", "LSUNClass", "PhotoTour", "SBU"]


class INaturalist(VisionDataset):
    """Plants and animals (Van Horn et al., arXiv 1707.06642).

    Folders of 2021 are `root/version/species`, whose names have all ranks; those before are
    `root/version/group/number`. A list of target types gives a tuple of targets.
    """

    _RANKS = ("kingdom", "phylum", "class", "order", "family", "genus")
    _BASE = "https://ml-inat-competition-datasets.s3.amazonaws.com/"
    _ARCHIVES = {
        "2017": ("2017/train_val_images.tar.gz", "7c784ea5e424efaec655bd392f87301f"),
        "2018": ("2018/train_val2018.tar.gz", "b1c6952ce38f31868cc50ea72d066cc3"),
        "2019": ("2019/train_val2019.tar.gz", "c60a6e2962c9b8ccbd458d12c8582644"),
        "2021_train": ("2021/train.tar.gz", "e0526d53c7f7b2e3167b2b43bb2690ed"),
        "2021_train_mini": ("2021/train_mini.tar.gz", "db6ed8330e634445efc8fec83ae81442"),
        "2021_valid": ("2021/val.tar.gz", "f6f6e0e242e3d4c9569ba56400938afc"),
    }

    def __init__(
        self,
        root,
        version="2021_train",
        target_type="full",
        transform=None,
        target_transform=None,
        download=False,
        loader=None,
    ):
        self.version = verify_str_arg(version, "version", tuple(self._ARCHIVES))
        super().__init__(
            os.path.join(root, version), transform=transform, target_transform=target_transform
        )
        self.root = os.path.expanduser(self.root)
        self.loader = loader or default_loader
        if download:
            self._download(os.path.dirname(self.root))
        if not (os.path.isdir(self.root) and os.listdir(self.root)):
            raise not_found()
        recent = version.startswith("2021")
        kinds = [target_type] if isinstance(target_type, str) else list(target_type)
        if not kinds:
            raise ValueError("target_type should name at least one type of target")
        valid = ("full", *self._RANKS) if recent else ("full", "super")
        self.target_type = [verify_str_arg(kind, "target_type", valid) for kind in kinds]
        names = sorted(os.listdir(self.root))
        if recent:
            self.all_categories = names
            ranks = [dict(zip(self._RANKS, name.split("_")[1:-1], strict=True)) for name in names]
        else:
            self.all_categories = [
                os.path.join(name, number)
                for name in names
                for number in sorted(os.listdir(os.path.join(self.root, name)))
            ]
            ranks = [{"super": os.path.dirname(name)} for name in self.all_categories]
        self.categories_index = {}
        self.categories_map = []  # for each category the numbers of its ranks
        for found in ranks:
            for rank, name in found.items():
                numbers = self.categories_index.setdefault(rank, {})
                numbers.setdefault(name, len(numbers))
            self.categories_map.append({k: self.categories_index[k][v] for k, v in found.items()})
        self.index = [
            (i, file)
            for i, name in enumerate(self.all_categories)
            for file in sorted(os.listdir(os.path.join(self.root, name)))
        ]

    def _download(self, base):
        if os.path.isdir(self.root) and os.listdir(self.root):
            return
        name, md5 = self._ARCHIVES[self.version]
        utils.download_and_extract_archive(
            self._BASE + name, base, filename=f"{self.version}.tgz", md5=md5
        )
        os.rename(os.path.join(base, os.path.basename(name).split(".")[0]), self.root)

    def __getitem__(self, index):
        category, file = self.index[index]
        image = self.loader(os.path.join(self.root, self.all_categories[category], file))
        ranks = {"full": category, **self.categories_map[category]}
        target = tuple(ranks[kind] for kind in self.target_type)
        target = target if len(target) > 1 else target[0]
        return self._transformed(image, target)

    def __len__(self):
        return len(self.index)

    def category_name(self, category_type, category_id):
        """The name of a category of a type, by its number."""
        if category_type == "full":
            return self.all_categories[category_id]
        if category_type not in self.categories_index:
            raise ValueError(f"Invalid category type '{category_type}'")
        for name, number in self.categories_index[category_type].items():
            if number == category_id:
                return name
        raise ValueError(f"Invalid category id {category_id} for {category_type}")


class LSUNClass(VisionDataset):
    """The images of one LMDB database, without targets; needs the package lmdb."""

    def __init__(self, root, transform=None, target_transform=None):
        try:
            import lmdb
        except ImportError:
            raise ImportError(
                "lmdb is not found. This dataset needs to have lmdb installed: pip install lmdb"
            ) from None
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.env = lmdb.open(
            self.root, max_readers=1, readonly=True, lock=False, readahead=False, meminit=False
        )
        with self.env.begin(write=False) as transaction:
            self.length = transaction.stat()["entries"]
            self.keys = list(transaction.cursor().iternext(keys=True, values=False))

    def __getitem__(self, index):
        import io

        from PIL import Image

        with self.env.begin(write=False) as transaction:
            image = Image.open(io.BytesIO(transaction.get(self.keys[index]))).convert("RGB")
        target = None
        return self._transformed(image, target)

    def __len__(self):
        return self.length


class LSUN(VisionDataset):
    """Scenes of ten kinds (Yu et al., arXiv 1506.03365), in `root/kind_split_lmdb`.

    `classes` is train, val or test, or a list such as `["bedroom_train", "tower_val"]`.
    """

    _KINDS = (
        "bedroom", "bridge", "church_outdoor", "classroom", "conference_room", "dining_room",
        "kitchen", "living_room", "restaurant", "tower",
    )  # fmt: skip

    def __init__(self, root, classes="train", transform=None, target_transform=None):
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.classes = self._verify_classes(classes)
        self.dbs = [
            LSUNClass(os.path.join(self.root, f"{name}_lmdb"), transform) for name in self.classes
        ]
        self.indices, self.length = [], 0
        for database in self.dbs:
            self.length += len(database)
            self.indices.append(self.length)

    def _verify_classes(self, classes):
        splits = ("train", "val", "test")
        if isinstance(classes, str):
            split = verify_str_arg(classes, "classes", splits)
            return ["test"] if split == "test" else [f"{kind}_{split}" for kind in self._KINDS]
        try:
            classes = list(classes)
        except TypeError:
            raise ValueError(
                f"Expected type str or Iterable for argument classes, but got type {type(classes)}."
            ) from None
        for name in classes:
            if not isinstance(name, str):
                raise ValueError(f"Expected type str, but got type {type(name)}.")
            kind, _, split = name.rpartition("_")
            if name != "test":
                verify_str_arg(kind, "LSUN class", self._KINDS)
                verify_str_arg(split, "LSUN split", splits)
        return classes

    def __getitem__(self, index):
        import bisect

        target = bisect.bisect_right(self.indices, index)
        if index < 0 or target == len(self.dbs):
            raise IndexError(f"index {index} of {self.length} images")
        image, _ = self.dbs[target][index - (self.indices[target] - len(self.dbs[target]))]
        return image, target if self.target_transform is None else self.target_transform(target)

    def __len__(self):
        return self.length

    def extra_repr(self):
        return f"Classes: {self.classes}"


class PhotoTour(VisionDataset):
    """Patches of 64x64 around the same points in many photographs (Winder and Brown, 2007).

    For training uint8 patches; for testing (patch, patch, whether they are of the same point).
    """

    urls = {
        name: (f"{base}{name}.zip", f"{name}.zip", md5)
        for base, name, md5 in (
            ("http://matthewalunbrown.com/patchdata/", "notredame_harris",
             "69f8c90f78e171349abdf0307afefe4d"),
            ("http://matthewalunbrown.com/patchdata/", "yosemite_harris",
             "a73253d1c6fbd3ba2613c45065c00d46"),
            ("http://matthewalunbrown.com/patchdata/", "liberty_harris",
             "c731fcfb3abb4091110d0ae8c7ba182c"),
            ("http://icvl.ee.ic.ac.uk/vbalnt/", "notredame", "509eda8535847b8c0a90bbb210c83484"),
            ("http://icvl.ee.ic.ac.uk/vbalnt/", "yosemite", "533b2e8eb7ede31be40abc317b2fd4f0"),
            ("http://icvl.ee.ic.ac.uk/vbalnt/", "liberty", "fdd9152f138ea5ef2091746689176414"),
        )
    }  # fmt: skip
    _STATISTICS = {
        "notredame": (0.4854, 0.1864),
        "yosemite": (0.4844, 0.1818),
        "liberty": (0.4437, 0.2019),
    }
    lens = {
        "notredame": 468159,
        "yosemite": 633587,
        "liberty": 450092,
        "liberty_harris": 379587,
        "yosemite_harris": 450912,
        "notredame_harris": 325295,
    }
    image_ext = "bmp"
    info_file = "info.txt"
    matches_files = "m50_100000_100000_0.txt"

    def __init__(self, root, name, train=True, transform=None, download=False):
        super().__init__(root, transform=transform)
        self.name = verify_str_arg(name, "name", tuple(self.urls))
        self.train = train
        self.data_dir = os.path.join(self.root, name)
        self.mean, self.std = self._STATISTICS[name.split("_")[0]]
        if download and not os.path.isdir(self.data_dir):
            url, archive, md5 = self.urls[name]
            utils.download_and_extract_archive(url, self.root, self.data_dir, archive, md5)
        if not os.path.isdir(self.data_dir):
            raise not_found()
        self.data = self._patches()
        with open(os.path.join(self.data_dir, self.info_file)) as file:
            points = [int(line.split()[0]) for line in file]
        with open(os.path.join(self.data_dir, self.matches_files)) as file:
            rows = [[int(v) for v in line.split()] for line in file]
        import flambeau

        self.labels = flambeau.tensor(points)
        # patch, point, 0, patch, point, 0
        self.matches = flambeau.tensor([[r[0], r[3], int(r[1] == r[4])] for r in rows])

    def _patches(self):
        """All of them, [N, 64, 64]: the files are sheets of 16 by 16."""
        import numpy
        from PIL import Image

        import flambeau

        sheets = []
        for name in sorted(os.listdir(self.data_dir)):
            if name.endswith(self.image_ext):
                with Image.open(os.path.join(self.data_dir, name)) as image:
                    sheet = numpy.asarray(image.convert("L"))
                height, width = (side // 64 for side in sheet.shape)
                grid = sheet[: height * 64, : width * 64].reshape(height, 64, width, 64)
                sheets.append(grid.transpose(0, 2, 1, 3).reshape(-1, 64, 64))
        if not sheets:
            raise not_found()
        return flambeau.from_numpy(numpy.concatenate(sheets)[: self.lens[self.name]])

    def __getitem__(self, index):
        change = self.transform or (lambda patch: patch)
        if self.train:
            return change(self.data[index])
        first, second, same = self.matches[index]
        return change(self.data[first]), change(self.data[second]), same

    def __len__(self):
        return len(self.data if self.train else self.matches)

    def extra_repr(self):
        return f"Split: {'Train' if self.train else 'Test'}"


class SBU(VisionDataset):
    """Photographs with captions (Ordonez et al., 2011), in `root/dataset`."""

    url = "https://www.cs.rice.edu/~vo9/sbucaptions/SBUCaptionedPhotoDataset.tar.gz"
    filename = "SBUCaptionedPhotoDataset.tar.gz"
    md5_checksum = "9aec147b3488753cf758b4d493422285"

    def __init__(
        self,
        root,
        transform=None,
        target_transform=None,
        download=True,
        loader=default_loader,
    ):
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.loader = loader
        self._folder = os.path.join(self.root, "dataset")
        if download:
            self._download()
        urls = self._lines("urls")
        if urls is None:
            raise not_found()
        self.photos = [os.path.basename(url) for url in urls]
        self.captions = self._lines("captions")

    def _lines(self, kind):
        path = os.path.join(self._folder, f"SBU_captioned_photo_dataset_{kind}.txt")
        if not os.path.isfile(path):
            return None
        with open(path) as file:
            return [line.rstrip() for line in file]

    def _download(self):
        """The lists, then each photograph that can still be had."""
        if self._lines("urls") is None:
            utils.download_and_extract_archive(
                self.url, self.root, self.root, self.filename, self.md5_checksum
            )
        for url in self._lines("urls"):
            try:
                utils.download_url(url, self._folder)
            except RuntimeError:
                continue  # many have been taken down

    def __getitem__(self, index):
        image = self.loader(os.path.join(self._folder, self.photos[index]))
        target = self.captions[index]
        return self._transformed(image, target)

    def __len__(self):
        return len(self.photos)
