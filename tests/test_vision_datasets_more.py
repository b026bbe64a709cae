"""Datasets' pages and wrappers: captions from HTML, entries that only some datasets have."""

import pytest

from flambeau.vision import datasets

PAGE = """<table><tr><td>Image Not Found</td></tr><tr><td><ul><li>none</ul></td></tr>
<tr><td><a href="http://x/y/12/">http://x/y/12/</a></td></tr>
<tr><td><ul><li>A dog . <li>A cat .</ul></td></tr></table>"""


def test_captions_of_a_page(tmp_path):
    Image = pytest.importorskip("PIL.Image")
    Image.new("RGB", (4, 3)).save(tmp_path / "12_ab.jpg")
    (tmp_path / "page.html").write_text(PAGE)
    found = datasets.Flickr8k(str(tmp_path), str(tmp_path / "page.html"))
    assert len(found) == 1
    image, lines = found[0]
    assert image.size == (4, 3) and lines == ["A dog .", "A cat ."]


def test_only_some_wrapped_datasets_have_entries_to_choose():
    plain = datasets.FakeData(size=2)
    with pytest.raises(ValueError, match="currently only supported for"):
        datasets.wrap_dataset_for_transforms_v2(plain, target_keys="all")
    assert len(datasets.wrap_dataset_for_transforms_v2(plain)) == 2
