"""encode as a user runs it: pictures, videos, folders of preprocess, and what can be wrong."""

from __future__ import annotations

import io
import json
import shutil
import tarfile

import numpy as np
import pytest
from PIL import Image

from facecycle_cli.encode import inputs
from facecycle_cli.preprocess.settings import PreprocessSettings
from tests.cli.call import call, files_below


@pytest.fixture
def folder(examples, tmp_path):
    """Two photographs, a moving GIF, a picture without a face, and a damaged one."""
    below = tmp_path / "in" / "below"
    below.mkdir(parents=True)
    for name in ("person1_neutral.jpg", "person2_smiling.jpg"):
        with Image.open(examples / "faces" / name) as picture:
            picture.resize((picture.width // 2, picture.height // 2)).save(below / name)
    shutil.copy(examples / "head_turn.gif", below / "clip.gif")
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / "in" / "black.png")
    (below / "zero.jpg").write_bytes(b"")
    return tmp_path / "in"


def test_a_folder_with_all_kinds(folder, tmp_path):
    output = tmp_path / "codes.npz"
    done = call("encode", folder, "-o", output, "--fps", "5", "--json")
    assert done.returncode == 1
    rows = {row["input"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert {row["status"] for row in rows.values()} == {"done", "failed"}
    assert rows[str(folder / "black.png")]["reason"] == "no face found"
    assert rows[str(folder / "below" / "zero.jpg")]["reason"] == "empty file"
    assert {name for name in files_below(tmp_path) if "codes" in name} == {"codes.npz"}
    with np.load(output) as codes:
        moving = codes["source"] == str(folder / "below" / "clip.gif")
        assert moving.sum() == rows[str(folder / "below" / "clip.gif")]["faces"] > 3
        assert codes["frame"][moving].tolist() == [*range(moving.sum())]
        assert np.allclose(np.diff(codes["time"][moving]), 0.2)
        assert np.isnan(codes["time"][~moving]).all()
        assert np.ptp(codes["yaw"][moving]) > 30
        assert codes["identity_code"].shape == (moving.sum() + 2, 256)

    skipped = call("encode", folder, "-o", output)
    assert (skipped.returncode, skipped.stdout) == (0, "")
    assert "exists (--overwrite to replace it)" in skipped.stderr


def test_a_call_that_was_stopped_goes_on(folder, tmp_path, monkeypatch):
    arguments = ("encode", folder, "--fps", "2", "-q", "-o")
    call(*arguments, tmp_path / "whole.npz")

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(inputs, "_tracked", stop)
        assert call(*arguments, tmp_path / "again.npz").returncode == 130
    assert not (tmp_path / "again.npz").exists()
    assert call(*arguments, tmp_path / "again.npz", "--only", "yaw").returncode == 2
    assert call(*arguments, tmp_path / "again.npz").returncode == 1
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "whole.npz").read_bytes()


def test_rows_on_standard_output(folder):
    photo = folder / "below" / "person1_neutral.jpg"
    done = call("encode", "-", "--only", "yaw,box", stdin=photo.read_bytes())
    (row,) = map(json.loads, done.stdout.splitlines())
    assert list(row) == ["source", "frame", "time", "face", "yaw", "box"]
    assert (row["source"], row["time"]) == ("-", None)
    assert len(row["box"]) == 4


def test_a_folder_of_preprocess(examples, tmp_path):
    import facecycle_cli as fc

    fc.preprocess(
        [str(examples / "head_turn.gif")], str(tmp_path / "crops"), PreprocessSettings(fps=2),
        workers=1,
    )  # fmt: skip
    index = tmp_path / "crops" / "index.jsonl"
    listed = [line for line in map(json.loads, index.read_text().splitlines()) if "path" in line]
    with index.open("a") as file:
        file.write(json.dumps({"path": "../../secret.jpg"}) + "\n")
    done = call("encode", tmp_path / "crops", "--aligned", "-o", tmp_path / "codes.jsonl")
    assert done.returncode == 1
    assert "leads out of the folder" in done.stderr
    rows = [json.loads(line) for line in (tmp_path / "codes.jsonl").read_text().splitlines()]
    assert [row["source"] for row in rows] == [
        f"{tmp_path}/crops/{line['path']}" for line in listed
    ]
    for row, line in zip(rows, listed, strict=True):
        assert (row["frame"], row["time"]) == (line["frame"], line["time"])
        assert row["yaw"] == pytest.approx(line["yaw"])
        assert row["five_points"] == [pytest.approx(point, rel=1e-5) for point in line["points"]]
        assert row["detector_score"] == pytest.approx(line["score"])
        assert 0 <= row["mouth_opening"] < 1


def test_tar_shards_are_read_in_place(examples, tmp_path):
    crop = (examples / "faces" / "person1_neutral.jpg").read_bytes()
    files = {"p/1.jpg": crop, "p/1.json": b'{"yaw": 12.5}', "p/2.jpg": crop, "p/3.jpg": b"no"}
    with tarfile.open(tmp_path / "000000.tar", "w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    (tmp_path / "000001.tar").write_bytes(b"no tar" * 200)
    done = call("encode", tmp_path, "--aligned", "--only", "yaw,sharpness")
    assert done.returncode == 1
    assert "p/3.jpg: not a picture" in done.stderr
    assert "000001.tar: damaged, or no tar file" in done.stderr
    one, two = map(json.loads, done.stdout.splitlines())
    assert (one["source"], one["yaw"]) == (f"{tmp_path}/000000.tar/p/1.jpg", 12.5)
    assert two["yaw"] is None
    assert one["sharpness"] == two["sharpness"] > 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-o", "codes.txt"], "write a table as .npz, .parquet, .csv, .jsonl"),
        (["--json"], "the rows or --json, not both"),
        (["--only", "smile", "-o", "x.npz"], "no column is named 'smile'"),
    ],
)
def test_wrong_usage(options, words, examples):
    done = call("encode", examples / "faces" / "person1_neutral.jpg", *options)
    assert done.returncode == 2
    assert words in " ".join(done.stderr.split()).replace("│ ", "")


def test_nothing_to_encode_writes_nothing(folder, tmp_path):
    done = call("encode", folder / "black.png", tmp_path / "gone.jpg", "-o", tmp_path / "x.csv")
    assert done.returncode == 1
    assert "gone.jpg: no such file or folder" in done.stderr
    assert files_below(tmp_path) == {f"in/{name}" for name in files_below(folder)}
