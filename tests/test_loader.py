"""What a loader says of itself: workers, their failures, warnings."""

import gc

import pytest

import flambeau as torch
from flambeau.utils import data


class Squares(data.Dataset):
    def __init__(self, length):
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        return torch.tensor(index * index)


class Endless(data.IterableDataset):
    def __iter__(self):
        return iter(int, 1)


def test_more_workers_than_processors_are_warned_of():
    with pytest.warns(UserWarning, match="excessive worker creation"):
        loader = data.DataLoader(Squares(4), num_workers=10_000)
    assert loader.num_workers == 10_000


def test_a_worker_knows_itself_and_cannot_change_it():
    info = data._utils.worker.WorkerInfo(1, 2, 3, Squares(2))
    with pytest.raises(RuntimeError, match="Cannot assign"):
        info.seed = 4
    assert (info.id, info.num_workers, info.seed) == (1, 2, 3)


def test_exceptions_travel_with_their_traceback():
    from flambeau._utils import ExceptionWrapper

    class Two(Exception):
        def __init__(self, a, b):
            super().__init__(a, b)

    for error, kind in (
        (KeyError("k"), KeyError),
        (ValueError("v"), ValueError),
        (Two(1, 2), RuntimeError),
    ):
        try:
            raise error
        except Exception:
            wrapped = ExceptionWrapper(where="somewhere")
        with pytest.raises(
            kind, match=f"Caught {type(error).__name__} somewhere.\nOriginal Traceback"
        ):
            wrapped.reraise()


def test_a_dropped_loader_takes_its_persistent_workers_along():
    loader = data.DataLoader(Squares(4), num_workers=1, persistent_workers=True)
    ongoing = iter(loader)
    next(ongoing)
    workers = list(ongoing._workers)
    gc.disable()  # no cycle holds them
    try:
        del loader, ongoing
        for worker in workers:
            worker.join(20)
            assert not worker.is_alive()
    finally:
        gc.enable()


def test_the_length_of_a_pass():
    assert len(iter(data.DataLoader(Squares(5), batch_size=2))) == 3
    with pytest.raises(TypeError):
        len(iter(data.DataLoader(Endless())))
