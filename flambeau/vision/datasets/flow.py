"""How pixels move from one image to the next."""

import glob
import os
import re

from .folder import default_loader
from .utils import verify_str_arg
from .vision import VisionDataset

__all__ = [
    "HD1K",
    "FlyingChairs",
    "FlyingThings3D",
    "KittiFlow",
    "Sintel",
]


def read_flo(path):
    """[2, H, W] of a Middlebury .flo file."""
    import numpy

    with open(path, "rb") as file:
        if file.read(4) != b"PIEH":
            raise ValueError("Magic number incorrect. Invalid .flo file")
        width, height = numpy.fromfile(file, "<i4", count=2)
        values = numpy.fromfile(file, "<f4", count=2 * int(width) * int(height))
    return values.reshape(int(height), int(width), 2).transpose(2, 0, 1)


def read_pfm(path, channels=2):
    """[channels, H, W] of a .pfm file."""
    import numpy

    with open(path, "rb") as file:
        header = file.readline().rstrip()
        if header not in (b"PF", b"Pf"):
            raise ValueError("Invalid PFM file")
        size = re.match(rb"^(\d+)\s(\d+)\s$", file.readline())
        if not size:
            raise ValueError("Malformed PFM header.")
        width, height = (int(v) for v in size.groups())
        order = "<" if float(file.readline().rstrip()) < 0 else ">"
        data = numpy.fromfile(file, dtype=order + "f")
    data = data.reshape(height, width, 3 if header == b"PF" else 1).transpose(2, 0, 1)
    return data[:channels, ::-1].astype("float32")  # files go from the bottom up


def read_png16(path):
    """(values [2, H, W], which are known [H, W]) of KITTI's 16-bit images."""
    from ..io._png import read_deep

    with open(path, "rb") as file:
        image = read_deep(file.read())
    if image is None or image.shape[2] != 3:
        raise ValueError(f"{path}: wanted a PNG file with 16 bits of RGB, not interlaced")
    values = image.transpose(2, 0, 1)
    return (values[:2].astype("float32") - 2**15) / 64, values[2].astype(bool)


class _Flow(VisionDataset):
    """Samples (image1, image2, flow), with a fourth item where flow is not known everywhere."""

    has_mask = False

    def __init__(self, root, transforms=None, loader=default_loader):
        super().__init__(root)
        self.transforms = transforms
        self._loader = loader
        self._images, self._flows = [], []

    def __getitem__(self, index):
        first, second = (self._loader(path) for path in self._images[index])
        flow, valid = None, None
        if self._flows:
            flow = self._read(self._flows[index])
            if self.has_mask:
                flow, valid = flow
        if self.transforms is not None:
            first, second, flow, valid = self.transforms(first, second, flow, valid)
        if self.has_mask or valid is not None:
            return first, second, flow, valid
        return first, second, flow

    def __len__(self):
        return len(self._images)

    def __rmul__(self, v):
        import flambeau

        return flambeau.utils.data.ConcatDataset([self] * v)

    @staticmethod
    def _read(path):
        return read_flo(path)


def _pairs(paths):
    return [list(pair) for pair in zip(paths[:-1], paths[1:], strict=True)]


class Sintel(_Flow):
    """Frames of a film (Butler et al., 2012), in `root/Sintel`."""

    def __init__(
        self, root, split="train", pass_name="clean", transforms=None, loader=default_loader
    ):
        super().__init__(root, transforms, loader)
        verify_str_arg(split, "split", ("train", "test"))
        verify_str_arg(pass_name, "pass_name", ("clean", "final", "both"))
        base = os.path.join(self.root, "Sintel")
        folder = os.path.join(base, "training" if split == "train" else "test")
        for kind in ["clean", "final"] if pass_name == "both" else [pass_name]:
            for scene in sorted(os.listdir(os.path.join(folder, kind))):
                self._images += _pairs(
                    sorted(glob.glob(os.path.join(folder, kind, scene, "*.png")))
                )
                if split == "train":
                    self._flows += sorted(glob.glob(os.path.join(folder, "flow", scene, "*.flo")))


class KittiFlow(_Flow):
    """Streets (Menze and Geiger, 2015), in `root/KittiFlow`; flow is known in places."""

    has_mask = True

    def __init__(self, root, split="train", transforms=None, loader=default_loader):
        super().__init__(root, transforms, loader)
        verify_str_arg(split, "split", ("train", "test"))
        folder = os.path.join(self.root, "KittiFlow", f"{split}ing")
        first = sorted(glob.glob(os.path.join(folder, "image_2", "*_10.png")))
        second = sorted(glob.glob(os.path.join(folder, "image_2", "*_11.png")))
        if not first or len(first) != len(second):
            raise FileNotFoundError(
                "Could not find the Kitti flow images. Please make sure the directory structure "
                "is correct."
            )
        self._images = [list(pair) for pair in zip(first, second, strict=True)]
        if split == "train":
            self._flows = sorted(glob.glob(os.path.join(folder, "flow_occ", "*_10.png")))

    @staticmethod
    def _read(path):
        return read_png16(path)


