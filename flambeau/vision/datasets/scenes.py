"""Scenes with boxes, masks, captions and attributes: VOC, COCO, Cityscapes, CelebA, KITTI."""

import csv
import json
import os
from collections import namedtuple

from . import utils
from .folder import default_loader
from .utils import not_found, verify_str_arg
from .vision import VisionDataset

__all__ = (
    "CelebA Cityscapes CocoCaptions CocoDetection Kitti SBDataset VOCDetection "
    "VOCSegmentation WIDERFace"
).split()

_VOC_HOST = "https://thor.robots.ox.ac.uk/pascal/VOC/"
_VOC = {  # file, MD5, folder within
    "2012": ("VOCtrainval_11-May-2012.tar", "6cd6e144f989b92b3379bac3b3de84fd"),
    "2011": ("VOCtrainval_25-May-2011.tar", "6c3384ef61512963050cb5d687e5bf1e"),
    "2010": ("VOCtrainval_03-May-2010.tar", "da459979d0c395079b5c75ee67908abb"),
    "2009": ("VOCtrainval_11-May-2009.tar", "a3e00b113cfcfebf17e343f59da3caa1"),
    "2008": ("VOCtrainval_11-May-2012.tar", "2629fa636546599198acfcfbfcf1904a"),
    "2007": ("VOCtrainval_06-Nov-2007.tar", "c52e279531787c972589f7e41ab4ae64"),
    "2007-test": ("VOCtest_06-Nov-2007.tar", "b6e924de25625d8de591ea690078ad9f"),
}


class _VOCBase(VisionDataset):
    _splits = _targets = _ending = None

    def __init__(
        self,
        root,
        year="2012",
        image_set="train",
        download=False,
        transform=None,
        target_transform=None,
        transforms=None,
    ):
        super().__init__(root, transforms, transform, target_transform)
        self.year = verify_str_arg(year, "year", [str(y) for y in range(2007, 2013)])
        sets = ["train", "trainval", "val", *(["test"] if year == "2007" else [])]
        self.image_set = verify_str_arg(image_set, "image_set", sets)
        key = "2007-test" if year == "2007" and image_set == "test" else year
        self.filename, self.md5 = _VOC[key]
        self.url = f"{_VOC_HOST}voc{year}/{self.filename}"
        inner = os.path.join(*(["TrainVal"] if year == "2011" else []), "VOCdevkit", f"VOC{year}")
        folder = os.path.join(self.root, inner)
        if download:
            utils.download_and_extract_archive(
                self.url, self.root, filename=self.filename, md5=self.md5
            )
        if not os.path.isdir(folder):
            raise not_found()
        with open(os.path.join(folder, "ImageSets", self._splits, f"{image_set}.txt")) as file:
            names = [line.split()[0] for line in file if line.strip()]
        self.images = [os.path.join(folder, "JPEGImages", f"{n}.jpg") for n in names]
        self.targets = [os.path.join(folder, self._targets, n + self._ending) for n in names]

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        image, target = default_loader(self.images[index]), self._read(self.targets[index])
        return (image, target) if self.transforms is None else self.transforms(image, target)


class VOCSegmentation(_VOCBase):
    """Pascal VOC: classes of pixels, as a PIL image."""

    _splits, _targets, _ending = "Segmentation", "SegmentationClass", ".png"

    @property
    def masks(self):
        return self.targets

    @staticmethod
    def _read(path):
        from PIL import Image

        return Image.open(path)


class VOCDetection(_VOCBase):
    """Pascal VOC: boxes, as the dictionary that the XML file says."""

    _splits, _targets, _ending = "Main", "Annotations", ".xml"

    @property
    def annotations(self):
        return self.targets

    @classmethod
    def _read(cls, path):
        from xml.etree import ElementTree

        return cls.parse_voc_xml(ElementTree.parse(path).getroot())

    @staticmethod
    def parse_voc_xml(node):
        """Nested dictionaries; what comes several times, and every object, in lists."""
        children = list(node)
        if not children:
            return {node.tag: (node.text or "").strip()}
        found = {}
        for child in children:
            for name, value in VOCDetection.parse_voc_xml(child).items():
                found.setdefault(name, []).append(value)
        several = {
            name: values if len(values) > 1 or name == "object" else values[0]
            for name, values in found.items()
        }
        return {node.tag: several}


