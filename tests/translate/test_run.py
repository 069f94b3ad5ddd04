"""A run of translate on files: names, the order of things, and who is told what."""

from __future__ import annotations

import io
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facecycle_cli.errors import DataError, MediaError, NoFaceError, OutputError, SettingsError
from facecycle_cli.media import read_image, read_provenance
from facecycle_cli.model import load
from facecycle_cli.system import LOCK_FILE, locked_folder
from facecycle_cli.translate.job import TranslateJob
from facecycle_cli.translate.run import TranslateEvents, run_translate
from facecycle_cli.translate.settings import TranslateSettings
from tests.clips import EXAMPLES, TALKER


class Heard(TranslateEvents):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.expected: list[int | None] = []
        self.frames = 0
        self.blamed: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    @contextmanager
    def progress(self, frames: int | None) -> Iterator:
        self.expected.append(frames)
        yield self._advance

    @contextmanager
    def errors_of(self, name: str) -> Iterator[None]:
        try:
            yield
        except Exception:
            self.blamed.append(name)
            raise

    def _advance(self) -> None:
        self.frames += 1


@pytest.fixture
def events() -> Heard:
    return Heard()


@pytest.fixture
def networks(model, backend):
    """Opens both, and remembers for how many threads it was asked."""

    def open_networks(threads):
        open_networks.threads.append(threads)
        return model, backend

    open_networks.threads = []
    return open_networks


@pytest.fixture
def job(tmp_path: Path) -> TranslateJob:
    """From smile.jpg to face.jpg."""
    for name, file in {"face": "person2_neutral", "smile": "person1_smiling"}.items():
        with Image.open(EXAMPLES / "faces" / f"{file}.jpg") as image:
            image.reduce(3).save(tmp_path / f"{name}.jpg", quality=95)
    return TranslateJob(
        str(tmp_path / "smile.jpg"),
        str(tmp_path / "face.jpg"),
        settings=TranslateSettings(size=64),
    )


def test_a_picture(job, networks, events, tmp_path):
    result = run_translate(job, networks, events)
    assert result.output == str(tmp_path / "smile_face.png")
    assert result.written
    assert result.report == {"motion": "absolute", "frames": 1, "faces_found": 1}
    assert read_image(result.output).shape == (64, 64, 3)
    assert read_provenance(result.output)["operation"] == "translate"
    assert networks.threads == [None]
    assert (events.notes, events.blamed) == ([], [])


def test_a_video(job, networks, events, tmp_path):
    video = replace(
        job, source=str(TALKER), output=str(tmp_path / "x.mkv"), max_frames=5, measure=True
    )
    result = run_translate(video, networks, events)
    assert list(result.report) == [
        *("motion", "frames", "faces_found", "frames_held"),
        *("yaw_error", "yaw_correlation", "mouth_correlation"),
        *("fps", "video_fps", "seconds"),
    ]
    assert (result.report["motion"], result.report["frames"]) == ("relative", 5)
    assert (events.expected, events.frames) == ([5], 4)  # the first is written by itself
    assert networks.threads == [1], "stages of a video run in threads of their own"


def test_an_output_that_exists_is_kept_before_anything_is_opened(job, networks, events, tmp_path):
    (tmp_path / "smile_face.png").write_bytes(b"mine")
    kept = run_translate(job, networks, events)
    assert (kept.written, kept.report) == (False, {})
    assert (tmp_path / "smile_face.png").read_bytes() == b"mine"
    assert networks.threads == []


def test_one_run_at_a_time_writes_a_folder_of_frames(job, networks, events, tmp_path):
    folder = tmp_path / "frames"
    video = replace(job, source=str(TALKER), output=str(folder), max_frames=2)
    with locked_folder(folder):
        with pytest.raises(OutputError, match="another run is writing this folder"):
            run_translate(video, networks, events)
        assert [path.name for path in folder.iterdir()] == [LOCK_FILE]
    assert events.blamed == [str(folder)]
    assert run_translate(video, networks, events).written
    assert {path.name for path in folder.iterdir()} == {"000000.png", "000001.png"}
    assert not run_translate(video, networks, events).written


def test_frames_of_a_run_that_was_killed_are_not_taken_for_a_result(
    job, networks, events, tmp_path
):
    folder = tmp_path / "frames"
    folder.mkdir()
    for name in (LOCK_FILE, "000000.png", "000007.png"):
        (folder / name).write_bytes(b"half")
    video = replace(job, source=str(TALKER), output=f"{folder}/", max_frames=2)
    assert run_translate(video, networks, events).written
    assert {path.name for path in folder.iterdir()} == {"000000.png", "000001.png"}
    assert read_image(folder / "000000.png").shape == (64, 64, 3)


