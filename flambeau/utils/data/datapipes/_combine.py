"""Steps that join streams or take one apart."""

import copy as _copy
from collections import deque

from ._decorator import functional_datapipe
from .datapipe import DataChunk, IterDataPipe
from .utils import length_of


@functional_datapipe("concat")
class ConcaterIterDataPipe(IterDataPipe):
    """Streams one after the other."""

    def __init__(self, *datapipes):
        if not datapipes:
            raise ValueError("Expected at least one DataPipe, but got nothing")
        self.datapipes = datapipes

    def __iter__(self):
        for datapipe in self.datapipes:
            yield from datapipe

    def __len__(self):
        return sum(length_of(self, datapipe) for datapipe in self.datapipes)


@functional_datapipe("zip")
class ZipperIterDataPipe(IterDataPipe):
    """Tuples of one sample of each stream, until the shortest ends."""

    def __init__(self, *datapipes):
        self.datapipes = datapipes

    def __iter__(self):
        yield from zip(*self.datapipes)

    def __len__(self):
        return min(length_of(self, datapipe) for datapipe in self.datapipes)


@functional_datapipe("mux")
class MultiplexerIterDataPipe(IterDataPipe):
    """A sample of each stream in turn, until the shortest ends."""

    def __init__(self, *datapipes):
        self.datapipes = datapipes

    def __iter__(self):
        for row in zip(*self.datapipes):
            yield from row

    def __len__(self):
        return min(length_of(self, pipe) for pipe in self.datapipes) * len(self.datapipes)


class _Shared:
    """One stream and what each of its readers has yet to take."""

    def __init__(self, datapipe, readers, buffer_size, route):
        self.datapipe = datapipe
        self.buffer_size = buffer_size
        self._route = route  # sample -> (reader, sample) pairs
        self._queues = [deque() for _ in range(readers)]
        self._begun = [True] * readers
        self._source = None
        self.round = 0

    def begin(self, reader):
        """A reader starts; one that has started before starts all of them anew."""
        if self._begun[reader]:
            self._begun = [False] * len(self._begun)
            self.round += 1
            self._source = iter(self.datapipe)
            for queue in self._queues:
                queue.clear()
        self._begun[reader] = True
        return self.round

    def items(self, reader):
        queue = self._queues[reader]
        while True:
            while not queue:
                try:
                    data = next(self._source)
                except StopIteration:
                    return
                for target, item in self._route(data):
                    self._queues[target].append(item)
                self._check(reader)
            yield queue.popleft()

    def _check(self, reader):
        waiting = max(len(q) for i, q in enumerate(self._queues) if i != reader or len(q) > 1)
        if 0 <= self.buffer_size < waiting:
            raise BufferError(
                f"a buffer overflow: the readers of {self.datapipe!r} are more than "
                f"{self.buffer_size} samples apart; a larger buffer_size, or -1, lets them be"
            )

    def __getstate__(self):
        state = dict(self.__dict__)
        return {**state, "_source": None, "_begun": [True] * len(self._begun)}


class _Reader(IterDataPipe):
    """One of the streams that another was made into."""

    def __init__(self, shared, number, has_length):
        self.shared = shared
        self.number = number
        self._has_length = has_length

    def __iter__(self):
        number = self.shared.begin(self.number)
        for item in self.shared.items(self.number):
            if self.shared.round != number:
                raise RuntimeError(
                    "This iterator has been invalidated because another pass over the same source "
                    "has begun"
                )
            yield item

    def __len__(self):
        if not self._has_length:
            raise TypeError(f"{type(self).__name__} instance doesn't have valid length")
        return length_of(self, self.shared.datapipe)


class _Copies:
    """Sends each sample, or copies of it, to all readers."""

    def __init__(self, readers, copy):
        how = {None: _itself, "shallow": _copy.copy, "deep": _copy.deepcopy}
        if copy not in how:
            raise ValueError(f"Unknown copy method `{copy}`, choose from None, shallow, deep.")
        self.readers, self.copied = readers, how[copy]

    def __call__(self, data):
        return [(reader, self.copied(data)) for reader in range(self.readers)]


def _itself(data):
    return data