class CocoDetection(VisionDataset):
    """COCO's images with their annotations; the JSON file is read without pycocotools."""

    def __init__(self, root, annFile, transform=None, target_transform=None, transforms=None):
        super().__init__(root, transforms, transform, target_transform)
        self.coco = _coco(annFile)
        self.ids = sorted(self.coco.imgs)

    def _load_image(self, id):
        return default_loader(os.path.join(self.root, self.coco.imgs[id]["file_name"]))

    def _load_target(self, id):
        return self.coco.imgToAnns.get(id, [])

    def __getitem__(self, index):
        if not isinstance(index, int):
            raise ValueError(f"Index must be of type integer, got {type(index)} instead.")
        id = self.ids[index]
        image, target = self._load_image(id), self._load_target(id)
        return (image, target) if self.transforms is None else self.transforms(image, target)

    def __len__(self):
        return len(self.ids)


class CocoCaptions(CocoDetection):
    """COCO's images, each with several captions."""

    def _load_target(self, id):
        return [annotation["caption"] for annotation in super()._load_target(id)]


def _coco(path):
    """pycocotools' index of the file where that is installed: its evaluation wants it."""
    try:
        from pycocotools.coco import COCO
    except ImportError:
        return CocoIndex(path)
    return COCO(path)


class CocoIndex:
    """COCO's JSON file by number, with the names that pycocotools' class has."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            self.dataset = json.load(file)
        self.imgs = {image["id"]: image for image in self.dataset.get("images", [])}
        self.anns = {a["id"]: a for a in self.dataset.get("annotations", [])}
        self.cats = {c["id"]: c for c in self.dataset.get("categories", [])}
        self.imgToAnns = {}
        for annotation in self.dataset.get("annotations", []):
            self.imgToAnns.setdefault(annotation["image_id"], []).append(annotation)

    def getAnnIds(self, imgIds=(), catIds=(), areaRng=(), iscrowd=None):
        """Numbers of the annotations of these images and categories."""
        images, categories = (_numbers(v) for v in (imgIds, catIds))
        found = self.dataset.get("annotations", [])
        if images:
            found = [a for image in images for a in self.imgToAnns.get(image, [])]
        return [
            a["id"]
            for a in found
            if (not categories or a["category_id"] in categories)
            and (not areaRng or areaRng[0] < a["area"] < areaRng[1])
            and (iscrowd is None or a["iscrowd"] == iscrowd)
        ]

    def getCatIds(self, catNms=(), supNms=(), catIds=()):
        """Numbers of the categories of these names, kinds and numbers."""
        names, kinds = ([v] if isinstance(v, str) else v for v in (catNms, supNms))
        numbers = _numbers(catIds)
        return [
            c["id"]
            for c in self.dataset.get("categories", [])
            if (not names or c["name"] in names)
            and (not kinds or c["supercategory"] in kinds)
            and (not numbers or c["id"] in numbers)
        ]

    def getImgIds(self, imgIds=(), catIds=()):
        """Numbers of the images that show all of these categories."""
        found = set(_numbers(imgIds) or self.imgs)
        for category in _numbers(catIds):
            found &= {a["image_id"] for a in self.anns.values() if a["category_id"] == category}
        return list(found)

    def loadAnns(self, ids=()):
        return [self.anns[i] for i in _numbers(ids)]

    def loadCats(self, ids=()):
        return [self.cats[i] for i in _numbers(ids)]

    def loadImgs(self, ids=()):
        return [self.imgs[i] for i in _numbers(ids)]


def _numbers(value):
    return [value] if isinstance(value, int) else list(value)


class Cityscapes(VisionDataset):
    """Streets of 50 cities (Cordts et al., arXiv 1604.01685), from the files as they unpack."""

    CityscapesClass = namedtuple(
        "CityscapesClass",
        "name id train_id category category_id has_instances ignore_in_eval color",
    )

    def __init__(
        self,
        root,
        split="train",
        mode="fine",
        target_type="instance",
        transform=None,
        target_transform=None,
        transforms=None,
    ):
        super().__init__(root, transforms, transform, target_transform)
        self.mode = "gtFine" if mode == "fine" else "gtCoarse"
        verify_str_arg(mode, "mode", ("fine", "coarse"))
        splits = ("train", "test", "val") if mode == "fine" else ("train", "train_extra", "val")
        self.split = verify_str_arg(split, "split", splits)
        self.target_type = [target_type] if isinstance(target_type, str) else list(target_type)
        for kind in self.target_type:
            verify_str_arg(kind, "target_type", ("instance", "semantic", "polygon", "color"))
        self.images_dir = os.path.join(self.root, "leftImg8bit", split)
        self.targets_dir = os.path.join(self.root, self.mode, split)
        if not os.path.isdir(self.images_dir) or not os.path.isdir(self.targets_dir):
            raise RuntimeError(
                "Dataset not found or incomplete. Please make sure all required folders for the "
                'specified "split" and "mode" are inside the "root" directory'
            )
        self.images, self.targets = [], []
        for city in sorted(os.listdir(self.images_dir)):
            for file in sorted(os.listdir(os.path.join(self.images_dir, city))):
                self.images.append(os.path.join(self.images_dir, city, file))
                stem = file.split("_leftImg8bit")[0]
                self.targets.append(
                    [
                        os.path.join(self.targets_dir, city, f"{stem}_{self._suffix(kind)}")
                        for kind in self.target_type
                    ]
                )

    def _suffix(self, kind):
        names = {
            "instance": "instanceIds.png",
            "semantic": "labelIds.png",
            "color": "color.png",
            "polygon": "polygons.json",
        }
        return f"{self.mode}_{names[kind]}"

    @staticmethod
    def _read(path):
        if path.endswith(".json"):
            with open(path) as file:
                return json.load(file)
        from PIL import Image

        return Image.open(path)

    def __getitem__(self, index):
        image = default_loader(self.images[index])
        target = tuple(self._read(path) for path in self.targets[index])
        target = target if len(target) > 1 else target[0]
        return (image, target) if self.transforms is None else self.transforms(image, target)

    def __len__(self):
        return len(self.images)

    def extra_repr(self):
        return f"Split: {self.split}\nMode: {self.mode}\nType: {self.target_type}"


# Names, numbers for training (255: none), categories and colours, from the authors' label table.
_CITYSCAPES = """
unlabeled,255,void,0,0,1,0,0,0
ego vehicle,255,void,0,0,1,0,0,0
rectification border,255,void,0,0,1,0,0,0
out of roi,255,void,0,0,1,0,0,0
static,255,void,0,0,1,0,0,0
dynamic,255,void,0,0,1,111,74,0
ground,255,void,0,0,1,81,0,81
road,0,flat,1,0,0,128,64,128
sidewalk,1,flat,1,0,0,244,35,232
parking,255,flat,1,0,1,250,170,160
rail track,255,flat,1,0,1,230,150,140
building,2,construction,2,0,0,70,70,70
wall,3,construction,2,0,0,102,102,156
fence,4,construction,2,0,0,190,153,153
guard rail,255,construction,2,0,1,180,165,180
bridge,255,construction,2,0,1,150,100,100
tunnel,255,construction,2,0,1,150,120,90
pole,5,object,3,0,0,153,153,153
polegroup,255,object,3,0,1,153,153,153
traffic light,6,object,3,0,0,250,170,30
traffic sign,7,object,3,0,0,220,220,0
vegetation,8,nature,4,0,0,107,142,35
terrain,9,nature,4,0,0,152,251,152
sky,10,sky,5,0,0,70,130,180
person,11,human,6,1,0,220,20,60
rider,12,human,6,1,0,255,0,0
car,13,vehicle,7,1,0,0,0,142
truck,14,vehicle,7,1,0,0,0,70
bus,15,vehicle,7,1,0,0,60,100
caravan,255,vehicle,7,1,1,0,0,90
trailer,255,vehicle,7,1,1,0,0,110
train,16,vehicle,7,1,0,0,80,100
motorcycle,17,vehicle,7,1,0,0,0,230
bicycle,18,vehicle,7,1,0,119,11,32
license plate,-1,vehicle,7,0,1,0,0,142"""


def _city_classes():
    rows = []
    for i, line in enumerate(_CITYSCAPES.strip().splitlines()):
        name, train_id, category, category_id, instances, ignored, *color = line.split(",")
        number = i if i < 34 else -1
        rows.append(
            Cityscapes.CityscapesClass(
                name,
                number,
                int(train_id),
                category,
                int(category_id),
                instances == "1",
                ignored == "1",
                tuple(int(c) for c in color),
            )  # fmt: skip
        )
    return rows


Cityscapes.classes = _city_classes()


class CelebA(VisionDataset):
    """Faces with 40 attributes, identity, box and landmarks (Liu et al., arXiv 1411.7766)."""

    base_folder = "celeba"
    file_list = [
        (
            "0B7EVK8r0v71pZjFTYXZWM3FlRnM",
            "00d2c5bc6d35e252742224ab0c1e8fcb",
            "img_align_celeba.zip",
        ),
        (
            "0B7EVK8r0v71pblRyaVFSWGxPY0U",
            "75e246fa4810816ffd6ee81facbd244c",
            "list_attr_celeba.txt",
        ),
        (
            "1_ee_0u7vcNLOfNLegJRHmolfH5ICW-XS",
            "32bd1bd63d3c78cd57e08160ec5ed1e2",
            "identity_CelebA.txt",
        ),
        (
            "0B7EVK8r0v71pbThiMVRxWXZ4dU0",
            "00566efa6fedff7a56946cd1c10f1c16",
            "list_bbox_celeba.txt",
        ),
        (
            "0B7EVK8r0v71pd0FJY3Blby1HUTQ",
            "cc24ecafdb5b50baae59b03474781f8c",
            "list_landmarks_align_celeba.txt",
        ),
        (
            "0B7EVK8r0v71pY0NSMzRuSXJEVkk",
            "d32c9cbf5e040fd4025c592c306e6668",
            "list_eval_partition.txt",
        ),
    ]

    def __init__(
        self,
        root,
        split="train",
        target_type="attr",
        transform=None,
        target_transform=None,
        download=False,
    ):
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.split = split
        self.target_type = [target_type] if isinstance(target_type, str) else list(target_type)
        if not self.target_type and target_transform is not None:
            raise RuntimeError("target_transform is specified but target_type is empty")
        for kind in self.target_type:
            verify_str_arg(kind, "target_type", ("attr", "identity", "bbox", "landmarks"))
        verify_str_arg(split, "split", ("train", "valid", "test", "all"))
        if download:
            self.download()
        if not os.path.isdir(self._path("img_align_celeba")):
            raise not_found()
        parts = {"train": 0, "valid": 1, "test": 2, "all": None}
        _, names, partition = self._table("list_eval_partition.txt")
        wanted = parts[split]
        keep = [i for i, row in enumerate(partition) if wanted is None or row[0] == wanted]
        self.filename = [names[i] for i in keep]

        import flambeau

        def read(file, header=None):
            columns, _, rows = self._table(file, header)
            return columns, flambeau.tensor([rows[i] for i in keep])

        self.attr_names, attributes = read("list_attr_celeba.txt", 1)
        self.attr = flambeau.div(attributes + 1, 2, rounding_mode="floor")  # -1 and 1 to 0 and 1
        self.identity = read("identity_CelebA.txt")[1]
        self.bbox = read("list_bbox_celeba.txt", 1)[1]
        self.landmarks_align = read("list_landmarks_align_celeba.txt", 1)[1]

    def _path(self, *names):
        return os.path.join(self.root, self.base_folder, *names)

    def _table(self, name, header=None):
        """(columns, files, numbers) of a text file."""
        with open(self._path(name)) as file:
            rows = list(csv.reader(file, delimiter=" ", skipinitialspace=True))
        columns = [] if header is None else [c for c in rows[header] if c]
        rows = rows if header is None else rows[header + 1 :]
        numbers = [[int(v) for v in row[1:] if v] for row in rows if row]
        return columns, [row[0] for row in rows if row], numbers

    def download(self):
        """Fetches the files, unless they are there."""
        if os.path.isdir(self._path("img_align_celeba")):
            return
        for file_id, md5, name in self.file_list:
            utils.download_file_from_google_drive(file_id, self._path(), name, md5)
        utils.extract_archive(self._path("img_align_celeba.zip"))

    def __getitem__(self, index):
        from PIL import Image

        image = Image.open(self._path("img_align_celeba", self.filename[index]))
        values = {
            "attr": lambda: self.attr[index],
            "identity": lambda: self.identity[index, 0],
            "bbox": lambda: self.bbox[index],
            "landmarks": lambda: self.landmarks_align[index],
        }
        target = [values[kind]() for kind in self.target_type]
        target = None if not target else tuple(target) if len(target) > 1 else target[0]
        if self.transform is not None:
            image = self.transform(image)
        if target is not None and self.target_transform is not None:
            target = self.target_transform(target)
        return image, target

    def __len__(self):
        return len(self.filename)


class Kitti(VisionDataset):
    """Streets with boxes (Geiger et al., 2012), the object benchmark's left images."""

    data_url = "https://s3.eu-central-1.amazonaws.com/avg-kitti/"
    resources = ["data_object_image_2.zip", "data_object_label_2.zip"]

    def __init__(
        self,
        root,
        train=True,
        transform=None,
        target_transform=None,
        transforms=None,
        download=False,
    ):
        super().__init__(root, transforms, transform, target_transform)
        self.train = train
        raw = os.path.join(self.root, "Kitti", "raw")
        folder = os.path.join(raw, "training" if train else "testing")
        images = os.path.join(folder, "image_2")
        if download and not os.path.isdir(images):
            for name in self.resources:
                utils.download_and_extract_archive(self.data_url + name, raw)
        if not os.path.isdir(images):
            raise RuntimeError("Dataset not found. You may use download=True to download it.")
        names = sorted(os.listdir(images))
        self.images = [os.path.join(images, name) for name in names]
        self.targets = [
            os.path.join(folder, "label_2", os.path.splitext(name)[0] + ".txt")
            for name in (names if train else [])
        ]

    @staticmethod
    def _read(path):
        with open(path) as file:
            rows = [line.split() for line in file if line.strip()]
        return [
            {
                "type": row[0],
                "truncated": float(row[1]),
                "occluded": int(row[2]),
                "alpha": float(row[3]),
                "bbox": [float(v) for v in row[4:8]],
                "dimensions": [float(v) for v in row[8:11]],
                "location": [float(v) for v in row[11:14]],
                "rotation_y": float(row[14]),
            }
            for row in rows
        ]

    def __getitem__(self, index):
        from PIL import Image

        image = Image.open(self.images[index])
        target = self._read(self.targets[index]) if self.train else None
        return (image, target) if self.transforms is None else self.transforms(image, target)

    def __len__(self):
        return len(self.images)


