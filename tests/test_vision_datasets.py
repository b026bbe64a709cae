"""Datasets from small files made here, in the original formats."""

import hashlib
import json
import os
import pickle

import numpy
import pytest

import flambeau as torch
from flambeau.vision import datasets, tv_tensors
from flambeau.vision.datasets import utils

Image = pytest.importorskip("PIL.Image")


def picture(path, value=0, size=(6, 4), mode="RGB"):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    Image.new(mode, size, value).save(path)


def test_folders(tmp_path):
    picture(f"{tmp_path}/cat/a.png", (1, 2, 3))
    picture(f"{tmp_path}/ant/deep/b.png")
    found = datasets.ImageFolder(str(tmp_path))
    assert found.classes == ["ant", "cat"] and found.targets == [0, 1]
    assert found[1][0].getpixel((0, 0)) == (1, 2, 3)
    os.mkdir(tmp_path / "empty")
    with pytest.raises(FileNotFoundError, match="empty"):
        datasets.ImageFolder(str(tmp_path))
    assert len(datasets.ImageFolder(str(tmp_path), allow_empty=True)) == 2


def test_noise_is_always_the_same():
    found = datasets.FakeData(size=3, image_size=(3, 4, 5))
    before = torch.get_rng_state()
    assert found[1][0].tobytes() == found[1][0].tobytes() and found[0][0] != found[1][0]
    assert torch.get_rng_state().equal(before)
    assert len(list(iter(found))) == 3


def cifar(folder, content):
    """CIFAR10 of one file with this content."""
    os.makedirs(f"{folder}/cifar-10-batches-py", exist_ok=True)

    def write(name, value):
        data = pickle.dumps(value)
        with open(f"{folder}/cifar-10-batches-py/{name}", "wb") as file:
            file.write(data)
        return hashlib.md5(data, usedforsecurity=False).hexdigest()

    class Small(datasets.CIFAR10):
        train_list = [["data", write("data", content)]]
        test_list = []
        meta = {
            "filename": "meta",
            "key": "label_names",
            "md5": write("meta", {"label_names": ["a", "b"]}),
        }

    return Small(str(folder))


def test_cifar(tmp_path):
    data = numpy.arange(2 * 3072).reshape(2, 3072).astype("uint8")
    found = cifar(tmp_path, {"data": data, "labels": [1, 0]})
    image, label = found[0]
    assert label == 1 and numpy.array(image)[0, 1].tolist() == [1, 1, 1]
    with pytest.raises(pickle.UnpicklingError, match="no data"):
        cifar(tmp_path, {"data": data, "labels": [os.getcwd]})
    with pytest.raises(RuntimeError, match="download=True"):
        datasets.CIFAR100(str(tmp_path))


def test_voc_with_wrapper(tmp_path):
    base = f"{tmp_path}/VOCdevkit/VOC2012"
    picture(f"{base}/JPEGImages/x.jpg", size=(8, 6))
    for folder in ("ImageSets/Main", "Annotations"):
        os.makedirs(f"{base}/{folder}")
    with open(f"{base}/ImageSets/Main/train.txt", "w") as file:
        file.write("x\n")
    with open(f"{base}/Annotations/x.xml", "w") as file:
        file.write(
            "<annotation><object><name>cat</name><bndbox><xmin>1</xmin><ymin>2</ymin>"
            "<xmax>5</xmax><ymax>6</ymax></bndbox></object></annotation>"
        )
    found = datasets.VOCDetection(str(tmp_path))
    assert found[0][1]["annotation"]["object"][0]["bndbox"]["xmax"] == "5"
    image, target = datasets.wrap_dataset_for_transforms_v2(found)[0]
    assert isinstance(target["boxes"], tv_tensors.BoundingBoxes)
    assert target["boxes"].tolist() == [[1, 2, 5, 6]] and target["labels"].tolist() == [8]
    assert target["boxes"].canvas_size == (6, 8)


def test_coco_with_wrapper(tmp_path):
    picture(f"{tmp_path}/x.png", size=(8, 6))
    content = {
        "images": [{"id": 7, "file_name": "x.png"}],
        "annotations": [
            {
                "id": 1,
                "image_id": 7,
                "category_id": 3,
                "bbox": [1, 2, 3, 2],
                "segmentation": {"size": [6, 8], "counts": [6, 2, 40]},
            }
        ],
    }
    (tmp_path / "a.json").write_text(json.dumps(content))
    found = datasets.CocoDetection(str(tmp_path), str(tmp_path / "a.json"))
    assert found[0][1][0]["bbox"] == [1, 2, 3, 2]
    wrapped = datasets.wrap_dataset_for_transforms_v2(found, target_keys={"boxes", "masks"})
    assert isinstance(wrapped, datasets.CocoDetection)
    target = wrapped[0][1]
    assert target["boxes"].tolist() == [[1, 2, 4, 4]]
    assert target["masks"].nonzero().tolist() == [[0, 0, 1], [0, 1, 1]]


def test_listed(tmp_path):
    base = f"{tmp_path}/food-101"
    picture(f"{base}/images/soup/1.jpg")
    os.makedirs(f"{base}/meta")
    with open(f"{base}/meta/train.json", "w") as file:
        json.dump({"soup": ["soup/1"]}, file)
    found = datasets.Food101(str(tmp_path), target_transform=lambda y: y + 10)
    assert len(found) == 1 and found[0][1] == 10
    with pytest.raises(ValueError, match="Unknown value 'all' for argument split"):
        datasets.Food101(str(tmp_path), split="all")


def test_flow_files(tmp_path):
    flow = numpy.arange(24, dtype="<f4").reshape(3, 4, 2)
    path = tmp_path / "a.flo"
    path.write_bytes(b"PIEH" + numpy.array([4, 3], "<i4").tobytes() + flow.tobytes())
    assert numpy.array_equal(datasets.flow.read_flo(path), flow.transpose(2, 0, 1))
    with pytest.raises(ValueError, match="Magic number"):
        datasets.flow.read_flo(__file__)


def test_archives_stay_in_their_folder(tmp_path):
    import io
    import tarfile

    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        member = tarfile.TarInfo("../outside")
        member.size = 1
        archive.addfile(member, io.BytesIO(b"x"))
    os.mkdir(tmp_path / "in")
    with pytest.raises(tarfile.TarError):
        utils.extract_archive(tmp_path / "a.tar", tmp_path / "in")
    assert not (tmp_path / "outside").exists()


def test_download_goes_on_where_it_stopped(tmp_path):
    source = tmp_path / "source"
    source.write_bytes(b"0123456789")
    (tmp_path / "in").mkdir()
    md5 = utils.calculate_md5(source)
    utils.download_url(source.as_uri(), tmp_path / "in", "copy", md5)
    assert (tmp_path / "in" / "copy").read_bytes() == b"0123456789"
    with pytest.raises(RuntimeError, match="invalid hash value .md5"):
        utils.download_url(source.as_uri(), tmp_path / "in", "other", "0" * 32)
    assert os.listdir(tmp_path / "in") == ["copy"]
