"""Classes of images whose lists and labels come in files of their own."""

import csv
import json
import os
import re

from . import utils
from .arrays import _matlab
from .folder import default_loader, find_classes, make_dataset
from .utils import not_found, verify_str_arg
from .vision import VisionDataset

__all__ = [
    "DTD",
    "FER2013",
    "GTSRB",
    "SUN397",
    "CLEVRClassification",
    "Country211",
    "EuroSAT",
    "FGVCAircraft",
    "Flowers102",
    "Food101",
    "Imagenette",
    "Omniglot",
    "OxfordIIITPet",
    "RenderedSST2",
    "StanfordCars",
]


class _Listed(VisionDataset):
    """`_samples` are (path, target); a subclass fills it after `_prepare` has found the files."""

    _archive_beside = False  # whether the archive holds the folder itself, and unpacks beside it

    def __init__(self, root, folder, transform, target_transform, loader, archives, download):
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.loader = loader
        self._base = os.path.join(self.root, folder) if folder else self.root
        if download and not self._exists():
            home = self.root if self._archive_beside else self._base
            for url, md5 in archives:
                utils.download_and_extract_archive(url, home, md5=md5)
        if not self._exists():
            raise not_found()

    def _exists(self):
        return os.path.isdir(self._base)

    def _path(self, *names):
        return os.path.join(self._base, *names)

    def _lines(self, *names):
        with open(self._path(*names), encoding="utf-8") as file:
            return [line.strip() for line in file if line.strip()]

    def _name(self, classes):
        self.classes = list(classes)
        self.class_to_idx = {name: i for i, name in enumerate(self.classes)}

    def __getitem__(self, index):
        path, target = self._samples[index]
        image = self.loader(path)
        return self._transformed(image, target)

    def __len__(self):
        return len(self._samples)

    def extra_repr(self):
        return f"split={self._split}" if hasattr(self, "_split") else ""


class Food101(_Listed):
    """101 dishes (Bossard et al., 2014)."""

    _archive_beside = True

    def __init__(
        self,
        root,
        split="train",
        transform=None,
        target_transform=None,
        download=False,
        loader=default_loader,
    ):
        self._split = verify_str_arg(split, "split", ("train", "test"))
        archive = "http://data.vision.ee.ethz.ch/cvl/food-101.tar.gz"
        super().__init__(
            root, "food-101", transform, target_transform, loader,
            [(archive, "85eeb15f3717b99a5da872d97d918f87")], download,
        )  # fmt: skip
        with open(self._path("meta", f"{split}.json")) as file:
            lists = json.load(file)
        self._name(sorted(lists))
        self._samples = [
            (self._path("images", *f"{item}.jpg".split("/")), self.class_to_idx[name])
            for name, items in lists.items()
            for item in items
        ]


class DTD(_Listed):
    """Describable textures (Cimpoi et al., 2014)."""

    def __init__(
        self,
        root,
        split="train",
        partition=1,
        transform=None,
        target_transform=None,
        download=False,
        loader=default_loader,
    ):
        self._split = verify_str_arg(split, "split", ("train", "val", "test"))
        if not isinstance(partition, int) or not 1 <= partition <= 10:
            raise ValueError(
                f"Parameter 'partition' should be an integer with `1 <= partition <= 10`, "
                f"but got {partition} instead"
            )
        archive = "https://www.robots.ox.ac.uk/~vgg/data/dtd/download/dtd-r1.0.1.tar.gz"
        super().__init__(
            root, "dtd", transform, target_transform, loader,
            [(archive, "fff73e5086ae6bdbea199a49dfb8a4c1")], download,
        )  # fmt: skip
        lines = self._lines("dtd", "labels", f"{split}{partition}.txt")
        names = [line.split("/")[0] for line in lines]
        self._name(sorted(set(names)))
        self._samples = [
            (self._path("dtd", "images", *line.split("/")), self.class_to_idx[name])
            for line, name in zip(lines, names, strict=True)
        ]

    def _exists(self):
        return os.path.isdir(self._path("dtd"))


