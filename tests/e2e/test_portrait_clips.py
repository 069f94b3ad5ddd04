"""frontalize and neutralize of videos, as a user runs them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from facecycle_cli.media import probe, read_frames, read_image, read_provenance
from tests.clips import run_ffmpeg

COMMANDS = ("frontalize", "neutralize")


@pytest.fixture
def clip(examples: Path, tmp_path: Path) -> Path:
    """Eight frames with sound, the first two without a face."""
    path = tmp_path / "talk.mp4"
    run_ffmpeg(
        *("-t", "0.24", "-i", examples / "talker.mpg", "-vf", "tpad=start=2:color=black"),
        *("-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac", path),
    )
    return path


def test_a_clip_becomes_a_clip_with_sound(run_here, clip):
    done = run_here("neutralize", clip.name, "--json", "--size", 64, cwd=clip.parent)
    report = json.loads(done.stdout)
    assert report["output"] == "talk_neutral.mp4"
    counts = [report[key] for key in ("frames", "faces_found", "frames_held", "video_fps")]
    assert counts == [8, 6, 2, 25.0]
    assert b"2 of 8 frames without a face hold the last result" in done.stderr
    made = probe(clip.with_name("talk_neutral.mp4"))
    assert (made.width, made.height, made.audio_codec) == (64, 64, "aac")
    assert read_provenance(clip.with_name("talk_neutral.mp4"))["operation"] == "neutralize"
    # It is there, and it is no input.
    assert b"skipped" in run_here("neutralize", clip.name, cwd=clip.parent).stderr
    again = run_here("frontalize", ".", "-o", "out/", "--size", 64, cwd=clip.parent)
    assert again.stdout.decode().split() == ["out/talk_frontal.mp4"]
    assert b"1 input left out: results of facecycle" in again.stderr


def test_pictures_and_clips_of_one_folder(run_here, clip, face):
    shutil.copy(face, clip.with_name("talk.jpg"))
    face.unlink()
    options = ("-o", "out", "--size", 64, "--max-frames", 3, "--start", 0.1)
    done = run_here("frontalize", ".", *options, cwd=clip.parent)
    assert done.stdout.decode().split() == ["out/talk_frontal.png", "out/talk_frontal.mp4"]
    assert probe(clip.parent / "out" / "talk_frontal.mp4").duration < 0.2


def test_whole_frames_and_frames_as_pictures(run_here, clip):
    options = ("--paste-back", "--face", "all", "-o", "frames", "--max-frames", 4)
    done = run_here("frontalize", clip.name, *options, cwd=clip.parent)
    assert done.returncode == 0, done.stderr
    frames = [read_image(path) for path in sorted((clip.parent / "frames").iterdir())]
    before = [frame.image for frame in read_frames(clip, max_frames=4)]
    same = [np.array_equal(a, b) for a, b in zip(frames, before, strict=True)]
    assert same == [True, True, False, False]
    assert b"2 of 4 frames without a face stay as they are" in done.stderr
    again = run_here("frontalize", clip.name, *options, cwd=clip.parent)
    assert (
        again.stderr == b"facecycle: talk.mp4: skipped, frames exists (--overwrite to replace it)\n"
    )


def test_a_clip_in_a_pipeline(run_cli, clip):
    options = ("--size", "64", "--max-frames", "3")
    done = run_cli("frontalize", "-", *options, stdin=clip.read_bytes())
    path = clip.with_name("piped.mkv")
    path.write_bytes(done.stdout)
    assert len(list(read_frames(path))) == 3


@pytest.mark.parametrize(
    ("options", "code", "why"),
    [
        (("--grid",), 1, "talk.mp4: a video; --grid shows"),
        (("--face", "all"), 1, "talk.mp4: a video; --face all needs --paste-back"),
        (("--face", "3"), 1, "talk.mp4: no face 3; it shows 1"),
        (("-o", "x.png"), 2, "write a video as .mp4"),
        (("-o", "x.txt"), 2, "write a video as .mp4"),
        (("-o", "-", "--json"), 2, "not both"),
        (("--start", "99"), 1, "talk.mp4: no frames there"),
    ],
)
def test_clips_that_cannot_be_made(run_here, clip, options, code, why):
    done = run_here("frontalize", clip.name, *options, cwd=clip.parent)
    assert (done.returncode, done.stdout) == (code, b"")
    assert why in done.stderr.decode()
    assert [path.name for path in clip.parent.iterdir()] == [clip.name]
