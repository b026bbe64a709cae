"""Datasets, samplers, collation and the loader, with and without worker processes."""

import collections
import io
import os
import random
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest

import flambeau as torch
from flambeau.utils import data

# four processes on a machine of two, say
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")


class Squares(data.Dataset):
    def __init__(self, length=10):
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        return torch.full((3,), float(index)), {"n": index * index, "name": str(index)}


class Stream(data.IterableDataset):
    def __init__(self, length=5):
        self.length = length

    def __iter__(self):
        info = data.get_worker_info()
        start = 100 * info.id if info else 0
        return iter(range(start, start + self.length))


def lists(loader):
    return [batch.tolist() for batch in loader]


# -- datasets --------------------------------------------------------------------------------------
def test_tensor_dataset():
    dataset = data.TensorDataset(torch.arange(4), torch.arange(4) * 10)
    assert len(dataset) == 4
    assert [t.item() for t in dataset[2]] == [2, 20]
    assert dataset[1:3][1].tolist() == [10, 20]
    with pytest.raises(AssertionError, match="Size mismatch"):
        data.TensorDataset(torch.ones(2), torch.ones(3))


def test_concat_and_chain():
    joined = data.ConcatDataset([[0, 1, 2], [3, 4]])
    assert [joined[i] for i in range(5)] == [0, 1, 2, 3, 4]
    assert joined[-1] == 4 and len(joined) == 5 and joined.cumulative_sizes == [3, 5]
    with pytest.raises(ValueError, match="exceed dataset length"):
        joined[-6]
    with pytest.raises(IndexError):
        joined[5]
    with pytest.raises(AssertionError):
        data.ConcatDataset([Stream()])
    assert list(Stream(2) + Stream(3)) == [0, 1, 0, 1, 2]
    assert list(Squares(2) + Squares(1))[2][1]["n"] == 0
    with pytest.raises(AssertionError, match="only supports IterableDataset"):
        list(data.ChainDataset([[1]]))


def test_stack_and_subset():
    pairs = data.StackDataset([1, 2, 3], "abc")
    assert pairs[1] == (2, "b") and pairs.__getitems__([0, 2]) == [(1, "a"), (3, "c")]
    assert data.StackDataset(x=[1], y=[2])[0] == {"x": 1, "y": 2}
    for wrong in (lambda: data.StackDataset(), lambda: data.StackDataset([1], [1, 2])):
        with pytest.raises(ValueError):
            wrong()
    assert list(data.Subset(data.Subset("abcdef", [5, 4, 3]), [2, 0])) == ["d", "f"]


def test_random_split():
    torch.manual_seed(1)
    parts = data.random_split(range(10), [0.5, 0.25, 0.25])
    assert [len(part) for part in parts] == [6, 2, 2]
    assert parts[0].indices == [5, 6, 1, 2, 0, 8]  # PyTorch's draw
    assert sorted(i for part in parts for i in part.indices) == list(range(10))
    for lengths in ([3, 3], [0.5, 0.6], [-0.5, 0.6]):
        with pytest.raises(ValueError, match="does not equal the length"):
            data.random_split(range(10), lengths)


# -- samplers: the numbers are PyTorch's -----------------------------------------------------------
@pytest.mark.parametrize(
    "arguments, expected",
    [
        ({"replacement": True}, [6, 2, 0, 4, 1, 4, 0, 5, 4, 1]),
        ({"num_samples": 4}, [6, 7, 4, 1]),
        (
            {"num_samples": 25},
            [6, 7, 4, 1, 3, 9, 0, 2, 8, 5, 1, 8, 9, 2, 5, 4, 6, 0, 7, 3, 1, 3, 2, 5, 0],
        ),
    ],
)
def test_random_sampler(arguments, expected):
    torch.manual_seed(1)
    sampler = data.RandomSampler(range(10), **arguments)
    assert list(sampler) == expected and len(sampler) == len(expected)