class Flowers102(_Listed):
    """102 flowers (Nilsback and Zisserman, 2008); the labels need SciPy."""

    _url = "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/"
    _file_dict = {
        "image": ("102flowers.tgz", "52808999861908f626f3c1f4e79d11fa"),
        "label": ("imagelabels.mat", "e0620be6f572b9609742df49c70aed4d"),
        "setid": ("setid.mat", "a5357ecc9cb78c4bef273ce3793fc85c"),
    }
    _splits_map = {"train": "trnid", "val": "valid", "test": "tstid"}

    def __init__(
        self,
        root,
        split="train",
        transform=None,
        target_transform=None,
        download=False,
        loader=default_loader,
    ):
        self._split = verify_str_arg(split, "split", tuple(self._splits_map))
        folder = os.path.join(os.path.expanduser(root), "flowers-102")
        if download and not os.path.isdir(os.path.join(folder, "jpg")):
            archive, md5 = self._file_dict["image"]
            utils.download_and_extract_archive(self._url + archive, folder, md5=md5)
            for kind in ("label", "setid"):
                name, md5 = self._file_dict[kind]
                utils.download_url(self._url + name, folder, md5=md5)
        super().__init__(root, "flowers-102", transform, target_transform, loader, [], False)
        ids = _matlab(self._path("setid.mat"))[self._splits_map[split]].ravel().tolist()
        labels = _matlab(self._path("imagelabels.mat"))["labels"].ravel().tolist()
        self._samples = [(self._path("jpg", f"image_{i:05d}.jpg"), labels[i - 1] - 1) for i in ids]

    def _exists(self):
        return all(os.path.exists(self._path(n)) for n in ("jpg", "setid.mat", "imagelabels.mat"))


class OxfordIIITPet(_Listed):
    """37 breeds of cats and dogs (Parkhi et al., 2012), with masks."""

    _RESOURCES = (
        (
            "https://www.robots.ox.ac.uk/~vgg/data/pets/data/images.tar.gz",
            "5c4f3ee8e5d25df40f4fd59a7f44e54c",
        ),
        (
            "https://www.robots.ox.ac.uk/~vgg/data/pets/data/annotations.tar.gz",
            "95a8c909bbe2e81eed6a22bccdf3f68f",
        ),
    )
    _VALID_TARGET_TYPES = ("category", "binary-category", "segmentation")

    def __init__(
        self,
        root,
        split="trainval",
        target_types="category",
        transforms=None,
        transform=None,
        target_transform=None,
        download=False,
    ):
        self._split = verify_str_arg(split, "split", ("trainval", "test"))
        kinds = [target_types] if isinstance(target_types, str) else list(target_types)
        self._target_types = [
            verify_str_arg(kind, "target_types", self._VALID_TARGET_TYPES) for kind in kinds
        ]
        super().__init__(
            root, "oxford-iiit-pet", transform, target_transform, default_loader,
            self._RESOURCES, download,
        )  # fmt: skip
        if transforms is not None:
            if transform is not None or target_transform is not None:
                raise ValueError(
                    "Only transforms or transform/target_transform can be passed as argument"
                )
            self.transforms = transforms
        rows = [line.split(" ") for line in self._lines("annotations", f"{split}.txt")]
        self._samples = [
            (self._path("images", f"{row[0]}.jpg"), int(row[1]) - 1, int(row[2]) - 1, row[0])
            for row in rows
        ]
        names = {row[1]: row[0].rsplit("_", 1)[0] for row in self._samples_by_label()}
        self._name(" ".join(p.title() for p in names[i].split("_")) for i in sorted(names))
        self.bin_classes = ["Cat", "Dog"]

    def _samples_by_label(self):
        return [(sample[3], sample[1]) for sample in self._samples]

    def _exists(self):
        return all(os.path.isdir(self._path(name)) for name in ("images", "annotations"))

    def __getitem__(self, index):
        from PIL import Image

        path, label, binary, name = self._samples[index]
        image, target = self.loader(path), []
        for kind in self._target_types:
            if kind == "category":
                target.append(label)
            elif kind == "binary-category":
                target.append(binary)
            else:
                target.append(Image.open(self._path("annotations", "trimaps", f"{name}.png")))
        target = None if not target else target[0] if len(target) == 1 else tuple(target)
        return (image, target) if self.transforms is None else self.transforms(image, target)


