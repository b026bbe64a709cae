"""Samples of datasets with their images, masks and boxes as what `tv_tensors` has for them."""

import flambeau
from flambeau.vision import tv_tensors

from . import flow, scenes
from .listed import OxfordIIITPet
from .videos import HMDB51, UCF101, Kinetics
from .vision import VisionDataset

_WRAPPERS = {}
_WITH_KEYS = (scenes.CocoDetection, scenes.VOCDetection, scenes.Kitti, scenes.WIDERFace)


def wrap_dataset_for_transforms_v2(dataset, target_keys=None):
    """The dataset, giving samples that `transforms.v2` understands.

    Detections become dictionaries with "boxes" and "labels"; `target_keys` chooses their entries
    ("all" for every one). It stays an instance of its class.
    """
    if not (
        target_keys is None
        or target_keys == "all"
        or (isinstance(target_keys, (set, list, tuple)) and target_keys)
    ):
        raise ValueError(
            f"`target_keys` can be None, 'all', or a collection of strings, but got {target_keys}"
        )
    if target_keys is not None and not isinstance(dataset, _WITH_KEYS):
        names = ", ".join(kind.__name__ for kind in _WITH_KEYS)
        raise ValueError(
            f"`target_keys` is currently only supported for {names}, but got "
            f"{type(dataset).__name__}."
        )
    if not isinstance(dataset, VisionDataset):
        raise TypeError(
            "This wrapper is meant for subclasses of `torchvision.datasets.VisionDataset`, but got "
            f"a '{type(dataset).__name__}' instead."
        )
    wrapper = next((_WRAPPERS[k] for k in type(dataset).__mro__ if k in _WRAPPERS), None)
    kind = type(dataset)
    mixed = type(f"Wrapped{kind.__name__}", (_Wrapped, kind), {})
    made = mixed.__new__(mixed)
    made.__dict__.update(dataset.__dict__)
    made._dataset, made._wrapper, made._keys = dataset, wrapper, target_keys
    made._transforms = dataset.transforms
    dataset.transform = dataset.target_transform = dataset.transforms = None
    return made


class _Wrapped:
    def __getitem__(self, index):
        sample = self._dataset[index]
        if self._wrapper is not None:
            sample = self._wrapper(self._dataset, index, sample, self._keys)
        return sample if self._transforms is None else self._transforms(*sample)

    def __len__(self):
        return len(self._dataset)

    def __reduce__(self):
        self._dataset.transforms = self._transforms
        return wrap_dataset_for_transforms_v2, (self._dataset, self._keys)


def _wraps(*kinds):
    def register(function):
        for kind in kinds:
            _WRAPPERS[kind] = function
        return function

    return register


def _chosen(target, keys, default):
    keys = set(default if keys is None else target if keys == "all" else keys)
    unknown = keys - set(target)
    if unknown:
        raise ValueError(f"Target keys should be from {sorted(target)}, but got {sorted(unknown)}")
    return {name: value() for name, value in target.items() if name in keys}


def _boxes(values, image, format="XYXY"):
    boxes = flambeau.tensor(values, dtype=flambeau.float32).reshape(-1, 4)
    canvas = (image.height, image.width)
    made = tv_tensors.BoundingBoxes(boxes, format=format, canvas_size=canvas)
    if format == "XYXY":
        return made
    from flambeau.vision.transforms.v2.functional import convert_bounding_box_format

    return convert_bounding_box_format(made, new_format="XYXY")


VOC_NAMES = (
    "__background__ aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog "
    "horse motorbike person pottedplant sheep sofa train tvmonitor"
).split()


@_wraps(scenes.VOCDetection)
def _voc(dataset, index, sample, keys):
    image, target = sample
    objects = target["annotation"].get("object", [])
    sides = ("xmin", "ymin", "xmax", "ymax")
    entries = {
        "annotation": lambda: target["annotation"],
        "boxes": lambda: _boxes([[int(o["bndbox"][s]) for s in sides] for o in objects], image),
        "labels": lambda: flambeau.tensor(
            [VOC_NAMES.index(o["name"]) for o in objects], dtype=flambeau.int64
        ),
    }
    return image, _chosen(entries, keys, ("boxes", "labels"))


@_wraps(HMDB51, Kinetics, UCF101)
def _clip(dataset, index, sample, keys):
    if dataset.video_clips.output_format == "THWC":
        raise RuntimeError(
            f"{type(dataset).__name__} with `output_format='THWC'` is currently not supported by "
            "this wrapper, since it is not compatible with the transformations. Please use "
            "`output_format='TCHW'` instead."
        )
    video, audio, label = sample
    return tv_tensors.Video(video), audio, label


@_wraps(scenes.VOCSegmentation, scenes.SBDataset)
def _masks(dataset, index, sample, keys):
    image, target = sample
    return image, tv_tensors.Mask(target)


def _segments(segmentation, image):
    """A mask from COCO's polygons or run lengths."""
    import numpy
    from PIL import Image, ImageDraw

    if isinstance(segmentation, dict):
        height, width = segmentation["size"]
        counts = segmentation["counts"]
        if not isinstance(counts, list):
            counts = _run_lengths(counts)
        values = numpy.repeat(numpy.arange(len(counts)) % 2, counts).astype(numpy.uint8)
        return values.reshape(width, height).T.copy()
    canvas = Image.new("L", (image.width, image.height))
    for polygon in segmentation:
        ImageDraw.Draw(canvas).polygon(polygon, fill=1)
    return numpy.array(canvas)