def test_other_samplers():
    assert list(data.SequentialSampler("abc")) == [0, 1, 2]
    torch.manual_seed(1)
    assert list(data.SubsetRandomSampler([3, 5, 7, 9])) == [5, 9, 7, 3]
    torch.manual_seed(1)
    assert list(data.WeightedRandomSampler([0.1, 0.2, 0.7], 5)) == [0, 1, 1, 1, 2]
    assert list(data.BatchSampler(range(5), 2, True)) == [[0, 1], [2, 3]]
    assert len(data.BatchSampler(range(5), 2, False)) == 3
    shares = [data.DistributedSampler(range(5), 2, rank, shuffle=False) for rank in (0, 1)]
    assert [list(share) for share in shares] == [[0, 2, 4], [1, 3, 0]]
    shuffled = [data.DistributedSampler(range(6), 2, rank) for rank in (0, 1)]
    assert sorted(i for share in shuffled for i in share) == list(range(6))


@pytest.mark.parametrize(
    "make, error",
    [
        (lambda: data.RandomSampler([]), ValueError),
        (lambda: data.RandomSampler([1], replacement=1), TypeError),
        (lambda: data.RandomSampler([1], num_samples=-1), ValueError),
        (lambda: data.WeightedRandomSampler([[1.0]], 1), ValueError),
        (lambda: data.WeightedRandomSampler([1.0], 0), ValueError),
        (lambda: data.BatchSampler([1], 0, False), ValueError),
        (lambda: data.BatchSampler([1], 1, 3), ValueError),
        (lambda: data.DistributedSampler([1], 2, 2), ValueError),
    ],
)
def test_bad_samplers(make, error):
    with pytest.raises(error):
        make()


# -- collation -------------------------------------------------------------------------------------
def test_default_collate():
    Point = collections.namedtuple("Point", "x y")
    joined = data.default_collate([Point(1, 2.5), Point(3, 4.5)])
    assert type(joined) is Point
    assert joined.x.dtype == torch.int64 and joined.y.dtype == torch.float64
    assert data.default_collate([True, False]).dtype == torch.bool
    nested = data.default_collate([{"a": [1, "x"]}, {"a": [2, "y"]}])
    assert nested["a"][0].tolist() == [1, 2] and nested["a"][1] == ("x", "y")
    assert data.default_collate([b"a", "b"]) == [b"a", "b"]
    ordered = data.default_collate([collections.OrderedDict(a=1)])
    assert type(ordered) is collections.OrderedDict
    rows = data.default_collate([np.ones(2, np.float32), np.zeros(2, np.float32)])
    assert rows.dtype == torch.float32 and rows.tolist() == [[1, 1], [0, 0]]
    assert data.default_collate([np.int32(3)]).dtype == torch.int32
    assert data.default_collate([np.array(3), np.array(4)]).tolist() == [3, 4]


@pytest.mark.parametrize(
    "batch, error",
    [
        ([object()], TypeError),
        ([None], TypeError),
        ([np.array(["a"])], TypeError),
        ([[1, 2], [1]], RuntimeError),
        ([torch.ones(2), torch.ones(3)], RuntimeError),
        ([], IndexError),
        ([{"a": 1}, {"b": 1}], KeyError),
    ],
)
def test_bad_batches(batch, error):
    with pytest.raises(error):
        data.default_collate(batch)


def test_default_convert():
    converted = data.default_convert([np.ones(2), 1, "a", {"x": np.zeros(1)}])
    assert isinstance(converted[0], torch.Tensor) and converted[1:3] == [1, "a"]
    assert isinstance(converted[3]["x"], torch.Tensor)


# -- the loader in this process --------------------------------------------------------------------
def test_batches_and_order():
    torch.manual_seed(5)
    loader = data.DataLoader(range(10), batch_size=3, shuffle=True)
    assert lists(loader) == [[8, 3, 0], [5, 9, 1], [6, 2, 4], [7]]  # PyTorch's shuffle
    generator = torch.Generator().manual_seed(3)
    loader = data.DataLoader(range(10), batch_size=3, shuffle=True, generator=generator)
    assert lists(loader) == [[7, 4, 2], [9, 1, 5], [0, 8, 6], [3]]
    loader = data.DataLoader(range(10), 4, drop_last=True)
    assert lists(loader) == [[0, 1, 2, 3], [4, 5, 6, 7]] and len(loader) == 2
    assert lists(data.DataLoader([1, 2, 3], batch_sampler=[[2, 0], [1]])) == [[3, 1], [2]]
    assert list(data.DataLoader(range(3), batch_size=None)) == [0, 1, 2]