class FGVCAircraft(_Listed):
    """100 variants of aircraft (Maji et al., arXiv 1306.5151)."""

    _archive_beside = True

    def __init__(
        self,
        root,
        split="trainval",
        annotation_level="variant",
        transform=None,
        target_transform=None,
        download=False,
        loader=default_loader,
    ):
        self._split = verify_str_arg(split, "split", ("train", "val", "trainval", "test"))
        level = verify_str_arg(
            annotation_level, "annotation_level", ("variant", "family", "manufacturer")
        )
        base = "https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/archives/"
        super().__init__(
            root, "fgvc-aircraft-2013b", transform, target_transform, loader,
            [(base + "fgvc-aircraft-2013b.tar.gz", None)], download,
        )  # fmt: skip
        plural = {"variant": "variants", "family": "families", "manufacturer": "manufacturers"}
        self._name(self._lines("data", f"{plural[level]}.txt"))
        self._samples = []
        for line in self._lines("data", f"images_{level}_{split}.txt"):
            image, name = line.split(" ", 1)
            self._samples.append(
                (self._path("data", "images", f"{image}.jpg"), self.class_to_idx[name])
            )


class _Folders(_Listed):
    """One folder for each class."""

    def _walk(self, folder, classes=None, extensions=(".jpg", ".jpeg", ".png", ".tif")):
        names, index = find_classes(folder) if classes is None else (classes, None)
        self._name(names)
        self._samples = make_dataset(folder, index or self.class_to_idx, extensions)
        self.targets = [target for _, target in self._samples]
        self.samples = self.imgs = self._samples


class Country211(_Folders):
    """Photos of 211 countries (Radford et al., arXiv 2103.00020)."""

    _archive_beside = True

    def __init__(
        self,
        root,
        split="train",
        transform=None,
        target_transform=None,
        download=False,
        loader=default_loader,
    ):
        self._split = verify_str_arg(split, "split", ("train", "valid", "test"))
        archive = "https://openaipublic.azureedge.net/clip/data/country211.tgz"
        super().__init__(
            root, "country211", transform, target_transform, loader,
            [(archive, "84988d7644798601126c29e9877aab6a")], download,
        )  # fmt: skip
        self._walk(self._path(split))


class RenderedSST2(_Folders):
    """Sentences of films' reviews as pictures, negative or positive (arXiv 2103.00020)."""

    _archive_beside = True

    def __init__(
        self,
        root,
        split="train",
        transform=None,
        target_transform=None,
        download=False,
        loader=default_loader,
    ):
        self._split = verify_str_arg(split, "split", ("train", "val", "test"))
        archive = "https://openaipublic.azureedge.net/clip/data/rendered-sst2.tgz"
        super().__init__(
            root, "rendered-sst2", transform, target_transform, loader,
            [(archive, "2384d08e9dcfa4bd55b324e610496ee5")], download,
        )  # fmt: skip
        folder = {"train": "train", "val": "valid", "test": "test"}[split]
        self._walk(self._path(folder), ["negative", "positive"], (".png",))


class EuroSAT(_Folders):
    """Land seen by Sentinel-2 (Helber et al., arXiv 1709.00029)."""

    def __init__(
        self,
        root,
        transform=None,
        target_transform=None,
        download=False,
        loader=default_loader,
    ):
        archive = "https://huggingface.co/datasets/torchgeo/eurosat/resolve/main/EuroSAT.zip"
        super().__init__(
            root, "eurosat", transform, target_transform, loader,
            [(archive, "c8fa014336c82ac7804f0398fcb19387")], download,
        )  # fmt: skip
        self._walk(self._path("2750"))

    def _exists(self):
        return os.path.isdir(self._path("2750"))


class SUN397(_Folders):
    """397 scenes (Xiao et al., 2010)."""

    _archive_beside = True

    def __init__(
        self,
        root,
        transform=None,
        target_transform=None,
        download=False,
        loader=default_loader,
    ):
        archive = "http://vision.princeton.edu/projects/2010/SUN/SUN397.tar.gz"
        super().__init__(
            root, "SUN397", transform, target_transform, loader,
            [(archive, "8ca2778205c41d23104230ba66911c7a")], download,
        )  # fmt: skip
        self._name(line[3:] for line in self._lines("ClassName.txt"))
        self._samples = []
        for where, _, files in sorted(os.walk(self._base)):
            for file in sorted(f for f in files if f.startswith("sun_") and f.endswith(".jpg")):
                name = os.path.relpath(where, self._base).replace(os.sep, "/")[2:]
                self._samples.append((os.path.join(where, file), self.class_to_idx[name]))


