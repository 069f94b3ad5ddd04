"""facecycle preprocess as a user runs it: trees in, crops out, whatever happens."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facecycle_cli.media import ffmpeg
from tests.children import HEEDS_SIGNALS
from tests.clips import FACES, digests, make_clip, run_ffmpeg
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", seconds=0.6)


@pytest.fixture(scope="module")
def tree(tmp_path_factory, clip) -> Path:
    """Every layout there is, with real pictures, and names that are hard to handle."""
    root = tmp_path_factory.mktemp("trees") / "all"
    videos = [
        "vox2/dev/mp4/id00012/21Uxsk56VDQ/00001.mp4",
        "vox1/id10270/5r0dWxy17C8/00001.mp4",
        'mine/it\'s "so"/day 1.mp4',
        "mine/zwei\nZeilen/ünïcode.mp4",
    ]
    for name in videos:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(clip.read_bytes())
    frames = root / "frames" / "A.J._Buckley" / "1.6" / "Y8hIVOBuels"
    frames.mkdir(parents=True)
    run_ffmpeg("-i", clip, "-vf", "fps=5,crop=260:260", frames / "%07d.jpg")
    for face in FACES[:2]:
        person = root / "photos" / face.stem.split("_")[0]
        person.mkdir(parents=True, exist_ok=True)
        with Image.open(face) as image:
            image.resize((300, 300 * image.height // image.width)).save(person / face.name)
    return root


@pytest.fixture(scope="module")
def undisturbed(tree, tmp_path_factory, run_cli):
    """The folder that a run makes of the tree, and what the run said."""
    folder = tmp_path_factory.mktemp("undisturbed") / "out"
    done = run_cli("preprocess", tree, "-o", folder, "--json", cwd=folder.parent)
    return folder, done


def records(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "index.jsonl").read_text().splitlines()]


def test_every_layout(tree, undisturbed):
    folder, done = undisturbed
    assert (done.returncode, done.stderr) == (0, b"")
    (summary,) = map(json.loads, done.stdout.splitlines())
    assert summary["input"] == str(tree)
    assert (summary["status"], summary["sources"], summary["done"]) == ("done", 7, 7)
    pictures = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.jpg"))
    assert summary["crops"] == len(pictures) == 3 * 5 + 2
    assert {path.rpartition("/")[0] for path in pictures} == {
        "id00012/21Uxsk56VDQ/00001",
        "id10270/5r0dWxy17C8/00001",
        "A.J._Buckley/Y8hIVOBuels/1.6",
        'mine/it\'s "so"/day 1/0001',
        "mine/zwei\nZeilen/ünïcode/0001",
        "photos/person1/0001",
    }
    lines = records(folder)
    assert sorted(line["path"] for line in lines if "path" in line) == pictures
    assert sum(line.get("status") == "done" for line in lines) == 7
    assert all(np.asarray(Image.open(folder / path)).shape == (128, 128, 3) for path in pictures)
    assert json.loads((folder / "config.json").read_text())["fps"] == 5.0


def test_a_second_run_has_nothing_to_do_and_other_settings_are_refused(tree, undisturbed, run_here):
    folder, _ = undisturbed
    before = digests(folder)
    again = run_here("preprocess", tree, "-o", folder)
    assert again.returncode == 0
    assert b"finished earlier          7\n" in again.stdout
    other = run_here("preprocess", tree, "-o", folder, "--size", "64")
    assert (other.returncode, other.stdout) == (2, b"")
    assert b"made with size 128, not 64" in other.stderr
    assert digests(folder) == before


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_killed_at_random_the_union_is_that_of_an_undisturbed_run(tree, undisturbed, tmp_path):
    folder = tmp_path / "out"
    rng = random.Random(5)
    command = [sys.executable, "-m", "facecycle_cli", "preprocess", tree, "-o", folder, "-q"]
    for patience in (0.6, 0.0, 0.3):
        run = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)})
        finished = _lines(folder)
        deadline = time.monotonic() + 60
        while run.poll() is None and _lines(folder) <= finished and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(patience * rng.random())
        run.send_signal(signal.SIGKILL)
        run.wait()
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=120, check=False
    )
    assert done.returncode == 0
    assert digests(folder) == digests(undisturbed[0])
    assert sorted(path.name for path in folder.iterdir() if path.name.startswith(".")) == []


def _lines(folder: Path) -> int:
    try:
        return (folder / "index.jsonl").read_bytes().count(b'"status"')
    except FileNotFoundError:
        return 0


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_interrupted_it_says_how_to_go_on_and_leaves_no_process(tree, clip, tmp_path):
    """One source never ends, so that the run is interrupted before its end on any machine."""
    folder = tmp_path / "out"
    endless = tmp_path / "endless.mp4"
    endless.write_bytes(clip.read_bytes())
    decoder = tmp_path / "decoder"
    decoder.write_text(
        "#!/bin/sh\n"
        f'case "$*" in *{endless.name}*) while echo; do sleep 0.1; done; esac\n'
        f'exec "{ffmpeg.executable()}" "$@"\n'
    )
    decoder.chmod(0o700)
    command = [sys.executable, "-m", "facecycle_cli", "preprocess", tree, endless, "-o", folder]
    run = subprocess.Popen(
        [*command, "--workers", "2"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "IMAGEIO_FFMPEG_EXE": str(decoder)},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        **HEEDS_SIGNALS,
    )
    deadline = time.monotonic() + 60
    while not _lines(folder) and time.monotonic() < deadline:
        time.sleep(0.01)
    run.send_signal(signal.SIGINT)
    _, messages = run.communicate(timeout=60)  # waits for all who hold the pipe
    assert run.returncode == 130
    assert messages == b"facecycle: interrupted; the same command goes on from here\n"
    assert not list(folder.glob(".partial/*/*"))


def test_bad_inputs_are_one_line_each_and_the_others_are_done(clip, tmp_path, run_here):
    root = tmp_path / "mixed"
    root.mkdir()
    (root / "good.mp4").write_bytes(clip.read_bytes())
    (root / "good.mp4").chmod(0o400)
    (root / "cut.mp4").write_bytes(clip.read_bytes()[:2000])
    (root / "empty.mp4").touch()
    (root / "text.jpg").write_text("no picture")
    (root / "again").symlink_to(root)
    os.mkfifo(root / "pipe.mp4")
    run_ffmpeg("-f", "lavfi", "-i", "sine=d=1", "-c:a", "aac", root / "sound.mp4")
    run_ffmpeg("-f", "lavfi", "-i", "color=gray:s=160x120:d=0.4", root / "gray.mp4")
    fragmented = ("-movflags", "empty_moov+frag_keyframe")
    run_ffmpeg("-i", clip, "-c", "copy", *fragmented, root / "none.mp4")
    whole = (root / "none.mp4").read_bytes()
    (root / "none.mp4").write_bytes(whole[: whole.index(b"moof") - 4])  # a header, and no frame
    done = run_here("preprocess", "mixed", "missing", "-o", "out", "--json", cwd=tmp_path)
    assert done.returncode == 1
    said = dict(line.split(": ", 2)[1:] for line in done.stderr.decode().splitlines())
    assert said == {
        "missing": "no such file or folder",
        "mixed/cut.mp4": "not a readable video (moov atom not found)",
        "mixed/empty.mp4": "empty file",
        "mixed/gray.mp4": "no face of 32 pixels or more",
        "mixed/none.mp4": "a video without a frame that can be decoded",
        "mixed/pipe.mp4": "not a regular file",
        "mixed/sound.mp4": "no video in this file",
        "mixed/text.jpg": "not a picture in a known format",
    }
    mixed, missing = map(json.loads, done.stdout.splitlines())
    assert (mixed["done"], mixed["no_face"], mixed["unreadable"], mixed["failed"]) == (1, 1, 6, 0)
    assert missing == {**missing, "status": "failed", "reason": "no such file or folder"}
    assert {r["status"] for r in records(tmp_path / "out") if "status" in r} == {
        "done",
        "no-face",
        "unreadable",
    }
    again = run_here("preprocess", "mixed", "-o", "out", cwd=tmp_path)
    assert (again.returncode, again.stderr) == (0, b"")


def test_the_summary_and_the_default_folder(clip, tmp_path, run_here):
    (tmp_path / "talks").mkdir()
    (tmp_path / "talks" / "a.mp4").write_bytes(clip.read_bytes())
    (tmp_path / "talks" / "b.mp4").write_bytes(b"")
    done = run_here("preprocess", "talks/", "--max-frames", "2", cwd=tmp_path)
    assert done.returncode == 1
    table = [line.split() for line in done.stdout.decode().splitlines()]
    assert table[:5] == [
        ["sources", "2"],
        ["done", "1"],
        ["unreadable", "1"],
        ["1", "empty", "file"],
        ["crops", "2", "in", "talks_faces"],
    ]
    assert table[5][:2] == ["frames", "2"]
    assert (tmp_path / "talks_faces" / "a" / "a" / "0001" / "000001.jpg").is_file()


def test_a_dry_run_counts_and_estimates_and_writes_nothing(tree, tmp_path, run_here):
    done = run_here("preprocess", tree, "-o", "out", "--dry-run", "--json", cwd=tmp_path)
    assert done.returncode == 0
    (found,) = map(json.loads, done.stdout.splitlines())
    assert (found["sources"], found["known"], found["dry_run"]) == (7, 0, True)
    assert found["crops"] == 17
    assert found["hours"] > 0  # four significant digits, however fast the machine is
    assert 17 * 2_000 < found["output_bytes"] < 17 * 30_000
    assert list(tmp_path.iterdir()) == []


def test_shares_of_two_machines(tree, undisturbed, tmp_path, run_here):
    for share in ("2/2", "1/2"):
        assert (
            run_here("preprocess", tree, "-o", "out", "--shard", share, cwd=tmp_path).returncode
            == 0
        )
    assert digests(tmp_path / "out") == digests(undisturbed[0])


def test_tar_shards(tree, undisturbed, tmp_path, run_here):
    webdataset = pytest.importorskip("webdataset", reason="needs webdataset (the extra dev)")
    done = run_here("preprocess", tree, "-o", "out", "--format", "webdataset", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (shard,) = (tmp_path / "out").glob("*.tar")
    samples = list(webdataset.WebDataset(str(shard), shardshuffle=False))
    assert len(samples) == 17
    for sample in samples:
        assert sample["jpg"] == (undisturbed[0] / f"{sample['__key__']}.jpg").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a", "b"], "several inputs need a folder"),
        (["-"], "standard input"),
        (["a", "--shard", "3/2"], "I from 1 to N"),
        (["a", "--shard", "0/2"], "I from 1 to N"),
        (["a", "--layout", "other"], "other"),
        (["a", "--fps", "0"], "fps"),
        ([], "INPUT"),
    ],
)
def test_wrong_usage(arguments, message, tmp_path, run_here):
    done = run_here("preprocess", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, b"")
    assert message in done.stderr.decode()
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_cannot_be_written_ends_the_run(clip, tmp_path, run_here):
    (tmp_path / "file").touch()
    done = run_here("preprocess", clip, "-o", tmp_path / "file" / "out", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.decode().count("\n") == 1
    assert "Not a directory" in done.stderr.decode()


def test_help_and_usage_errors_load_nothing_heavy(tmp_path):
    code = (
        "import sys; from facecycle_cli.cli.app import app\n"
        "try: app(['preprocess', '--help'])\n"
        "except SystemExit: pass\n"
        "print([m for m in ('torch', 'cv2', 'onnxruntime', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
    )
    assert done.stdout.decode().splitlines()[-1] == "[]"