class FlyingChairs(_Flow):
    """Chairs before landscapes (Dosovitskiy et al., arXiv 1504.06852), in `root/FlyingChairs`."""

    def __init__(self, root, split="train", transforms=None):
        super().__init__(root, transforms)
        verify_str_arg(split, "split", ("train", "val"))
        base = os.path.join(self.root, "FlyingChairs")
        images = sorted(glob.glob(os.path.join(base, "data", "*.ppm")))
        flows = sorted(glob.glob(os.path.join(base, "data", "*.flo")))
        lists = os.path.join(base, "FlyingChairs_train_val.txt")
        if not os.path.exists(lists):
            raise FileNotFoundError(
                "The FlyingChairs_train_val.txt file was not found - please download it from the "
                "dataset page."
            )
        with open(lists) as file:
            wanted = 1 if split == "train" else 2
            keep = [i for i, line in enumerate(file) if int(line) == wanted]
        self._flows = [flows[i] for i in keep]
        self._images = [[images[2 * i], images[2 * i + 1]] for i in keep]


class FlyingThings3D(_Flow):
    """Things in flight (Mayer et al., arXiv 1512.02134), in `root/FlyingThings3D`."""

    def __init__(
        self,
        root,
        split="train",
        pass_name="clean",
        camera="left",
        transforms=None,
        loader=default_loader,
    ):
        super().__init__(root, transforms, loader)
        part = {"train": "TRAIN", "test": "TEST"}[verify_str_arg(split, "split", ("train", "test"))]
        verify_str_arg(pass_name, "pass_name", ("clean", "final", "both"))
        verify_str_arg(camera, "camera", ("left", "right", "both"))
        kinds = {
            "clean": ["frames_cleanpass"],
            "final": ["frames_finalpass"],
            "both": ["frames_cleanpass", "frames_finalpass"],
        }[pass_name]
        base = os.path.join(self.root, "FlyingThings3D")
        for kind in kinds:
            for side in ["left", "right"] if camera == "both" else [camera]:
                for way in ("into_future", "into_past"):
                    self._scenes(base, kind, part, side, way)
        if not self._images:
            raise FileNotFoundError(
                "Could not find the FlyingThings3D flow images. Please make sure the directory "
                "structure is correct."
            )

    def _scenes(self, base, kind, part, side, way):
        for folder in sorted(glob.glob(os.path.join(base, kind, part, "*", "*", side))):
            scene = os.path.dirname(folder)
            flows = scene.replace(os.path.join(base, kind), os.path.join(base, "optical_flow"))
            images = sorted(glob.glob(os.path.join(folder, "*.png")))
            found = sorted(glob.glob(os.path.join(flows, way, side, "*.pfm")))
            pairs = _pairs(images)
            if way == "into_future":
                self._images += pairs
                self._flows += found[: len(pairs)]
            else:
                self._images += [pair[::-1] for pair in pairs]
                self._flows += found[1 : len(pairs) + 1]

    @staticmethod
    def _read(path):
        return read_pfm(path)


class HD1K(_Flow):
    """Streets in high definition (Kondermann et al., 2016), in `root/hd1k`."""

    has_mask = True

    def __init__(self, root, split="train", transforms=None, loader=default_loader):
        super().__init__(root, transforms, loader)
        verify_str_arg(split, "split", ("train", "test"))
        base = os.path.join(self.root, "hd1k")
        if split == "train":
            for i in range(36):  # the sequences
                flows = os.path.join(base, "hd1k_flow_gt", "flow_occ", f"{i:06d}_*.png")
                images = os.path.join(base, "hd1k_input", "image_2", f"{i:06d}_*.png")
                pairs = _pairs(sorted(glob.glob(images)))
                self._images += pairs
                self._flows += sorted(glob.glob(flows))[: len(pairs)]
        else:
            folder = os.path.join(base, "hd1k_challenge", "image_2")
            first = sorted(glob.glob(os.path.join(folder, "*10.png")))
            second = sorted(glob.glob(os.path.join(folder, "*11.png")))
            self._images = [list(pair) for pair in zip(first, second, strict=True)]
        if not self._images:
            raise FileNotFoundError(
                "Could not find the HD1K images. Please make sure the directory structure is "
                "correct."
            )

    @staticmethod
    def _read(path):
        return read_png16(path)
