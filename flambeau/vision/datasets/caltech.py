"""Caltech's kinds of things, in folders."""

import os

from .arrays import _matlab
from .folder import default_loader
from .listed import _Listed
from .utils import verify_str_arg

__all__ = ["Caltech101", "Caltech256"]


class Caltech101(_Listed):
    """101 kinds of things (Li et al., 2004); the outlines need SciPy."""

    _ARCHIVES = [
        (
            "https://data.caltech.edu/records/mzrjq-6wc02/files/caltech-101.zip",
            "3138e1922a9193bfa496528edbbc45d0",
        )
    ]
    # these folders have another name among the outlines
    _OUTLINES = {
        "Faces": "Faces_2",
        "Faces_easy": "Faces_3",
        "Motorbikes": "Motorbikes_16",
        "airplanes": "Airplanes_Side_2",
    }

    def __init__(
        self, root, target_type="category", transform=None, target_transform=None, download=False
    ):
        kinds = [target_type] if isinstance(target_type, str) else list(target_type)
        self.target_type = [
            verify_str_arg(kind, "target_type", ("category", "annotation")) for kind in kinds
        ]
        super().__init__(
            root, "caltech101", transform, target_transform, default_loader,
            self._ARCHIVES, download,
        )  # fmt: skip
        folder = self._path("101_ObjectCategories")
        self.categories = sorted(n for n in os.listdir(folder) if n != "BACKGROUND_Google")
        self._samples = []
        for i, name in enumerate(self.categories):
            count = len(os.listdir(os.path.join(folder, name)))
            self._samples += [
                (os.path.join(folder, name, f"image_{j:04d}.jpg"), (i, j))
                for j in range(1, count + 1)
            ]
        self.y = [label for _, (label, _) in self._samples]

    def _exists(self):
        return os.path.isdir(self._path("101_ObjectCategories"))

    def __getitem__(self, index):
        path, (label, number) = self._samples[index]
        image, target = self.loader(path), []
        for kind in self.target_type:
            if kind == "category":
                target.append(label)
            else:
                name = self.categories[label]
                name = self._OUTLINES.get(name, name)
                file = self._path("Annotations", name, f"annotation_{number:04d}.mat")
                target.append(_matlab(file)["obj_contour"])
        target = tuple(target) if len(target) > 1 else target[0]
        return self._transformed(image, target)


class Caltech256(_Listed):
    """256 kinds of things (Griffin et al., 2007)."""

    _ARCHIVES = [
        (
            "https://data.caltech.edu/records/nyy15-4j048/files/256_ObjectCategories.tar",
            "67b4f42ca05d46448c6bb8ecd2220f6d",
        )
    ]

    def __init__(self, root, transform=None, target_transform=None, download=False):
        super().__init__(
            root, "caltech256", transform, target_transform, default_loader,
            self._ARCHIVES, download,
        )  # fmt: skip
        folder = self._path("256_ObjectCategories")
        self.categories = sorted(os.listdir(folder))
        self._samples = [
            (os.path.join(folder, name, file), i)
            for i, name in enumerate(self.categories)
            for file in sorted(os.listdir(os.path.join(folder, name)))
            if file.endswith(".jpg")
        ]
        self.y = [label for _, label in self._samples]

    def _exists(self):
        return os.path.isdir(self._path("256_ObjectCategories"))
