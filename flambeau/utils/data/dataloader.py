"""DataLoader: batches of a dataset, made in this process or by worker processes."""

import itertools
import sys
import warnings
import weakref

from flambeau import random as _random

from ._collate import default_collate, default_convert
from ._fetch import Exhausted, make_fetch
from .dataset import IterableDataset
from .sampler import BatchSampler, RandomSampler, SequentialSampler, draw_seed

__all__ = ["DataLoader"]

_FIXED = ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers")


class _EndlessSampler:
    """None for ever: the indices of a dataset that has none."""

    def __iter__(self):
        return itertools.repeat(None)


_collate_fn_t = object  # for annotations: a function from samples to a batch


class _DatasetKind:
    """Which of the two sorts a dataset is; libraries ask for it by this name."""

    Map, Iterable = 0, 1


class DataLoader:
    """Goes through a dataset in batches.

    `dataset` has `__getitem__` and `__len__`, or is an `IterableDataset`. `batch_size=None` turns
    batching off. `shuffle`, `sampler` or `batch_sampler` set the order; the random numbers are
    PyTorch's, drawn from `generator` or the global generator. `collate_fn` joins samples
    (`default_collate`). With `num_workers` processes batches are made ahead, `prefetch_factor`
    for each worker; `persistent_workers` keeps them between passes, `worker_init_fn(id)` runs in
    each, `timeout` bounds the wait for one batch in seconds, `multiprocessing_context` is a start
    method, and `in_order=False` hands batches out as they come. `pin_memory` and
    `pin_memory_device` are accepted and change nothing while there is no device to copy to.

    A `TensorDataset`, a tensor, and subsets and stacks of them are read a batch at a time.

    `state_dict()` in the middle of a pass says how far it is; after `load_state_dict` of it the
    next pass goes on from there, with the order that the pass had.

    >>> import flambeau as torch
    >>> loader = torch.utils.data.DataLoader(torch.arange(5), batch_size=2)
    >>> [batch.tolist() for batch in loader]
    [[0, 1], [2, 3], [4]]
    """

    _iterator = None
    _claimed = None  # how many batches an iterable dataset is to give, once somebody has asked
    _pass = None  # the one under way
    _resumed = None  # the state that the next one goes on from
    __initialized = False

    def __class_getitem__(cls, item):
        return cls

    def __init__(
        self,
        dataset,
        batch_size=1,
        shuffle=None,
        sampler=None,
        batch_sampler=None,
        num_workers=0,
        collate_fn=None,
        pin_memory=False,
        drop_last=False,
        timeout=0,
        worker_init_fn=None,
        multiprocessing_context=None,
        generator=None,
        *,
        prefetch_factor=None,
        persistent_workers=False,
        pin_memory_device="",
        in_order=True,
    ):
        _check_workers(num_workers, timeout, prefetch_factor, persistent_workers)
        _warn_of_many(num_workers)
        if num_workers > 0 and prefetch_factor is None:
            prefetch_factor = 2
        if _is_stream_of_steps(dataset):
            from .graph_settings import apply_shuffle_settings

            dataset, shuffle = apply_shuffle_settings(dataset, shuffle), None
        self.dataset = dataset
        self.num_workers = num_workers
        self.prefetch_factor = prefetch_factor
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.in_order = in_order
        self.persistent_workers = persistent_workers
        self.generator = generator

        chosen = _choose_sampler(dataset, shuffle, sampler, batch_sampler, generator)
        if batch_sampler is not None:
            _check_batch_sampler(batch_size, shuffle, sampler, drop_last)
            batch_size, drop_last = None, False
        sampler = chosen
        if batch_size is not None and batch_sampler is None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        elif drop_last:
            raise ValueError(
                "batch_size=None option disables auto-batching and is mutually exclusive with "
                "drop_last"
            )
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        if collate_fn is None:
            collate_fn = default_convert if batch_sampler is None else default_collate
        self.collate_fn = collate_fn
        self.__initialized = True

    @property
    def multiprocessing_context(self):
        return self.__context

    @multiprocessing_context.setter
    def multiprocessing_context(self, context):
        if context is not None:
            if self.num_workers == 0:
                raise ValueError(
                    "multiprocessing_context can only be used with multi-process loading "
                    "(num_workers > 0), but got num_workers=0"
                )
            context = _context(context)
        self.__context = context

    def __setattr__(self, name, value):
        if self.__initialized and name in _FIXED:
            raise ValueError(f"{name} attribute should not be set after DataLoader is initialized")
        super().__setattr__(name, value)

    def __iter__(self):
        if self.num_workers == 0:
            return _SingleProcessDataLoaderIter(self)
        from ._worker import WorkerPool

        if not self.persistent_workers:
            return WorkerPool(self)
        if self._iterator is None or self._iterator.closed:
            self._iterator = WorkerPool(self)
        else:
            self._iterator.restart(self)
        return self._iterator

    def state_dict(self):
        """Where the pass under way is: its batches so far, and its generators' states before it.

        >>> import flambeau as torch
        >>> loader = torch.utils.data.DataLoader(range(6), batch_size=2, shuffle=True)
        >>> batches = iter(loader)
        >>> first, state = next(batches), loader.state_dict()
        >>> rest = list(batches)
        >>> loader.load_state_dict(state)
        >>> all(torch.equal(a, b) for a, b in zip(rest, loader, strict=True))
        True
        """
        done = self._pass is None or self._pass.ended
        if not done and not isinstance(self.dataset, IterableDataset):
            done = self._pass.batches >= len(self)
        if done:
            return {"batches": 0, "generators": []}
        return {"batches": self._pass.batches, "generators": self._pass.before}

    def load_state_dict(self, state_dict):
        """Makes the next pass go on where the one of `state_dict()` was.

        Samples of an iterable dataset are read and dropped up to there. Random numbers that are
        drawn within samples are not taken back; save `get_rng_state()` beside the state for those
        of this process.
        """
        if set(state_dict) != {"batches", "generators"}:
            raise ValueError(f"no state of a DataLoader: it has the keys {sorted(state_dict)}")
        self._resumed = dict(state_dict) if state_dict["batches"] else None
        if self._iterator is not None:
            self._iterator.close()

    @property
    def _auto_collation(self):
        return self.batch_sampler is not None

    @property
    def _dataset_kind(self):
        streams = isinstance(self.dataset, IterableDataset)
        return _DatasetKind.Iterable if streams else _DatasetKind.Map

    @property
    def _index_sampler(self):
        return self.sampler if self.batch_sampler is None else self.batch_sampler

    def __len__(self):
        if not isinstance(self.dataset, IterableDataset):
            return len(self._index_sampler)
        length = len(self.dataset)
        if self.batch_size is not None:
            whole, rest = divmod(length, self.batch_size)
            length = whole + (rest > 0 and not self.drop_last)
        self._claimed = length
        return length


