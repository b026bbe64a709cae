"""Samplers: the order in which a loader takes samples. They draw PyTorch's random numbers."""

import itertools

import flambeau

__all__ = [
    "BatchSampler",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "SubsetRandomSampler",
    "WeightedRandomSampler",
]

_REPLACEMENT_CHUNK = 32  # draws with replacement come in calls of 32, as PyTorch's do


class Sampler:
    """Something that yields indices; define `__iter__` and, where it is known, `__len__`."""

    def __class_getitem__(cls, item):
        return cls

    def __iter__(self):
        raise NotImplementedError("Subclasses of Sampler should implement __iter__.")


class SequentialSampler(Sampler):
    """0, 1, 2, ... in order.

    >>> from flambeau.utils.data import SequentialSampler
    >>> list(SequentialSampler("abc"))
    [0, 1, 2]
    """

    def __init__(self, data_source):
        self.data_source = data_source

    def __iter__(self):
        return iter(range(len(self.data_source)))

    def __len__(self):
        return len(self.data_source)

    def _index_tensors(self):
        yield flambeau.arange(len(self.data_source))


class RandomSampler(Sampler):
    """A random order of all samples, or `num_samples` draws, with or without replacement.

    Without a generator one is made for each pass, seeded from the global one.

    >>> import flambeau as torch
    >>> sorted(torch.utils.data.RandomSampler(range(4)))
    [0, 1, 2, 3]
    """

    def __init__(self, data_source, replacement=False, num_samples=None, generator=None):
        self.data_source = data_source
        self.replacement = replacement
        self._num_samples = num_samples
        self.generator = generator
        if not isinstance(replacement, bool):
            raise TypeError(
                f"replacement should be a boolean value, but got replacement={replacement}"
            )
        if not isinstance(self.num_samples, int) or self.num_samples <= 0:
            raise ValueError(
                "num_samples should be a positive integer value, but got "
                f"num_samples={self.num_samples}"
            )

    @property
    def num_samples(self):
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def _index_tensors(self):
        generator = self.generator
        if generator is None:
            generator = flambeau.Generator()
            generator.manual_seed(draw_seed(None))
        size, wanted = len(self.data_source), self.num_samples
        if self.replacement:
            for _ in range(wanted // _REPLACEMENT_CHUNK):
                yield flambeau.randint(size, (_REPLACEMENT_CHUNK,), generator=generator)
            yield flambeau.randint(size, (wanted % _REPLACEMENT_CHUNK,), generator=generator)
        else:
            for _ in range(wanted // size):
                yield flambeau.randperm(size, generator=generator)
            # drawn even where nothing is left to take: a generator given by the caller moves on
            yield flambeau.randperm(size, generator=generator)[: wanted % size]

    def __iter__(self):
        for indices in self._index_tensors():
            yield from indices.tolist()

    def __len__(self):
        return self.num_samples


class SubsetRandomSampler(Sampler):
    """The given indices in random order.

    >>> from flambeau.utils.data import SubsetRandomSampler
    >>> sorted(SubsetRandomSampler([3, 5]))
    [3, 5]
    """

    def __init__(self, indices, generator=None):
        self.indices = indices
        self.generator = generator

    def __iter__(self):
        for i in flambeau.randperm(len(self.indices), generator=self.generator).tolist():
            yield self.indices[i]

    def __len__(self):
        return len(self.indices)


class WeightedRandomSampler(Sampler):
    """`num_samples` draws in which index `i` comes with probability in proportion to `weights[i]`.

    >>> import flambeau as torch
    >>> list(torch.utils.data.WeightedRandomSampler([0.0, 1.0], 3))
    [1, 1, 1]
    """

    def __init__(self, weights, num_samples, replacement=True, generator=None):
        if not isinstance(num_samples, int) or isinstance(num_samples, bool) or num_samples <= 0:
            raise ValueError(
                f"num_samples should be a positive integer value, but got num_samples={num_samples}"
            )
        if not isinstance(replacement, bool):
            raise ValueError(
                f"replacement should be a boolean value, but got replacement={replacement}"
            )
        self.weights = flambeau.as_tensor(weights, dtype=flambeau.float64)
        if self.weights.dim() != 1:
            raise ValueError(
                "weights should be a 1d sequence but given weights have shape "
                f"{tuple(self.weights.shape)}"
            )
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator

    def __iter__(self):
        drawn = flambeau.multinomial(
            self.weights, self.num_samples, self.replacement, generator=self.generator
        )
        yield from drawn.tolist()

    def __len__(self):
        return self.num_samples


class BatchSampler(Sampler):
    """Lists of `batch_size` indices from another sampler; the last may be short, or is dropped.

    >>> from flambeau.utils.data import BatchSampler
    >>> list(BatchSampler(range(5), batch_size=2, drop_last=False))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler, batch_size, drop_last):
        if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size <= 0:
            raise ValueError(
                f"batch_size should be a positive integer value, but got batch_size={batch_size}"
            )
        if not isinstance(drop_last, bool):
            raise ValueError(f"drop_last should be a boolean value, but got drop_last={drop_last}")
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self):
        indices = iter(self.sampler)
        while batch := list(itertools.islice(indices, self.batch_size)):
            if len(batch) < self.batch_size and self.drop_last:
                return
            yield batch

    def __len__(self):
        whole, rest = divmod(len(self.sampler), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def _index_batches(self):
        """The same batches as tensors, for datasets that take whole batches; None if not known."""
        known = (SequentialSampler, RandomSampler)
        if type(self) is not BatchSampler or type(self.sampler) not in known:
            return None
        return self._cut(self.sampler._index_tensors())

    def _cut(self, chunks):
        rest = None
        for chunk in chunks:
            if rest is not None:
                chunk, rest = flambeau.cat([rest, chunk]), None
            for batch in chunk.split(self.batch_size):
                if len(batch) == self.batch_size:
                    yield batch
                elif len(batch):
                    rest = batch
        if rest is not None and not self.drop_last:
            yield rest


def draw_seed(generator):
    """One int64 from a generator, the global one if None."""
    return int(flambeau.empty((), dtype=flambeau.int64).random_(generator=generator).item())