class Imagenette(_Folders):
    """Ten easy classes of ImageNet, of full size or with sides of 320 or 160."""

    _archive_beside = True

    _ARCHIVES = {
        "full": ("imagenette2", "fe2fc210e6bb7c5664d602c3cd71e612"),
        "320px": ("imagenette2-320", "3df6f0d01a2c9592104656642f5e78a3"),
        "160px": ("imagenette2-160", "e793b78cc4c9e9a4ccc0c1155377a412"),
    }
    _WNID_TO_CLASS = {
        "n01440764": ("tench", "Tinca tinca"),
        "n02102040": ("English springer", "English springer spaniel"),
        "n02979186": ("cassette player",),
        "n03000684": ("chain saw", "chainsaw"),
        "n03028079": ("church", "church building"),
        "n03394916": ("French horn", "horn"),
        "n03417042": ("garbage truck", "dustcart"),
        "n03425413": ("gas pump", "gasoline pump", "petrol pump", "island dispenser"),
        "n03445777": ("golf ball",),
        "n03888257": ("parachute", "chute"),
    }

    def __init__(
        self,
        root,
        split="train",
        size="full",
        download=False,
        transform=None,
        target_transform=None,
        loader=default_loader,
    ):
        self._split = verify_str_arg(split, "split", ("train", "val"))
        verify_str_arg(size, "size", tuple(self._ARCHIVES))
        name, md5 = self._ARCHIVES[size]
        archive = f"https://s3.amazonaws.com/fast-ai-imageclas/{name}.tgz"
        super().__init__(
            root, name, transform, target_transform, loader, [(archive, md5)], download
        )
        self._walk(self._path(split), extensions=(".jpeg",))
        self.wnids, self.wnid_to_idx = self.classes, self.class_to_idx
        self.classes = [self._WNID_TO_CLASS[wnid] for wnid in self.wnids]
        self.class_to_idx = {name: i for i, names in enumerate(self.classes) for name in names}


class CLEVRClassification(_Listed):
    """How many things are in a rendered scene (Johnson et al., arXiv 1612.06890)."""

    def __init__(
        self,
        root,
        split="train",
        transform=None,
        target_transform=None,
        download=False,
        loader=default_loader,
    ):
        self._split = verify_str_arg(split, "split", ("train", "val", "test"))
        archive = "https://dl.fbaipublicfiles.com/clevr/CLEVR_v1.0.zip"
        super().__init__(
            root, "clevr", transform, target_transform, loader,
            [(archive, "b11922020e72d0cd9154779b2d3d07d2")], download,
        )  # fmt: skip
        inner = "CLEVR_v1.0"
        folder = self._path(inner, "images", split)
        counts = {}
        if split != "test":
            with open(self._path(inner, "scenes", f"CLEVR_{split}_scenes.json")) as file:
                scenes = json.load(file)["scenes"]
            counts = {scene["image_filename"]: len(scene["objects"]) for scene in scenes}
        self._samples = [
            (os.path.join(folder, name), counts.get(name)) for name in sorted(os.listdir(folder))
        ]

    def _exists(self):
        return os.path.isdir(self._path("CLEVR_v1.0"))


class StanfordCars(_Listed):
    """196 cars (Krause et al., 2013); the labels need SciPy. It cannot be downloaded any more."""

    def __init__(
        self,
        root,
        split="train",
        transform=None,
        target_transform=None,
        download=False,
        loader=default_loader,
    ):
        self._split = verify_str_arg(split, "split", ("train", "test"))
        if download:
            raise ValueError(
                "The original URL of the StanfordCars dataset is broken; put the files into "
                "root/stanford_cars by hand."
            )
        super().__init__(root, "stanford_cars", transform, target_transform, loader, [], False)
        names = _matlab(self._path("devkit", "cars_meta.mat"))["class_names"]
        self._name(str(name[0]) for name in names.ravel())
        where = ("devkit", "cars_train_annos.mat") if split == "train" else (
            "cars_test_annos_withlabels.mat",
        )  # fmt: skip
        rows = _matlab(self._path(*where))["annotations"].ravel()
        self._samples = [
            (self._path(f"cars_{split}", str(row["fname"][0])), int(row["class"][0, 0]) - 1)
            for row in rows
        ]


