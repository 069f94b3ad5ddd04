"""translate as a user runs it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from facecycle_cli.faces import load_backend
from facecycle_cli.media import Frame, ffmpeg, probe, read_frames, read_image, read_provenance
from tests.children import HEEDS_SIGNALS
from tests.clips import EXAMPLES, TALKER, TURNER, run_ffmpeg

SHORT = ("--max-frames", "6", "--size", "64")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """talk.mp4 (ten frames with sound), face.jpg, smile.jpg."""
    run_ffmpeg(
        *("-i", TALKER, "-t", "0.4", "-vf", "scale=360:288"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac"),
        tmp_path / "talk.mp4",
    )
    for name, file in {"face": "person2_neutral", "smile": "person1_smiling"}.items():
        with Image.open(EXAMPLES / "faces" / f"{file}.jpg") as image:
            image.reduce(3).save(tmp_path / f"{name}.jpg", quality=95)
    return tmp_path


@pytest.fixture
def run(folder, run_here):
    """``facecycle translate`` in the folder, in this process; outputs as text."""

    def call(*arguments: object, stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
        done = run_here("translate", *arguments, stdin=stdin, cwd=folder)
        texts = done.stdout.decode(), done.stderr.decode()
        return subprocess.CompletedProcess(arguments, done.returncode, *texts)

    return call


def frames_of(path: Path) -> list[Frame]:
    with read_frames(path) as frames:
        return list(frames)


def left_over(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"talk.mp4", "face.jpg", "smile.jpg"}


# -- what comes out -------------------------------------------------------------------------------


def test_writes_beside_the_source_with_sound_and_a_note(run, folder):
    done = run("talk.mp4", "face.jpg", "--size", "64")
    assert (done.returncode, done.stdout, done.stderr) == (0, "talk_face.mp4\n", "")
    result = folder / "talk_face.mp4"
    info = probe(result)
    assert (info.width, info.height, info.codec) == (64, 64, "h264")
    assert (info.fps, info.audio_codec) == (25, "aac")
    assert len(frames_of(result)) == len(frames_of(folder / "talk.mp4"))
    note = read_provenance(result)
    assert (note["operation"], note["statement"]) == ("translate", "AI-manipulated")
    assert len(note["checkpoint_sha256"]) == 64
    assert left_over(folder) == {"talk_face.mp4"}
    data = result.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # plays while it loads


def test_same_seed_same_bytes(run, folder):
    for name in ("a.mp4", "b.mp4"):
        assert run("talk.mp4", "face.jpg", "-o", name, "--seed", 3, *SHORT).returncode == 0
    assert (folder / "a.mp4").read_bytes() == (folder / "b.mp4").read_bytes()


def test_json_says_whether_the_motion_arrived(run):
    done = run("talk.mp4", "face.jpg", "--json", "-q", "-o", "out.mp4")
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = done.stdout.splitlines()
    report = json.loads(line)
    assert (report["input"], report["target"], report["output"]) == (
        "talk.mp4",
        "face.jpg",
        "out.mp4",
    )
    assert (report["status"], report["motion"]) == ("done", "relative")
    assert (report["frames"], report["faces_found"], report["frames_held"]) == (10, 10, 0)
    assert report["fps"] > 0
    assert report["video_fps"] == 25.0
    assert 0 <= report["yaw_error"] < 20
    assert -1 <= report["mouth_correlation"] <= 1
    assert -1 <= report["yaw_correlation"] <= 1


@pytest.mark.parametrize("motion", ["absolute", "relative"])
def test_motion(run, motion):
    done = run("talk.mp4", "face.jpg", "--motion", motion, "--json", "-o", "o.mkv", *SHORT)
    assert json.loads(done.stdout)["motion"] == motion


def mouth_openings(images: Sequence[np.ndarray]) -> list[float]:
    return [faces[0].mouth_opening for faces in load_backend().detect(images)]


def test_mouth_of_a_video(run, folder):
    """A mouth that is cut along its lips opens wider than one that a smooth flow moves."""
    widest = {}
    for mouth in ("landmarks", "flow"):
        done = run(TALKER, "face.jpg", "--mouth", mouth, "--max-frames", 40, "-o", f"{mouth}.mp4")
        assert done.returncode == 0
        frames = frames_of(folder / f"{mouth}.mp4")
        widest[mouth] = max(mouth_openings([frame.image for frame in frames]))
    assert widest["landmarks"] > 1.5 * widest["flow"]
    assert run(TALKER, "face.jpg", "--max-frames", 40, "-o", "default.mp4").returncode == 0
    default, landmarks = (folder / f"{name}.mp4" for name in ("default", "landmarks"))
    assert default.read_bytes() == landmarks.read_bytes()


def test_mouth_of_a_picture(run, folder):
    laughing = EXAMPLES / "faces" / "person2_smiling.jpg"
    made = []
    for options in ((), ("--mouth", "landmarks"), ("--mouth", "flow")):
        moved_by = ("--motion-from", "networks") if options else ()
        done = run(laughing, "face.jpg", *options, *moved_by, "--overwrite", "-o", "made.png")
        assert done.returncode == 0
        made.append(read_image(folder / "made.png"))
    source, default, landmarks, flow = mouth_openings([read_image(laughing), *made])
    assert default == pytest.approx(source, abs=0.05)
    assert landmarks == pytest.approx(source, abs=0.1)
    assert flow < source - 0.1
    rows = np.abs(made[1].astype(int) - made[2]).max(axis=(1, 2))
    assert rows[:100].max() == 0, "nothing above the nose"


def test_the_whole_picture_side_by_side(run, folder):
    done = run("talk.mp4", "face.jpg", "--paste-back", "--side-by-side", "--max-frames", 3)
    assert done.returncode == 0
    picture = read_image(folder / "face.jpg")
    height, width = picture.shape[:2]
    wide = round(360 * height / 288)
    frames = frames_of(folder / "talk_face.mp4")
    assert frames[0].image.shape[:2] == (height + height % 2, (wide + width) + (wide + width) % 2)
    corner = frames[-1].image[:20, wide + 2 : wide + 22].astype(int)
    assert np.abs(corner - picture[:20, 2:22]).mean() < 4


def test_a_huge_picture_becomes_a_video_that_can_be_played(run, folder):
    picture = cv2.resize(read_image(folder / "face.jpg"), (3000, 3000))
    Image.fromarray(picture).save(folder / "huge.jpg")
    done = run("talk.mp4", "huge.jpg", "--paste-back", "--max-frames", 2, "-o", "h.mp4")
    assert done.returncode == 0
    assert "1920x1920" in done.stderr
    assert probe(folder / "h.mp4").width == 1920


@pytest.mark.parametrize("name", ["x.mov", "x.webm", "x.gif", "x.mkv"])
def test_containers(run, folder, name):
    assert run("talk.mp4", "face.jpg", "-o", name, *SHORT).stdout == f"{name}\n"
    assert len(frames_of(folder / name)) == 6
    assert read_provenance(folder / name)["operation"] == "translate"


def test_a_folder_of_frames(run, folder):
    assert run("talk.mp4", "face.jpg", "-o", "frames/", "--size", 64).stdout == "frames/\n"
    names = [f"{i:06d}.png" for i in range(10)]
    assert sorted(p.name for p in (folder / "frames").iterdir()) == names
    assert read_image(folder / "frames" / names[0]).shape == (64, 64, 3)
    assert "exists" in run("talk.mp4", "face.jpg", "-o", "frames/", *SHORT).stderr
    run("talk.mp4", "face.jpg", "-o", "frames/", "--overwrite", *SHORT)
    assert len(list((folder / "frames").iterdir())) == 6  # none is left of the longer result


def test_existing_outputs_are_kept(run, folder):
    (folder / "talk_face.mp4").write_bytes(b"mine")
    done = run("talk.mp4", "face.jpg")
    assert done.returncode == 0
    assert "skipped" in done.stderr
    assert (folder / "talk_face.mp4").read_bytes() == b"mine"
    report = json.loads(run("talk.mp4", "face.jpg", "--json", "-q").stdout)
    assert report["status"] == "skipped"
    run("talk.mp4", "face.jpg", "--overwrite", *SHORT)
    assert probe(folder / "talk_face.mp4").codec == "h264"


def test_pictures(run, folder):
    assert run("smile.jpg", "face.jpg").stdout == "smile_face.png\n"
    assert read_image(folder / "smile_face.png").shape == (256, 256, 3)
    assert read_provenance(folder / "smile_face.png")["operation"] == "translate"
    done = run("smile.jpg", "face.jpg", "--paste-back", "-o", "sub/")
    assert done.stdout == os.path.join("sub", "smile_face.png") + "\n"
    picture = read_image(folder / "sub" / "smile_face.png")
    assert picture.shape == read_image(folder / "face.jpg").shape
    done = run("-", "face.jpg", "-o", "o.jpg", stdin=(folder / "smile.jpg").read_bytes())
    assert done.stdout == "o.jpg\n"


def test_target_from_standard_input(run, folder):
    done = run("smile.jpg", "-", stdin=(folder / "face.jpg").read_bytes())
    assert done.stdout == "smile_stdin.png\n"


def test_a_pipeline_of_videos(run_cli, folder):
    done = run_cli("translate", "-", "face.jpg", *SHORT, stdin=(folder / "talk.mp4").read_bytes(),
                   cwd=folder)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout[:4] == b"\x1aE\xdf\xa3"
    (folder / "out.mkv").write_bytes(done.stdout)
    assert len(frames_of(folder / "out.mkv")) == 6


# -- what goes in ---------------------------------------------------------------------------------


def test_rates_and_odd_sizes(run, folder):
    """29.97 frames per second stay 30000/1001, and a frame of odd size is padded by one line."""
    run_ffmpeg(
        *("-i", folder / "talk.mp4", "-vf", "scale=361:289,setsar=1"),
        *("-r", "30000/1001", "-c:v", "ffv1", "-an", folder / "odd.mkv"),
    )
    done = run("odd.mkv", "face.jpg", "--json", "--side-by-side", "--size", 65)
    report = json.loads(done.stdout)
    assert report["frames"] == len(frames_of(folder / "odd.mkv")) > 10
    assert report["faces_found"] == report["frames"]
    assert report["frames_held"] == 0
    info = probe(folder / "odd_face.mp4")
    assert info.fps == Fraction(30000, 1001)
    assert not info.has_audio
    assert (info.width, info.height) == (146, 66)  # 65 pixels beside 361 * 65 / 289 = 81


def test_a_turned_video_is_followed_upright(run, folder):
    """A telephone's video lies on its side and says by how much players have to turn it."""
    run_ffmpeg(
        *("-i", folder / "talk.mp4", "-vf", "transpose=1", "-an"),
        *("-c:v", "libx264", "-qp", "0", "-pix_fmt", "yuv420p", folder / "lying.mp4"),
    )
    run_ffmpeg(
        *("-display_rotation", "90", "-i", folder / "lying.mp4", "-c", "copy"),
        folder / "turned.mp4",
    )
    assert probe(folder / "turned.mp4").rotation != 0
    frames = frames_of(folder / "turned.mp4")
    upright = frames_of(folder / "talk.mp4")
    assert np.abs(frames[0].image.astype(int) - upright[0].image).mean() < 2
    reports = {
        name: json.loads(run(name, "face.jpg", "--json", "--motion", "absolute").stdout)
        for name in ("turned.mp4", "talk.mp4")
    }
    assert reports["turned.mp4"]["faces_found"] == reports["talk.mp4"]["faces_found"] == 10
    made = [frames_of(folder / f"{stem}_face.mp4") for stem in ("turned", "talk")]
    differences = [
        np.abs(one.image.astype(int) - other.image).mean() for one, other in zip(*made, strict=True)
    ]
    assert max(differences) < 3


