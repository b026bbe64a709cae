"""Scenes from two cameras, with the disparity between them."""

import glob
import json
import os
import random

from . import utils
from .flow import read_pfm
from .utils import verify_str_arg
from .vision import VisionDataset

__all__ = [
    "CREStereo",
    "CarlaStereo",
    "ETH3DStereo",
    "FallingThingsStereo",
    "InStereo2k",
    "Kitti2012Stereo",
    "Kitti2015Stereo",
    "Middlebury2014Stereo",
    "SceneFlowStereo",
    "SintelStereo",
]


def _open(path):
    """An image file in its own mode as an array."""
    import numpy
    from PIL import Image

    with Image.open(path) as image:
        return numpy.asarray(image)


def _read_pfm(path):
    import numpy

    return numpy.abs(read_pfm(path, channels=1))


class _Stereo(VisionDataset):
    """Samples (left, right, disparity [1, H, W]).

    There is a fourth item where the dataset tells of pixels that can be matched. `transforms` takes
    and gives three pairs: images, disparities, masks.
    """

    has_mask = False
    _known = None  # files that go with the left images, where there are any

    def __init__(self, root, folder, transforms=None):
        super().__init__(os.path.join(os.path.expanduser(root), folder))
        self.root = root
        self.transforms = transforms
        self._folder = os.path.join(os.path.expanduser(root), folder)
        self._images, self._disparities = [], []

    def _find(self, *pattern):
        found = sorted(glob.glob(os.path.join(self._folder, *pattern)))
        if not found:
            pattern = os.path.join(self._folder, *pattern)
            raise FileNotFoundError(f"Could not find any files matching the patterns: {pattern}")
        return found

    def _add(self, left, right, left_disparity=None, right_disparity=None):
        """Patterns of file names below the dataset's folder, as tuples of their parts."""
        first, second = self._find(*left), self._find(*right)
        if len(first) != len(second):
            raise ValueError(
                f"Found {len(first)} left images but {len(second)} right images in {self._folder}"
            )
        self._images += zip(first, second, strict=True)
        if left_disparity is None:
            self._disparities += [(None, None)] * len(first)
            return
        of_left = self._find(*left_disparity)
        of_right = self._find(*right_disparity) if right_disparity else [None] * len(of_left)
        if not len(first) == len(of_left) == len(of_right):
            raise ValueError(
                f"Found {len(first)} image pairs but {len(of_left)} left and {len(of_right)} "
                f"right disparity maps in {self._folder}"
            )
        self._disparities += zip(of_left, of_right, strict=True)

    def _image(self, path):
        from PIL import Image

        image = Image.open(path)
        image.load()  # which closes the file
        return image if image.mode == "RGB" else image.convert("RGB")

    def _disparity(self, path):
        """(disparity, mask) of a file, either of them None where there is none."""
        raise NotImplementedError

    def __getitem__(self, index):
        images = tuple(self._image(path) for path in self._images[index])
        found = [
            (None, None) if p is None else self._disparity(p) for p in self._disparities[index]
        ]
        disparities, masks = zip(*found, strict=True)
        if self.transforms is not None:
            images, disparities, masks = self.transforms(images, disparities, masks)
        if self.has_mask or masks[0] is not None:
            return *images, disparities[0], masks[0]
        return *images, disparities[0]

    def __len__(self):
        return len(self._images)


class CarlaStereo(_Stereo):
    """A simulated town in high resolution (Li et al., arXiv 2203.11483), `root/carla-highres`."""

    def __init__(self, root, transforms=None):
        super().__init__(root, "carla-highres", transforms)
        names = ("im0.png", "im1.png", "disp0GT.pfm", "disp1GT.pfm")
        self._add(*(("trainingF", "*", name) for name in names))

    def _disparity(self, path):
        return _read_pfm(path), None


class _KittiStereo(_Stereo):
    """Samples have a fourth item, which is None: 0 marks pixels without a match."""

    has_mask = True
    _name = _left = _right = _maps = None

    def __init__(self, root, split="train", transforms=None):
        super().__init__(root, self._name, transforms)
        verify_str_arg(split, "split", ("train", "test"))
        part, maps = f"{split}ing", ()
        if split == "train":
            maps = [(part, name, "*.png") for name in self._maps]
        self._add((part, self._left, "*_10.png"), (part, self._right, "*_10.png"), *maps)

    def _disparity(self, path):
        return _open(path)[None] / 256.0, None


class Kitti2012Stereo(_KittiStereo):
    """Streets (Geiger et al., 2012), in `root/Kitti2012`."""

    _name, _left, _right, _maps = "Kitti2012", "colored_0", "colored_1", ["disp_noc"]