class SBDataset(VisionDataset):
    """Boundaries or classes of pixels (Hariharan et al., 2011); they need SciPy."""

    url = (
        "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/semantic_contours/"
        "benchmark.tgz"
    )
    md5 = "82b4d87ceb2ed10f6038a1cba92111cb"

    def __init__(self, root, image_set="train", mode="boundaries", download=False, transforms=None):
        super().__init__(root, transforms)
        self.image_set = verify_str_arg(image_set, "image_set", ("train", "val", "train_noval"))
        self.mode = verify_str_arg(mode, "mode", ("segmentation", "boundaries"))
        self.num_classes = 20
        folder = self.root
        if download:
            utils.download_and_extract_archive(self.url, self.root, md5=self.md5)
            folder = os.path.join(self.root, "benchmark_RELEASE", "dataset")
            if image_set == "train_noval":
                host = "https://www.cs.cornell.edu/~bharathh/"
                name, md5 = "train_noval.txt", "79bff800c5f0b1ec6b21080a3c066722"
                utils.download_url(host + name, folder, name, md5)
        if not os.path.isdir(folder):
            raise not_found()
        with open(os.path.join(folder, f"{image_set}.txt")) as file:
            names = [line.strip() for line in file if line.strip()]
        kind = "cls"
        self.images = [os.path.join(folder, "img", f"{n}.jpg") for n in names]
        self.masks = [os.path.join(folder, kind, f"{n}.mat") for n in names]

    def _read(self, path):
        from PIL import Image

        from .arrays import _matlab

        content = _matlab(path)["GTcls"][0]
        if self.mode == "segmentation":
            return Image.fromarray(content["Segmentation"][0])
        import numpy

        edges = content["Boundaries"][0]
        return numpy.concatenate(
            [edges[i][0].toarray()[None] for i in range(self.num_classes)], axis=0
        )

    def __getitem__(self, index):
        image, target = default_loader(self.images[index]), self._read(self.masks[index])
        return (image, target) if self.transforms is None else self.transforms(image, target)

    def __len__(self):
        return len(self.images)