def test_a_gif_in(run, folder):
    shutil.copy(TURNER, folder / "turn.gif")
    done = run("turn.gif", "face.jpg", "--json", *SHORT)
    report = json.loads(done.stdout)
    assert report["output"] == "turn_face.mp4"
    assert (report["frames"], report["faces_found"]) == (6, 6)
    assert probe(folder / "turn_face.mp4").fps == probe(TURNER).fps


def test_a_part_of_the_source(run, folder):
    done = run(TALKER, "face.jpg", "--start", 1, "--duration", 0.4, "--size", 64, "-o", "p.mp4")
    assert done.returncode == 0
    assert len(frames_of(folder / "p.mp4")) == 10
    assert probe(folder / "p.mp4").duration == pytest.approx(0.4, abs=0.1)
    run(TALKER, "face.jpg", *SHORT, "-o", "q.mp4")
    assert probe(folder / "q.mp4").duration < 0.4  # the sound ends with the picture


def test_frames_without_a_face_are_counted(run, folder):
    """A clip that begins in the dark."""
    run_ffmpeg(
        *("-i", folder / "talk.mp4", "-vf", "tpad=start=4:color=black", "-an"),
        *("-c:v", "libx264", "-pix_fmt", "yuv420p", folder / "dark.mp4"),
    )
    done = run("dark.mp4", "face.jpg", "--json", "--size", 64)
    assert done.returncode == 0
    report = json.loads(done.stdout)
    assert (report["frames"], report["frames_held"]) == (14, 4)
    assert "4 of 14 frames without a face" in done.stderr


