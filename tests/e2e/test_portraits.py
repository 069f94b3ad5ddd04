"""frontalize and neutralize as a user runs them."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facecycle_cli.faces import load_backend
from facecycle_cli.media import read_image, read_provenance
from facecycle_cli.portrait.grid import flow_colors
from facecycle_cli.portrait.motions import FRONTAL, NEUTRAL
from facecycle_cli.portrait.portraits import portraits
from facecycle_cli.portrait.verbs import frontalize, neutralize
from tests.conftest import run_process

COMMANDS = ("frontalize", "neutralize")


@pytest.mark.parametrize(
    ("command", "tag", "runner"),
    [("frontalize", "frontal", "run_cli"), ("neutralize", "neutral", "run_here")],
)
def test_writes_beside_the_input(request, face, command, tag, runner):
    done = request.getfixturevalue(runner)(command, face.name, cwd=face.parent)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode() == f"face_{tag}.png\n"
    result = face.with_name(f"face_{tag}.png")
    assert read_image(result).shape == (256, 256, 3)
    note = read_provenance(result)
    assert note["operation"] == command
    assert len(note["checkpoint_sha256"]) == 64


def test_pipeline(run_cli, face):
    done = run_cli("neutralize", "-", "-o", "-", stdin=face.read_bytes())
    assert done.returncode == 0
    with Image.open(io.BytesIO(done.stdout)) as image:
        assert (image.format, image.size) == ("PNG", (256, 256))


def test_json_is_one_object_per_input(run_here, face):
    (face.parent / "broken.jpg").write_bytes(face.read_bytes()[:2000])
    done = run_here("frontalize", ".", "-o", "out/", "--json", "-q", cwd=face.parent)
    assert done.returncode == 1
    broken, good = map(json.loads, done.stdout.decode().splitlines())
    assert broken["status"] == "failed"
    assert good["status"] == "done"
    assert good["output"] == "out/face_frontal.png"
    assert abs(good["faces"][0]["yaw"]) < 20


@pytest.mark.parametrize("command", COMMANDS)
def test_grid(run_here, face, command):
    done = run_here(command, face, "--grid", "--size", "96", "-o", "grid.png", cwd=face.parent)
    assert done.returncode == 0
    assert read_image(face.with_name("grid.png")).shape == (96, 480, 3)


def test_the_grid_shows_the_flow_of_the_result(run_here, face):
    """Columns: input, flow, result, mean face, reconstruction."""
    for command in COMMANDS:
        options = ("--grid", "--size", "96", "-o", f"{command}.png")
        done = run_here(command, face, *options, cwd=face.parent)
        assert done.returncode == 0
    frontal, neutral = (read_image(face.with_name(f"{command}.png")) for command in COMMANDS)
    (frontal_face,), (neutral_face,) = (
        portraits(read_image(face), motion, size=96) for motion in (FRONTAL, NEUTRAL)
    )
    for grid, portrait in ((frontal, frontal_face), (neutral, neutral_face)):
        assert np.array_equal(grid[:, 96:192], flow_colors(portrait.flow, 96))
        assert np.array_equal(grid[:, 192:288], portrait.result)
    assert not np.array_equal(frontal[:, 96:192], neutral[:, 96:192])
    assert np.array_equal(frontal[:, 288:], neutral[:, 288:])


def test_the_mouth_can_be_left_to_the_flow(run_here, examples, tmp_path):
    """Landmarks close the lips of this smile, the flow alone does not."""
    photo = examples / "faces" / "person4_smiling.jpg"
    openings = {}
    for mouth in ("landmarks", "flow"):
        done = run_here("neutralize", photo, "--mouth", mouth, "-o", f"{mouth}.png", cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, b"")
        made = read_image(tmp_path / f"{mouth}.png")
        assert np.array_equal(made, neutralize(read_image(photo), mouth=mouth))
        openings[mouth] = load_backend().detect([made])[0][0].mouth_opening
    assert openings["landmarks"] < 0.7 * openings["flow"]
    options = ("--motion-from", "networks", "-o", "networks.png")
    assert run_here("neutralize", photo, *options, cwd=tmp_path).returncode == 0
    alone = neutralize(read_image(photo), motion_from="networks")
    assert np.array_equal(read_image(tmp_path / "networks.png"), alone)


def test_frontalize_takes_the_mouth_where_it_removes_the_expression(run_here, examples, tmp_path):
    photo = examples / "faces" / "person4_smiling.jpg"
    wanted = {
        ("keep", "landmarks"): frontalize(read_image(photo)),
        ("keep", "flow"): frontalize(read_image(photo)),
        ("remove", "landmarks"): neutralize(read_image(photo)),
        ("remove", "flow"): neutralize(read_image(photo), mouth="flow"),
    }
    for (expression, mouth), expected in wanted.items():
        options = ("--expression", expression, "--mouth", mouth, "-o", "out.png", "--overwrite")
        assert run_here("frontalize", photo, *options, cwd=tmp_path).returncode == 0
        assert np.array_equal(read_image(tmp_path / "out.png"), expected)


def test_paste_back_keeps_the_picture_size(run_here, face):
    done = run_here("neutralize", face, "--paste-back", "-o", "back.jpg", cwd=face.parent)
    assert done.returncode == 0
    assert read_image(face.with_name("back.jpg")).shape == read_image(face).shape


def test_all_faces_are_numbered(run_here, face):
    picture = read_image(face)
    Image.fromarray(np.concatenate((picture, picture[:, ::-1]), axis=1)).save(
        face.with_name("two.png")
    )
    done = run_here("frontalize", "two.png", "--faces", "all", "--size", "64", cwd=face.parent)
    assert done.stdout.decode().split() == ["two_frontal_1.png", "two_frontal_2.png"]


def test_which_face_and_how_they_are_numbered(run_here, face, examples):
    folder = face.parent
    pair = [read_image(examples / "faces" / f"person{n}_smiling.jpg")[:800] for n in (1, 2)]
    Image.fromarray(np.concatenate(pair, axis=1)).save(folder / "pair.png")
    shown = run_here("neutralize", "pair.png", "--show-faces", "--json", cwd=folder)
    report = json.loads(shown.stdout)
    assert report["output"] == "pair_faces.png"
    left = min(report["faces"], key=lambda each: each["box"][0])
    like = f"like:{examples / 'faces' / 'person1_neutral.jpg'}"
    for choice in ("left", left["face"], like):
        done = run_here(
            "neutralize", "pair.png", "--face", choice, "--json", "--overwrite", cwd=folder
        )
        (described,) = json.loads(done.stdout)["faces"]
        assert described["box"] == left["box"]
    done = run_here("neutralize", "pair.png", "--face", 3, "-o", "x.png", cwd=folder)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode() == "facecycle: pair.png: no face 3; it shows 2\n"
    assert read_provenance(folder / "pair_faces.png")["operation"] == "show-faces"
    done = run_here("neutralize", "pair.png", "--face", "like:lawn.png", "-o", "x.png", cwd=folder)
    assert done.returncode == 1
    assert done.stderr.decode().startswith("facecycle: --face like:lawn.png: ")
    assert run_here("verify", "pair.png", face, "--face", "all", cwd=folder).returncode == 2
    options = ("--face", "left", "--face", "largest", "--json")
    done = run_here(
        "verify", "pair.png", examples / "faces" / "person1_smiling.jpg", *options, cwd=folder
    )
    assert json.loads(done.stdout)["similarity"] > 0.99


def test_mean_face_has_its_own_name(run_here, face):
    done = run_here("neutralize", "--mean", face.name, cwd=face.parent)
    assert done.stdout.decode() == "face_mean.png\n"


# -- pictures of all kinds -------------------------------------------------------------------------


def _modes(picture: Image.Image) -> dict[str, bytes]:
    sixteen = np.asarray(picture.convert("L")).astype(np.uint16) * 257
    transparent = picture.convert("RGBA")
    transparent.putalpha(255)
    variants = {
        "cmyk.jpg": picture.convert("CMYK"),
        "gray.png": picture.convert("L"),
        "rgba.png": transparent,
        "palette.png": picture.quantize(128),
        "sixteen.png": Image.fromarray(sixteen),
    }
    encoded = {}
    for name, image in variants.items():
        buffer = io.BytesIO()
        image.save(buffer, "JPEG" if name.endswith("jpg") else "PNG")
        encoded[name] = buffer.getvalue()
    return encoded


def test_every_kind_of_picture_works_and_every_kind_of_rubbish_is_one_line(run_here, face):
    folder = face.parent
    with Image.open(face) as image:
        good = _modes(image.convert("RGB"))
    for name, data in good.items():
        (folder / name).write_bytes(data)
    bad = {
        "cut.jpg": face.read_bytes()[: face.stat().st_size // 2],
        "empty.jpg": b"",
        "text.jpg": b"this is no picture",
    }
    for name, data in bad.items():
        (folder / name).write_bytes(data)
    Image.new("RGB", (1, 1)).save(folder / "dot.png")
    Image.new("RGB", (200, 200), "green").save(folder / "lawn.png")

    names = [*bad, *good, "dot.png", "lawn.png", "missing.png"]
    done = run_here("neutralize", *names, "-o", "out/", cwd=folder)
    assert done.returncode == 1
    assert sorted(done.stdout.decode().split()) == sorted(
        f"out/{Path(name).stem}_neutral.png" for name in good
    )
    *failures, summary = done.stderr.decode().splitlines()
    assert [line.split(": ")[1] for line in failures] == [
        *bad, "dot.png", "lawn.png", "missing.png"
    ]  # fmt: skip
    assert summary == "facecycle: 5 done, 6 failed"
    assert b"Traceback" not in done.stderr
    assert sorted(p.name for p in (folder / "out").iterdir()) == sorted(
        f"{Path(name).stem}_neutral.png" for name in good
    )


@pytest.mark.parametrize(
    "scale", [0.3, pytest.param(1, marks=[pytest.mark.full, pytest.mark.slow])]
)
def test_a_huge_photograph(run_here, face, monkeypatch, scale):
    """More pixels than PIL opens without a warning; a smaller one than it opens at all."""
    width, height = int(12_000 * scale), int(9_000 * scale)
    if scale < 1:
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", width * height // 3)
    side = width // 5
    with Image.open(face) as image:
        huge = Image.new("RGB", (width, height), "gray")
        huge.paste(image.resize((side, side * image.height // image.width)), (width // 3,) * 2)
        huge.save(face.with_name("huge.jpg"), quality=60)
    done = run_here("frontalize", "huge.jpg", "-o", "out.png", cwd=face.parent)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_folder_without_pictures(run_here, tmp_path):
    (tmp_path / "notes.txt").write_text("no picture")
    done = run_here("frontalize", ".", cwd=tmp_path)
    assert done.returncode == 1
    assert len(done.stderr.decode().splitlines()) == 1


def test_existing_results_are_kept_unless_told(run_here, face):
    result = face.with_name("out.png")
    result.write_bytes(b"mine")
    skipped = run_here("frontalize", face, "-o", result)
    assert (skipped.returncode, result.read_bytes()) == (0, b"mine")
    assert b"--overwrite" in skipped.stderr
    assert run_here("frontalize", face, "-o", result, "--overwrite").returncode == 0
    assert read_image(result).shape == (256, 256, 3)


def test_a_folder_that_cannot_be_written(run_here, face):
    face.with_name("occupied").write_text("a file, not a folder")
    done = run_here("frontalize", face, "-o", "occupied/x.png", cwd=face.parent)
    assert done.returncode == 1
    assert len(done.stderr.decode().splitlines()) == 1


def test_broken_pipe_is_silent(face):
    command = f"{sys.executable} -m facecycle_cli neutralize - < face.jpg | head -c 10 > /dev/null"
    root = str(Path(__file__).resolve().parents[2])
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        cwd=face.parent,
        env={**__import__("os").environ, "PYTHONPATH": root},
        capture_output=True,
        check=False,
    )
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--checkpoint", "nowhere"], "nowhere"),
        (["--aligner", "ruler"], "ruler"),
        (["--size", "4"], "--size"),
        (["--grid", "--paste-back"], "--grid"),
        (["--device", "abacus"], "abacus"),
    ],
)
def test_wrong_options_are_one_clear_line(run_here, face, arguments, word):
    done = run_here("frontalize", face, *arguments)
    assert done.returncode in (1, 2)
    assert word in done.stderr.decode()
    assert b"Traceback" not in done.stderr


def test_a_checkpoint_that_is_none(run_here, face):
    fake = face.with_name("model.safetensors")
    shutil.copy(face, fake)
    done = run_here("frontalize", face, "-c", fake)
    assert done.returncode == 1
    (line,) = done.stderr.decode().splitlines()
    assert "not a facecycle checkpoint" in line


@pytest.mark.parametrize("command", COMMANDS)
def test_a_mesh_file_that_is_missing_is_one_clear_line(face, tmp_path, command):
    """The thread that reads it while torch is imported does not print a traceback."""
    code = (
        "import sys; from pathlib import Path; from facecycle_cli import weights\n"
        "shipped, elsewhere = weights.path, Path(sys.argv.pop())\n"
        "weights.path = lambda n: elsewhere / n if n.endswith('.onnx') else shipped(n)\n"
        "from facecycle_cli.__main__ import main\n"
        "main()\n"
    )
    done = run_process([sys.executable, "-c", code, command, face, face, tmp_path / "nowhere"])
    assert done.returncode == 1
    assert done.stdout == b""
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("facecycle: --aligner mesh: ")
    assert ".onnx" in line
    assert line.endswith("No such file or directory")