class _BaseDataLoaderIter:
    """One pass over a loader's dataset; libraries ask for it by this name."""

    def __init__(self, loader):
        self._index_sampler = loader._index_sampler  # not the loader, which may hold the pass

    def __iter__(self):
        return self

    def __len__(self):
        return len(self._index_sampler)


class Pass:
    """How far a pass over a loader is; made where it begins or goes on.

    `seed` is the one of the workers, `pipe_seed` that of a dataset made of steps, `skipped` how
    many batches an earlier run has had.
    """

    ended = False

    def __init__(self, loader, draw_base_seed=True):
        resumed, loader._resumed, loader._pass = loader._resumed, None, self
        self.batches = self.skipped = resumed["batches"] if resumed else 0
        self._shared = _random.default_generator
        sampler = getattr(loader.batch_sampler, "sampler", loader.sampler)
        own = [g or self._shared for g in (loader.generator, getattr(sampler, "generator", None))]
        self._generators = own[:1] if own[0] is own[1] else own
        self._now = self._shared.get_state() if resumed else None
        if resumed:
            for generator, state in zip(self._generators, resumed["generators"], strict=True):
                generator.set_state(state)
        self.before = [generator.get_state() for generator in self._generators]
        self.pipe_seed = None
        if _is_stream_of_steps(loader.dataset):
            self.pipe_seed = draw_seed(loader.generator)
        self.seed = draw_seed(loader.generator) if draw_base_seed else None

    def advance(self, indices):
        """Drops the indices of the batches that an earlier run has had."""
        if self._now is not None:
            next(itertools.islice(indices, self.skipped - 1, None), None)
            self._shared.set_state(self._now)  # which is the program's to put back
            self._now = None
        return indices


def _is_stream_of_steps(dataset):
    steps = sys.modules.get("flambeau.utils.data.datapipes.datapipe")
    return steps is not None and isinstance(dataset, steps.IterDataPipe)


def seed_steps(dataset, seed, share=None):
    """Gives the steps of a dataset their seeds, and in a worker its (count, number)."""
    if seed is None:
        return
    from flambeau import Generator

    from .graph_settings import apply_random_seed, apply_sharding

    apply_random_seed(dataset, Generator().manual_seed(seed))
    if share is not None:
        apply_sharding(dataset, *share)


