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


def pfm(path, values):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(b"Pf\n6 4\n-1.0\n")
        numpy.asarray(values, "<f4")[::-1].tofile(file)


def stereo(kind, tmp_path, names, **options):
    for name in names:
        path = f"{tmp_path}/{name}"
        if name.endswith(".pfm"):
            pfm(path, numpy.full((4, 6), -3.0))
        else:
            picture(path, 640, mode="I;16") if "disp" in name or "depth" in name else picture(path)
    return getattr(datasets, kind)(str(tmp_path), **options)


STEREO = [
    ("CarlaStereo", "carla-highres/trainingF/a/", "im0.png im1.png disp0GT.pfm disp1GT.pfm", {}, 3),
    ("Kitti2012Stereo", "Kitti2012/training/",
     "colored_0/0_10.png colored_1/0_10.png disp_noc/0_10.png", {}, 2.5),
    ("Kitti2015Stereo", "Kitti2015/training/",
     "image_2/0_10.png image_3/0_10.png disp_occ_0/0_10.png disp_occ_1/0_10.png", {}, 2.5),
    ("Kitti2015Stereo", "Kitti2015/testing/", "image_2/0_10.png image_3/0_10.png",
     {"split": "test"}, None),
    ("SceneFlowStereo", "SceneFlow/Monkaa/",
     "frames_finalpass/a/left/0.png frames_finalpass/a/right/0.png disparity/a/left/0.pfm "
     "disparity/a/right/0.pfm", {"variant": "Monkaa", "pass_name": "final"}, 3),
    ("InStereo2k", "InStereo2k/train/a/", "left.png right.png left_disp.png right_disp.png", {},
     0.625),
    ("Middlebury2014Stereo", "Middlebury2014/train/Piano-perfect/",
     "im0.png im1.png disp0.pfm disp1.pfm", {}, 3),
]  # fmt: skip


@pytest.mark.parametrize("kind, folder, names, options, wanted", STEREO)
def test_stereo(tmp_path, kind, folder, names, options, wanted):
    found = stereo(kind, tmp_path, [folder + name for name in names.split()], **options)
    assert len(found) == 1
    left, right, disparity, *mask = found[0]
    assert left.size == right.size == (6, 4)
    if wanted is None:
        assert disparity is None
    else:
        assert disparity.shape == (1, 4, 6) and (disparity == wanted).all()
    assert len(mask) == found.has_mask
    found.transforms = lambda images, disparities, masks: (images, (1, 2), (3, 4))
    assert found[0][2:] == (1, 3)


def test_stereo_by_formula(tmp_path):
    for kind in ("shapenet", "reflective", "tree", "hole"):
        for side in ("left", "right"):
            picture(f"{tmp_path}/CREStereo/{kind}/0_{side}.jpg")
            picture(f"{tmp_path}/CREStereo/{kind}/0_{side}.disp.png", 320, mode="I;16")
    found = datasets.CREStereo(str(tmp_path))
    assert len(found) == 4 and (found[3][2] == 10).all() and found[3][3] is None

    folder = f"{tmp_path}/FallingThings/mixed/a"
    for side in ("left", "right"):
        picture(f"{folder}/0.{side}.jpg")
        picture(f"{folder}/0.{side}.depth.png", 1200, mode="I;16")
    with open(f"{folder}/_camera_settings.json", "w") as file:
        json.dump({"camera_settings": [{"intrinsic_settings": {"fx": 10.0}}]}, file)
    assert (datasets.FallingThingsStereo(str(tmp_path), "mixed")[0][2] == 5).all()

    folder = f"{tmp_path}/Sintel/training"
    for name in ("final_left", "final_right"):
        picture(f"{folder}/{name}/a/0.png")
    picture(f"{folder}/disparities/a/0.png", (2, 32, 0))
    picture(f"{folder}/occlusions/a/0.png", 0, mode="L")
    picture(f"{folder}/outofframe/a/0.png", 255, mode="L")
    _, _, disparity, mask = datasets.SintelStereo(str(tmp_path))[0]
    assert (disparity == 8.5).all() and not mask.any()

    folder = f"{tmp_path}/ETH3D/two_view_training"
    for name in ("im0", "im1"):
        picture(f"{folder}/a/{name}.png")
    pfm(f"{folder}_gt/a/disp0GT.pfm", numpy.arange(24).reshape(4, 6))
    picture(f"{folder}_gt/a/mask0nocc.png", 255, mode="L")
    _, _, disparity, mask = datasets.ETH3DStereo(str(tmp_path))[0]
    assert disparity[0, 1, 2] == 8 and mask.all()
    with pytest.raises(FileNotFoundError):
        datasets.CarlaStereo(str(tmp_path))
    with pytest.raises(ValueError, match="calibration"):
        datasets.Middlebury2014Stereo(str(tmp_path), "test")


