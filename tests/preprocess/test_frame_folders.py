"""Folders of frames to crops."""

from __future__ import annotations

from pathlib import Path

import pytest

from facecycle_cli.errors import MediaError
from facecycle_cli.media import Provenance, read_image, write_image
from tests.clips import run_ffmpeg


@pytest.fixture
def frame_folder(clip, tmp_path) -> Path:
    folder = tmp_path / "Zed" / "1.6" / "video"
    folder.mkdir(parents=True)
    run_ffmpeg("-i", clip, "-vf", "fps=5,crop=240:240", folder / "%d00.jpg")
    return folder


def test_a_folder_of_frames_is_one_source_in_the_order_of_its_numbers(crops_of, frame_folder):
    (frame_folder / "100.jpg").rename(frame_folder / "1000.jpg")
    found, lines, _ = crops_of(frame_folder)
    assert found.frames == 5
    names = ["200", "300", "400", "500", "1000"]
    by_frame = sorted(lines, key=lambda line: line["frame"])
    assert [n["path"] for n in by_frame] == [f"Zed/video/1.6/{name}.jpg" for name in names]
    assert all(line["time"] is None for line in lines)


def test_a_damaged_frame_is_left_out_and_said(crops_of, frame_folder):
    (frame_folder / "300.jpg").write_bytes((frame_folder / "300.jpg").read_bytes()[:500])
    found, lines, _ = crops_of(frame_folder)
    assert found.status == "done"
    assert found.reason.startswith("1 of 5 pictures left out (300.jpg: ")
    assert [line["path"][-7:] for line in lines] == [f"{n}00.jpg" for n in (1, 2, 4, 5)]


def test_results_among_the_frames_are_left_out_and_said(crops_of, frame_folder):
    made = read_image(frame_folder / "200.jpg")
    write_image(made, frame_folder / "200_frontal.png", provenance=Provenance("frontalize"))
    found, lines, _ = crops_of(frame_folder, max_frames=3)
    assert found.reason == "1 picture left out: results of facecycle"
    assert [line["path"][-7:] for line in lines] == [f"{n}00.jpg" for n in (1, 2, 3)]


def test_frames_none_of_which_can_be_read(crops_of, frame_folder):
    for path in frame_folder.iterdir():
        path.write_bytes(b"no picture")
    with pytest.raises(MediaError, match="none of its 5 pictures can be read"):
        crops_of(frame_folder)