class GTSRB(_Listed):
    """43 German traffic signs (Stallkamp et al., 2011)."""

    _BASE = "https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370/"
    _FILES = {
        "train": [("GTSRB-Training_fixed.zip", "513f3c79a4c5141765e10e952eaa2478")],
        "test": [
            ("GTSRB_Final_Test_Images.zip", "c7e4e6327067d32654124b0fe9e82185"),
            ("GTSRB_Final_Test_GT.zip", "fe31e9c9270bbcd7b84b7f21a9d9d9e5"),
        ],
    }

    def __init__(self, root, split="train", transform=None, target_transform=None, download=False):
        self._split = verify_str_arg(split, "split", ("train", "test"))
        archives = [(self._BASE + name, md5) for name, md5 in self._FILES[split]]
        super().__init__(
            root, "gtsrb", transform, target_transform, default_loader, archives, download
        )
        if split == "train":
            folder = self._path("GTSRB", "Training")
            self._samples = make_dataset(folder, extensions=(".ppm",))
        else:
            folder = self._path("GTSRB", "Final_Test", "Images")
            with open(self._path("GT-final_test.csv")) as file:
                rows = csv.DictReader(file, delimiter=";", skipinitialspace=True)
                self._samples = [
                    (os.path.join(folder, row["Filename"]), int(row["ClassId"])) for row in rows
                ]

    def _exists(self):
        part = "Training" if self._split == "train" else os.path.join("Final_Test", "Images")
        return os.path.isdir(self._path("GTSRB", part))


class Omniglot(_Listed):
    """Characters of 50 alphabets (Lake et al., 2015)."""

    download_url_prefix = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python"
    zips_md5 = {
        "images_background": "68d2efa1b9178cc56df9314c21c6e718",
        "images_evaluation": "6b91aef0f799c5bb55b94e3f2daec811",
    }

    def __init__(
        self,
        root,
        background=True,
        transform=None,
        target_transform=None,
        download=False,
        loader=None,
    ):
        self.background = background
        self.target_folder = "images_background" if background else "images_evaluation"
        archive = f"{self.download_url_prefix}/{self.target_folder}.zip"
        super().__init__(
            root, "omniglot-py", transform, target_transform, loader or _grey,
            [(archive, self.zips_md5[self.target_folder])], download,
        )  # fmt: skip
        folder = self._path(self.target_folder)
        self._alphabets = utils.list_dir(folder)
        self._characters = [
            os.path.join(alphabet, character)
            for alphabet in self._alphabets
            for character in utils.list_dir(os.path.join(folder, alphabet))
        ]
        self._samples = [
            (os.path.join(folder, character, image), i)
            for i, character in enumerate(self._characters)
            for image in utils.list_files(os.path.join(folder, character), ".png")
        ]

    def _exists(self):
        return os.path.isdir(self._path(self.target_folder))


def _grey(path):
    from PIL import Image

    return Image.open(path).convert("L")


class FER2013(_Listed):
    """48x48 faces with seven expressions (Goodfellow et al., arXiv 1307.0414)."""

    _RESOURCES = {
        "train": ("train.csv", "3f0dfb3d3fd99c811a1299cb947e3131"),
        "test": ("test.csv", "b02c2298636a634e8c2faabbf3ea9a23"),
        "fer": ("fer2013.csv", "f8428a1edbd21e88f42c73edd2a14f95"),
        "icml": ("icml_face_data.csv", "b114b9e04e6949e5fe8b6a98b3892b1d"),
    }
    _USAGE = {"train": ("Training",), "test": ("PublicTest", "PrivateTest")}

    def __init__(self, root, split="train", transform=None, target_transform=None):
        self._split = verify_str_arg(split, "split", ("train", "test"))
        super().__init__(root, "fer2013", transform, target_transform, None, [], False)
        kind = next((k for k in ("icml", "fer") if self._has(k)), split)
        if not self._has(kind):
            raise not_found()
        with open(self._path(self._RESOURCES[kind][0]), newline="") as file:
            rows = list(csv.DictReader(file, skipinitialspace=True))
        if kind in ("icml", "fer"):
            rows = [row for row in rows if row["Usage"] in self._USAGE[split]]
        self._samples = [
            (row["pixels"], int(row["emotion"]) if "emotion" in row else None) for row in rows
        ]
        self.loader = self._face

    def _has(self, kind):
        name, md5 = self._RESOURCES[kind]
        return utils.check_integrity(self._path(name), md5)

    @staticmethod
    def _face(pixels):
        import numpy
        from PIL import Image

        values = [int(v) for v in re.findall(r"\d+", pixels)]
        return Image.fromarray(numpy.array(values, dtype=numpy.uint8).reshape(48, 48))
