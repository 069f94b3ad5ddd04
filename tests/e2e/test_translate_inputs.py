"""translate as a user runs it: what goes in, and what cannot be done."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facecycle_cli.media import Frame, ffmpeg, probe, read_frames
from tests.children import HEEDS_SIGNALS
from tests.clips import EXAMPLES, TALKER, TURNER, run_ffmpeg

SHORT = ("--max-frames", "6", "--size", "64")


def frames_of(path: Path) -> list[Frame]:
    with read_frames(path) as frames:
        return list(frames)


def left_over(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"talk.mp4", "face.jpg", "smile.jpg"}


# -- what goes in ---------------------------------------------------------------------------------


def test_rates_and_odd_sizes(translate, talk_folder):
    """29.97 frames per second stay 30000/1001, and a frame of odd size is padded by one line."""
    run_ffmpeg(
        *("-i", talk_folder / "talk.mp4", "-vf", "scale=361:289,setsar=1"),
        *("-r", "30000/1001", "-c:v", "ffv1", "-an", talk_folder / "odd.mkv"),
    )
    done = translate("odd.mkv", "face.jpg", "--json", "--side-by-side", "--size", 65)
    report = json.loads(done.stdout)
    assert report["frames"] == len(frames_of(talk_folder / "odd.mkv")) > 10
    assert report["faces_found"] == report["frames"]
    assert report["frames_held"] == 0
    info = probe(talk_folder / "odd_face.mp4")
    assert info.fps == Fraction(30000, 1001)
    assert not info.has_audio
    assert (info.width, info.height) == (146, 66)  # 65 pixels beside 361 * 65 / 289 = 81


def test_a_turned_video_is_followed_upright(translate, talk_folder):
    """A telephone's video lies on its side and says by how much players have to turn it."""
    run_ffmpeg(
        *("-i", talk_folder / "talk.mp4", "-vf", "transpose=1", "-an"),
        *("-c:v", "libx264", "-qp", "0", "-pix_fmt", "yuv420p", talk_folder / "lying.mp4"),
    )
    run_ffmpeg(
        *("-display_rotation", "90", "-i", talk_folder / "lying.mp4", "-c", "copy"),
        talk_folder / "turned.mp4",
    )
    assert probe(talk_folder / "turned.mp4").rotation != 0
    frames = frames_of(talk_folder / "turned.mp4")
    upright = frames_of(talk_folder / "talk.mp4")
    assert np.abs(frames[0].image.astype(int) - upright[0].image).mean() < 2
    options = ("--motion", "absolute", "--size", 64)
    reports = {
        name: json.loads(translate(name, "face.jpg", "--json", *options).stdout)
        for name in ("turned.mp4", "talk.mp4")
    }
    assert reports["turned.mp4"]["faces_found"] == reports["talk.mp4"]["faces_found"] == 10
    made = [frames_of(talk_folder / f"{stem}_face.mp4") for stem in ("turned", "talk")]
    differences = [
        np.abs(one.image.astype(int) - other.image).mean() for one, other in zip(*made, strict=True)
    ]
    assert max(differences) < 3


def test_a_gif_in(translate, talk_folder):
    shutil.copy(TURNER, talk_folder / "turn.gif")
    done = translate("turn.gif", "face.jpg", "--json", *SHORT)
    report = json.loads(done.stdout)
    assert report["output"] == "turn_face.mp4"
    assert (report["frames"], report["faces_found"]) == (6, 6)
    assert probe(talk_folder / "turn_face.mp4").fps == probe(TURNER).fps


def test_a_part_of_the_source(translate, talk_folder):
    done = translate(
        TALKER, "face.jpg", "--start", 1, "--duration", 0.4, "--size", 64, "-o", "p.mp4"
    )
    assert done.returncode == 0
    assert len(frames_of(talk_folder / "p.mp4")) == 10
    assert probe(talk_folder / "p.mp4").duration == pytest.approx(0.4, abs=0.1)
    translate(TALKER, "face.jpg", *SHORT, "-o", "q.mp4")
    assert probe(talk_folder / "q.mp4").duration < 0.4  # the sound ends with the picture


def test_frames_without_a_face_are_counted(translate, talk_folder):
    """A clip that begins in the dark."""
    run_ffmpeg(
        *("-i", talk_folder / "talk.mp4", "-vf", "tpad=start=4:color=black", "-an"),
        *("-c:v", "libx264", "-pix_fmt", "yuv420p", talk_folder / "dark.mp4"),
    )
    done = translate("dark.mp4", "face.jpg", "--json", "--size", 64)
    assert done.returncode == 0
    report = json.loads(done.stdout)
    assert (report["frames"], report["frames_held"]) == (14, 4)
    assert "4 of 14 frames without a face" in done.stderr


def test_two_faces_in_the_source(translate, talk_folder):
    run_ffmpeg(
        *("-i", talk_folder / "talk.mp4", "-filter_complex", "split[a][b];[a][b]hstack", "-an"),
        *("-c:v", "libx264", "-pix_fmt", "yuv420p", talk_folder / "two.mp4"),
    )
    done = translate("two.mp4", "face.jpg", *SHORT)
    assert done.returncode == 0
    assert "2 faces" in done.stderr
    assert "--face" in done.stderr
    assert translate("two.mp4", "face.jpg", "--face", "right", "--overwrite", *SHORT).stderr == ""
    done = translate("two.mp4", "face.jpg", "--face", "3", "--overwrite", *SHORT)
    assert done.returncode == 1
    assert "two.mp4: no face 3; it shows 2" in done.stderr