def test_two_faces_in_the_source(run, folder):
    run_ffmpeg(
        *("-i", folder / "talk.mp4", "-filter_complex", "split[a][b];[a][b]hstack", "-an"),
        *("-c:v", "libx264", "-pix_fmt", "yuv420p", folder / "two.mp4"),
    )
    done = run("two.mp4", "face.jpg", *SHORT)
    assert done.returncode == 0
    assert "2 faces" in done.stderr
    assert "--face" in done.stderr
    assert run("two.mp4", "face.jpg", "--face", "right", "--overwrite", *SHORT).stderr == ""
    done = run("two.mp4", "face.jpg", "--face", "3", "--overwrite", *SHORT)
    assert done.returncode == 1
    assert "two.mp4: no face 3; it shows 2" in done.stderr


# -- what cannot be done --------------------------------------------------------------------------


def failure(done) -> str:
    """The one line on standard error of a call that failed."""
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    return line


def test_sources_that_cannot_be_used(run, folder):
    (folder / "text.mp4").write_text("no video\n" * 50)
    (folder / "empty.mp4").touch()
    (folder / "cut.mp4").write_bytes((folder / "talk.mp4").read_bytes()[:300])
    run_ffmpeg("-f", "lavfi", "-i", "color=green:s=96x96:d=0.4", folder / "lawn.mp4")
    for name in ("text.mp4", "empty.mp4", "cut.mp4", "lawn.mp4", "missing.mp4"):
        assert failure(run(name, "face.jpg", *SHORT)).startswith(f"facecycle: {name}: ")
    assert "no face found" in failure(run("lawn.mp4", "face.jpg", *SHORT))
    assert "directory" in failure(run(".", "face.jpg", "-o", "x.mp4"))
    done = run("talk.mp4", "face.jpg", "--start", 99, "-o", "late.mp4")
    assert "no frames" in failure(done)
    assert not [name for name in left_over(folder) if "face" in name or name == "late.mp4"]


