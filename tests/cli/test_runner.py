"""Inputs in turn: outputs, failures, exit codes, JSON, interruption."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facecycle_cli.media import read_image, read_provenance
from tests.children import HEEDS_SIGNALS
from tests.cli import invert_command

SCRIPT = Path(invert_command.__file__)


def lines(data: bytes) -> list[str]:
    return data.decode().splitlines()


def test_result_lies_beside_the_input_and_is_tagged(invert, pictures, photo):
    done = invert("a.png", "sub/c.png")
    assert done.returncode == 0
    assert lines(done.stdout) == ["a_inverted.png", "sub/c_inverted.png"]
    assert np.array_equal(read_image(pictures / "a_inverted.png"), 255 - photo)
    assert read_provenance(pictures / "sub/c_inverted.png")["operation"] == "invert"


def test_only_results_on_stdout_and_no_progress_off_a_terminal(invert, pictures):
    done = invert("a.png")
    assert (done.stdout, done.stderr) == (b"a_inverted.png\n", b"")


def test_one_failure_is_one_line_and_the_rest_is_done(invert, pictures, black):
    (pictures / "empty.png").touch()
    done = invert("missing.png", "black.png", "empty.png", "sub/notes.txt", "a.png")
    assert done.returncode == 1
    assert lines(done.stdout) == ["a_inverted.png"]
    assert lines(done.stderr) == [
        "facecycle: missing.png: no such file or folder",
        "facecycle: black.png: no face",
        "facecycle: empty.png: empty file",
        "facecycle: sub/notes.txt: not a picture in a known format",
        "facecycle: 1 done, 4 failed",
    ]


def test_a_bug_is_one_line_too_unless_debugging(invert, tmp_path):
    Image.new("RGB", (8, 8), "white").save(tmp_path / "white.png")
    done = invert("white.png")
    assert done.returncode == 1
    (line,) = lines(done.stderr)
    assert line.startswith("facecycle: white.png: KeyError: ")
    debugged = invert("white.png", env={"FACECYCLE_DEBUG": "1"})
    assert b"Traceback" in debugged.stderr
    assert line.encode() in debugged.stderr


def test_quiet_leaves_failures_only(invert, pictures, black):
    done = invert("-q", "-v", "black.png", "a.png")
    assert lines(done.stderr) == ["facecycle: black.png: no face"]


def test_verbose_times_each_input(invert, pictures):
    assert "a.png: 0." in invert("-v", "a.png").stderr.decode()


def test_existing_outputs_are_skipped_unless_overwritten(invert, pictures):
    (pictures / "a_inverted.png").write_bytes(b"mine")
    done = invert("a.png")
    assert done.returncode == 0
    assert "a.png: skipped, a_inverted.png exists" in done.stderr.decode()
    assert (pictures / "a_inverted.png").read_bytes() == b"mine"
    assert invert("a.png", "--overwrite").stdout == b"a_inverted.png\n"
    assert read_provenance(pictures / "a_inverted.png")


def test_folder_keeps_its_structure(invert, pictures):
    done = invert("sub", "a.png", "-o", "out")
    assert lines(done.stdout) == [
        "out/c_inverted.png",
        "out/deep/d_inverted.png",
        "out/a_inverted.png",
    ]


def test_walking_a_folder_again_makes_no_results_of_results(invert, pictures):
    assert len(lines(invert("sub").stdout)) == 2
    again = invert("sub")
    assert again.returncode == 0
    assert again.stdout == b""
    assert "facecycle: 2 pictures left out: results of facecycle" in lines(again.stderr)
    assert sorted(p.name for p in (pictures / "sub").iterdir()) == [
        *("c.png", "c_inverted.png", "deep", "notes.txt"),
    ]
    named = invert("sub/c_inverted.png")
    assert lines(named.stdout) == ["sub/c_inverted_inverted.png"]


@pytest.mark.parametrize("folder", ["sub/out", "elsewhere"])
def test_results_are_left_out_wherever_the_new_ones_go(invert, pictures, folder):
    assert len(lines(invert("sub").stdout)) == 2
    for _ in range(2):
        done = invert("sub", "-o", folder, "--overwrite")
        assert lines(done.stdout) == [f"{folder}/c_inverted.png", f"{folder}/deep/d_inverted.png"]
    left_out = 4 if folder == "sub/out" else 2
    assert f"{left_out} pictures left out: results of facecycle" in done.stderr.decode()
    assert b"left out" not in invert("-q", "sub", "-o", folder, "--overwrite").stderr


def test_both_of_one_stem_have_a_result_of_their_own(invert, pictures):
    shutil.copy(pictures / "b.jpg", pictures / "sub" / "c.jpg")
    expected = ["sub/c_jpg_inverted.png", "sub/c_png_inverted.png", "sub/deep/d_inverted.png"]
    assert lines(invert("sub").stdout) == expected
    assert lines(invert("sub", "--overwrite").stdout) == expected
    assert lines(invert("sub/c.jpg", "sub/c.png", "-o", "o/").stdout) == [
        "o/c_jpg_inverted.png",
        "o/c_png_inverted.png",
    ]
    assert lines(invert("sub/c.jpg").stdout) == ["sub/c_inverted.png"]


def test_files_that_cannot_be_read_are_counted(invert, pictures):
    for name in ("1.cr2", "2.cr2", "3.mov"):
        (pictures / "sub" / name).touch()
    done = invert("sub")
    assert done.returncode == 0
    assert "facecycle: 1 .mov file left out: no pictures" in lines(done.stderr)
    assert "facecycle: 2 .cr2 files left out: not readable" in lines(done.stderr)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX files")
def test_a_named_pipe_in_a_folder_is_one_line(invert, pictures):
    os.mkfifo(pictures / "sub" / "b.png")
    done = invert("sub", "sub/b.png", "/dev/zero")
    assert done.returncode == 1
    assert lines(done.stdout) == ["sub/c_inverted.png", "sub/deep/d_inverted.png"]
    assert lines(done.stderr)[:3] == [
        "facecycle: sub/b.png: not a regular file",
        "facecycle: sub/b.png: not a regular file",
        "facecycle: /dev/zero: not a regular file",
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX files")
def test_a_pipe_that_the_shell_names_is_read(invert, pictures, photo):
    reader, writer = os.pipe()
    os.write(writer, (pictures / "a.png").read_bytes())
    os.close(writer)
    done = invert(f"/dev/fd/{reader}")
    os.close(reader)
    assert lines(done.stdout) == [f"{reader}_inverted.png"]
    assert np.array_equal(read_image(pictures / f"{reader}_inverted.png"), 255 - photo)


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
@pytest.mark.parametrize("output", ["link.png", "folder/x.png", "folder"])
def test_a_link_to_nowhere_is_no_place_for_a_result(invert, pictures, output):
    (pictures / "link.png").symlink_to("nowhere.png")
    (pictures / "folder").symlink_to("nowhere")
    done = invert("a.png", "b.jpg", "-o", output) if output == "folder" else (
        invert("a.png", "-o", output)
    )  # fmt: skip
    assert done.returncode == 1
    assert "is a link that leads nowhere" in done.stderr.decode()
    assert not list(pictures.glob("nowhere*"))


def test_quoted_globs(invert, pictures):
    assert len(lines(invert("**/*.png", "-o", "out/").stdout)) == 3


def test_second_input_with_the_same_output_fails(invert, pictures):
    shutil.copy(pictures / "a.png", pictures / "sub/a.png")
    done = invert("a.png", "sub/a.png", "-o", "out/", "--overwrite")
    assert done.returncode == 1
    assert lines(done.stdout) == ["out/a_inverted.png"]
    assert "sub/a.png: another input has the same output, out/a_inverted.png" in (
        done.stderr.decode()
    )


def test_stdin_to_stdout(invert, pictures, photo):
    data = (pictures / "a.png").read_bytes()
    for arguments in [["-"], ["-", "-o", "-"]]:
        done = invert(*arguments, stdin=data)
        assert done.returncode == 0
        assert np.array_equal(read_image(done.stdout), 255 - photo)
    assert invert("-", "-o", "out/", stdin=data).stdout == b"out/stdin_inverted.png\n"
    assert invert("a.png", "-o", "-").stdout[:4] == b"\x89PNG"


def test_file_in_the_format_of_its_suffix(invert, pictures):
    assert invert("a.png", "-o", "new/x.JPG").returncode == 0
    with Image.open(pictures / "new/x.JPG") as image:
        assert image.format == "JPEG"


@pytest.mark.parametrize(
    "arguments",
    [
        ["a.png", "-o", "x.bmp"],
        ["a.png", "-o", "x"],
        ["a.png", "b.jpg", "-o", "x.png"],
        ["sub", "-o", "x.png"],
        ["*.png", "-o", "-"],
        ["a.png", "-o", "-", "--faces", "all"],
        ["a.png", "-o", "-", "--json"],
        ["a.png", "--device", "gpu"],
        ["a.png", "--faces", "some"],
        ["a.png", "--seed", "-1"],
        [],
    ],
)
def test_what_cannot_work_exits_2_before_any_work(invert, pictures, arguments):
    done = invert(*arguments)
    assert done.returncode == 2
    assert done.stdout == b""
    assert b"Error: " in done.stderr
    assert b"Traceback" not in done.stderr
    assert not list(pictures.glob("*inverted*"))


def test_numbered_results(invert, pictures):
    done = invert("a.png", "--faces", "all")
    assert lines(done.stdout) == ["a_inverted_1.png", "a_inverted_2.png"]
    assert b"skipped" in invert("a.png", "--faces", "all").stderr


def test_json_lines(invert, pictures, black):
    invert("b.jpg")
    done = invert("--json", "a.png", "black.png", "b.jpg")
    assert [json.loads(line) for line in lines(done.stdout)] == [
        {
            "input": "a.png",
            "status": "done",
            "output": "a_inverted.png",
            "faces": 1,
            "device": "auto",
        },
        {"input": "black.png", "status": "failed", "reason": "no face"},
        {
            "input": "b.jpg",
            "status": "skipped",
            "reason": "b_inverted.png exists (--overwrite to replace it)",
        },
    ]
    assert "facecycle: black.png: no face" in lines(done.stderr)


def test_checkpoint_from_the_environment_ends_the_command(invert, pictures):
    done = invert("a.png", "b.jpg", env={"FACECYCLE_CHECKPOINT": "gone.safetensors"})
    assert done.returncode == 1
    assert lines(done.stderr) == ["facecycle: gone.safetensors: No such file or directory"]


def test_folder_without_pictures(invert, tmp_path):
    (tmp_path / "void").mkdir()
    done = invert("void")
    assert done.returncode == 1
    assert lines(done.stderr) == ["facecycle: void: no images in this folder"]


def test_place_that_cannot_be_written(invert, pictures):
    (pictures / "file").write_text("in the way")
    done = invert("a.png", "-o", "file/x.png")
    assert done.returncode == 1
    (line,) = lines(done.stderr)
    assert line.startswith("facecycle: a.png: ")
    assert "file" in line


@pytest.mark.skipif(sys.platform == "win32", reason="Windows names cannot hold these characters")
def test_odd_names_stay_one_line_and_leave_as_they_came(invert, pictures):
    names = [b"new\nline.png", b"-dash.png", b"\xff.png", "ü 'q\".png".encode()]
    for name in names:
        shutil.copy(pictures / "a.png", os.path.join(os.fsencode(pictures), name))
    done = invert("--", *map(os.fsdecode, names))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(b"_inverted.png\n") == 4
    assert b"\xff_inverted.png" in done.stdout
    failing = invert("gone\nfile.png")
    assert lines(failing.stderr) == ["facecycle: gone\\nfile.png: no such file or folder"]


def start(tmp_path, *arguments, **env):
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), "invert", *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(SCRIPT.parents[2]), **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **HEEDS_SIGNALS,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 128 + signal.SIGTERM)]
)
def test_interruption_has_its_code_and_no_traceback(pictures, number, code):
    process = start(pictures, "a.png", "b.jpg", "sub", SLEEP="0.5")
    assert process.stdout.readline() == b"a_inverted.png\n"  # it is at the second one now
    time.sleep(0.1)
    process.send_signal(number)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == code
    assert b"Traceback" not in errors
    assert not list(pictures.glob(".facecycle*"))
    assert not (pictures / "b_inverted.png").exists()


def test_broken_pipe_is_quiet(pictures):
    process = start(pictures, "a.png", "b.jpg", "sub", SLEEP="0.1")
    process.stdout.readline()
    process.stdout.close()
    errors = process.stderr.read()
    assert process.wait(timeout=20) == 1
    assert errors == b""
