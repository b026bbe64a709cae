"""Samplers of clips, and of samples in parts for several processes."""

import math

import flambeau
from flambeau.utils.data import Sampler

from .video_utils import VideoClips

__all__ = ["DistributedSampler", "RandomClipSampler", "UniformClipSampler"]


class DistributedSampler(Sampler):
    """One of `num_replicas` parts of a dataset, in groups of `group_size` that stay together."""

    def __init__(self, dataset, num_replicas=None, rank=None, shuffle=False, group_size=1):
        from flambeau import distributed

        joined = distributed.is_available() and distributed.is_initialized()
        if (num_replicas is None or rank is None) and not joined:
            raise RuntimeError("give num_replicas and rank: no group of processes is initialized")
        if len(dataset) % group_size:
            raise ValueError(
                f"dataset length must be a multiplier of group size; dataset length: "
                f"{len(dataset)}, group size: {group_size}"
            )
        self.dataset = dataset
        self.group_size = group_size
        self.num_replicas = distributed.get_world_size() if num_replicas is None else num_replicas
        self.rank = distributed.get_rank() if rank is None else rank
        self.epoch = 0
        self.shuffle = shuffle
        self.num_group_samples = math.ceil(len(dataset) // group_size / self.num_replicas)
        self.num_samples = self.num_group_samples * group_size
        self.total_size = self.num_samples * self.num_replicas

    def __iter__(self):
        n, size = len(self.dataset), self.group_size
        if self.shuffle:
            generator = flambeau.Generator().manual_seed(self.epoch)
            order = flambeau.randperm(n, generator=generator).tolist()
        else:
            order = list(range(n))
        order += order[: self.total_size - n]
        for first in range(self.rank * size, self.total_size, self.num_replicas * size):
            yield from order[first : first + size]

    def __len__(self):
        return self.num_samples

    def set_epoch(self, epoch):
        """Another order for another epoch."""
        self.epoch = epoch


class _ClipSampler(Sampler):
    def __init__(self, video_clips, count):
        if not isinstance(video_clips, VideoClips):
            raise TypeError(f"Expected video_clips to be an instance of VideoClips, got "
                            f"{type(video_clips)}")  # fmt: skip
        self.video_clips = video_clips
        self._count = count

    def _ranges(self):
        """(number of the first clip, how many) of each video that has any."""
        first = 0
        for clips in self.video_clips.clips:
            if len(clips):
                yield first, len(clips)
            first += len(clips)


class UniformClipSampler(_ClipSampler):
    """So many clips of each video, equally spaced; clips come again where there are fewer."""

    def __init__(self, video_clips, num_clips_per_video):
        super().__init__(video_clips, num_clips_per_video)
        self.num_clips_per_video = num_clips_per_video

    def __iter__(self):
        for first, n in self._ranges():
            places = flambeau.linspace(first, first + n - 1, steps=self._count)
            yield from places.floor().long().tolist()

    def __len__(self):
        return sum(self._count for _ in self._ranges())


class RandomClipSampler(_ClipSampler):
    """Up to so many random clips of each video, in random order."""

    def __init__(self, video_clips, max_clips_per_video):
        super().__init__(video_clips, max_clips_per_video)
        self.max_clips_per_video = max_clips_per_video

    def __iter__(self):
        picked = []
        for first, n in self._ranges():
            picked.append(flambeau.randperm(n)[: min(n, self._count)] + first)
        if not picked:
            return iter(())
        picked = flambeau.cat(picked)
        return iter(picked[flambeau.randperm(len(picked))].tolist())

    def __len__(self):
        return sum(min(n, self._count) for _, n in self._ranges())
