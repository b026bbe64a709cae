"""Datasets made of steps: what they yield, and the numbers that PyTorch's shuffles give."""

import io
import pickle

import pytest

import flambeau as torch
from flambeau.utils import data
from flambeau.utils.data.datapipes import iter as steps
from flambeau.utils.data.datapipes import map as numbered


def count(n=10):
    return steps.IterableWrapper(range(n))


def more(x):
    return x + 1


def third(x):
    return x % 3


def test_samples_one_by_one():
    assert list(count(3).map(more)) == [1, 2, 3]
    pairs = steps.IterableWrapper([(1, 2), (3, 4)])
    assert list(pairs.map(more, input_col=1)) == [(1, 3), (3, 5)]
    assert list(pairs.map(more, input_col=1, output_col=-1)) == [(1, 2, 3), (3, 4, 5)]
    assert list(steps.IterableWrapper([{"a": 1}]).map(more, "a", "b")) == [{"a": 1, "b": 2}]
    assert list(count().filter(lambda x: x > 7)) == [8, 9]
    with pytest.raises(ValueError, match="Boolean"):
        list(count().filter(more))
    assert len(count().map(more).batch(3)) == 4
    with pytest.raises(TypeError, match="valid length"):
        len(count().filter(more).batch(2))


def test_batches_and_groups():
    assert list(count(5).batch(2)) == [[0, 1], [2, 3], [4]]
    assert type(next(iter(count().batch(2)))) is data.DataChunk
    nested = count(5).batch(2).batch(2)
    assert list(nested.unbatch(-1)) == list(range(5)) and list(nested.unbatch())[0] == [0, 1]
    assert list(count().groupby(third, group_size=3)) == [[0, 3, 6], [1, 4, 7], [2, 5, 8], [9]]
    by_key = count().groupby(third, keep_key=True, buffer_size=5, group_size=3, drop_remaining=True)
    assert list(by_key) == [(2, [2, 5, 8]), (0, [6, 9]), (1, [7])]
    assert [b.tolist() for b in count(4).batch(2).collate()] == [[0, 1], [2, 3]]


def test_several_streams():
    assert list(count(3).zip(count(2))) == [(0, 0), (1, 1)]
    assert list(count(3).mux(count(2))) == [0, 0, 1, 1]
    assert list(count(2).concat(count(1))) == [0, 1, 0]
    one, other = count(4).fork(2)
    assert list(one) == list(other) == list(one) == [0, 1, 2, 3]
    even, odd = count(5).demux(2, lambda x: x % 2)
    assert (list(even), list(odd)) == ([0, 2, 4], [1, 3])
    one, other = count(9).fork(2, buffer_size=3)
    with pytest.raises(BufferError):
        list(one)


def test_one_pass_at_a_time():
    pipe = count()
    first = iter(pipe)
    next(first)
    next(iter(pipe))
    with pytest.raises(RuntimeError, match="invalidated"):
        next(first)


def test_shuffles_are_pytorchs():
    assert list(count().shuffle().set_seed(3)) == [3, 9, 2, 4, 7, 6, 0, 8, 1, 5]
    torch.manual_seed(0)
    assert list(count().shuffle(buffer_size=3)) == [0, 1, 3, 5, 2, 4, 6, 8, 9, 7]
    shuffled = numbered.SequenceWrapper(range(10)).shuffle().set_seed(1)
    assert list(shuffled) == [6, 8, 9, 7, 5, 3, 0, 4, 1, 2]
    torch.manual_seed(0)
    loader = data.DataLoader(count().shuffle(), batch_size=5, shuffle=True)
    passes = [[batch.tolist() for batch in loader] for _ in range(2)]
    assert passes == [[[9, 0, 5, 7, 4], [1, 3, 8, 6, 2]], [[6, 8, 1, 3, 4], [0, 2, 5, 7, 9]]]
    still = data.DataLoader(count().shuffle(), batch_size=10, shuffle=False)
    assert next(iter(still)).tolist() == list(range(10))
    with pytest.warns(UserWarning, match="Adding one"):
        data.DataLoader(count(), shuffle=True)


def test_workers_share_and_shuffle():
    torch.manual_seed(0)
    pipe = count().shuffle().sharding_filter()
    loader = data.DataLoader(
        pipe, batch_size=2, shuffle=True, num_workers=2, persistent_workers=True
    )
    passes = [[batch.tolist() for batch in loader] for _ in range(2)]
    assert passes == [
        [[9, 5], [0, 7], [4, 3], [1, 8], [6], [2]],
        [[0, 8], [3, 2], [9, 5], [6, 1], [7], [4]],
    ]
    assert len(loader) == 5
    with pytest.warns(UserWarning, match="reported to be 5"):  # shares end in short batches
        list(loader)


def test_samples_by_number():
    letters = numbered.SequenceWrapper("abc")
    assert letters.zip(numbered.SequenceWrapper(range(3)))[1] == ("b", 1)
    assert letters.concat(letters)[4] == "b" and list(letters.batch(2)) == [["a", "b"], ["c"]]
    assert letters.map(str.upper)[2] == "C" and len(letters.map(str.upper)) == 3


def test_files(tmp_path):
    (tmp_path / "b.json").write_text('{"x": 1}')
    (tmp_path / "a.txt").write_text("hello")
    listed = steps.FileLister(str(tmp_path))
    assert [text for _, text in listed.open_files().read_from_stream(3)] == [
        "hel", "lo", '{"x', '": ', "1}",
    ]  # fmt: skip
    decoded = steps.FileLister(str(tmp_path)).open_files("rb").routed_decode()
    assert [value for _, value in decoded] == ["hello", {"x": 1}]
    assert len(list(steps.FileLister(str(tmp_path), "*.txt"))) == 1
    assert list(steps.RoutedDecoder([("n.cls", io.BytesIO(b"7"))])) == [("n.cls", 7)]


def test_steps_of_ones_own():
    @data.functional_datapipe("doubled_for_the_test")
    class Doubled(data.IterDataPipe):
        def __init__(self, source):
            self.source = source

        def __iter__(self):
            for value in self.source:
                yield 2 * value

    assert list(count(3).doubled_for_the_test()) == [0, 2, 4]
    with pytest.raises(Exception, match="already taken"):
        data.functional_datapipe("doubled_for_the_test")(Doubled)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        count().nothing()
    assert list(pickle.loads(pickle.dumps(count(3).map(more).batch(2)))) == [[1, 2], [3]]
    found = data.graph_settings.get_all_graph_pipes(data.graph.traverse_dps(count().map(more)))
    assert [repr(pipe) for pipe in found] == ["MapperIterDataPipe", "IterableWrapperIterDataPipe"]


def test_order_that_may_vary():
    @data.non_deterministic
    class Loose(data.IterDataPipe):
        pass

    Loose()
    with data.guaranteed_datapipes_determinism(), pytest.raises(TypeError, match="determin"):
        Loose()
