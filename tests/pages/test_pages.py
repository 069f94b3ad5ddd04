"""Pages as files: what they hold, and how far they grow."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from facecycle_cli.media import Provenance
from facecycle_cli.pages import gallery as galleries
from facecycle_cli.pages.blocks import Page, Table
from facecycle_cli.pages.embed import picture_of
from facecycle_cli.pages.gallery import Gallery
from facecycle_cli.pages.render import write_index

PICTURE = np.zeros((8, 8, 3), np.uint8)


def text_of(path):
    return path.read_text(encoding="utf-8")


def test_the_same_page_twice(tmp_path):
    page = Page("A", [Table([["", "L1"], ["x", "0.5"]])], traces={"data": "d"})
    first, second = (text_of(write_index(tmp_path / name, page)) for name in "ab")
    assert first == second
    assert "Mean absolute difference of RGB values" in first
    assert "Structural similarity" not in first
    assert not re.search(r'(src|href)="(?!data:|#)', first)


def test_large_pictures_shrink(photo):
    assert picture_of(photo, "a", provenance=None).width == photo.shape[1]
    small = picture_of(photo, "a", provenance=None, side=40)
    assert (small.width, small.height) == (40, 30)


@pytest.fixture
def small_pages(monkeypatch):
    monkeypatch.setattr(galleries, "_PER_PAGE", 2)
    monkeypatch.setattr(galleries, "MOST_SHOWN", 5)
    monkeypatch.setattr(galleries, "_MOST_FAILURES", 1)


def test_gallery_in_pages(tmp_path, small_pages):
    with Gallery(tmp_path / "g", "Faces", {"seed": 0}, Provenance("frontalize", None)) as gallery:
        for number in range(7):
            gallery.add(f"face{number}.jpg", PICTURE, PICTURE)
            finished = {path.name for path in (tmp_path / "g").glob("[ip]*.html")}
            assert len(finished) == min(number, 4) // 2
        gallery.fail("one.jpg", "no face")
        gallery.fail("two.jpg", "no face")
    names = ["index.html", "page_002.html", "page_003.html"]
    assert sorted(path.name for path in (tmp_path / "g").iterdir()) == [*names, "report.json"]
    pages = [text_of(tmp_path / "g" / name) for name in names]
    shown = [re.findall(r"<b>(face\d)\.jpg</b>", page) for page in pages]
    assert shown == [["face0", "face1"], ["face2", "face3"], ["face4"]]
    links = [re.findall(r'href="([\w.]+)" rel', page) for page in pages]
    assert links == [[names[1]], [names[0], names[2]], [names[1]]]
    assert "The last 2 are not shown" in pages[2]
    assert "one.jpg" in pages[2]
    assert "two.jpg" not in pages[2]
    report = json.loads(text_of(tmp_path / "g" / "report.json"))
    assert report["counts"] == {"done": 7, "shown": 5, "failed": 2}
    assert report["pages"] == names


def test_gallery_of_an_interrupted_run(tmp_path):
    def run():
        with Gallery(tmp_path, "Faces", {}, Provenance("frontalize", None)) as gallery:
            gallery.add("a.jpg", PICTURE, PICTURE)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert "a.jpg" in text_of(tmp_path / "index.html")
    assert text_of(tmp_path / "index.html").rstrip().endswith("</html>")
