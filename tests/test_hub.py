"""Models and weights from repositories and addresses."""

import hashlib
import http.server
import io
import os
import threading
import zipfile

import pytest

import flambeau as torch
from flambeau import hub

HUBCONF = '''
dependencies = ["torch", "math"]
from helper import scale

def double(x, times=2):
    """Doubles."""
    return scale(x, times)

def _hidden():
    pass
'''


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "_chosen_dir", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "repo"
    folder.mkdir()
    (folder / "hubconf.py").write_text(HUBCONF)
    (folder / "helper.py").write_text("def scale(x, times):\n    return x * times\n")
    return folder


@pytest.fixture
def served(tmp_path):
    """A folder and the address that it is served under."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, directory=str(folder), **kwargs)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_local_models(repository):
    assert hub.load(str(repository), "double", torch.ones(1), source="local") == 2
    assert hub.load(str(repository), "double", 3, times=4, source="local") == 12
    with pytest.raises(RuntimeError, match="Cannot find callable nothing"):
        hub.load(str(repository), "nothing", source="local")
    (repository / "hubconf.py").write_text("dependencies = ['no_such_module_here']")
    with pytest.raises(RuntimeError, match="Missing dependencies: no_such_module_here"):
        hub.load(str(repository), "double", source="local")
    with pytest.raises(ValueError, match="Unknown source"):
        hub.load(str(repository), "double", source="elsewhere")


def test_cached_repositories(cache, repository):
    cache.mkdir()
    os.rename(repository, cache / "owner_name_main")
    assert set(hub.list("owner/name", trust_repo=True, verbose=False)) == {"double", "scale"}
    assert hub.help("owner/name", "double") == "Doubles."
    for wrong in ("owner", "owner/../x", "owner/name:../../x"):
        with pytest.raises(ValueError):
            hub.list(wrong)


def test_repositories_are_unpacked(tmp_path):
    archive = tmp_path / "owner_name_main.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("name-abc/hubconf.py", HUBCONF)
    hub._unpack(str(archive), str(tmp_path / "owner_name_main"))
    assert (tmp_path / "owner_name_main" / "hubconf.py").exists() and not archive.exists()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("../outside", "x")
    with pytest.raises(RuntimeError, match="leads out"):
        hub._unpack(str(archive), str(tmp_path / "other"))


def test_downloads(cache, served, capsys):
    folder, address = served
    data = io.BytesIO()
    torch.save({"w": torch.arange(3)}, data)
    digits = hashlib.sha256(data.getvalue()).hexdigest()
    (folder / f"model-{digits[:8]}.pth").write_bytes(data.getvalue())
    url = f"{address}/model-{digits[:8]}.pth"
    state = hub.load_state_dict_from_url(url, check_hash=True)
    assert state["w"].tolist() == [0, 1, 2]
    assert "100%" in capsys.readouterr().err
    os.remove(folder / f"model-{digits[:8]}.pth")
    assert hub.load_state_dict_from_url(url)["w"].sum() == 3  # from the cache
    (folder / "model-00000000.pth").write_bytes(data.getvalue())
    with pytest.raises(RuntimeError, match="invalid hash"):
        hub.load_state_dict_from_url(f"{address}/model-00000000.pth", check_hash=True)
    assert [p.name for p in (cache / "checkpoints").iterdir()] == [f"model-{digits[:8]}.pth"]
    with zipfile.ZipFile(folder / "old.pth", "w") as packed:
        packed.writestr("inner.pth", data.getvalue())
    with pytest.warns(UserWarning, match="old format"):
        assert hub.load_state_dict_from_url(f"{address}/old.pth", progress=False)["w"].sum() == 3


def test_downloads_go_on_where_they_broke_off(tmp_path):
    """Two servers that break off: one can send the rest, the other sends all again."""
    content = bytes(range(256)) * 4096
    digits = hashlib.sha256(content).hexdigest()
    asked = []

    class Breaking(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.headers.get("Range"))
            start = 0
            if asked[-1] and self.path == "/ranges":
                start = int(asked[-1].removeprefix("bytes=").removesuffix("-"))
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            self.wfile.write(content[start:] if len(asked) > 1 else content[:300_000])

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Breaking)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        for path in ("ranges", "whole"):
            asked.clear()
            url, to = f"http://127.0.0.1:{server.server_port}/{path}", str(tmp_path / path)
            with pytest.raises(RuntimeError, match="broke off after 300000 of 1048576"):
                hub.download_url_to_file(url, to, digits[:8], progress=False)
            assert os.path.getsize(f"{to}.part") == 300_000 and not os.path.exists(to)
            hub.download_url_to_file(url, to, digits[:8], progress=False)
            assert asked == [None, "bytes=300000-"]
            with open(to, "rb") as file:
                assert file.read() == content
        asked.clear()
        with pytest.raises(RuntimeError, match="broke off"):  # nothing to check a rest by
            hub.download_url_to_file(url, str(tmp_path / "unchecked"), progress=False)
        assert sorted(os.listdir(tmp_path)) == ["ranges", "whole"]
    finally:
        server.shutdown()
        server.server_close()


def test_no_network(cache):
    from urllib.error import URLError

    with pytest.raises(URLError, match="cannot reach http://127.0.0.1:9/model.pth"):
        hub.load_state_dict_from_url("http://127.0.0.1:9/model.pth", progress=False)


def test_unknown_repositories_are_asked_for(cache, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda text: "n")
    with pytest.raises(Exception, match="Untrusted"):
        hub.load("owner/name", "model", verbose=False)


def test_the_bar_over_items_is_importable_from_both_places():
    from flambeau.utils import model_zoo

    assert list(model_zoo.tqdm(range(3), disable=True)) == [0, 1, 2]
    with hub._Faketqdm(total=3) as bar:
        bar.update(2)
        assert bar.n == 2