def test_targets_that_cannot_be_used(run, folder):
    Image.new("RGB", (200, 200), "green").save(folder / "lawn.png")
    (folder / "text.png").write_text("no picture")
    shutil.copy(TURNER, folder / "turn.gif")
    reasons = {
        "lawn.png": "no face found",
        "text.png": "not a picture",
        "missing.png": "No such file",
        "talk.mp4": "a video; the target has to be a picture",
        "turn.gif": "a video; the target has to be a picture",
    }
    for name, why in reasons.items():
        line = failure(run("talk.mp4", name, *SHORT, "-o", "x.mp4"))
        assert line.startswith(f"facecycle: {name}: ")
        assert why in line
    assert not (folder / "x.mp4").exists()


def test_failure_as_json(run):
    done = run("missing.mp4", "face.jpg", "--json")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert (report["status"], report["reason"]) == ("failed", "No such file or directory")
    report = json.loads(run("talk.mp4", "missing.png", "--json").stdout)
    assert report["reason"] == "missing.png: No such file or directory"


def test_outputs_that_cannot_be_written(run, folder):
    (folder / "file").touch()
    line = failure(run("talk.mp4", "face.jpg", *SHORT, "-o", "file/x.mp4"))
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
def test_wrong_usage(run, folder, options):
    done = run("talk.mp4", "face.jpg", *options)
    assert done.returncode == 2
    assert done.stdout == ""
    assert left_over(folder) == set()


def test_wrong_usage_of_pictures(run):
    assert run("smile.jpg", "face.jpg", "-o", "x.mp4").returncode == 2
    assert run("smile.jpg", "face.jpg", "--motion", "relative").returncode == 2
    assert run("-", "-").returncode == 2


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_interrupted_it_leaves_nothing(folder):
    command = [sys.executable, "-m", "facecycle_cli", "translate", TALKER, "face.jpg"]
    process = subprocess.Popen(
        [str(part) for part in [*command, "-o", "out.mp4"]],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(EXAMPLES.parent)},
        stderr=subprocess.PIPE,
        **HEEDS_SIGNALS,
    )
    deadline = time.monotonic() + 90
    while not any(name.startswith(".facecycle-") for name in left_over(folder)):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, b"")
    assert left_over(folder) == set()


def test_a_reader_that_goes_away_is_no_error(folder):
    """``facecycle translate ... -o - | head -c 100``."""
    command = [sys.executable, "-m", "facecycle_cli", "translate", TALKER, "face.jpg", "-o", "-"]
    process = subprocess.Popen(
        [str(part) for part in command],
        cwd=folder,
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