def test_a_target_that_cannot_be_read_is_to_blame(job, networks, events, tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(MediaError, match="not a picture"):
        run_translate(replace(job, target=str(tmp_path / "text.png")), networks, events)
    assert events.blamed == [str(tmp_path / "text.png")]
    assert networks.threads == [], "nothing is loaded for it"


def test_a_source_without_a_face_is_to_blame(job, networks, events, tmp_path):
    Image.new("RGB", (200, 200), "green").save(tmp_path / "lawn.png")
    with pytest.raises(NoFaceError):
        run_translate(replace(job, source=str(tmp_path / "lawn.png")), networks, events)
    assert events.blamed == []


@pytest.mark.parametrize(
    "change", [{"motion": "relative"}, {"output": "x.mp4"}, {"output": "x"}], ids=str
)
def test_what_a_picture_cannot_be(job, networks, events, change):
    with pytest.raises(SettingsError):
        run_translate(replace(job, **change), networks, events)
    assert networks.threads == []


def test_standard_input_and_output(job, networks, events, monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(Path(job.source).read_bytes())))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written))
    result = run_translate(replace(job, source="-"), networks, events)
    assert result.output == "-"
    assert read_image(written.getvalue()).shape == (64, 64, 3)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX files")
def test_pipes_that_the_shell_names(job, networks, events, monkeypatch, tmp_path):
    """facecycle translate <(command) <(command): each can be read only once."""
    pipes = []
    for name in (job.source, job.target):
        reader, writer = os.pipe()
        feed = threading.Thread(target=_feed, args=(writer, Path(name).read_bytes()))
        feed.start()
        pipes.append((reader, feed))
    source, target = (f"/dev/fd/{reader}" for reader, _ in pipes)
    monkeypatch.chdir(tmp_path)
    result = run_translate(replace(job, source=source, target=target), networks, events)
    for reader, feed in pipes:
        feed.join()
        os.close(reader)
    assert read_image(result.output).shape == (64, 64, 3)


def _feed(writer: int, data: bytes) -> None:
    with os.fdopen(writer, "wb") as pipe:
        pipe.write(data)


def test_a_motion_is_saved_and_performed_again(job, networks, events, tmp_path):
    saved, first = tmp_path / "talk.npz", tmp_path / "first"
    video = replace(job, source=str(TALKER), output=str(first), max_frames=6)
    run_translate(replace(video, save_motion=str(saved)), networks, events)
    again = replace(
        job, source=str(saved), output=str(tmp_path / "again"), start=2 / 25, duration=3 / 25
    )
    result = run_translate(again, networks, events)
    assert (result.report["frames"], result.report["faces_found"]) == (3, 3)
    assert events.expected == [6, 3]
    whole = replace(job, source=str(saved), output=str(tmp_path / "whole"))
    assert run_translate(whole, networks, events).report["frames"] == 6
    for number in range(6):
        one, two = (
            read_image(folder / f"{number:06d}.png").astype(int)[:32]  # not the mouth
            for folder in (first, tmp_path / "whole")
        )
        assert np.abs(one - two).max() <= 1


def test_the_motion_of_a_picture_makes_a_picture(job, networks, events, tmp_path):
    saved = tmp_path / "motion.npz"
    run_translate(replace(job, save_motion=str(saved)), networks, events)
    result = run_translate(replace(job, source=str(saved)), networks, events)
    assert result.output == str(tmp_path / "motion_face.png")
    before = saved.read_bytes()
    run_translate(
        replace(job, save_motion=str(saved), output=str(tmp_path / "x.png")), networks, events
    )
    assert saved.read_bytes() == before
    assert events.notes == [f"{saved}: skipped, it exists (--overwrite to replace it)"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"save_motion": "m.npy"}, "is written as"),
        ({"source": "m.npz", "save_motion": "n.npz"}, "a motion already"),
        ({"source": "m.npz", "settings": TranslateSettings(side_by_side=True)}, "no picture"),
        ({"source": "m.npz", "settings": TranslateSettings(face="left")}, "of one face"),
    ],
)
def test_what_a_motion_does_not_have(job, networks, events, changes, reason):
    with pytest.raises(SettingsError, match=reason):
        run_translate(replace(job, **changes), networks, events)
    assert networks.threads == []


def test_a_motion_of_other_networks_is_refused(job, model, backend, events, tmp_path):
    saved = tmp_path / "motion.npz"
    run_translate(replace(job, save_motion=str(saved)), lambda _: (model, backend), events)
    other = load("small-128")
    with pytest.raises(DataError, match="other networks measured this motion"):
        run_translate(replace(job, source=str(saved)), lambda _: (other, backend), events)


def test_a_motion_that_cannot_be_kept_is_said_before_any_work(job, networks, events, tmp_path):
    blocked = tmp_path / "file.jpg" / "m.npz"
    (tmp_path / "file.jpg").write_bytes(b"")
    with pytest.raises(OutputError, match="--save-motion"):
        run_translate(replace(job, save_motion=str(blocked)), networks, events)
    assert networks.threads == []
    (tmp_path / "smile_face.png").write_bytes(b"mine")
    kept = replace(job, save_motion=str(tmp_path / "m.npz"))
    assert not run_translate(kept, networks, events).written
    assert events.notes == [
        f"{tmp_path / 'm.npz'}: not written, because {tmp_path / 'smile_face.png'} exists"
    ]


def test_a_motion_is_known_by_its_content(job, networks, events, tmp_path):
    saved, other = tmp_path / "m.npz", tmp_path / "motion"
    run_translate(replace(job, save_motion=str(saved)), networks, events)
    other.write_bytes(saved.read_bytes())
    assert run_translate(replace(job, source=str(other)), networks, events).written