class _SingleProcessDataLoaderIter(_BaseDataLoaderIter):
    """A pass made in the calling process."""

    def __init__(self, loader):
        super().__init__(loader)
        self._pass = Pass(loader)
        seed_steps(loader.dataset, self._pass.pipe_seed)
        batched = loader._auto_collation
        self._fetch = make_fetch(loader.dataset, batched, loader.collate_fn, loader.drop_last)
        indices = None
        if batched and isinstance(loader.batch_sampler, BatchSampler):
            if hasattr(self._fetch, "whole_batches"):
                indices = loader.batch_sampler._index_batches()
        if indices is None:
            indices = iter(loader._index_sampler)
        self._watch = LengthWatch(loader)
        self._indices = self._pass.advance(indices)
        if isinstance(loader.dataset, IterableDataset):
            for _ in range(self._pass.skipped):
                self._fetch(next(self._indices))

    def __next__(self):
        state = self._pass
        try:
            data = self._fetch(next(self._indices))
        except (Exhausted, StopIteration):
            state.ended = True
            raise StopIteration from None
        if self._watch.wanted:
            self._watch.count()
        state.batches += 1
        return data


class LengthWatch:
    """Warns when an iterable dataset yields more than the length that a program was told."""

    def __init__(self, loader):
        self._loader = weakref.ref(loader)  # which may hold the pass
        self._seen = 0
        self.wanted = isinstance(loader.dataset, IterableDataset)

    def count(self):
        self._seen += 1
        loader = self._loader()
        claimed = None if loader is None else loader._claimed
        if self.wanted and claimed is not None and self._seen > claimed:
            hint = ""
            if loader.num_workers > 0:
                hint = (
                    " For multiprocessing data-loading, this could be caused by not properly "
                    "configuring the IterableDataset replica at each worker: each yields the whole "
                    "dataset unless it shares the work out itself."
                )
            warnings.warn(
                f"Length of IterableDataset was reported to be {claimed} (when accessing "
                f"len(dataloader)), but {self._seen} samples have been fetched.{hint}",
                stacklevel=3,
            )


def _warn_of_many(num_workers):
    """More processes than processors wait for each other."""
    if num_workers < 2:
        return
    import os

    count = getattr(os, "sched_getaffinity", None)
    most = len(count(0)) if count else os.cpu_count() or num_workers
    if num_workers > most:
        warnings.warn(
            f"This DataLoader will create {num_workers} worker processes in total. Our suggested "
            f"max number of worker in current system is {most}, which is smaller than what this "
            "DataLoader is going to create. Please be aware that excessive worker creation might "
            "get DataLoader running slow or even freeze, lower the worker number to avoid "
            "potential slowness/freeze if necessary.",
            stacklevel=3,
        )


def _check_workers(num_workers, timeout, prefetch_factor, persistent_workers):
    if num_workers < 0:
        raise ValueError(
            "num_workers option should be non-negative; use num_workers=0 to disable "
            f"multiprocessing, got {num_workers}"
        )
    if timeout < 0:
        raise ValueError(f"timeout option should be non-negative, got {timeout}")
    if num_workers == 0 and prefetch_factor is not None:
        raise ValueError(
            "prefetch_factor option could only be specified in multiprocessing: let num_workers "
            "> 0 to enable it, otherwise set prefetch_factor to None"
        )
    if prefetch_factor is not None and prefetch_factor < 1:
        raise ValueError(f"prefetch_factor option should be positive, got {prefetch_factor}")
    if persistent_workers and num_workers == 0:
        raise ValueError("persistent_workers option needs num_workers > 0")


def _check_batch_sampler(batch_size, shuffle, sampler, drop_last):
    if batch_size != 1 or shuffle or sampler is not None or drop_last:
        raise ValueError(
            "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and "
            "drop_last"
        )


def _choose_sampler(dataset, shuffle, sampler, batch_sampler, generator):
    if isinstance(dataset, IterableDataset):
        given = {"shuffle": shuffle or None, "sampler": sampler, "batch_sampler": batch_sampler}
        for name, value in given.items():
            if value is not None:
                raise ValueError(
                    f"DataLoader with IterableDataset: expected unspecified {name} option, but "
                    f"got {name}={value}"
                )
        return _EndlessSampler()
    if sampler is not None:
        if shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        return sampler
    if shuffle:
        return RandomSampler(dataset, generator=generator)
    return SequentialSampler(dataset)


def _context(context):
    import multiprocessing
    import multiprocessing.context

    if isinstance(context, str):
        methods = multiprocessing.get_all_start_methods()
        if context not in methods:
            raise ValueError(
                f"multiprocessing_context option should specify a valid start method in {methods}, "
                f"but got multiprocessing_context={context!r}"
            )
        return multiprocessing.get_context(context)
    if isinstance(context, multiprocessing.context.BaseContext):
        return context
    raise TypeError(
        "multiprocessing_context option should be a valid context object or a string specifying "
        f"the start method, but got multiprocessing_context={context}"
    )


def __getattr__(name):
    if name == "_MultiProcessingDataLoaderIter":
        from ._worker import WorkerPool

        return WorkerPool
    if name == "_InfiniteConstantSampler":
        return _EndlessSampler
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
