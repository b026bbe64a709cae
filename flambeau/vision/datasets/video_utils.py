"""Videos as collections of clips of one length."""

import bisect
import math
import warnings

import flambeau

__all__ = ["VideoClips", "unfold"]


def unfold(tensor, size, step, dilation=1):
    """[n, size]: all runs of `size` elements, `dilation` apart, that begin `step` apart."""
    if tensor.dim() != 1:
        raise ValueError(f"tensor should have 1 dimension instead of {tensor.dim()}")
    count = max((len(tensor) - (size - 1) * dilation - 1) // step + 1, 0)
    places = flambeau.arange(count)[:, None] * step + flambeau.arange(size) * dilation
    return tensor[places.reshape(count, size)]


class _Timestamps:
    """For each video the places of its frames and how many come in a second."""

    def __init__(self, paths):
        self.paths = paths

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        from ..io import read_video_timestamps

        return read_video_timestamps(self.paths[index])


class VideoClips:
    """All clips of `clip_length_in_frames` frames that begin `frames_between_clips` apart.

    With `frame_rate` frames are left out or repeated until so many come in a second. Making one
    reads every video; `metadata` holds what was found, for `_precomputed_metadata` of the next.
    """

    def __init__(
        self,
        video_paths,
        clip_length_in_frames=16,
        frames_between_clips=1,
        frame_rate=None,
        _precomputed_metadata=None,
        num_workers=0,
        _video_width=0,
        _video_height=0,
        _video_min_dimension=0,
        _video_max_dimension=0,
        _audio_samples=0,
        _audio_channels=0,
        output_format="THWC",
    ):
        sizes = (_video_width, _video_height, _video_min_dimension, _video_max_dimension)
        if any((*sizes, _audio_samples, _audio_channels)):
            raise ValueError("videos are read in their own size and with their own sound")
        self.video_paths = video_paths
        self.num_workers = num_workers
        self.output_format = output_format.upper()
        if self.output_format not in ("THWC", "TCHW"):
            raise ValueError(
                f"output_format should be either 'THWC' or 'TCHW', got {output_format}."
            )
        if _precomputed_metadata is None:
            self._read_timestamps()
        else:
            self.video_paths = _precomputed_metadata["video_paths"]
            self.video_pts = _precomputed_metadata["video_pts"]
            self.video_fps = _precomputed_metadata["video_fps"]
        self.compute_clips(clip_length_in_frames, frames_between_clips, frame_rate)

    def _read_timestamps(self):
        from ...utils.data import DataLoader

        found = DataLoader(
            _Timestamps(self.video_paths),
            batch_size=16,
            num_workers=self.num_workers,
            collate_fn=list,
        )
        found = [video for batch in found for video in batch]
        self.video_pts = [flambeau.as_tensor(pts, dtype=flambeau.int64) for pts, _ in found]
        self.video_fps = [fps for _, fps in found]

    @property
    def metadata(self):
        return {
            "video_paths": self.video_paths,
            "video_pts": self.video_pts,
            "video_fps": self.video_fps,
        }

    def subset(self, indices):
        """The clips of some of the videos."""
        return type(self)(
            self.video_paths,
            self.num_frames,
            self.step,
            self.frame_rate,
            {name: [values[i] for i in indices] for name, values in self.metadata.items()},
            self.num_workers,
            output_format=self.output_format,
        )

    @staticmethod
    def compute_clips_for_video(video_pts, num_frames, step, fps=None, frame_rate=None):
        """(places of the frames of each clip, which of the frames read they are)"""
        fps = fps or 1  # of a video without frames
        frame_rate = frame_rate or fps
        total = math.floor(len(video_pts) * frame_rate / fps)
        picked = VideoClips._resample_video_idx(total, fps, frame_rate)
        clips = unfold(video_pts[picked], num_frames, step)
        if len(clips) == 0:
            warnings.warn(
                "There aren't enough frames in the current video to get a clip for the given clip "
                "length and frames between clips. The video (and potentially others) will be "
                "skipped.",
                stacklevel=2,
            )
        if isinstance(picked, slice):
            return clips, [picked] * len(clips)
        return clips, unfold(picked, num_frames, step)

    @staticmethod
    def _resample_video_idx(num_frames, original_fps, new_fps):
        step = original_fps / new_fps
        if step.is_integer():
            return slice(None, None, int(step))
        return (flambeau.arange(num_frames, dtype=flambeau.float32) * step).floor().long()

    def compute_clips(self, num_frames, step, frame_rate=None):
        """Clips of another length, from the same videos."""
        self.num_frames, self.step, self.frame_rate = num_frames, step, frame_rate
        self.clips, self.resampling_idxs, self.cumulative_sizes = [], [], []
        total = 0
        for pts, fps in zip(self.video_pts, self.video_fps, strict=True):
            clips, picked = self.compute_clips_for_video(pts, num_frames, step, fps, frame_rate)
            self.clips.append(clips)
            self.resampling_idxs.append(picked)
            total += len(clips)
            self.cumulative_sizes.append(total)

    def __len__(self):
        return self.num_clips()

    def num_videos(self):
        """How many videos there are."""
        return len(self.video_paths)

    def num_clips(self):
        """How many clips there are in all videos."""
        return self.cumulative_sizes[-1] if self.cumulative_sizes else 0

    def get_clip_location(self, idx):
        """(number of the video, number of the clip within it)"""
        video = bisect.bisect_right(self.cumulative_sizes, idx)
        return video, idx if video == 0 else idx - self.cumulative_sizes[video - 1]

    def get_clip(self, idx):
        """(frames, sound, rates, number of the video)"""
        from ..io import read_video

        if idx >= self.num_clips():
            raise IndexError(f"Index {idx} out of range ({self.num_clips()} number of clips)")
        at, clip = self.get_clip_location(idx)
        pts = self.clips[at][clip]
        video, audio, info = read_video(
            self.video_paths[at], pts[0].item(), pts[-1].item(), output_format=self.output_format
        )
        if self.frame_rate is not None:
            picked = self.resampling_idxs[at][clip]
            if isinstance(picked, flambeau.Tensor):
                picked = picked - picked[0]
            video = video[picked]
            info["video_fps"] = self.frame_rate
        if len(video) != self.num_frames:
            raise RuntimeError(
                f"read {len(video)} frames of clip {clip} of {self.video_paths[at]}, wanted "
                f"{self.num_frames}"
            )
        return video, audio, info, at