def _run_lengths(text):
    """COCO's packed run lengths: six bits to a character, differences from the third on."""
    counts, at = [], 0
    while at < len(text):
        value, shift, more = 0, 0, True
        while more:
            code = ord(text[at]) - 48
            value |= (code & 31) << shift
            more = bool(code & 32)
            at, shift = at + 1, shift + 5
            if not more and code & 16:
                value |= -1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
    return counts


@_wraps(scenes.CocoDetection)
def _coco(dataset, index, sample, keys):
    image, target = sample
    names = {name for annotation in target for name in annotation}
    entries = {
        "image_id": lambda: dataset.ids[index],
        "boxes": lambda: _boxes([a["bbox"] for a in target], image, "XYWH"),
        "labels": lambda: flambeau.tensor([a["category_id"] for a in target], dtype=flambeau.int64),
        "masks": lambda: tv_tensors.Mask(
            flambeau.stack(
                [flambeau.from_numpy(_segments(a["segmentation"], image)) for a in target]
            )
            if target
            else flambeau.zeros((0, image.height, image.width), dtype=flambeau.uint8)
        ),
    }
    for name in names - {"image_id", "bbox", "category_id"}:
        entries[name] = lambda name=name: [a.get(name) for a in target]
    if not target:
        return image, {"image_id": dataset.ids[index]}
    return image, _chosen(entries, keys, ("image_id", "boxes", "labels"))


@_wraps(scenes.CocoCaptions)
def _captions(dataset, index, sample, keys):
    return sample


@_wraps(scenes.CelebA)
def _celeba(dataset, index, sample, keys):
    image, target = sample
    kinds = dataset.target_type
    values = dict(zip(kinds, target if len(kinds) > 1 else [target], strict=True))
    if "bbox" in values:
        values["bbox"] = _boxes(values["bbox"].tolist(), image, "XYWH")
    return image, values


KITTI_NAMES = "Car Van Truck Pedestrian Person_sitting Cyclist Tram Misc DontCare".split()


@_wraps(scenes.Kitti)
def _kitti(dataset, index, sample, keys):
    image, target = sample
    if target is None:
        return image, None
    entries = {
        "boxes": lambda: _boxes([o["bbox"] for o in target], image),
        "labels": lambda: flambeau.tensor([KITTI_NAMES.index(o["type"]) for o in target]),
    }
    for name in target[0] if target else ():
        entries.setdefault(name, lambda name=name: [o[name] for o in target])
    return image, _chosen(entries, keys, ("boxes", "labels"))


@_wraps(OxfordIIITPet)
def _pet(dataset, index, sample, keys):
    image, target = sample
    kinds = dataset._target_types
    if not kinds:
        return sample
    values = target if isinstance(target, tuple) else (target,)
    values = tuple(
        tv_tensors.Mask(value) if kind == "segmentation" else value
        for kind, value in zip(kinds, values, strict=True)
    )
    return image, values[0] if len(values) == 1 else values


@_wraps(scenes.Cityscapes)
def _cityscapes(dataset, index, sample, keys):
    image, target = sample
    kinds = dataset.target_type
    if any(kind in ("polygon", "color") for kind in kinds):
        raise RuntimeError(
            "targets of type polygon and color are currently not supported by this wrapper"
        )
    values = dict(zip(kinds, target if len(kinds) > 1 else [target], strict=True))
    entries = {}
    if "instance" in values:
        marks = tv_tensors.Mask(values["instance"]).as_subclass(flambeau.Tensor)
        found = [i for i in marks.unique().tolist() if i >= 1000]  # 1000 times the class
        entries["masks"] = lambda: tv_tensors.Mask(
            flambeau.stack([marks == i for i in found])
            if found
            else flambeau.zeros((0, *marks.shape), dtype=flambeau.bool)
        )
        entries["labels"] = lambda: flambeau.tensor(
            [i // 1000 for i in found], dtype=flambeau.int64
        )
    if "semantic" in values:
        entries["semantic"] = lambda: tv_tensors.Mask(values["semantic"])
    return image, _chosen(entries, keys, tuple(entries))


@_wraps(scenes.WIDERFace)
def _wider(dataset, index, sample, keys):
    image, target = sample
    if target is None:
        return sample
    entries = {name: lambda name=name: target[name] for name in target}
    entries["bbox"] = lambda: _boxes(target["bbox"].tolist(), image, "XYWH")
    return image, _chosen(entries, keys, ("bbox",))


@_wraps(flow.Sintel, flow.KittiFlow, flow.FlyingChairs, flow.FlyingThings3D, flow.HD1K)
def _flow(dataset, index, sample, keys):
    first, second, moves, *valid = sample
    if moves is not None:
        moves = flambeau.from_numpy(moves.copy())
    if valid:
        known = None if valid[0] is None else flambeau.from_numpy(valid[0].copy())
        return first, second, moves, known
    return first, second, moves
