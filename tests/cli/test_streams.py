"""Standard streams that are closed, full, or of an encoding that lacks what is printed."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli import invert_command
from tests.conftest import ROOT

SCRIPT = Path(invert_command.__file__)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
full_device = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")


def shell(folder, arguments: str, **env) -> subprocess.CompletedProcess[bytes]:
    """Run the tiny command with redirections."""
    command = f"{shlex.quote(sys.executable)} {shlex.quote(str(SCRIPT))} {arguments}"
    return subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
        input=b"",
        capture_output=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_closed_output_takes_nothing_and_the_work_is_done(pictures, black, closed):
    done = shell(pictures, f"invert a.png b.jpg {closed}")
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr
    assert (pictures / "b_inverted.png").is_file()
    if closed in ("2>&-", "<&- >&- 2>&-"):  # errors are written nowhere else
        assert shell(pictures, f"invert black.png a.png --overwrite {closed}").returncode == 1
        assert shell(pictures, f"--nonsense {closed}").returncode == 2
    if closed in (">&-", "<&- >&- 2>&-"):
        assert shell(pictures, f"--version {closed}").returncode == 0


def test_nothing_else_becomes_standard_output(pictures):
    code = (
        "import os, sys\n"
        "from facecycle_cli.cli.streams import open_streams\n"
        "open_streams()\n"
        "file = open('made.txt', 'w')\n"
        "assert file.fileno() > 2, file.fileno()\n"
        "os.system('echo from a program')\n"
    )
    (pictures / "run.py").write_text(code)
    command = f"{shlex.quote(sys.executable)} run.py <&- >&- 2>&-"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["sh", "-c", command], cwd=pictures, env=env, timeout=60, check=False)
    assert done.returncode == 0
    assert (pictures / "made.txt").read_bytes() == b""


def test_a_picture_for_a_closed_output_is_lost_and_said_so(pictures):
    done = shell(pictures, "invert a.png -o - >&-")
    assert done.returncode == 1
    assert done.stderr == b"facecycle: a.png: Bad file descriptor\n"


@full_device
def test_a_full_output_is_one_line(pictures):
    done = shell(pictures, "invert a.png b.jpg >/dev/full")
    assert done.returncode == 1
    assert done.stderr == b"facecycle: standard output: No space left on device\n"
    assert shell(pictures, "invert a.png -o - >/dev/full").returncode == 1


@full_device
def test_a_full_error_output_stops_nothing(pictures, black):
    done = shell(pictures, "invert black.png a.png 2>/dev/full")
    assert (done.returncode, done.stdout) == (1, b"a_inverted.png\n")


@pytest.mark.parametrize(
    ("encoding", "shown"), [("ascii", b"\\xfc\\u5b57"), ("latin-1", b"\xfc\\u5b57")]
)
def test_another_encoding_escapes_what_it_lacks(pictures, encoding, shown):
    shutil.copy(pictures / "a.png", pictures / "ü字.png")
    done = shell(pictures, "invert ü字.png gone字.png", PYTHONIOENCODING=encoding)
    assert done.returncode == 1
    assert done.stdout == shown + b"_inverted.png\n"
    assert done.stderr.startswith(b"facecycle: gone\\u5b57.png: ")


def test_bytes_that_are_no_text_leave_a_pipe_as_they_came(pictures):
    shutil.copy(pictures / "a.png", os.path.join(os.fsencode(pictures), "ü".encode() + b"\xff.png"))
    done = shell(pictures, "invert *?.png", PYTHONIOENCODING="ascii", LC_ALL="C.UTF-8")
    assert b"\\xfc\xff_inverted.png\n" in done.stdout
    lines = shell(pictures, "invert --json --overwrite *?.png").stdout
    assert lines.isascii()
    outputs = [json.loads(line)["output"] for line in lines.splitlines()]
    assert "ü\udcff_inverted.png" in outputs


def test_wrong_usage_quotes_no_control_characters(pictures):
    done = shell(pictures, "invert a.png b.jpg -o \"$(printf 'x\\033[31m.png')\"")
    assert done.returncode == 2
    assert b"\x1b" not in done.stderr
    assert b"x\\x1b[31m.png" in done.stderr
