"""translate as a user runs it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from facecycle_cli.faces import load_backend
from facecycle_cli.media import Frame, probe, read_frames, read_image, read_provenance
from tests.clips import EXAMPLES, TALKER

SHORT = ("--max-frames", "6", "--size", "64")


def frames_of(path: Path) -> list[Frame]:
    with read_frames(path) as frames:
        return list(frames)


def left_over(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"talk.mp4", "face.jpg", "smile.jpg"}


# -- what comes out -------------------------------------------------------------------------------


def test_writes_beside_the_source_with_sound_and_a_note(translate, talk_folder):
    done = translate("talk.mp4", "face.jpg", "--size", "64")
    assert (done.returncode, done.stdout, done.stderr) == (0, "talk_face.mp4\n", "")
    result = talk_folder / "talk_face.mp4"
    info = probe(result)
    assert (info.width, info.height, info.codec) == (64, 64, "h264")
    assert (info.fps, info.audio_codec) == (25, "aac")
    assert len(frames_of(result)) == len(frames_of(talk_folder / "talk.mp4"))
    note = read_provenance(result)
    assert (note["operation"], note["statement"]) == ("translate", "AI-manipulated")
    assert len(note["checkpoint_sha256"]) == 64
    assert left_over(talk_folder) == {"talk_face.mp4"}
    data = result.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # plays while it loads


def test_same_seed_same_bytes(translate, talk_folder):
    for name in ("a.mp4", "b.mp4"):
        assert translate("talk.mp4", "face.jpg", "-o", name, "--seed", 3, *SHORT).returncode == 0
    assert (talk_folder / "a.mp4").read_bytes() == (talk_folder / "b.mp4").read_bytes()


def test_json_says_whether_the_motion_arrived(translate):
    done = translate("talk.mp4", "face.jpg", "--json", "-q", "-o", "out.mp4")
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
def test_motion(translate, motion):
    done = translate("talk.mp4", "face.jpg", "--motion", motion, "--json", "-o", "o.mkv", *SHORT)
    assert json.loads(done.stdout)["motion"] == motion


def mouth_openings(images: Sequence[np.ndarray]) -> list[float]:
    return [faces[0].mouth_opening for faces in load_backend().detect(images)]


def test_mouth_of_a_video(translate, talk_folder):
    """A mouth that is cut along its lips opens wider than one that a smooth flow moves."""
    word = (TALKER, "face.jpg", "--start", 1.8, "--max-frames", 10)
    widest = {}
    for mouth in ("landmarks", "flow"):
        assert translate(*word, "--mouth", mouth, "-o", f"{mouth}.mp4").returncode == 0
        frames = frames_of(talk_folder / f"{mouth}.mp4")
        widest[mouth] = max(mouth_openings([frame.image for frame in frames]))
    assert widest["landmarks"] > 1.5 * widest["flow"]
    assert translate(*word, "-o", "default.mp4").returncode == 0
    default, landmarks = (talk_folder / f"{name}.mp4" for name in ("default", "landmarks"))
    assert default.read_bytes() == landmarks.read_bytes()


def test_mouth_of_a_picture(translate, talk_folder):
    laughing = EXAMPLES / "faces" / "person2_smiling.jpg"
    made = []
    for options in ((), ("--mouth", "landmarks"), ("--mouth", "flow")):
        moved_by = ("--motion-from", "networks") if options else ()
        done = translate(laughing, "face.jpg", *options, *moved_by, "--overwrite", "-o", "made.png")
        assert done.returncode == 0
        made.append(read_image(talk_folder / "made.png"))
    source, default, landmarks, flow = mouth_openings([read_image(laughing), *made])
    assert default == pytest.approx(source, abs=0.05)
    assert landmarks == pytest.approx(source, abs=0.1)
    assert flow < source - 0.1
    rows = np.abs(made[1].astype(int) - made[2]).max(axis=(1, 2))
    assert rows[:100].max() == 0, "nothing above the nose"


def test_the_whole_picture_side_by_side(translate, talk_folder):
    done = translate("talk.mp4", "face.jpg", "--paste-back", "--side-by-side", "--max-frames", 3)
    assert done.returncode == 0
    picture = read_image(talk_folder / "face.jpg")
    height, width = picture.shape[:2]
    wide = round(360 * height / 288)
    frames = frames_of(talk_folder / "talk_face.mp4")
    assert frames[0].image.shape[:2] == (height + height % 2, (wide + width) + (wide + width) % 2)
    corner = frames[-1].image[:20, wide + 2 : wide + 22].astype(int)
    assert np.abs(corner - picture[:20, 2:22]).mean() < 4


def test_a_huge_picture_becomes_a_video_that_can_be_played(translate, talk_folder):
    picture = cv2.resize(read_image(talk_folder / "face.jpg"), (2000, 2000))
    Image.fromarray(picture).save(talk_folder / "huge.jpg")
    done = translate("talk.mp4", "huge.jpg", "--paste-back", "--max-frames", 2, "-o", "h.mp4")
    assert done.returncode == 0
    assert "1920x1920" in done.stderr
    assert probe(talk_folder / "h.mp4").width == 1920


@pytest.mark.parametrize("name", ["x.mov", "x.webm", "x.gif", "x.mkv"])
def test_containers(translate, talk_folder, name):
    assert translate("talk.mp4", "face.jpg", "-o", name, *SHORT).stdout == f"{name}\n"
    assert len(frames_of(talk_folder / name)) == 6
    assert read_provenance(talk_folder / name)["operation"] == "translate"


def test_a_folder_of_frames(translate, talk_folder):
    assert translate("talk.mp4", "face.jpg", "-o", "frames/", "--size", 64).stdout == "frames/\n"
    names = [f"{i:06d}.png" for i in range(10)]
    assert sorted(p.name for p in (talk_folder / "frames").iterdir()) == names
    assert read_image(talk_folder / "frames" / names[0]).shape == (64, 64, 3)
    assert "exists" in translate("talk.mp4", "face.jpg", "-o", "frames/", *SHORT).stderr
    translate("talk.mp4", "face.jpg", "-o", "frames/", "--overwrite", *SHORT)
    assert len(list((talk_folder / "frames").iterdir())) == 6  # none is left of the longer result


def test_existing_outputs_are_kept(translate, talk_folder):
    (talk_folder / "talk_face.mp4").write_bytes(b"mine")
    done = translate("talk.mp4", "face.jpg")
    assert done.returncode == 0
    assert "skipped" in done.stderr
    assert (talk_folder / "talk_face.mp4").read_bytes() == b"mine"
    report = json.loads(translate("talk.mp4", "face.jpg", "--json", "-q").stdout)
    assert report["status"] == "skipped"
    translate("talk.mp4", "face.jpg", "--overwrite", *SHORT)
    assert probe(talk_folder / "talk_face.mp4").codec == "h264"


def test_pictures(translate, talk_folder):
    assert translate("smile.jpg", "face.jpg").stdout == "smile_face.png\n"
    assert read_image(talk_folder / "smile_face.png").shape == (256, 256, 3)
    assert read_provenance(talk_folder / "smile_face.png")["operation"] == "translate"
    done = translate("smile.jpg", "face.jpg", "--paste-back", "-o", "sub/")
    assert done.stdout == os.path.join("sub", "smile_face.png") + "\n"
    picture = read_image(talk_folder / "sub" / "smile_face.png")
    assert picture.shape == read_image(talk_folder / "face.jpg").shape
    done = translate("-", "face.jpg", "-o", "o.jpg", stdin=(talk_folder / "smile.jpg").read_bytes())
    assert done.stdout == "o.jpg\n"


def test_target_from_standard_input(translate, talk_folder):
    done = translate("smile.jpg", "-", stdin=(talk_folder / "face.jpg").read_bytes())
    assert done.stdout == "smile_stdin.png\n"


def test_a_pipeline_of_videos(run_cli, talk_folder):
    talk = (talk_folder / "talk.mp4").read_bytes()
    done = run_cli("translate", "-", "face.jpg", *SHORT, stdin=talk, cwd=talk_folder)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout[:4] == b"\x1aE\xdf\xa3"
    (talk_folder / "out.mkv").write_bytes(done.stdout)
    assert len(frames_of(talk_folder / "out.mkv")) == 6