class Kitti2015Stereo(_KittiStereo):
    """Streets (Menze and Geiger, 2015), in `root/Kitti2015`."""

    _name, _left, _right = "Kitti2015", "image_2", "image_3"
    _maps = ("disp_occ_0", "disp_occ_1")


class CREStereo(_Stereo):
    """Rendered scenes (Li et al., arXiv 2203.11483), in `root/CREStereo`."""

    has_mask = True

    def __init__(self, root, transforms=None):
        super().__init__(root, "CREStereo", transforms)
        for kind in ("shapenet", "reflective", "tree", "hole"):
            names = ("*_left.jpg", "*_right.jpg", "*_left.disp.png", "*_right.disp.png")
            self._add(*((kind, name) for name in names))

    def _disparity(self, path):
        return _open(path)[None].astype("float32") / 32.0, None


class FallingThingsStereo(_Stereo):
    """Household things that fall (Tremblay et al., arXiv 1804.06534), in `root/FallingThings`."""

    _BASELINE = 6.0  # centimetres between the cameras
    _DEPTH_UNIT = 100.0  # steps of the depth maps in a centimetre

    def __init__(self, root, variant="single", transforms=None):
        super().__init__(root, "FallingThings", transforms)
        verify_str_arg(variant, "variant", ("single", "mixed", "both"))
        folders = {"single": ("single", "*", "*"), "mixed": ("mixed", "*")}
        names = ("*.left.jpg", "*.right.jpg", "*.left.depth.png", "*.right.depth.png")
        for kind in ("single", "mixed") if variant == "both" else (variant,):
            self._add(*((*folders[kind], name) for name in names))

    def _disparity(self, path):
        import numpy

        with open(os.path.join(os.path.dirname(path), "_camera_settings.json")) as file:
            focal = json.load(file)["camera_settings"][0]["intrinsic_settings"]["fx"]
        with numpy.errstate(divide="ignore"):
            disparity = self._BASELINE * focal * self._DEPTH_UNIT / _open(path).astype("float32")
        return disparity[None].astype("float32"), None


class SceneFlowStereo(_Stereo):
    """Things in flight, animals, streets (Mayer et al., arXiv 1512.02134), in `root/SceneFlow`."""

    _DEPTH = {"FlyingThings3D": 3, "Monkaa": 1, "Driving": 3}  # folders above left and right

    def __init__(self, root, variant="FlyingThings3D", pass_name="clean", transforms=None):
        super().__init__(root, "SceneFlow", transforms)
        verify_str_arg(variant, "variant", tuple(self._DEPTH))
        verify_str_arg(pass_name, "pass_name", ("clean", "final", "both"))
        scenes = ("*",) * self._DEPTH[variant]
        for kind in ("clean", "final") if pass_name == "both" else (pass_name,):
            frames = (variant, f"frames_{kind}pass", *scenes)
            maps = (variant, "disparity", *scenes)
            self._add(
                (*frames, "left", "*.png"),
                (*frames, "right", "*.png"),
                (*maps, "left", "*.pfm"),
                (*maps, "right", "*.pfm"),
            )

    def _disparity(self, path):
        return _read_pfm(path), None


class SintelStereo(_Stereo):
    """Frames of a film (Butler et al., 2012), in `root/Sintel`."""

    has_mask = True

    def __init__(self, root, pass_name="final", transforms=None):
        super().__init__(root, "Sintel", transforms)
        verify_str_arg(pass_name, "pass_name", ("final", "clean", "both"))
        for kind in ("final", "clean") if pass_name == "both" else (pass_name,):
            self._add(
                ("training", f"{kind}_left", "*", "*.png"),
                ("training", f"{kind}_right", "*", "*.png"),
            )
        for i, (left, _) in enumerate(self._images):  # named as the left image is
            scene = left.split(os.sep)[-2:]
            path = os.path.join(self._folder, "training", "disparities", *scene)
            self._disparities[i] = path, None

    def _disparity(self, path):
        scene, name = path.split(os.sep)[-2:]
        folder = os.path.join(self._folder, "training")
        red, green, blue = _open(path).astype("float32").transpose(2, 0, 1)
        hidden, away = (
            _open(os.path.join(folder, kind, scene, name)) for kind in ("occlusions", "outofframe")
        )
        return (red * 4 + green / 2**6 + blue / 2**14)[None], (hidden == 0) & (away == 0)


class InStereo2k(_Stereo):
    """Rooms (Bao et al., 2020), in `root/InStereo2k`."""

    def __init__(self, root, split="train", transforms=None):
        super().__init__(root, "InStereo2k", transforms)
        verify_str_arg(split, "split", ("train", "test"))
        names = ("left.png", "right.png", "left_disp.png", "right_disp.png")
        self._add(*((split, "*", name) for name in names))

    def _disparity(self, path):
        return _open(path)[None].astype("float32") / 1024.0, None


