"""Clips of what people do, in folders of classes; reading them needs PyAV."""

import csv
import os

from . import utils
from .folder import find_classes, make_dataset
from .utils import verify_str_arg
from .video_utils import VideoClips
from .vision import VisionDataset

__all__ = ["HMDB51", "Kinetics", "UCF101"]


class _Videos(VisionDataset):
    """Samples (frames uint8 [T, H, W, C], sound, class) of clips; `samples` are the video files."""

    def __init__(
        self, root, folder, extensions, clips, transform, precomputed, workers, output_format
    ):
        super().__init__(root, transform=transform)
        self.classes, class_to_idx = find_classes(folder)
        self.samples = make_dataset(folder, class_to_idx, extensions)
        paths = [path for path, _ in self.samples]
        self.full_video_clips = VideoClips(
            paths, *clips, precomputed, workers, output_format=output_format
        )
        self.indices = self._wanted(paths)
        self.video_clips = self.full_video_clips.subset(self.indices)

    def _wanted(self, paths):
        """Which of the videos belong to the split."""
        return list(range(len(paths)))

    @property
    def metadata(self):
        return self.full_video_clips.metadata

    def __len__(self):
        return self.video_clips.num_clips()

    def __getitem__(self, idx):
        video, audio, _, at = self.video_clips.get_clip(idx)
        if self.transform is not None:
            video = self.transform(video)
        return video, audio, self.samples[self.indices[at]][1]


class Kinetics(_Videos):
    """Things that people do (Kay et al., arXiv 1705.06950), in `root/split/class`."""

    _LIST = "https://s3.amazonaws.com/kinetics/{}/{}/k{}_{}_path.txt"
    _ANNOTATIONS = "https://s3.amazonaws.com/kinetics/{}/annotations/{}.csv"

    def __init__(
        self,
        root,
        frames_per_clip,
        num_classes="400",
        split="train",
        frame_rate=None,
        step_between_clips=1,
        transform=None,
        extensions=("avi", "mp4"),
        download=False,
        num_download_workers=1,
        num_workers=1,
        _precomputed_metadata=None,
        output_format="TCHW",
    ):
        self.num_classes = verify_str_arg(num_classes, "num_classes", ("400", "600", "700"))
        self.split = verify_str_arg(split, "split", ("train", "val", "test"))
        self.extensions = extensions
        self.num_download_workers = num_download_workers
        self.frames_per_clip, self.step_between_clips = frames_per_clip, step_between_clips
        self.root = os.path.expanduser(root)
        self.split_folder = os.path.join(self.root, split)
        if download:
            self._download()
        super().__init__(
            root,
            self.split_folder,
            extensions,
            (frames_per_clip, step_between_clips, frame_rate),
            transform,
            _precomputed_metadata,
            num_workers,
            output_format,
        )

    def _download(self):
        """The archives that the list names, unpacked and sorted into folders of classes."""
        import urllib.parse
        from concurrent.futures import ThreadPoolExecutor

        if os.path.exists(self.split_folder):
            raise RuntimeError(
                f"The directory {self.split_folder} already exists. If you want to re-download or "
                "re-extract the images, delete the directory."
            )
        version = "700_2020" if self.num_classes == "700" else self.num_classes
        archives, files = os.path.join(self.root, "tars"), os.path.join(self.root, "files")
        url = self._LIST.format(version, self.split, version, self.split)
        utils.download_url(url, files)
        with open(os.path.join(files, os.path.basename(url))) as file:
            links = [urllib.parse.quote(line, safe="/,:") for line in file.read().splitlines()]
        with ThreadPoolExecutor(self.num_download_workers) as pool:
            fetch = utils.download_and_extract_archive
            list(pool.map(lambda link: fetch(link, archives, self.split_folder), links))
        annotations = os.path.join(self.root, "annotations")
        utils.download_url(self._ANNOTATIONS.format(version, self.split), annotations)
        self._sort_into_classes(os.path.join(annotations, f"{self.split}.csv"))

    def _sort_into_classes(self, table):
        with open(table, newline="") as file:
            for row in csv.DictReader(file):
                start, end = int(row["time_start"]), int(row["time_end"])
                name = f"{row['youtube_id']}_{start:06}_{end:06}.mp4"
                path = os.path.join(self.split_folder, name)
                if os.path.isfile(path):
                    label = row["label"].replace(" ", "_").translate(str.maketrans("", "", "'()"))
                    folder = os.path.join(self.split_folder, label)
                    os.makedirs(folder, exist_ok=True)
                    os.replace(path, os.path.join(folder, name))


class _Folds(_Videos):
    """Three ways to split the videos into parts for training and testing."""

    def __init__(
        self,
        root,
        annotation_path,
        frames_per_clip,
        step_between_clips=1,
        frame_rate=None,
        fold=1,
        train=True,
        transform=None,
        _precomputed_metadata=None,
        num_workers=1,
        output_format="THWC",
    ):
        if fold not in (1, 2, 3):
            raise ValueError(f"fold should be between 1 and 3, got {fold}")
        self.fold, self.train = fold, train
        self.annotation_path = os.path.expanduser(annotation_path)
        super().__init__(
            root,
            os.path.expanduser(root),
            ("avi",),
            (frames_per_clip, step_between_clips, frame_rate),
            transform,
            _precomputed_metadata,
            num_workers,
            output_format,
        )


class HMDB51(_Folds):
    """51 actions from films (Kuehne et al., 2011), in `root/class`.

    `annotation_path` has a file for each class and fold, `class_test_split1.txt`.
    """

    def _wanted(self, paths):
        tag, names = "1" if self.train else "2", set()
        for file_name in os.listdir(self.annotation_path):
            if file_name.endswith(f"test_split{self.fold}.txt"):
                with open(os.path.join(self.annotation_path, file_name)) as file:
                    names.update(
                        row[0] for row in map(str.split, file) if len(row) == 2 and row[1] == tag
                    )
        return [i for i, path in enumerate(paths) if os.path.basename(path) in names]


class UCF101(_Folds):
    """101 actions from videos (Soomro et al., arXiv 1212.0402), in `root/class`.

    `annotation_path` has `trainlist01.txt`, `testlist01.txt` and those of the other folds.
    """

    def _wanted(self, paths):
        name = f"{'train' if self.train else 'test'}list{self.fold:02d}.txt"
        with open(os.path.join(self.annotation_path, name)) as file:
            wanted = {tuple(row[0].split("/")) for row in map(str.split, file) if row}
        return [i for i, path in enumerate(paths) if tuple(path.split(os.sep)[-2:]) in wanted]
