"""Commands in this process, where the process itself is not what is tested."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.call import call_for_bytes
from tests.clips import EXAMPLES, TALKER, run_ffmpeg

Run = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture
def run_here(monkeypatch: pytest.MonkeyPatch) -> Run:
    """As `run_cli`, the whole of `main`, without a process of its own: torch is imported once."""

    def run(
        *arguments: object, stdin: bytes = b"", cwd: Path | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        with monkeypatch.context() as patch:
            if cwd is not None:
                patch.chdir(cwd)
            return call_for_bytes(*map(str, arguments), stdin=stdin)

    return run


@pytest.fixture
def talk_folder(tmp_path: Path) -> Path:
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
def translate(talk_folder, run_here):
    """``facecycle translate`` in the folder, in this process; outputs as text."""

    def call(*arguments: object, stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
        done = run_here("translate", *arguments, stdin=stdin, cwd=talk_folder)
        texts = done.stdout.decode(), done.stderr.decode()
        return subprocess.CompletedProcess(arguments, done.returncode, *texts)

    return call


@pytest.fixture
def face(examples: Path, tmp_path: Path) -> Path:
    """A small photograph in an empty folder."""
    path = tmp_path / "face.jpg"
    with Image.open(examples / "faces" / "person1_smiling.jpg") as image:
        image.resize((240, 240 * image.height // image.width)).save(path, quality=95)
    return path