class _Classes:
    """Sends each sample to the reader whose number a function gives."""

    def __init__(self, readers, classifier_fn, drop_none):
        self.readers, self.classifier_fn, self.drop_none = readers, classifier_fn, drop_none

    def __call__(self, data):
        reader = self.classifier_fn(data)
        if reader is None and self.drop_none:
            return []
        if reader is None or not 0 <= reader < self.readers:
            raise ValueError(
                f"Output of the classification fn should be between 0 and {self.readers - 1}. "
                f"{reader} is returned."
            )
        return [(reader, data)]


def _readers(datapipe, num_instances, buffer_size, route, has_length):
    if num_instances < 1:
        raise ValueError(f"Expected `num_instances` larger than 0, but {num_instances} is found")
    shared = _Shared(datapipe, num_instances, buffer_size, route)
    return [_Reader(shared, i, has_length) for i in range(num_instances)]


class ForkerIterDataPipe:
    """A stream as `num_instances` streams with the same samples.

    They may be `buffer_size` samples apart; `copy` is "shallow" or "deep" for samples of their own.
    """

    def __new__(cls, datapipe, num_instances, buffer_size=1000, copy=None):
        route = _Copies(num_instances, copy)
        if num_instances == 1:
            return [datapipe]
        return _readers(datapipe, num_instances, buffer_size, route, True)


class DemultiplexerIterDataPipe:
    """A stream dealt out to `num_instances` streams by the number that a function gives."""

    def __new__(cls, datapipe, num_instances, classifier_fn, drop_none=False, buffer_size=1000):
        route = _Classes(num_instances, classifier_fn, drop_none)
        return _readers(datapipe, num_instances, buffer_size, route, False)


@functional_datapipe("groupby")
class GrouperIterDataPipe(IterDataPipe):
    """Lists of samples of one key, of `group_size` or as many as the buffer gathers."""

    def __init__(
        self, datapipe, group_key_fn, *, keep_key=False, buffer_size=10000, group_size=None,
        guaranteed_group_size=None, drop_remaining=False,
    ):  # fmt: skip
        if buffer_size <= 0 or (group_size is not None and not 0 < group_size <= buffer_size):
            raise ValueError("group_size must be larger than 0 and at most buffer_size")
        if guaranteed_group_size is not None:
            if group_size is None or not 0 < guaranteed_group_size <= group_size:
                raise ValueError("guaranteed_group_size must be between 1 and group_size")
        self.datapipe = datapipe
        self.group_key_fn = group_key_fn
        self.keep_key = keep_key
        self.max_buffer_size = buffer_size
        self.group_size = group_size
        self.guaranteed_group_size = guaranteed_group_size or group_size
        self.drop_remaining = drop_remaining

    def __iter__(self):
        groups, held = {}, 0
        for data in self.datapipe:
            key = self.group_key_fn(data)
            groups.setdefault(key, []).append(data)
            held += 1
            if len(groups[key]) == self.group_size:
                held -= self.group_size
                yield self._group(key, groups.pop(key))
            if held == self.max_buffer_size:
                key = max(groups, key=lambda key: len(groups[key]))
                group = groups.pop(key)
                held -= len(group)
                if self._is_whole(key, group):
                    yield self._group(key, group)
        for key, group in groups.items():
            yield self._group(key, group)

    def _is_whole(self, key, group):
        short = self.guaranteed_group_size is not None and len(group) < self.guaranteed_group_size
        if short and not self.drop_remaining:
            raise RuntimeError(
                f"Failed to group items, the group {key!r} has {len(group)} of "
                f"{self.guaranteed_group_size} and the buffer is full"
            )
        return not short

    def _group(self, key, group):
        return (key, DataChunk(group)) if self.keep_key else DataChunk(group)


IterDataPipe.register_datapipe_as_function("demux", DemultiplexerIterDataPipe)
IterDataPipe.register_datapipe_as_function("fork", ForkerIterDataPipe)

Concater = ConcaterIterDataPipe
Demultiplexer = DemultiplexerIterDataPipe
Forker = ForkerIterDataPipe
Grouper = GrouperIterDataPipe
Multiplexer = MultiplexerIterDataPipe
Zipper = ZipperIterDataPipe
