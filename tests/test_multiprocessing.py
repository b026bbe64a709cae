"""Tensors in memory shared between processes."""

import os

import numpy as np
import pytest

import flambeau as torch
import flambeau.multiprocessing as mp


def test_share_memory_moves_the_storage():
    x = torch.arange(6.0).view(2, 3)
    row = x[1]
    assert not x.is_shared()
    assert x.share_memory_() is x and x.is_shared() and row.is_shared()
    x[1, 0] = 9.0
    assert row.tolist() == [9.0, 4.0, 5.0]
    pid = os.fork()
    if pid == 0:
        x[0, 0] = -1.0
        os._exit(0)
    os.waitpid(pid, 0)
    assert x[0, 0] == -1.0


def test_arrays_over_the_bytes_before_stay():
    for x in (torch.arange(2000.0), torch.from_numpy(np.arange(2000.0))):
        array, row = x.numpy(), x[1:]
        assert x.share_memory_() is x and row.is_shared()
        x[3] = -1.0
        assert row[2] == -1.0 and array[3] == 3.0
        del x, row
        assert array.sum() == 1999000.0


def test_descriptors_are_closed():
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    for _ in range(20):
        torch.ones(1000).share_memory_()
    if before is not None:
        assert len(os.listdir("/proc/self/fd")) <= before + 1


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_arguments_and_queues(method):
    context = mp.get_context(method)
    queue, back = context.Queue(), context.Queue()
    x = torch.ones(2, 1000).share_memory_()
    process = context.Process(target=_send_back, args=(x, queue, back))
    process.start()
    got = queue.get(timeout=60)
    assert got.sum() == 2000 and x[0].sum() == 2000  # the same memory on both sides
    back.put(None)
    process.join()
    assert process.exitcode == 0


def _send_back(x, queue, back):
    x[0] *= 2
    queue.put(x[0])
    back.get()


def test_parameters_keep_their_class():
    layer = torch.nn.Linear(2, 2)
    layer.share_memory()
    assert layer.weight.is_shared() and isinstance(layer.weight, torch.nn.Parameter)
    one, other = mp.get_context("fork").Pipe()
    one.send(layer.weight)
    got = other.recv()
    assert isinstance(got, torch.nn.Parameter) and got.requires_grad
    with torch.no_grad():
        got.fill_(3.0)
    assert layer.weight.sum() == 12
    with pytest.raises(RuntimeError, match="non-leaf"):
        one.send(layer.weight * 2)


def _fail(index, where):
    if index == where:
        raise ValueError("on purpose")


def _die(index):
    os._exit(3)


def test_spawn_passes_failures_on():
    mp.spawn(_fail, args=(-1,), nprocs=2)
    with pytest.raises(mp.ProcessRaisedException, match="on purpose") as caught:
        mp.spawn(_fail, args=(1,), nprocs=2)
    assert caught.value.error_index == 1
    with pytest.raises(mp.ProcessExitedException, match="exit code 3") as caught:
        mp.start_processes(_die, nprocs=1, start_method="fork")
    assert caught.value.exit_code == 3


def test_storages(tmp_path):
    path = tmp_path / "bytes"
    path.write_bytes(bytes(range(16)))
    mapped = torch.UntypedStorage.from_file(str(path), shared=True, nbytes=16)
    part = mapped[4:8]
    assert part.tolist() == [4, 5, 6, 7] and part[0] == 4 and len(part) == 4
    torch.asarray(part, dtype=torch.uint8).fill_(1)
    assert mapped.tolist()[3:9] == [3, 1, 1, 1, 1, 8]
    assert path.read_bytes()[4:8] == b"\x01" * 4
    private = torch.UntypedStorage.from_file(str(path), nbytes=8).fill_(7)
    assert path.read_bytes()[0] == 0 and private.clone().tolist() == [7] * 8
    with pytest.raises(RuntimeError, match="16 bytes"):
        torch.UntypedStorage.from_file(str(path), nbytes=17)
