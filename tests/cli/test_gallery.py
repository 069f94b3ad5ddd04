"""frontalize --report: a gallery of what was done, and of what was not."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.cli.call import call, files_below


@pytest.fixture
def photos(tmp_path, examples):
    folder = tmp_path / "photos"
    folder.mkdir()
    shutil.copy(examples / "faces" / "person1_neutral.jpg", folder / "a & b.jpg")
    (folder / "c.jpg").write_bytes(b"no picture")
    return folder


def test_gallery(photos, tmp_path):
    report = tmp_path / "report"
    done = call("frontalize", photos, "-o", tmp_path / "out", "--report", report)
    assert done.returncode == 1
    assert f"wrote {report}: report.json, index.html" in done.stderr
    assert files_below(report) == {"report.json", "index.html"}
    page = (report / "index.html").read_text(encoding="utf-8")
    assert f"<b>{photos}/a &amp; b.jpg</b>" in page
    assert f"<dt>{photos}/c.jpg</dt><dd>not a picture in a known format</dd>" in page
    numbers = json.loads((report / "report.json").read_text(encoding="utf-8"))
    assert numbers["counts"] == {"done": 1, "shown": 1, "failed": 1}
    assert numbers["settings"]["expression"] == "keep"
    again = call("frontalize", photos, "-o", tmp_path / "again", "--report", report)
    assert "it is left as it is" in again.stderr
    assert (report / "index.html").read_text(encoding="utf-8") == page