def test_species(tmp_path):
    for name in ("0_Animalia_A_B_C_D_E_f", "1_Plantae_A_B_C_D_G_h"):
        picture(f"{tmp_path}/2021_valid/{name}/a.jpg")
    picture(f"{tmp_path}/2018/Aves/7/a.jpg")
    found = datasets.INaturalist(str(tmp_path), "2021_valid", ["full", "kingdom", "family"])
    assert [target for _, target in found] == [(0, 0, 0), (1, 1, 0)]
    assert found.category_name("genus", 1) == "G"
    old = datasets.INaturalist(str(tmp_path), "2018", "super")
    assert old[0][1] == 0 and old.all_categories == ["Aves/7"]
    with pytest.raises(RuntimeError, match="not found"):
        datasets.INaturalist(str(tmp_path), "2017")


def test_patches_and_captions(tmp_path):
    picture(f"{tmp_path}/liberty/patches0.bmp", 9, size=(128, 64), mode="L")
    for name, text in (("info.txt", "4 0\n5 0\n"), ("m50_100000_100000_0.txt", "0 4 0 1 4 0\n")):
        (tmp_path / "liberty" / name).write_text(text)
    train = datasets.PhotoTour(str(tmp_path), "liberty")
    assert train.data.shape == (2, 64, 64) and train.labels.tolist() == [4, 5]
    first, second, same = datasets.PhotoTour(str(tmp_path), "liberty", train=False)[0]
    assert first.shape == second.shape == (64, 64) and same == 1

    picture(f"{tmp_path}/dataset/a.jpg")
    for kind, text in (("urls", "http://host/b/a.jpg\n"), ("captions", "a house \n")):
        path = tmp_path / "dataset" / f"SBU_captioned_photo_dataset_{kind}.txt"
        path.write_text(text)
    assert datasets.SBU(str(tmp_path), download=False)[0][1] == "a house"


def test_lsun(tmp_path):
    with pytest.raises(ValueError, match="LSUN class"):
        datasets.LSUN(str(tmp_path), ["zoo_train"])
    try:
        lmdb = pytest.importorskip("lmdb")
    except pytest.skip.Exception:
        with pytest.raises(ImportError, match="pip install lmdb"):
            datasets.LSUN(str(tmp_path), ["tower_val"])
        raise
    picture(f"{tmp_path}/a.png", (1, 2, 3))
    os.mkdir(tmp_path / "tower_val_lmdb")
    with lmdb.open(str(tmp_path / "tower_val_lmdb"), map_size=1 << 20) as file:
        with file.begin(write=True) as transaction:
            transaction.put(b"a", (tmp_path / "a.png").read_bytes())
    found = datasets.LSUN(str(tmp_path), ["tower_val"])
    image, target = found[0]
    assert image.getpixel((0, 0)) == (1, 2, 3) and target == 0 and len(found) == 1


