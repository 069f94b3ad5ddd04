"""evaluate translate: the whole command on example clips, and what can be wrong with its inputs."""

from __future__ import annotations

import json

import pytest

from facecycle_cli.media import read_image, read_provenance
from facecycle_cli.model import read_info
from tests.cli.call import call, files_below
from tests.clips import TALKER

pytest.importorskip("skimage")
pytest.importorskip("matplotlib")


def evaluate(*arguments):
    return call("evaluate", "translate", *arguments, "--max-frames", "6")


def test_a_report_with_strips_and_a_failed_clip(tmp_path):
    folder = tmp_path / "report"
    done = evaluate(TALKER, tmp_path / "gone.mp4", "--report", folder, "--motion-from", "networks")
    assert done.returncode == 1
    first, *_ = done.stderr.splitlines()
    assert first == f"facecycle: {tmp_path / 'gone.mp4'}: no such file or folder"
    assert "self-reenactment, absolute motion from networks, mouth by landmarks: " in done.stdout
    assert ": 1 clip, 5 frames" in done.stdout
    assert "better than both baselines in L1 and in SSIM: " in done.stdout
    assert "AKD, % of the eye distance (mesh)" in done.stdout
    assert files_below(folder) == {"report.json", "index.html", "strip_001_talker.png"}
    report = json.loads((folder / "report.json").read_text())
    assert report["counts"] == {"clips": 1, "failed": 1}
    assert report["checkpoint"]["sha256"] == read_info("small").sha256
    assert report["settings"]["motion_from"] == "networks"
    assert set(report["measures"]) == set(report["motion"])
    numbers = report["clips"][str(TALKER)]
    assert numbers["strip"] == "strip_001_talker.png"
    assert numbers["pictures"] == report["pictures"]
    assert read_image(folder / "strip_001_talker.png").ndim == 3
    assert read_provenance(folder / "strip_001_talker.png") is not None


def test_json_has_a_line_for_each_input_and_a_summary(tmp_path, examples):
    person = examples / "faces" / "person2_neutral.jpg"
    done = evaluate("-", TALKER, "--cross", person, "--json")
    failed, clip, summary = map(json.loads, done.stdout.splitlines())
    assert (failed["input"], failed["status"]) == ("-", "failed")
    assert (clip["input"], clip["status"], clip["frames"]) == (str(TALKER), "done", 6)
    assert (summary["summary"], summary["cross"]) == (True, str(person))
    assert summary["pictures"] == clip["pictures"]


def test_nothing_to_measure(tmp_path):
    done = evaluate(tmp_path, "--report", tmp_path / "report")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"facecycle: {tmp_path}: no videos in this folder\n"
    assert files_below(tmp_path) == set()


@pytest.mark.parametrize(
    ("name", "words"), [("gone.jpg", "No such file"), ("talker.mpg", "talker.mpg: ")]
)
def test_another_person_who_cannot_be_used(examples, name, words):
    done = evaluate(TALKER, "--cross", examples / name)
    assert (done.returncode, done.stdout) == (1, "")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