# -- what cannot be done --------------------------------------------------------------------------


def failure(done) -> str:
    """The one line on standard error of a call that failed."""
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    return line


def test_sources_that_cannot_be_used(translate, talk_folder):
    (talk_folder / "text.mp4").write_text("no video\n" * 50)
    (talk_folder / "empty.mp4").touch()
    (talk_folder / "cut.mp4").write_bytes((talk_folder / "talk.mp4").read_bytes()[:300])
    run_ffmpeg("-f", "lavfi", "-i", "color=green:s=96x96:d=0.4", talk_folder / "lawn.mp4")
    for name in ("text.mp4", "empty.mp4", "cut.mp4", "lawn.mp4", "missing.mp4"):
        assert failure(translate(name, "face.jpg", *SHORT)).startswith(f"facecycle: {name}: ")
    assert "no face found" in failure(translate("lawn.mp4", "face.jpg", *SHORT))
    assert "directory" in failure(translate(".", "face.jpg", "-o", "x.mp4"))
    done = translate("talk.mp4", "face.jpg", "--start", 99, "-o", "late.mp4")
    assert "no frames" in failure(done)
    assert not [name for name in left_over(talk_folder) if "face" in name or name == "late.mp4"]


def test_targets_that_cannot_be_used(translate, talk_folder):
    Image.new("RGB", (200, 200), "green").save(talk_folder / "lawn.png")
    (talk_folder / "text.png").write_text("no picture")
    shutil.copy(TURNER, talk_folder / "turn.gif")
    reasons = {
        "lawn.png": "no face found",
        "text.png": "not a picture",
        "missing.png": "No such file",
        "talk.mp4": "a video; the target has to be a picture",
        "turn.gif": "a video; the target has to be a picture",
    }
    for name, why in reasons.items():
        line = failure(translate("talk.mp4", name, *SHORT, "-o", "x.mp4"))
        assert line.startswith(f"facecycle: {name}: ")
        assert why in line
    assert not (talk_folder / "x.mp4").exists()


def test_failure_as_json(translate):
    done = translate("missing.mp4", "face.jpg", "--json")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert (report["status"], report["reason"]) == ("failed", "No such file or directory")
    report = json.loads(translate("talk.mp4", "missing.png", "--json").stdout)
    assert report["reason"] == "missing.png: No such file or directory"


def test_outputs_that_cannot_be_written(translate, talk_folder):
    (talk_folder / "file").touch()
    line = failure(translate("talk.mp4", "face.jpg", *SHORT, "-o", "file/x.mp4"))
    assert line.startswith("facecycle: file/x.mp4: ")


@pytest.mark.parametrize(
    "options",
    [
        ("-o", "x.txt"),
        ("-o", "x.png"),  # a video is no picture
        ("--motion", "sideways"),
        ("--mouth", "hand"),
        ("--motion-from", "hand"),
        ("--shading", "1.5"),
        ("--shading", "0.5", "--motion-from", "networks"),
        ("--face", "middle"),
        ("--face", "0"),
        ("--face", "all"),
        ("--target-face", "all"),  # without --paste-back
        ("--smooth", "2"),
        ("--start", "-1"),
        ("--duration", "0"),
        ("--max-frames", "0"),
        ("--json", "-o", "-"),
        ("--size", "8"),
    ],
)
def test_wrong_usage(translate, talk_folder, options):
    done = translate("talk.mp4", "face.jpg", *options)
    assert done.returncode == 2
    assert done.stdout == ""
    assert left_over(talk_folder) == set()


def test_wrong_usage_of_pictures(translate):
    assert translate("smile.jpg", "face.jpg", "-o", "x.mp4").returncode == 2
    assert translate("smile.jpg", "face.jpg", "--motion", "relative").returncode == 2
    assert translate("-", "-").returncode == 2


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_interrupted_it_leaves_nothing(talk_folder):
    command = [sys.executable, "-m", "facecycle_cli", "translate", TALKER, "face.jpg"]
    process = subprocess.Popen(
        [str(part) for part in [*command, "-o", "out.mp4"]],
        cwd=talk_folder,
        env={**os.environ, "PYTHONPATH": str(EXAMPLES.parent)},
        stderr=subprocess.PIPE,
        **HEEDS_SIGNALS,
    )
    deadline = time.monotonic() + 90
    while not any(name.startswith(".facecycle-") for name in left_over(talk_folder)):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, b"")
    assert left_over(talk_folder) == set()


def test_a_reader_that_goes_away_is_no_error(talk_folder):
    """``facecycle translate ... -o - | head -c 100``."""
    command = [sys.executable, "-m", "facecycle_cli", "translate", TALKER, "face.jpg", "-o", "-"]
    process = subprocess.Popen(
        [str(part) for part in command],
        cwd=talk_folder,
        env={**os.environ, "PYTHONPATH": str(EXAMPLES.parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert len(process.stdout.read(100)) == 100
    process.stdout.close()
    errors = process.stderr.read()
    process.wait(timeout=60)
    assert b"Traceback" not in errors
    assert process.returncode == 1
    assert ffmpeg.executable()