def test_clips_of_videos():
    from flambeau.vision.datasets.samplers import RandomClipSampler, UniformClipSampler
    from flambeau.vision.datasets.video_utils import VideoClips

    known = {
        "video_paths": ["a", "b", "c"],
        "video_pts": [torch.arange(0, n * 3, 3) for n in (10, 15, 2)],
        "video_fps": [10.0, 30.0, 10.0],
    }
    with pytest.warns(UserWarning, match="enough frames"):
        clips = VideoClips(["a", "b", "c"], 5, 5, _precomputed_metadata=known)
    assert len(clips) == 5 and clips.num_videos() == 3
    assert clips.clips[1][2].tolist() == [30, 33, 36, 39, 42]
    assert [clips.get_clip_location(i) for i in range(5)] == [
        (0, 0),
        (0, 1),
        (1, 0),
        (1, 1),
        (1, 2),
    ]
    assert list(UniformClipSampler(clips, 3)) == [0, 0, 1, 2, 3, 4]
    assert (
        sorted(RandomClipSampler(clips, 2))[:2] == [0, 1] and len(RandomClipSampler(clips, 2)) == 4
    )
    with pytest.warns(UserWarning, match="enough frames"):
        clips.compute_clips(4, 1, frame_rate=5)  # every second frame of 10, every sixth of 30
    assert clips.clips[0].tolist() == [[0, 6, 12, 18], [6, 12, 18, 24]] and len(clips) == 2


def test_videos_in_folders(tmp_path):
    av = pytest.importorskip("av")
    from flambeau.vision import io

    for kind in ("jump", "run"):
        for i in range(2):
            os.makedirs(tmp_path / "train" / kind, exist_ok=True)
            frames = torch.arange(8, dtype=torch.uint8)[:, None, None, None] * 30
            path = tmp_path / "train" / kind / f"{kind}{i}.avi"
            io.write_video(path, frames.expand(8, 16, 16, 3), 10, "mpeg4")
    assert av
    found = datasets.Kinetics(str(tmp_path), 4, step_between_clips=4, num_workers=0)
    assert len(found) == 8
    video, sound, label = found[5]
    assert video.shape == (4, 3, 16, 16) and label == 1 and sound.numel() == 0
    assert abs(video[0].float().mean().item() - 120) < 8
    lists = tmp_path / "lists"
    os.mkdir(lists)
    (lists / "trainlist01.txt").write_text("jump/jump0.avi 1\n")
    (lists / "jump_test_split1.txt").write_text("jump0.avi 1 \njump1.avi 2 \n")
    options = {"frames_per_clip": 3, "num_workers": 0}
    assert datasets.UCF101(f"{tmp_path}/train", str(lists), **options).indices == [0]
    test = datasets.HMDB51(f"{tmp_path}/train", str(lists), train=False, **options)
    assert test.indices == [1] and test[0][0].shape == (3, 16, 16, 3)


def test_numbers_of_coco_annotations(tmp_path):
    boxes = [(1, 7, 3, 4.0), (2, 7, 5, 40.0), (3, 9, 3, 90.0)]
    content = {
        "images": [{"id": 7, "file_name": "x.png"}, {"id": 9, "file_name": "y.png"}],
        "annotations": [
            {"id": i, "image_id": image, "category_id": c, "area": area, "iscrowd": 0}
            for i, image, c, area in boxes
        ],
        "categories": [
            {"id": 3, "name": "cat", "supercategory": "animal"},
            {"id": 5, "name": "cup", "supercategory": "kitchen"},
        ],
    }
    (tmp_path / "a.json").write_text(json.dumps(content))
    coco = datasets.scenes.CocoIndex(str(tmp_path / "a.json"))
    assert coco.getAnnIds(imgIds=7, iscrowd=None) == [1, 2]
    assert coco.getAnnIds(catIds=[3], areaRng=(5, 100)) == [3]
    assert coco.getAnnIds(iscrowd=True) == []
    assert coco.getCatIds(catNms="cup") == coco.getCatIds(supNms=["kitchen"]) == [5]
    assert sorted(coco.getImgIds()) == [7, 9] and coco.getImgIds(catIds=[3, 5]) == [7]
    assert [a["area"] for a in coco.loadAnns([1, 3])] == [4.0, 90.0]
    assert coco.loadCats(3)[0]["name"] == "cat" and coco.loadImgs(9)[0]["file_name"] == "y.png"