class ETH3DStereo(_Stereo):
    """Scenes in grey from a laser scanner (Schöps et al., 2017), in `root/ETH3D`."""

    has_mask = True

    def __init__(self, root, split="train", transforms=None):
        super().__init__(root, "ETH3D", transforms)
        verify_str_arg(split, "split", ("train", "test"))
        part, maps = f"two_view_{split}ing", ()
        if split == "train":
            maps = [("two_view_training_gt", "*", "disp0GT.pfm")]
        elif os.path.isdir(os.path.join(self._folder, "two_view_test")):
            part = "two_view_test"
        self._add((part, "*", "im0.png"), (part, "*", "im1.png"), *maps)

    def _disparity(self, path):
        mask = _open(os.path.join(os.path.dirname(path), "mask0nocc.png"))
        return _read_pfm(path), mask.astype(bool)


class Middlebury2014Stereo(_Stereo):
    """Rooms in high resolution (Scharstein et al., 2014), in `root/Middlebury2014`.

    `use_ambient_views` draws the right image among those of other exposure and lighting.
    """

    has_mask = True
    splits = {
        "train": "Adirondack Jadeplant Motorcycle Piano Pipes Playroom Playtable Recycle Shelves "
        "Vintage",
        "additional": "Backpack Bicycle1 Cable Classroom1 Couch Flowers Mask Shopvac Sticks "
        "Storage Sword1 Sword2 Umbrella",
        "test": "Plants Classroom2E Classroom2 Australia DjembeL CrusadeP Crusade Hoops Bicycle2 "
        "Staircase Newkuba AustraliaP Djembe Livingroom Computer",
    }
    splits = {split: names.split() for split, names in splits.items()}
    _URL = "https://vision.middlebury.edu/stereo/"

    def __init__(
        self,
        root,
        split="train",
        calibration="perfect",
        use_ambient_views=False,
        transforms=None,
        download=False,
    ):
        super().__init__(root, "Middlebury2014", transforms)
        verify_str_arg(split, "split", tuple(self.splits))
        self.split = split
        if split == "test":
            if calibration is not None:
                raise ValueError(
                    "Split 'test' has only no calibration settings, please set `calibration=None`."
                )
        elif calibration is None:
            raise ValueError(
                f"Split '{split}' has calibration settings, however None was provided as an "
                "argument. Available calibration settings are: 'perfect', 'imperfect', 'both'"
            )
        else:
            verify_str_arg(calibration, "calibration", ("perfect", "imperfect", "both"))
        self.use_ambient_views = use_ambient_views
        endings = {None: [""], "both": ["-perfect", "-imperfect"]}
        endings = endings.get(calibration, [f"-{calibration}"])
        if download:
            self._download(endings)
        if not os.path.isdir(os.path.join(self._folder, split)):
            raise FileNotFoundError(
                f"The {split} directory was not found in the provided root directory"
            )
        maps = [] if split == "test" else ["disp0.pfm", "disp1.pfm"]
        for ending in endings:
            for scene in self._scenes(ending):
                names = ("im0.png", "im1.png", *maps)
                self._add(*((split, scene, name) for name in names))

    def _scenes(self, ending):
        """The split's scenes that are there; files of others may lie beside them."""
        known = {name + ending for name in self.splits[self.split]}
        found = sorted(known.intersection(os.listdir(os.path.join(self._folder, self.split))))
        if not found:
            raise FileNotFoundError(f"No scenes of the split '{self.split}' in {self._folder}")
        return found

    def _download(self, endings):
        folder = os.path.join(self._folder, self.split)
        if self.split == "test":
            url = self._URL + "submit3/zip/MiddEval3-data-F.zip"
            utils.download_and_extract_archive(url, self._folder)
            unpacked = os.path.join(self._folder, "MiddEval3", "testF")
            os.makedirs(folder, exist_ok=True)
            for scene in os.listdir(unpacked):
                os.rename(os.path.join(unpacked, scene), os.path.join(folder, scene))
            return
        for name in self.splits[self.split]:
            for ending in endings:
                if not os.path.isdir(os.path.join(folder, name + ending)):
                    url = f"{self._URL}data/scenes2014/zip/{name}{ending}.zip"
                    utils.download_and_extract_archive(url, folder, remove_finished=True)

    def _image(self, path):
        folder, name = os.path.split(path)
        if self.use_ambient_views and name == "im1.png":
            views = [os.path.join(folder, f"im1{kind}.png") for kind in ("E", "L", "")]
            path = random.choice([view for view in views if os.path.exists(view)])
        return super()._image(path)

    def _disparity(self, path):
        import numpy

        disparity = _read_pfm(path)
        disparity[disparity == numpy.inf] = 0  # unknown
        return disparity, (disparity > 0)[0]
