"""What a user sees on a terminal: the live line, results beside it, colors, and the width."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli import invert_command
from tests.conftest import ROOT

pty = pytest.importorskip("pty", reason="needs a POSIX terminal")

SCRIPT = Path(invert_command.__file__)
COLUMNS = 80


@dataclass
class Seen:
    """What a command wrote to each of its outputs."""

    code: int
    stdout: str
    stderr: str


def see(
    folder: Path,
    *arguments: str,
    out_to_terminal: bool = False,
    err_to_terminal: bool = True,
    **env,
) -> Seen:
    """Run the tiny command; each output goes to a terminal of its own, or to a pipe."""
    ends = [terminal() if on else os.pipe() for on in (out_to_terminal, err_to_terminal)]
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "NO_COLOR")}
    environment |= {"PYTHONPATH": str(ROOT), "TERM": "xterm-256color", **env}
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), "invert", *arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=ends[0][1],
        stderr=ends[1][1],
    )
    texts = []
    for _, writing in ends:
        os.close(writing)
    for reading, _ in ends[::-1]:  # what the live line writes must not fill its terminal
        texts.append(read_all(reading))
    return Seen(process.wait(timeout=60), texts[1], texts[0])


def terminal() -> tuple[int, int]:
    """The two ends of a terminal of ``COLUMNS``: ours and the command's."""
    import fcntl
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
    return ours, theirs


def read_all(end: int) -> str:
    data = b""
    while True:
        try:
            part = os.read(end, 1 << 16)
        except OSError:  # how a terminal says that its other end is closed
            part = b""
        if not part:
            os.close(end)
            return data.decode()
        data += part


def screen(text: str) -> list[str]:
    """The lines that stand on a terminal after it was sent ``text``."""
    lines, row = [""], 0
    for token in re.findall(r"\x1b\[[?\d;]*[A-Za-z]|[\r\n]|[^\x1b\r\n]+", text):
        if token == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif token == "\x1b[1A":
            row -= 1
        elif token == "\x1b[2K":
            lines[row] = ""
        elif token[0] not in "\x1b\r":
            lines[row] += token
    return [line.rstrip() for line in lines if line.strip()]


def test_progress_is_a_live_line_that_leaves_nothing(pictures, black):
    seen = see(pictures, "a.png", "b.jpg", "black.png", SLEEP="0.1")
    assert seen.code == 1
    assert "pictures" in seen.stderr
    assert "1/?" in seen.stderr
    assert screen(seen.stderr) == ["facecycle: black.png: no face", "facecycle: 2 done, 1 failed"]
    assert seen.stdout.splitlines() == ["a_inverted.png", "b_inverted.png"]


def test_no_live_line_where_standard_error_is_no_terminal(pictures):
    seen = see(pictures, "a.png", "b.jpg", out_to_terminal=True, err_to_terminal=False)
    assert seen.stdout == "a_inverted.png\r\nb_inverted.png\r\n"
    assert seen.stderr == "facecycle: 2 done\n"


def test_results_go_to_standard_output_while_a_live_line_runs(pictures):
    seen = see(pictures, "a.png", "b.jpg", out_to_terminal=True, SLEEP="0.1")
    assert seen.stdout == "a_inverted.png\r\nb_inverted.png\r\n"
    assert "_inverted" not in seen.stderr
    assert "pictures" in seen.stderr


def test_results_and_live_line_share_a_terminal(pictures):
    ours, theirs = terminal()
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), "invert", "a.png", "b.jpg"],
        cwd=pictures,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "SLEEP": "0.1"},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    text = read_all(ours)
    assert process.wait(timeout=60) == 0
    assert "pictures" in text
    assert screen(text) == ["a_inverted.png", "b_inverted.png", "facecycle: 2 done"]


def test_json_stays_one_object_in_a_line(pictures):
    seen = see(pictures, "--json", "a.png", "b.jpg", out_to_terminal=True)
    assert [line[0] + line[-1] for line in seen.stdout.splitlines()] == ["{}", "{}"]


def test_quiet_shows_no_live_line(pictures, black):
    seen = see(pictures, "-q", "a.png", "black.png", SLEEP="0.1")
    assert seen.stderr == "facecycle: black.png: no face\r\n"


def test_no_color_is_obeyed(pictures):
    color = re.compile(r"\x1b\[[\d;]*[1-9]\d*m")
    assert color.search(see(pictures, "a.png", SLEEP="0.2").stderr)
    plain = see(pictures, "a.png", "--overwrite", SLEEP="0.2", NO_COLOR="1").stderr
    assert "pictures" in plain
    assert not color.search(plain)


def test_the_live_line_fits_the_terminal(pictures):
    long = "a" * 100 + ".png"
    (pictures / "a.png").rename(pictures / long)
    seen = see(pictures, long, "b.jpg", SLEEP="0.2")
    drawn = re.split(r"[\r\n]", re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", seen.stderr))
    assert any("pictures" in line for line in drawn)
    assert max(map(len, drawn)) <= COLUMNS


def test_a_picture_is_not_written_to_a_terminal(pictures):
    for arguments in (["a.png", "-o", "-"], ["-"]):
        seen = see(pictures, *arguments, out_to_terminal=True)
        assert seen.code == 2
        assert seen.stdout == ""
        assert "standard output is a terminal; use -o FILE or redirect it" in seen.stderr


def test_names_move_no_terminal_and_are_no_markup(pictures):
    names = ["e\x1b[31m.png", "[red]x.png", "new\nline.png", "\u202egnp.exe.png"]
    for name in names:
        shutil.copy(pictures / "a.png", pictures / name)
    seen = see(pictures, *names, out_to_terminal=True, SLEEP="0.1")
    assert seen.code == 0
    assert seen.stdout.split("\r\n")[:-1] == [
        "e\\x1b[31m_inverted.png",
        "[red]x_inverted.png",
        "new\\nline_inverted.png",
        "\\u202egnp.exe_inverted.png",
    ]
    drawn = re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", seen.stderr)
    assert "[red]x.png" in drawn
    assert "e\\x1b[31m.png" in drawn
