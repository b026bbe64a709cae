"""The example trains, saves, draws and loads again, with the same bits on any threads."""

import runpy
import sys
from pathlib import Path

import pytest

import flambeau as torch
from flambeau.vision import datasets

EXAMPLE = Path(__file__).parent.parent / "examples" / "mnist.py"


@pytest.fixture
def few_digits(monkeypatch):
    """The example on 512 digits."""
    load = datasets.MNISTSample._load_data

    def load_few(self):
        images, labels = load(self)
        return images[:512], labels[:512]

    monkeypatch.setattr(datasets.MNISTSample, "_load_data", load_few)


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", [str(EXAMPLE), *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(EXAMPLE), run_name="__main__")
    return end.value.code


def test_example(few_digits, monkeypatch, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    pytest.importorskip("tqdm")
    states = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        out = tmp_path / str(threads)
        assert run(monkeypatch, "--epochs", 2, "--seed", 1, "--out", out) == 0
        states.append(torch.load(out / "lenet.pt"))
        for name in ("curves.png", "digits.png"):
            assert (out / name).read_bytes()[:4] == b"\x89PNG"
    assert "predicts the same" in capsys.readouterr().out
    assert states[0]["accuracy"] > 0.5
    for name, weight in states[0]["model"].items():
        assert torch.equal(weight, states[1]["model"][name]), name
