"""The thread pool and the choice of kernels, seen from Python."""

import os
import subprocess
import sys
import threading

import pytest

import flambeau as torch


def run(program, **env):
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=120,
    )


def results():
    torch.manual_seed(1)
    x = torch.randn(700, 900)
    y = x @ x.t()
    return [x.sum(), x.mean(0), x.exp(), x.softmax(1), y, x.var(1), x.cumsum(1)]


def test_same_bits_on_any_number_of_threads():
    wanted = None
    for threads in (1, 2, 3, 8):
        torch.set_num_threads(threads)
        assert torch.get_num_threads() == threads
        got = [t.numpy().tobytes() for t in results()]
        wanted = wanted or got
        assert got == wanted


@pytest.mark.parametrize("n", [0, -1])
def test_number_of_threads_must_be_positive(n):
    with pytest.raises(RuntimeError, match="positive"):
        torch.set_num_threads(n)


def test_calls_from_several_threads():
    x = torch.randn(1000, 1000)
    wanted = (x * 2).sum().item()
    wrong = []

    def work():
        for _ in range(20):
            if (x * 2).sum().item() != wanted:
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_pool_works_after_fork():
    torch.set_num_threads(2)
    x = torch.randn(1000, 1000)
    wanted = x.sum().item()
    for _ in range(5):
        pid = os.fork()
        if pid == 0:
            os._exit(0 if x.sum().item() == wanted else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_thread_count_from_environment():
    show = "import flambeau; print(flambeau.get_num_threads())"
    assert run(show, FLAMBEAU_NUM_THREADS="3").stdout.strip() == "3"
    assert run(show, FLAMBEAU_NUM_THREADS="", OMP_NUM_THREADS="5,2").stdout.strip() == "5"
    bad = run(show, FLAMBEAU_NUM_THREADS="many")
    assert "FLAMBEAU_NUM_THREADS" in bad.stderr and "'many'" in bad.stderr


def test_unknown_level_is_an_error():
    bad = run("import flambeau", FLAMBEAU_ISA="v9")
    assert bad.returncode == 1
    assert "FLAMBEAU_ISA: expected one of" in bad.stderr and "'v9'" in bad.stderr


def test_import_is_light():
    heavy = {"numpy", "typing", "dataclasses", "inspect", "multiprocessing", "tempfile", "logging"}
    program = "import sys, flambeau; print(*sys.modules)"
    loaded = set(run(program).stdout.split())
    assert "flambeau" in loaded and not loaded & heavy