@pytest.mark.parametrize("size, batch, arguments", [
    (10, 3, {}),
    (10, 3, {"drop_last": True}),
    (10, 5, {"shuffle": True}),
    (7, 10, {"shuffle": True}),
    (1, 1, {}),
])  # fmt: skip
def test_whole_batches_are_what_items_give(size, batch, arguments):
    """The short cut of TensorDataset draws and gives what fetching item by item does."""

    class ByItem(data.TensorDataset):
        def __getitem__(self, index):
            return super().__getitem__(index)

    tensors = torch.rand(size, 2, 3), torch.arange(size)
    results = []
    for kind in (data.TensorDataset, ByItem):
        torch.manual_seed(3)
        loader = data.DataLoader(kind(*tensors), batch, **arguments)
        results.append([(x.tolist(), y.tolist()) for _ in range(2) for x, y in loader])
        results[-1].append(torch.rand(1).item())
    assert results[0] == results[1]


def test_whole_batches_through_wrappers():
    table = torch.arange(20).reshape(10, 2)
    subset = data.Subset(data.TensorDataset(table), [9, 3, 5])
    (batch,) = next(iter(data.DataLoader(subset, 2)))
    assert batch.tolist() == [[18, 19], [6, 7]]
    stacked = data.StackDataset(x=data.TensorDataset(table), y=table)
    batch = next(iter(data.DataLoader(stacked, 2)))
    assert batch["x"][0].tolist() == batch["y"].tolist() == [[0, 1], [2, 3]]
    sampler = data.RandomSampler(table, num_samples=25)
    assert [len(b) for b in data.DataLoader(table, 4, sampler=sampler)] == [4] * 6 + [1]
    batch["y"].zero_()
    assert table[1].tolist() == [2, 3]  # a batch is a copy


def test_getitems_is_used():
    class Many(data.Dataset):
        def __len__(self):
            return 4

        def __getitems__(self, indices):
            return [index * 2 for index in indices]

    assert lists(data.DataLoader(Many(), 2)) == [[0, 2], [4, 6]]


def test_custom_collate():
    loader = data.DataLoader(range(4), 2, collate_fn=lambda batch: sum(batch))
    assert list(loader) == [1, 5]


def test_iterable_dataset():
    assert lists(data.DataLoader(Stream(), batch_size=2)) == [[0, 1], [2, 3], [4]]
    assert lists(data.DataLoader(Stream(), batch_size=2, drop_last=True)) == [[0, 1], [2, 3]]
    assert list(data.DataLoader(Stream(), batch_size=None)) == [0, 1, 2, 3, 4]
    with pytest.raises(TypeError):
        len(data.DataLoader(Stream()))
    for wrong in ({"shuffle": True}, {"sampler": [1]}, {"batch_sampler": [[1]]}):
        with pytest.raises(ValueError, match="expected unspecified"):
            data.DataLoader(Stream(), **wrong)


def test_a_false_length_is_noticed():
    class Short(Stream):
        def __len__(self):
            return 3

    with pytest.warns(UserWarning, match="reported to be 3"):
        assert len(list(data.DataLoader(Short()))) == 5


@pytest.mark.parametrize(
    "arguments",
    [
        {"num_workers": -1},
        {"timeout": -1},
        {"prefetch_factor": 2},
        {"persistent_workers": True},
        {"num_workers": 1, "prefetch_factor": 0},
        {"batch_size": 0},
        {"batch_size": None, "drop_last": True},
        {"shuffle": True, "sampler": [0]},
        {"batch_size": 2, "batch_sampler": [[0]]},
        {"multiprocessing_context": "fork"},
        {"num_workers": 1, "multiprocessing_context": "no such"},
    ],
)
def test_bad_arguments(arguments):
    with pytest.raises(ValueError):
        data.DataLoader([1, 2, 3], **arguments)


def test_fixed_attributes():
    loader = data.DataLoader([1])
    with pytest.raises(ValueError, match="should not be set"):
        loader.batch_size = 3
    loader.num_workers = 0


class WithSampler(data.DataLoader):
    """A loader whose order comes from a sampler with a generator of its own."""

    def __init__(self, dataset, batch_size, **arguments):
        sampler = data.RandomSampler(dataset, generator=torch.Generator().manual_seed(8))
        super().__init__(dataset, batch_size, sampler=sampler, **arguments)


