"""A signal ends every command, whatever it is doing, and leaves nothing that looks finished."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.children import HEEDS_SIGNALS
from tests.clips import TALKER
from tests.conftest import ROOT

if sys.platform == "win32":
    pytest.skip("POSIX signals", allow_module_level=True)

PATIENCE = 90
"""Seconds until a test gives up; nothing here takes so long on any machine."""

FACE = ROOT / "examples" / "faces" / "person2_neutral.jpg"


@pytest.fixture
def start(tmp_path):
    """Starts the command in ``tmp_path``; what is left at the end of the test is killed."""
    running = []

    def begin(*arguments, command=("-m", "facecycle_cli"), path=(), handlers=HEEDS_SIGNALS, **env):
        python_path = os.pathsep.join(map(str, (*path, ROOT)))
        process = subprocess.Popen(
            [sys.executable, *command, *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": python_path, "OMP_NUM_THREADS": "1", **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **handlers,
        )
        running.append(process)
        return process

    yield begin
    for process in running:
        process.kill()
        process.communicate()


def wait_for(path: Path) -> str:
    deadline = time.monotonic() + PATIENCE
    while not (path.is_file() and path.read_text()):
        assert time.monotonic() < deadline, f"{path.name} never came"
        time.sleep(0.02)
    return path.read_text()


def assert_ends(process, number, *, seconds=PATIENCE):
    process.send_signal(number)
    _, errors = process.communicate(timeout=seconds)
    assert process.returncode == 128 + number
    assert b"Traceback" not in errors
    return errors


SLOW_IMPORT = """
import pathlib, time
pathlib.Path("importing").write_text("now")
time.sleep(600)
"""

STUBBORN_IMPORT = """
import pathlib, time
pathlib.Path("importing").write_text("now")
try:
    time.sleep(600)
except BaseException:
    pass
time.sleep(600)
"""


# Here and below: each place once, and each signal somewhere; the same handler answers to all.
@pytest.mark.parametrize(
    ("code", "number"),
    [
        pytest.param(SLOW_IMPORT, signal.SIGHUP, id="slow"),
        pytest.param(STUBBORN_IMPORT, signal.SIGTERM, id="stubborn"),
        pytest.param(SLOW_IMPORT, signal.SIGTERM, id="slow-15", marks=pytest.mark.full),
        pytest.param(STUBBORN_IMPORT, signal.SIGHUP, id="stubborn-1", marks=pytest.mark.full),
    ],
)
def test_while_torch_is_imported(start, tmp_path, number, code):
    """Also if somebody on the way catches what the signal raises."""
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "torch.py").write_text(code)
    process = start("neutralize", FACE, "-o", "out.png", path=[modules])
    wait_for(tmp_path / "importing")
    assert_ends(process, number)
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["neutralize", "pipe", "-o", "out.png"],
        ["verify", "pipe", FACE],
        ["verify", "--pairs", "pipe"],
        ["translate", "pipe", FACE, "-o", "out.mp4"],
        ["train", FACE.parent, "-o", "out", "--config", "pipe"],
    ],
    ids=lambda arguments: " ".join(map(str, arguments[:2])),
)
def test_while_it_waits_for_a_pipe_that_nobody_writes(start, tmp_path, arguments):
    """Or it has refused the pipe, which is as good."""
    os.mkfifo(tmp_path / "pipe")
    process = start(*arguments)
    deadline, before = time.monotonic() + PATIENCE, None
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(1)
        with suppress(psutil.Error):  # it has ended meanwhile
            used = psutil.Process(process.pid).cpu_times()
            if used == before:  # it has started, and waits
                break
            before = used
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode in (1, 2, 3, 128 + signal.SIGTERM)
    assert b"Traceback" not in errors
    assert {path.name for path in tmp_path.iterdir()} == {"pipe"}


@pytest.fixture
def stuck_ffmpeg(tmp_path):
    """An ffmpeg that never answers, and does not heed SIGTERM either."""
    program = tmp_path / "stuck" / "ffmpeg"
    program.parent.mkdir()
    program.write_text(
        f"#!/bin/sh\ntrap '' TERM HUP\necho $$ > {tmp_path / 'stuck' / 'pid'}\nexec sleep 600\n"
    )
    program.chmod(0o700)
    return program


_WITH_FFMPEG = {
    "translate": ["translate", TALKER, FACE, "-o", "out.mp4"],
    "translate to frames": ["translate", TALKER, FACE, "-o", "frames/"],
    "preprocess": ["preprocess", TALKER, "-o", "faces", "--workers", "2"],
}


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("translate", signal.SIGTERM),
        ("translate to frames", signal.SIGHUP),
        ("preprocess", signal.SIGTERM),
        pytest.param("translate", signal.SIGHUP, marks=pytest.mark.full),
        pytest.param("translate to frames", signal.SIGTERM, marks=pytest.mark.full),
        pytest.param("preprocess", signal.SIGHUP, marks=pytest.mark.full),
    ],
)
def test_while_ffmpeg_is_stuck(start, tmp_path, stuck_ffmpeg, name, number):
    process = start(*_WITH_FFMPEG[name], IMAGEIO_FFMPEG_EXE=str(stuck_ffmpeg))
    pid = int(wait_for(tmp_path / "stuck" / "pid"))
    children = psutil.Process(process.pid).children(recursive=True)
    assert_ends(process, number)
    _, alive = psutil.wait_procs(children, timeout=PATIENCE)
    assert not alive
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    left = {path.name for path in tmp_path.iterdir()} - {"stuck"}
    assert left <= {"faces"}
    assert not list(tmp_path.glob("faces/**/*.jpg"))
    assert not list(tmp_path.glob("faces/.partial/*/*"))


LISTING = """
import pathlib, time
from facecycle_cli.training import train

def find_crops(*_, **__):
    pathlib.Path("listing").write_text("now")
    time.sleep(600)

train.find_crops = find_crops
from facecycle_cli.__main__ import main
main()
"""


@pytest.mark.parametrize(
    "number",
    [signal.SIGTERM, signal.SIGINT, pytest.param(signal.SIGHUP, marks=pytest.mark.full)],
)
def test_while_train_has_not_taken_a_step(start, tmp_path, number):
    """There is nothing to save, and a million crops may take minutes to list."""
    arguments = ["train", str(FACE.parent), "-o", "run", "--perceptual", "off"]
    process = start(*arguments, command=["-c", LISTING])
    wait_for(tmp_path / "listing")
    assert_ends(process, number)
    assert not (tmp_path / "run").exists()


def ignoring(*numbers):
    def ignore():
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)

    return {"preexec_fn": ignore}


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_what_was_ignored_at_the_start_stays_ignored(start, tmp_path, number):
    """As ``nohup`` and the background of a shell arrange it."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "torch.py").write_text(
        SLOW_IMPORT.replace("time.sleep(600)", "time.sleep(1)\nraise ImportError('no torch')")
    )
    process = start(
        "neutralize", FACE, "-o", "out.png", path=[tmp_path / "modules"], handlers=ignoring(number)
    )
    wait_for(tmp_path / "importing")
    for _ in range(5):
        process.send_signal(number)
        time.sleep(0.05)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert b"no torch" in errors
