"""Steps over streams: sources, what is done to each sample, batches, and shares for workers."""

import copy
import os
import warnings

from ..._collate import default_collate
from ...sampler import SequentialSampler
from .._combine import Concater, Demultiplexer, Forker, Grouper, Multiplexer, Zipper
from .._decorator import functional_datapipe
from .._shuffling import Shuffling
from ..datapipe import DataChunk, IterDataPipe
from ..utils import apply, decoder, length_of

__all__ = [
    "Batcher", "Collator", "Concater", "Demultiplexer", "FileLister", "FileOpener", "Filter",
    "Forker", "Grouper", "IterableWrapper", "Mapper", "Multiplexer", "RoutedDecoder", "Sampler",
    "ShardingFilter", "Shuffler", "StreamReader", "UnBatcher", "Zipper",
]  # fmt: skip


class IterableWrapperIterDataPipe(IterDataPipe):
    """The items of an iterable, copied before each pass if they can be."""

    def __init__(self, iterable, deepcopy=True):
        self.iterable = iterable
        self.deepcopy = deepcopy

    def __iter__(self):
        source = self.iterable
        if self.deepcopy:
            try:
                source = copy.deepcopy(source)
            except TypeError:  # a generator, for one
                warnings.warn(
                    "The input iterable can not be deepcopied, please be aware of in-place "
                    "modification would affect source data.",
                    stacklevel=2,
                )
        yield from source

    def __len__(self):
        return len(self.iterable)


@functional_datapipe("map")
class MapperIterDataPipe(IterDataPipe):
    """fn of each sample, or of its column `input_col`, put into `output_col` (-1: a new one)."""

    def __init__(self, datapipe, fn, input_col=None, output_col=None):
        if input_col is None and output_col is not None:
            raise ValueError("`output_col` must be None when `input_col` is None.")
        self.datapipe = datapipe
        self.fn = fn
        self.input_col = input_col
        self.output_col = output_col

    def __iter__(self):
        for data in self.datapipe:
            yield apply(self.fn, data, self.input_col, self.output_col)

    def __len__(self):
        return length_of(self, self.datapipe)


@functional_datapipe("collate")
class CollatorIterDataPipe(MapperIterDataPipe):
    """Joins the samples of each batch by a function, `default_collate` unless given."""

    def __init__(self, datapipe, conversion=default_collate, collate_fn=None):
        chosen = conversion if collate_fn is None else collate_fn
        super().__init__(datapipe, chosen)


@functional_datapipe("filter")
class FilterIterDataPipe(IterDataPipe):
    """The samples for which the function of the sample, or of its column, is true."""

    def __init__(self, datapipe, filter_fn, input_col=None):
        self.datapipe = datapipe
        self.filter_fn = filter_fn
        self.input_col = input_col

    def __iter__(self):
        for data in self.datapipe:
            if self.input_col is None:
                columns = (data,)
            elif isinstance(self.input_col, (list, tuple)):
                columns = tuple(data[column] for column in self.input_col)
            else:
                columns = (data[self.input_col],)
            kept = self.filter_fn(*columns)
            if not isinstance(kept, bool):
                raise ValueError(
                    f"Boolean output is required for `filter_fn`, got {type(kept).__name__}"
                )
            if kept:
                yield data


@functional_datapipe("shuffle")
class ShufflerIterDataPipe(Shuffling, IterDataPipe):
    """Samples in random order, out of a buffer of `buffer_size`; PyTorch's order from a seed."""

    def __init__(self, datapipe, *, buffer_size=10000, unbatch_level=0):
        if buffer_size <= 0:
            raise ValueError("buffer_size should be larger than 0")
        self.datapipe = datapipe.unbatch(unbatch_level) if unbatch_level else datapipe
        self.buffer_size = buffer_size
        super().__init__()

    def __iter__(self):
        if not self._enabled:
            yield from self.datapipe
            return
        buffer = []
        for data in self.datapipe:
            if len(buffer) < self.buffer_size:
                buffer.append(data)
                continue
            at = self._rng.randint(0, len(buffer) - 1)
            buffer[at], data = data, buffer[at]
            yield data
        while buffer:
            yield buffer.pop(self._rng.randint(0, len(buffer) - 1))

    def __len__(self):
        return length_of(self, self.datapipe)


class SamplerIterDataPipe(IterDataPipe):
    """What a sampler over the step yields."""

    def __init__(self, datapipe, sampler=SequentialSampler, sampler_args=None, sampler_kwargs=None):
        self.datapipe = datapipe
        self.sampler = sampler(
            *(sampler_args or ()), **{"data_source": datapipe, **(sampler_kwargs or {})}
        )

    def __iter__(self):
        return iter(self.sampler)

    def __len__(self):
        return length_of(self, self.sampler)


@functional_datapipe("batch")
class BatcherIterDataPipe(IterDataPipe):
    """Lists of `batch_size` samples; the last may be short, or is dropped."""

    def __init__(self, datapipe, batch_size, drop_last=False, wrapper_class=DataChunk):
        if batch_size <= 0:
            raise AssertionError("Batch size is required to be larger than 0!")
        self.datapipe = datapipe
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.wrapper_class = wrapper_class

    def __iter__(self):
        batch = []
        for data in self.datapipe:
            batch.append(data)
            if len(batch) == self.batch_size:
                yield self.wrapper_class(batch)
                batch = []
        if batch and not self.drop_last:
            yield self.wrapper_class(batch)

    def __len__(self):
        whole, rest = divmod(length_of(self, self.datapipe), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)