def replaced(dataset, batch_size, **arguments):
    sampler = data.RandomSampler(dataset, replacement=True, num_samples=70)
    return data.DataLoader(dataset, batch_size, sampler=sampler, **arguments)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    "kind, arguments",
    [
        (data.DataLoader, {}),
        (data.DataLoader, {"shuffle": True}),
        (data.DataLoader, {"shuffle": True, "generator": 3}),
        (data.DataLoader, {"drop_last": True}),
        (WithSampler, {}),
        (replaced, {}),
        (data.DataLoader, {"dataset": Stream(11)}),
    ],
)
def test_a_pass_goes_on_where_it_was(kind, arguments, workers):
    def loader():
        given = {"dataset": data.TensorDataset(torch.arange(37)), **arguments}
        if "generator" in given:
            given["generator"] = torch.Generator().manual_seed(given["generator"])
        return kind(batch_size=4, num_workers=workers, **given)

    def values(batches):
        return [b[0].tolist() if isinstance(b, list) else b.tolist() for b in batches]

    torch.manual_seed(5)
    first = loader()
    whole = values(first)
    assert first.state_dict() == {"batches": 0, "generators": []}
    second = values(first)  # another pass: other draws
    for done in (1, 3):
        torch.manual_seed(5)
        run = loader()
        batches = iter(run)
        assert values(next(batches) for _ in range(done)) == whole[:done]
        torch.save([run.state_dict(), torch.get_rng_state()], file := io.BytesIO())
        state, drawn = torch.load(file)
        assert state["batches"] == done
        torch.manual_seed(99)
        again = loader()
        again.load_state_dict(state)
        torch.set_rng_state(drawn)
        assert values(again) == whole[done:]
        assert values(again) == second
    with pytest.raises(ValueError, match="no state"):
        first.load_state_dict({"epoch": 3})


# -- worker processes ------------------------------------------------------------------------------
def flat(loader):
    return [(x.tolist(), y["n"].tolist(), y["name"]) for x, y in loader]


@pytest.mark.parametrize(
    "arguments",
    [
        {"num_workers": 1},
        {"num_workers": 3, "prefetch_factor": 1},
        {"num_workers": 2, "persistent_workers": True, "prefetch_factor": 4},
    ],
)
def test_workers_give_the_same(arguments):
    def passes(**arguments):
        torch.manual_seed(3)
        loader = data.DataLoader(Squares(11), 2, shuffle=True, **arguments)
        first = flat(loader)
        next(iter(loader))  # a pass left early
        return first, flat(loader)

    if arguments.get("persistent_workers"):  # the seed of the workers is drawn once
        assert passes()[0] == passes(**arguments)[0]
    else:
        assert passes() == passes(**arguments)


def test_spawned_workers():
    dataset = data.TensorDataset(torch.arange(6.0).reshape(6, 1))
    loader = data.DataLoader(dataset, 4, num_workers=1, multiprocessing_context="spawn")
    assert [batch.tolist() for (batch,) in loader] == [[[0], [1], [2], [3]], [[4], [5]]]


