"""Datasets: what a loader takes samples from."""

import bisect
import itertools
import math

import flambeau

__all__ = [
    "ChainDataset",
    "ConcatDataset",
    "Dataset",
    "IterableDataset",
    "StackDataset",
    "Subset",
    "TensorDataset",
    "random_split",
]


class Dataset:
    """Something with samples by number: define `__getitem__` and, for most samplers, `__len__`.

    A class may also define `__getitems__(indices)`, a list of samples at once.

    >>> from flambeau.utils.data import Dataset
    >>> class Squares(Dataset):
    ...     def __len__(self):
    ...         return 5
    ...     def __getitem__(self, index):
    ...         return index * index
    >>> Squares()[3]
    9
    """

    def __class_getitem__(cls, item):
        return cls  # Dataset[int] is for readers

    def __getitem__(self, index):
        raise NotImplementedError("Subclasses of Dataset should implement __getitem__.")

    def __add__(self, other):
        return ConcatDataset([self, other])


class IterableDataset(Dataset):
    """Something that yields its samples in its own order: define `__iter__`.

    In worker processes each worker has a copy; share the work out with `get_worker_info`.

    >>> from flambeau.utils.data import DataLoader, IterableDataset
    >>> class Count(IterableDataset):
    ...     def __iter__(self):
    ...         return iter(range(4))
    >>> list(DataLoader(Count(), batch_size=2))
    [tensor([0, 1]), tensor([2, 3])]
    """

    def __getitem__(self, index):
        raise NotImplementedError("an IterableDataset has no samples by number")

    def __iter__(self):
        raise NotImplementedError("Subclasses of IterableDataset should implement __iter__.")

    def __add__(self, other):
        return ChainDataset([self, other])


class TensorDataset(Dataset):
    """Samples that are rows of tensors: item `i` is `(tensors[0][i], tensors[1][i], ...)`.

    A `DataLoader` takes whole batches out of the tensors in one step.

    >>> import flambeau as torch
    >>> data = torch.utils.data.TensorDataset(torch.arange(3), torch.tensor([5, 6, 7]))
    >>> data[1]
    (tensor(1), tensor(6))
    """

    def __init__(self, *tensors):
        if any(len(tensor) != len(tensors[0]) for tensor in tensors):
            shapes = ", ".join(str(tuple(tensor.shape)) for tensor in tensors)
            raise AssertionError(f"Size mismatch between tensors: {shapes}")
        self.tensors = tensors

    def __getitem__(self, index):
        return tuple(tensor[index] for tensor in self.tensors)

    def __len__(self):
        return self.tensors[0].size(0)

    def _batch_fetcher(self):
        tensors = self.tensors
        return lambda indices: [tensor.index_select(0, indices) for tensor in tensors]


class StackDataset(Dataset):
    """Several datasets side by side: item `i` is a tuple, or with keywords a dict, of their items.

    >>> from flambeau.utils.data import StackDataset
    >>> StackDataset(number=[1, 2], name=["one", "two"])[1]
    {'number': 2, 'name': 'two'}
    """

    def __init__(self, *args, **kwargs):
        if args and kwargs:
            raise ValueError(
                "StackDataset(): datasets come as positional or as keyword arguments, got both"
            )
        if not args and not kwargs:
            raise ValueError("StackDataset(): At least one dataset should be passed")
        self.datasets = args or kwargs
        self._length = len(self._list()[0])
        if any(len(dataset) != self._length for dataset in self._list()):
            lengths = [len(dataset) for dataset in self._list()]
            raise ValueError(f"Size mismatch between datasets: lengths {lengths}")

    def _list(self):
        return list(self.datasets.values() if isinstance(self.datasets, dict) else self.datasets)

    def _like(self, values):
        return (
            dict(zip(self.datasets, values)) if isinstance(self.datasets, dict) else tuple(values)
        )

    def __getitem__(self, index):
        return self._like([dataset[index] for dataset in self._list()])

    def __getitems__(self, indices):
        columns = []
        for dataset in self._list():
            column = _items(dataset, indices)
            if len(column) != len(indices):
                raise ValueError(
                    f"__getitems__ of {type(dataset).__name__} gave {len(column)} samples, wanted "
                    f"{len(indices)}"
                )
            columns.append(column)
        return [self._like(row) for row in zip(*columns)]

    def __len__(self):
        return self._length

    def _batch_fetcher(self):
        fetchers = [batch_fetcher(dataset) for dataset in self._list()]
        if None in fetchers:
            return None
        if isinstance(self.datasets, dict):
            return lambda indices: dict(zip(self.datasets, [fetch(indices) for fetch in fetchers]))
        return lambda indices: [fetch(indices) for fetch in fetchers]