@functional_datapipe("unbatch")
class UnBatcherIterDataPipe(IterDataPipe):
    """The samples of each batch, `unbatch_level` deep; -1 for all levels."""

    def __init__(self, datapipe, unbatch_level=1):
        if unbatch_level < -1:
            raise ValueError("unbatch_level must be -1 or >= 0")
        self.datapipe = datapipe
        self.unbatch_level = unbatch_level

    def __iter__(self):
        for data in self.datapipe:
            yield from self._flat(data, self.unbatch_level)

    def _flat(self, data, levels):
        if levels == 0 or (levels == -1 and not isinstance(data, (list, DataChunk))):
            yield data
        elif isinstance(data, (list, DataChunk)):
            for item in data:
                yield from self._flat(item, max(levels - 1, -1))
        else:
            raise IndexError(f"unbatch_level {self.unbatch_level} exceeds the depth of the batches")


@functional_datapipe("sharding_filter")
class ShardingFilterIterDataPipe(IterDataPipe):
    """Every n-th sample in each of n workers; `DataLoader` says which."""

    def __init__(self, source_datapipe, sharding_group_filter=None):
        self.source_datapipe = source_datapipe
        self.num_of_instances, self.instance_id = 1, 0

    def apply_sharding(self, num_of_instances, instance_id, sharding_group=None):
        if instance_id >= num_of_instances:
            raise ValueError(
                f"instance_id({instance_id}) should be smaller than "
                f"num_of_instances({num_of_instances})"
            )
        self.num_of_instances, self.instance_id = num_of_instances, instance_id

    def __iter__(self):
        for i, data in enumerate(self.source_datapipe):
            if i % self.num_of_instances == self.instance_id:
                yield data

    def __len__(self):
        whole, rest = divmod(length_of(self, self.source_datapipe), self.num_of_instances)
        return whole + (self.instance_id < rest)


@functional_datapipe("list_files")
class FileListerIterDataPipe(IterDataPipe):
    """Paths of the files in folders, sorted, whose names match `masks`."""

    def __init__(
        self, root=".", masks="", *, recursive=False, abspath=False, non_deterministic=False,
        length=-1,
    ):  # fmt: skip
        self.datapipe = [root] if isinstance(root, (str, os.PathLike)) else root
        self.masks = [masks] if isinstance(masks, str) else masks
        self.recursive = recursive
        self.abspath = abspath
        self.non_deterministic = non_deterministic
        self.length = length

    def __iter__(self):
        for root in self.datapipe:
            for folder, folders, names in os.walk(root):
                if not self.non_deterministic:
                    folders.sort()
                    names.sort()
                for name in names:
                    if self._wanted(name):
                        path = os.path.join(folder, name)
                        yield os.path.abspath(path) if self.abspath else path
                if not self.recursive:
                    break

    def _wanted(self, name):
        import fnmatch

        return any(not mask or fnmatch.fnmatch(name, mask) for mask in self.masks)

    def __len__(self):
        if self.length == -1:
            raise TypeError(f"{type(self).__name__} instance doesn't have valid length")
        return self.length


@functional_datapipe("open_files")
class FileOpenerIterDataPipe(IterDataPipe):
    """(path, open file) of each path; mode is "r" for text, "b" or "rb" for bytes."""

    def __init__(self, datapipe, mode="r", encoding=None, length=-1):
        if mode not in ("b", "t", "rb", "rt", "r"):
            raise ValueError(f"Invalid mode {mode}")
        self.datapipe = datapipe
        self.mode = "r" + mode if mode in ("b", "t") else mode
        self.encoding = encoding
        self.length = length

    def __iter__(self):
        for path in self.datapipe:
            with open(path, self.mode, encoding=self.encoding) as file:
                yield path, file

    def __len__(self):
        if self.length == -1:
            raise TypeError(f"{type(self).__name__} instance doesn't have valid length")
        return self.length


@functional_datapipe("read_from_stream")
class StreamReaderIterDataPipe(IterDataPipe):
    """(name, data) of each (name, open file), in pieces of `chunk` if given."""

    def __init__(self, datapipe, chunk=None):
        self.datapipe = datapipe
        self.chunk = chunk

    def __iter__(self):
        for name, file in self.datapipe:
            if self.chunk is None:
                yield name, file.read()
                continue
            while piece := file.read(self.chunk):
                yield name, piece


@functional_datapipe("routed_decode")
class RoutedDecoderIterDataPipe(IterDataPipe):
    """(name, value) of each (name, open file), decoded by the first handler that knows the name."""

    def __init__(self, datapipe, *handlers, key_fn=decoder.extension_extract_fn):
        self.datapipe = datapipe
        self.decoder = decoder.Decoder(*(handlers or (decoder.basichandlers,)), key_fn=key_fn)

    def add_handler(self, *handler):
        self.decoder.add_handler(*handler)

    def __iter__(self):
        for data in self.datapipe:
            yield self.decoder(data)

    def __len__(self):
        return length_of(self, self.datapipe)


Batcher = BatcherIterDataPipe
Collator = CollatorIterDataPipe
FileLister = FileListerIterDataPipe
FileOpener = FileOpenerIterDataPipe
Filter = FilterIterDataPipe
IterableWrapper = IterableWrapperIterDataPipe
Mapper = MapperIterDataPipe
RoutedDecoder = RoutedDecoderIterDataPipe
Sampler = SamplerIterDataPipe
ShardingFilter = ShardingFilterIterDataPipe
Shuffler = ShufflerIterDataPipe
StreamReader = StreamReaderIterDataPipe
UnBatcher = UnBatcherIterDataPipe