def test_large_batches_use_memory_without_a_name():
    before = set(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else set()
    dataset = data.TensorDataset(torch.rand(64, 4096))
    loader = data.DataLoader(dataset, 16, num_workers=2)
    batches = [batch for (batch,) in loader]
    assert torch.equal(torch.cat(batches), dataset.tensors[0])
    batches[0].add_(1)  # it is ordinary memory
    if before:
        assert set(os.listdir("/dev/shm")) <= before


@pytest.mark.parametrize("readonly", [False, True])
def test_memory_that_is_held_is_not_written_again(readonly):
    class Large(data.Dataset):
        def __len__(self):
            return 40

        def __getitem__(self, index):
            array = np.full(20_000, index)
            array.flags.writeable = not readonly
            return array, torch.full((20_000,), index)

    loader = data.DataLoader(Large(), None, num_workers=1, collate_fn=lambda sample: sample)
    held = []
    for i, (array, tensor) in enumerate(loader):
        if i % 3 == 0:  # all of it, or a view of a part
            held.append((i, array[5:9], tensor[7:].view(-1, 1)))
        del array, tensor
    for i, array, tensor in held:
        assert (array == i).all() and (tensor == i).all()


def test_any_data_travels():
    values = [
        torch.tensor([1.5], dtype=torch.bfloat16),
        torch.tensor([True, False]),
        torch.empty(0, 3),
        torch.ones(2, requires_grad=True),
        torch.arange(6).reshape(2, 3).t(),
        np.arange(20000.0),
        {"a": (1, "x", None)},
    ]
    loader = data.DataLoader(values, None, collate_fn=lambda x: x, num_workers=1)
    for value, got in zip(values, loader, strict=True):
        assert type(got) is type(value)
        if isinstance(value, torch.Tensor):
            assert got.dtype == value.dtype and torch.equal(got, value)
            assert got.requires_grad == value.requires_grad
        elif isinstance(value, np.ndarray):
            assert (got == value).all()
        else:
            assert got == value


def test_streams_in_workers():
    loader = data.DataLoader(Stream(3), batch_size=2, num_workers=2, persistent_workers=True)
    expected = [[0, 1], [100, 101], [2], [102]]
    assert lists(loader) == expected and lists(loader) == expected
    any_order = data.DataLoader(Stream(3), batch_size=2, num_workers=2, in_order=False)
    assert sorted(lists(any_order)) == sorted(expected)


class Info(Squares):
    def __getitem__(self, index):
        info = data.get_worker_info()
        state = [random.getrandbits(20), int(np.random.randint(1 << 30))]
        return torch.tensor([info.id, info.num_workers, info.seed, torch.initial_seed(), *state])


def test_worker_info_and_seeds():
    torch.manual_seed(9)
    rows = lists(data.DataLoader(Info(4), num_workers=2))
    seed = 191369442034012508  # these are PyTorch's numbers
    assert rows[0] == [[0, 2, seed, seed, 979392, 289192680]]
    assert rows[1] == [[1, 2, seed + 1, seed + 1, 765927, 492929428]]


def test_worker_init():
    def init(worker):
        random.seed(worker)

    class Draw(Squares):
        def __getitem__(self, index):
            return random.random()

    loader = data.DataLoader(Draw(2), num_workers=2, worker_init_fn=init)
    assert [b.item() for b in loader] == [random.Random(0).random(), random.Random(1).random()]

    def fail(worker):
        raise LookupError("no such file")

    with pytest.raises(
        LookupError, match="(?s)Caught LookupError in DataLoader worker process 0.*no such"
    ):
        list(data.DataLoader(Draw(2), num_workers=2, worker_init_fn=fail))


class Breaking(Squares):
    def __init__(self, action):
        super().__init__(6)
        self.action = action

    def __getitem__(self, index):
        if index == 3:
            self.action()
        return index


class OddError(Exception):
    def __init__(self, first, second):
        super().__init__(first, second)


def raise_(error):
    raise error


@pytest.mark.parametrize(
    "error, kind",
    [
        (ValueError("seven"), ValueError),
        (KeyError("seven"), KeyError),
        (OddError("seven", 7), RuntimeError),
    ],
)
def test_errors_come_with_their_traceback(error, kind):
    loader = data.DataLoader(Breaking(lambda: raise_(error)), num_workers=2)
    with pytest.raises(kind) as caught:
        list(loader)
    text = str(caught.value)
    assert f"Caught {type(error).__name__} in DataLoader worker process 1.\n" in text
    assert "Original Traceback" in text and "self.action()" in text and "seven" in text


def test_data_that_cannot_travel_is_an_error():
    loader = data.DataLoader([lambda: 0], collate_fn=lambda x: x, num_workers=1)
    with pytest.raises(Exception, match="in DataLoader worker process 0"):
        list(loader)


def test_errors_leave_persistent_workers_at_work():
    dataset = Breaking(lambda: raise_(ValueError("seven")))
    loader = data.DataLoader(dataset, num_workers=1, persistent_workers=True)
    iterator, got = iter(loader), []
    while len(got) < 6:
        try:
            got.append(next(iterator).item())
        except ValueError:
            got.append("error")
        except StopIteration:
            break
    assert got == [0, 1, 2, "error", 4, 5]


def test_a_killed_worker_is_an_error():
    loader = data.DataLoader(
        Breaking(lambda: os.kill(os.getpid(), signal.SIGKILL)), num_workers=2, timeout=60
    )
    with pytest.raises(RuntimeError, match="killed by signal: Killed .SIGKILL"):
        list(loader)
    with pytest.raises(RuntimeError, match="exited unexpectedly"):
        list(data.DataLoader(Breaking(lambda: os._exit(3)), num_workers=1, timeout=60))


def test_timeout():
    loader = data.DataLoader(Breaking(lambda: time.sleep(60)), num_workers=1, timeout=0.5)
    iterator = iter(loader)
    worker = iterator._workers[0].process
    with pytest.raises(RuntimeError, match="timed out after 0.5 seconds"):
        list(iterator)
    assert not worker.is_alive()


def test_workers_end_with_their_iterator():
    iterator = iter(data.DataLoader(Squares(100), num_workers=2))
    next(iterator)
    processes = [worker.process for worker in iterator._workers]
    iterator.close()
    assert not any(process.is_alive() for process in processes)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts descriptors in /proc")
@pytest.mark.parametrize("end", ["whole", "early", "error", "killed"])
def test_nothing_is_left_behind(end):
    """No descriptor, child process or named memory, however a pass ends."""
    import multiprocessing

    def left():
        named = set(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else set()
        # Semaphores of any process have a name only until they are open.
        named = {name for name in named if not name.startswith("sem.")}
        return len(os.listdir("/proc/self/fd")), named, multiprocessing.active_children()

    actions = {
        "error": lambda: raise_(ValueError("seven")),
        "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    }

    def one_pass():
        dataset = Breaking(actions.get(end, lambda: None))
        big = torch.rand(100_000)
        loader = data.DataLoader(
            dataset, num_workers=2, collate_fn=lambda samples: (samples, big + 1)
        )
        for i, _ in enumerate(loader):
            if end == "early" and i == 1:
                break

    def tolerant():
        try:
            one_pass()
        except (ValueError, RuntimeError):
            assert end in actions

    tolerant()
    before = left()
    tolerant()
    assert left() == before


INTERRUPTED = """
import os, signal, sys, threading, time
import flambeau as torch
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
class Slow(torch.utils.data.Dataset):
    def __len__(self):
        return 1000
    def __getitem__(self, i):
        return torch.rand(50_000), os.getpid()
loader = torch.utils.data.DataLoader(Slow(), 4, num_workers=2)
pids = set()
try:
    for i, (x, pid) in enumerate(loader):
        pids |= set(pid.tolist())
        if i == 5:
            os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    print(*pids)
"""


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="looks for named memory")
def test_ctrl_c_leaves_nothing():
    before = set(os.listdir("/dev/shm"))
    got = subprocess.run(
        [sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=120
    )
    assert got.returncode == 0 and got.stderr == "" and got.stdout.split()
    for pid in got.stdout.split():
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid), 0)
    assert set(os.listdir("/dev/shm")) <= before


def test_nothing_is_left_to_warn_of():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(data.DataLoader(Squares(4), num_workers=1))


class _FailsAtOdd(data.Dataset):
    def __len__(self):
        return 6

    def __getitem__(self, index):
        if index % 2:
            raise NotImplementedError(index)
        return index


def test_a_batch_that_fails_does_not_end_the_pass():
    batches = iter(data.DataLoader(_FailsAtOdd(), num_workers=2))
    got = []
    while True:
        try:
            got.append(next(batches).item())
        except NotImplementedError:
            got.append("failed")
        except StopIteration:
            break
    assert got == [0, "failed", 2, "failed", 4, "failed"]


def test_weighted_draws_are_made_with_the_first_index():
    sampler = data.WeightedRandomSampler([0.1, 0.9, 0.4, 0.7], 8)
    passes = iter(sampler), iter(sampler)
    drawn = []
    for one in passes:
        torch.manual_seed(0)
        drawn.append(list(one))
    assert drawn[0] == drawn[1]


def test_collation_knows_numpys_types():
    numpy = pytest.importorskip("numpy")
    from flambeau.utils.data import default_convert
    from flambeau.utils.data._utils.collate import default_collate_fn_map

    join = default_collate_fn_map[numpy.ndarray]
    assert join([numpy.arange(2)] * 3).tolist() == [[0, 1]] * 3
    with pytest.raises(KeyError):
        default_collate_fn_map[set]
    words = numpy.array(["a"])
    assert default_convert(words) is words
    with pytest.raises(TypeError):
        default_convert(numpy.array(["2020-01-01"], dtype="datetime64[D]"))
