"""The examples in docstrings run and give what they say."""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def _modules_with_examples():
    for path in sorted((ROOT / "flambeau").rglob("*.py")):
        if ">>> " in path.read_text() and path.name != "__main__.py":
            yield ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.filterwarnings("ignore:Anomaly Detection", "ignore:This API is deprecated")
@pytest.mark.parametrize("name", list(_modules_with_examples()))
def test_examples(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    report = []
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, name, globs={}):
        runner.run(test, out=report.append)
    assert runner.failures == 0, "".join(report)
