"""From indices to a batch: one function for each sort of dataset, the same here and in a worker."""

import flambeau

from ._collate import default_collate
from .dataset import IterableDataset, batch_fetcher


class Exhausted(Exception):
    """An iterable dataset has no more samples."""


def make_fetch(dataset, batched, collate_fn, drop_last):
    """The function from what the sampler yields (indices, or one index if not batched) to data.

    Its attribute `whole_batches` says that index tensors suit it best.
    """
    if isinstance(dataset, IterableDataset):
        return _fetch_iterable(dataset, batched, collate_fn, drop_last)
    if not batched:
        return lambda index: collate_fn(dataset[index])
    if collate_fn is default_collate:
        take = batch_fetcher(dataset)
        if take is not None:

            def fetch(indices):
                return take(_index_tensor(indices))

            fetch.whole_batches = True
            return fetch
    many = getattr(dataset, "__getitems__", None)
    if callable(many):
        return lambda indices: collate_fn(many(indices))
    return lambda indices: collate_fn([dataset[index] for index in indices])


def _index_tensor(indices):
    if isinstance(indices, flambeau.Tensor):
        return indices
    return flambeau.tensor(indices, dtype=flambeau.int64)


def _fetch_iterable(dataset, batched, collate_fn, drop_last):
    samples = iter(dataset)
    ended = False

    def fetch_one(index):
        for sample in samples:
            return collate_fn(sample)
        raise Exhausted

    def fetch_batch(indices):
        nonlocal ended
        batch = []
        if not ended:
            for _ in indices:
                try:
                    batch.append(next(samples))
                except StopIteration:
                    ended = True
                    break
        if not batch or (drop_last and len(batch) < len(indices)):
            raise Exhausted
        return collate_fn(batch)

    return fetch_batch if batched else fetch_one