class WIDERFace(VisionDataset):
    """Faces in crowds (Yang et al., arXiv 1511.06523), from the files as they unpack."""

    FILE_LIST = [
        (
            "15hGDLhsx8bLgLcIRD5DhYt5iBxnjNF1M",
            "3fedf70df600953d25982bcd13d91ba2",
            "WIDER_train.zip",
        ),
        ("1GUCogbp16PMGa39thoMMeWxp7Rp5oM8Q", "dfa7d7e790efa35df3788964cf0bbaea", "WIDER_val.zip"),
        ("1HIfDbVEWKmsYKJZm4lchTBDLW5N7dY5T", "e5d8f4248ed24c334bbd12f49c29dd40", "WIDER_test.zip"),
    ]
    _SPLIT = "http://shuoyang1213.me/WIDERFACE/support/bbx_annotation/wider_face_split.zip"
    _COLUMNS = ("blur", "expression", "illumination", "occlusion", "pose", "invalid")

    def __init__(self, root, split="train", transform=None, target_transform=None, download=False):
        root = os.path.join(os.path.expanduser(root), "widerface")
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.split = verify_str_arg(split, "split", ("train", "val", "test"))
        if download:
            for file_id, md5, name in self.FILE_LIST:
                utils.download_file_from_google_drive(file_id, self.root, name, md5)
                utils.extract_archive(os.path.join(self.root, name))
            md5 = "0e3767bcf0e326556d407bf5bff5d27c"
            utils.download_and_extract_archive(self._SPLIT, self.root, md5=md5)
        lists = os.path.join(self.root, "wider_face_split")
        folder = os.path.join(self.root, f"WIDER_{split}", "images")
        if not os.path.isdir(folder) or not os.path.isdir(lists):
            raise not_found()
        name = "wider_face_test_filelist" if split == "test" else f"wider_face_{split}_bbx_gt"
        with open(os.path.join(lists, f"{name}.txt")) as file:
            lines = [line.strip() for line in file if line.strip()]
        self.img_info = self._parse(lines, folder)

    def _parse(self, lines, folder):
        import flambeau

        found, at = [], 0
        while at < len(lines):
            entry = {"img_path": os.path.join(folder, *lines[at].split("/"))}
            at += 1
            if self.split != "test":
                count = int(lines[at])
                rows = max(count, 1)  # an image without faces has a line of zeros
                numbers = [[int(v) for v in line.split()] for line in lines[at + 1 : at + 1 + rows]]
                at += 1 + rows
                values = flambeau.tensor(numbers)[:count]
                entry["annotations"] = {"bbox": values[:, :4]} | {
                    column: values[:, 4 + i] for i, column in enumerate(self._COLUMNS)
                }
            found.append(entry)
        return found

    def __getitem__(self, index):
        from PIL import Image

        image = Image.open(self.img_info[index]["img_path"])
        if self.transform is not None:
            image = self.transform(image)
        target = self.img_info[index].get("annotations")  # None of the split "test"
        return image, target if self.target_transform is None else self.target_transform(target)

    def __len__(self):
        return len(self.img_info)
