"""The examples of the pages under docs/ run, and the page of the layout names all parts."""

import doctest
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_page(page):
    # A fence ends an example as an empty line does.
    text = "\n".join("" if s.startswith("```") else s for s in page.read_text().split("\n"))
    test = doctest.DocTestParser().get_doctest(text, {}, page.name, str(page), 0)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    report = []
    runner.run(test, out=report.append)
    assert runner.failures == 0, "".join(report)


def test_layout_names_every_part():
    named = set(re.findall(r"\w+", (ROOT / "docs" / "layout.md").read_text()))
    packages = {p.parent.name for p in (ROOT / "flambeau").glob("[a-z]*/__init__.py")}
    core = {p.stem for p in (ROOT / "csrc").glob("*.*")}
    assert core - named == set()
    assert packages - named == set()
