"""The programs under examples/ run, at a small scale, and do what they say."""

import json
import runpy
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest

import flambeau as torch
from flambeau.vision import datasets

pytest.importorskip("PIL")

FOLDER = Path(__file__).parent.parent / "examples"


def run(monkeypatch, name, *arguments):
    monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
    runpy.run_path(str(FOLDER / name), run_name="__main__")


def test_finetune_and_serve(monkeypatch, tmp_path, capsys):
    small = ["--epochs", 1, "--images", 5, "--size", 32, "--batch-size", 8, "--out", tmp_path]
    run(monkeypatch, "finetune.py", *small, "--workers", 1)
    assert "epoch   1  loss" in capsys.readouterr().out
    assert (tmp_path / "gallery.png").read_bytes()[:4] == b"\x89PNG"
    saved = torch.load(tmp_path / "resnet18.pt")
    assert saved["classes"] == ["circle", "square", "triangle"]

    picture = tmp_path / "shapes" / "circle" / "0000.jpg"
    weights = ["--weights", tmp_path / "resnet18.pt", "--size", 32]
    capsys.readouterr()
    run(monkeypatch, "serve.py", *weights, "--image", picture)
    timing, answer = capsys.readouterr().out.splitlines()
    assert timing.startswith("import ")
    shares = json.loads(answer)
    assert set(shares) == set(saved["classes"]) and sum(shares.values()) == pytest.approx(
        1, abs=1e-3
    )

    program = runpy.run_path(str(FOLDER / "serve.py"))
    server = program["make_server"](program["Classifier"](tmp_path / "resnet18.pt", 32), 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{server.server_port}"
        with urllib.request.urlopen(address, picture.read_bytes()) as reply:
            assert json.load(reply) == shares
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(address, b"no image")
        assert caught.value.code == 400 and "error" in json.load(caught.value)
        caught.value.close()
    finally:
        server.shutdown()
        server.server_close()


def test_gpt(monkeypatch, tmp_path, capsys):
    text = tmp_path / "text"
    text.write_text("abcdefgh" * 200)
    small = ["--width", 32, "--depth", 1, "--context", 16, "--batch-size", 16, "--write", 40]
    run(monkeypatch, "gpt.py", "--text", text, *small, "--steps", 120, "--out", tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("1,600 characters of 8 sorts") and "step   120" in lines[-2]
    assert "abcdefgh" in lines[-1] and len(lines[-1]) == 40
    assert torch.load(tmp_path / "gpt.pt")["characters"] == list("abcdefgh")


def test_vae(monkeypatch, tmp_path, capsys):
    load = datasets.MNISTSample._load_data
    monkeypatch.setattr(
        datasets.MNISTSample, "_load_data", lambda self: tuple(part[:128] for part in load(self))
    )
    run(monkeypatch, "vae.py", "--epochs", 3, "--out", tmp_path)
    losses = [float(line.split()[3]) for line in capsys.readouterr().out.splitlines()[:3]]
    assert losses[2] < losses[0]
    for name in ("again", "new", "between"):
        assert (tmp_path / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
