"""evaluate neutral as a command."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.cli.call import call

pytest.importorskip("matplotlib")


def test_table_report_and_a_picture_that_fails(examples, tmp_path):
    data, folder = tmp_path / "data", tmp_path / "report"
    data.mkdir()
    for look in ("neutral", "smiling"):
        shutil.copy(examples / "faces" / f"person1_{look}.jpg", data)
    (data / "person1_sad.png").write_bytes(b"broken")
    turned = examples / "faces" / "person2_smiling.jpg"
    done = call("evaluate", "neutral", data, "--turned", turned, "--report", folder)
    assert done.returncode == 1
    assert "person1_sad.png" in done.stderr
    assert "smiling (1)" in done.stdout
    assert "the mesh that also taught the embedded weights" in done.stdout
    report = json.loads((folder / "report.json").read_text())
    assert report["counts"]["expressions"] == {"neutral": 1, "smiling": 1}
    assert report["counts"]["turned"] == 1
    (measured,) = report["results"].values()
    assert len(measured["faces"]) == 2
    assert measured["smile_removed"] == pytest.approx(
        1
        - (measured["faces"][1]["mouth_after"] - measured["faces"][1]["mouth_neutral"])
        / (measured["faces"][1]["mouth_before"] - measured["faces"][1]["mouth_neutral"])
    )
    assert (folder / "faces.png").exists()


def test_data_that_says_nothing(tmp_path):
    done = call("evaluate", "neutral", tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "nobody with a neutral picture and another one" in done.stderr
    assert len(done.stderr.splitlines()) == 1
