"""evaluate: whole commands on the example faces, and everything that can be wrong with the data."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from facecycle_cli.media import read_image
from facecycle_cli.model import load, read_info
from facecycle_cli.model.checkpoint import annotate
from tests.cli.call import call, files_below

pytest.importorskip("sklearn")
pytest.importorskip("skimage")
pytest.importorskip("matplotlib")


@pytest.fixture
def faces(examples):
    return examples / "faces"


@pytest.fixture
def expressions(tmp_path, faces):
    """split/class/*.jpg: six smiling, six neutral, two of each for testing."""
    for i in range(1, 7):
        for label in ("neutral", "smiling"):
            split = "train" if i < 4 else "val" if i == 4 else "test"
            folder = tmp_path / "data" / split / label
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(faces / f"person{i}_{label}.jpg", folder)
    return tmp_path / "data"


@pytest.fixture
def other(tmp_path):
    """The same weights in another file."""
    path = tmp_path / "other.safetensors"
    annotate(load().checkpoint, path, {"note": "a copy"})
    return path


def fails(result, words: str) -> None:
    assert (result.returncode, result.stdout) == (1, "")
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1


class TestExpression:
    def test_folders_with_report_and_baselines(self, expressions, tmp_path):
        folder = tmp_path / "report"
        done = call("evaluate", "expression", expressions, "--baseline", "--report", folder)
        assert done.returncode == 0
        assert "6 training, 2 validation, 4 test pictures" in done.stdout
        report = json.loads((folder / "report.json").read_text())
        assert set(report["results"]) == {"small", "raw", "hog"}
        assert report["results"]["small"]["class_counts"] == {"neutral": 2, "smiling": 2}
        assert report["checkpoints"]["small"]["sha256"] == read_info("small").sha256
        assert {"seed", "data", "versions", "counts", "chance"} <= set(report)
        pictures = {f"confusion_{name}.png" for name in ("small", "raw", "hog")}
        assert files_below(folder) == {"report.json", "index.html", *pictures}

    def test_two_checkpoints_side_by_side(self, expressions, other):
        done = call("evaluate", "expression", expressions, "--compare", "small", other, "--json")
        one, two = map(json.loads, done.stdout.splitlines())
        assert one["checkpoint"]["sha256"] != two["checkpoint"]["sha256"]
        assert one["confusion"] == two["confusion"]  # of the same weights

    def test_the_protocol_of_pcl(self, expressions, tmp_path):
        folder = tmp_path / "report"
        done = call("evaluate", "expression", expressions, "--protocol", "pcl", "--aligned",
                    "--report", folder)  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "protocol of PCL: 6 training, 2 validation, 4 test" in done.stdout
        assert "best epoch of the test split" in done.stdout
        report = json.loads((folder / "report.json").read_text())
        assert (report["protocol"], report["features"]) == ("pcl", "conv")
        numbers = report["results"]["small"]
        assert numbers["dimensions"] == 49 * load().config.encoder_features
        assert numbers["best_epoch_accuracy"] >= numbers["accuracy"]
        assert "penalty" not in numbers
        done = call(
            "evaluate", "expression", expressions, "--protocol", "pcl", "--features", "code"
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert "leave --features code out" in done.stderr

    def test_forms_of_the_same_pictures_agree(self, tmp_path, faces):
        rng = np.random.default_rng(0)
        images, labels, splits = [], [], []
        for i in range(1, 7):
            for label in ("neutral", "smiling"):
                picture = Image.fromarray(read_image(faces / f"person{i}_{label}.jpg"))
                gray = np.asarray(picture.convert("L").resize((48, 48)))
                images.append((gray + rng.integers(0, 2, gray.shape)).clip(0, 255).astype(np.uint8))
                labels.append({"neutral": 6, "smiling": 3}[label])
                splits.append("Training" if i < 4 else "PublicTest" if i == 4 else "PrivateTest")
        lines = ["emotion,pixels,Usage"]
        for image, label, split in zip(images, labels, splits, strict=True):
            lines.append(f"{label},{' '.join(map(str, image.ravel()))},{split}")
        (tmp_path / "fer2013.csv").write_text("\n".join(lines) + "\n")
        arrays = {}
        for name, split in (("train", "Training"), ("val", "PublicTest"), ("test", "PrivateTest")):
            chosen = [i for i, s in enumerate(splits) if s == split]
            arrays[f"{name}_images"] = np.stack([images[i] for i in chosen])
            arrays[f"{name}_labels"] = np.array([labels[i] for i in chosen])
        np.savez(tmp_path / "fer.npz", **arrays)
        raf = tmp_path / "raf" / "basic"
        (raf / "EmoLabel").mkdir(parents=True)
        (raf / "Image" / "aligned").mkdir(parents=True)
        listing = []
        for i, (image, label, split) in enumerate(zip(images, labels, splits, strict=True)):
            name = f"{'test' if split == 'PrivateTest' else 'train'}_{i:05d}"
            Image.fromarray(image).save(raf / "Image" / "aligned" / f"{name}_aligned.jpg")
            listing.append(f"{name}.jpg {label + 1}")  # theirs: 4 is happy, 7 neutral
        (raf / "EmoLabel" / "list_patition_label.txt").write_text("\n".join(listing))
        results = []
        for data in ("fer2013.csv", "fer.npz", "raf"):
            done = call("evaluate", "expression", tmp_path / data, "--features", "conv", "--json")
            assert done.returncode == 0, done.stderr
            results.append(json.loads(done.stdout))
        assert results[0]["confusion"] == results[1]["confusion"]
        assert [r["layout"] for r in results] == ["fer2013.csv", "npz", "raf-db"]
        assert all(r["class_counts"] == {"happy": 2, "neutral": 2} for r in results)
        assert all(r["dimensions"] > 256 for r in results)

    def test_groups(self, tmp_path, faces):
        lines = ["path,label,split,group"]
        for i in range(1, 7):
            for label in ("neutral", "smiling"):
                split = "train" if i < 4 else "val" if i == 4 else "test"
                lines.append(f"{faces}/person{i}_{label}.jpg,{label},{split},g{i}")
        (tmp_path / "table.csv").write_text("\n".join(lines))
        done = call("evaluate", "expression", tmp_path / "table.csv", "--json")
        groups = json.loads(done.stdout)["groups"]
        assert {name: numbers["pictures"] for name, numbers in groups.items()} == {"g5": 2, "g6": 2}

    def test_odd_names_and_damaged_rows(self, tmp_path, faces):
        lines = ["path,label,split"]
        for i in range(1, 7):
            for label, name in (("neutral", "\x1b[31m_neutral"), ("smiling", r"$\frac{$")):
                split = "train" if i < 4 else "val" if i == 4 else "test"
                lines.append(f"{faces}/person{i}_{label}.jpg,{name},{split}")
        lines[3:3] = ["a.jpg", "a.jpg,x,sometimes", '"a.jpg,x,train']
        folder, data = tmp_path / "report", tmp_path / "t.csv"
        data.write_text("\r\n".join(lines))
        done = call("evaluate", "expression", data, "--report", folder)
        assert done.returncode == 1
        assert "6 training, 2 validation, 4 test pictures" in done.stdout
        assert "\\x1b[31m_neutral (2)" in done.stdout
        assert "\x1b" not in done.stdout
        assert [line.split(": ")[1] for line in done.stderr.splitlines()[:3]] == [
            f"t.csv, line {n}" for n in (4, 5, 6)
        ]
        assert files_below(folder) == {"report.json", "index.html", "confusion.png"}
        assert json.loads((folder / "report.json").read_text())["counts"]["skipped"] == 3

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows names are text")
    def test_a_folder_whose_name_is_no_text(self, expressions, tmp_path):
        data = tmp_path / os.fsdecode(b"d\xff")
        expressions.rename(data)
        folder = tmp_path / "report"
        assert call("evaluate", "expression", data, "--report", folder).returncode == 0
        assert json.loads((folder / "report.json").read_text())["data"] == str(data)

    @pytest.mark.parametrize(
        ("name", "content", "words"),
        [
            ("gone", None, "No such file or directory"),
            ("a.csv", b"", "a table needs the columns"),
            ("a.csv", b"emotion,pixels,Usage\n", "no labeled pictures"),
            ("a.csv", b"emotion,pixels,Usage\n3,1 2 3,Training\n", "of one class"),
            ("a.csv", b"emotion,pixels,Usage\n3,1 2 3,train\n4,1,train\n4,1,test\n", "line 2"),
            ("a.csv", b"path,label,split\na.jpg,x,sometimes\n", "'sometimes' is no split"),
            ("a.npz", b"PK no", "not a readable .npz"),
            ("a.txt", b"text", "neither a folder"),
        ],
    )  # fmt: skip
    def test_bad_data(self, tmp_path, name, content, words):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        fails(call("evaluate", "expression", tmp_path / name), words)

    def test_empty_folder(self, tmp_path):
        (tmp_path / "nothing").mkdir()
        fails(call("evaluate", "expression", tmp_path / "nothing"), "no pictures in split/class/")


class TestPose:
    @pytest.fixture
    def index(self, tmp_path, faces):
        """Faces turned by known angles in the picture plane: each person is a source."""
        lines = []
        for i in range(1, 7):
            for roll in (-20, 0, 20):
                picture = Image.fromarray(read_image(faces / f"person{i}_neutral.jpg"))
                name = f"{i}_{roll}.jpg"
                picture.resize((160, 160)).rotate(-roll, fillcolor=(99, 99, 99)).save(
                    tmp_path / name
                )
                row = {"path": name, "yaw": 0.0, "pitch": 0.0, "roll": roll, "source": str(i)}
                lines.append(json.dumps({**row, "group": "a" if i < 4 else "b"}))
        (tmp_path / "index.jsonl").write_text("\n".join(lines))
        return tmp_path / "index.jsonl"

    def test_whole_pictures_show_the_roll(self, index, tmp_path):
        folder = tmp_path / "report"
        done = call("evaluate", "pose", index, "--aligned", "--features", "conv", "--json",
                    "--report", folder)  # fmt: skip
        assert done.returncode == 0, done.stderr
        numbers = json.loads(done.stdout)
        constant = numbers["baselines"]["constant"]
        assert constant["mae_roll"] == pytest.approx(40 / 3, abs=2)
        assert numbers["mae_roll"] < 0.7 * constant["mae_roll"]
        assert numbers["mae_yaw"] < 1e-3
        assert set(numbers["groups"]) == {"a", "b"}
        assert files_below(folder) == {"report.json", "index.html", "angles.png"}

    def test_mat_files_and_biwi(self, tmp_path, faces):
        savemat = pytest.importorskip("scipy.io").savemat
        for i in range(1, 7):
            name = f"person{i}_neutral"
            (tmp_path / "aflw").mkdir(exist_ok=True)
            shutil.copy(faces / f"{name}.jpg", tmp_path / "aflw")
            pose = [[math.radians(i), math.radians(2 * i), math.radians(-i), 0, 0, 0, 1]]
            savemat(tmp_path / "aflw" / f"{name}.mat", {"Pose_Para": np.array(pose)})
            folder = tmp_path / "biwi" / f"{i:02d}"
            folder.mkdir(parents=True)
            Image.fromarray(read_image(faces / f"{name}.jpg")).save(folder / "frame_00003_rgb.png")
            (folder / "frame_00003_pose.txt").write_text("1 0 0\n0 1 0\n0 0 1\n\n0 0 900\n")
        for data, layout in (("aflw", "aflw2000"), ("biwi", "biwi")):
            done = call("evaluate", "pose", tmp_path / data, "--json")
            assert done.returncode == 0, done.stderr
            numbers = json.loads(done.stdout)
            assert (numbers["layout"], numbers["pictures"]) == (layout, 6)
        for damaged in ("aflw/person1_neutral.mat", "biwi/01/frame_00003_pose.txt"):
            (tmp_path / damaged).write_bytes(b"\x80\x04\x95cposix")
            done = call("evaluate", "pose", (tmp_path / damaged).parents[damaged[0] == "b"])
            assert done.returncode == 1
            assert "5 pictures (0 without a face, 1 with a damaged pose, " in done.stdout
            assert f"facecycle: {tmp_path / damaged}: " in done.stderr
        fitted = call("evaluate", "pose", tmp_path / "biwi", "--train", tmp_path / "aflw", "--json")
        assert fitted.returncode == 1
        assert json.loads(fitted.stdout)["counts"]["damaged"] == 2
        assert json.loads(fitted.stdout)["protocol"] == "fitted on aflw2000"

    @pytest.mark.parametrize(
        ("name", "content", "words"),
        [
            ("gone", None, "No such file or directory"),
            ("index.jsonl", "", "no pictures with a pose"),
            ("index.jsonl", "[1]\n", "line 1: not a JSON object"),
            ("index.jsonl", '{"path": "a.jpg", "yaw": "left"}\n', "line 1: yaw, pitch and roll"),
            ("index.jsonl", '{"path": "a.jpg", "yaw": NaN}\n', "line 1: NaN is no number"),
            (
                "index.jsonl",
                '\n{"path": "/dev/zero", "yaw": 1}\n',
                "line 2: path '/dev/zero' leads",
            ),
            (
                "index.jsonl",
                '{"path": "../a.jpg", "yaw": 1}\n',
                "line 1: path '../a.jpg' leads out",
            ),
            ("index.jsonl", '{"path": ' + "[" * 50_000, "line 1: nested too deeply"),
            ("index.jsonl", " " * 70_000 + "\n" + " " * 70_000 + "{}", "line 2: longer than"),
        ],
    )
    def test_bad_data(self, tmp_path, name, content, words):
        if content is not None:
            (tmp_path / name).write_text(content)
        fails(call("evaluate", "pose", tmp_path / name), words)

    def test_folder_of_something_else(self, faces):
        fails(call("evaluate", "pose", faces), "neither an index.jsonl")


class TestReconstruction:
    def test_report_and_bounds(self, faces, tmp_path):
        folder = tmp_path / "report"
        (tmp_path / "text.jpg").write_text("no picture")
        done = call("evaluate", "reconstruction", faces, tmp_path / "text.jpg", "--report", folder,
                    "--json")  # fmt: skip
        assert done.returncode == 1
        assert "text.jpg" in done.stderr
        numbers = json.loads(done.stdout)
        assert numbers["counts"] == {"faces": 12, "skipped": 1}
        assert numbers["neutral_asymmetry"] < numbers["input_asymmetry"]
        assert numbers["identity_similarity"] > numbers["stranger_similarity"]
        assert 0 < numbers["motion_cycle_l1"] < 0.3
        assert 0 < numbers["motion_cycle_ssim"] < 1
        pictures = {"distributions.png", "faces.png"}
        assert files_below(folder) == {"report.json", "index.html", *pictures}
        assert b"AI-manipulated" in (folder / "faces.png").read_bytes()

    def test_nothing_to_measure(self, tmp_path, faces):
        done = call("evaluate", "reconstruction", faces / "person1_neutral.jpg")
        fails(done, "at least two faces")

    def test_compare_needs_two(self, faces):
        done = call("evaluate", "reconstruction", faces, "--compare", "small", "small")
        assert done.returncode == 2
        assert "two different checkpoints" in " ".join(done.stderr.split())