class ConcatDataset(Dataset):
    """Datasets one after the other.

    >>> from flambeau.utils.data import ConcatDataset
    >>> both = ConcatDataset([[1, 2], [3]])
    >>> len(both), both[2]
    (3, 3)
    """

    @staticmethod
    def cumsum(sequence):
        return list(itertools.accumulate(len(part) for part in sequence))

    def __init__(self, datasets):
        self.datasets = list(datasets)
        if not self.datasets:
            raise AssertionError("datasets should not be an empty iterable")
        if any(isinstance(dataset, IterableDataset) for dataset in self.datasets):
            raise AssertionError("ConcatDataset does not support IterableDataset")
        self.cumulative_sizes = self.cumsum(self.datasets)

    def __len__(self):
        return self.cumulative_sizes[-1]

    def __getitem__(self, idx):
        if idx < 0:
            if -idx > len(self):
                raise ValueError(
                    "absolute value of index should not exceed dataset length, "
                    f"got {idx} of {len(self)}"
                )
            idx += len(self)
        part = bisect.bisect_right(self.cumulative_sizes, idx)
        if part == len(self.datasets):
            raise IndexError(f"ConcatDataset: index {idx} is out of range for {len(self)} samples")
        return self.datasets[part][idx - (self.cumulative_sizes[part - 1] if part else 0)]


class ChainDataset(IterableDataset):
    """Iterable datasets one after the other.

    >>> from flambeau.utils.data import ChainDataset, IterableDataset
    >>> class Count(IterableDataset):
    ...     def __iter__(self):
    ...         return iter(range(2))
    >>> list(ChainDataset([Count(), Count()]))
    [0, 1, 0, 1]
    """

    def __init__(self, datasets):
        self.datasets = datasets

    def _checked(self):
        for dataset in self.datasets:
            if not isinstance(dataset, IterableDataset):
                raise AssertionError(
                    f"ChainDataset only supports IterableDataset, got {type(dataset).__name__}"
                )
            yield dataset

    def __iter__(self):
        for dataset in self._checked():
            yield from dataset

    def __len__(self):
        return sum(len(dataset) for dataset in self._checked())


class Subset(Dataset):
    """The samples of a dataset at the given indices.

    >>> from flambeau.utils.data import Subset
    >>> list(Subset("abcdef", [5, 0]))
    ['f', 'a']
    """

    def __init__(self, dataset, indices):
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, idx):
        if isinstance(idx, list):
            return self.dataset[[self.indices[i] for i in idx]]
        return self.dataset[self.indices[idx]]

    def __getitems__(self, indices):
        return _items(self.dataset, [self.indices[i] for i in indices])

    def __len__(self):
        return len(self.indices)

    def _batch_fetcher(self):
        fetch = batch_fetcher(self.dataset)
        if fetch is None:
            return None
        table = flambeau.as_tensor(self.indices, dtype=flambeau.int64)
        return lambda indices: fetch(table.index_select(0, indices))


def random_split(dataset, lengths, generator=None):
    """Splits a dataset at random into parts of the given lengths, or of fractions that sum to 1.

    >>> import flambeau as torch
    >>> parts = torch.utils.data.random_split(range(10), [0.7, 0.3])
    >>> [len(part) for part in parts]
    [7, 3]
    """
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1:
        lengths = _from_fractions(len(dataset), lengths)
    if sum(lengths) != len(dataset):
        raise ValueError(
            "Sum of input lengths does not equal the length of the input dataset! "
            f"random_split(): lengths {list(lengths)} for {len(dataset)} samples"
        )
    order = flambeau.randperm(len(dataset), generator=generator).tolist()
    ends = list(itertools.accumulate(lengths))
    return [Subset(dataset, order[end - length : end]) for length, end in zip(lengths, ends)]


def _from_fractions(total, fractions):
    lengths = []
    for i, fraction in enumerate(fractions):
        if not 0 <= fraction <= 1:
            raise ValueError(f"random_split(): fraction {i} is not between 0 and 1, got {fraction}")
        lengths.append(math.floor(total * fraction))
    for i in range(total - sum(lengths)):  # what rounding left over goes round, one each
        lengths[i % len(lengths)] += 1
    for i, length in enumerate(lengths):
        if length == 0:
            import warnings

            warnings.warn(
                f"Length of split at index {i} is 0. This might result in an empty dataset.",
                stacklevel=3,
            )
    return lengths


def _items(dataset, indices):
    many = getattr(dataset, "__getitems__", None)
    return many(indices) if callable(many) else [dataset[i] for i in indices]


def batch_fetcher(dataset):
    """A function from an index tensor to what `default_collate` would make of those samples.

    None where the dataset has no such short cut, or a subclass took `__getitem__` over.
    """
    kind = type(dataset)
    if kind is flambeau.Tensor:
        return lambda indices: dataset.index_select(0, indices)
    for base in kind.__mro__:
        if "_batch_fetcher" in vars(base):
            return dataset._batch_fetcher()
        if "__getitem__" in vars(base) or "__getitems__" in vars(base):
            return None
    return None
