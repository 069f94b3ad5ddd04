"""verify: two pictures, lists of pairs, calibration, and everything that can be wrong with them."""

from __future__ import annotations

import csv
import json
import os
import shlex
import shutil
import sys
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from facecycle_cli.model import load, read_info
from facecycle_cli.model.checkpoint import annotate
from tests.cli.call import call, files_below
from tests.conftest import run_process

pytest.importorskip("sklearn")


@pytest.fixture
def faces(examples):
    return examples / "faces"


@pytest.fixture
def black(tmp_path):
    path = tmp_path / "black.png"
    Image.fromarray(np.zeros((96, 96, 3), np.uint8)).save(path)
    return path


@pytest.fixture
def labeled(tmp_path, faces):
    """Four same and four different pairs of two groups."""
    rows = [("path_a", "path_b", "same", "group")]
    for i in range(1, 5):
        group = "odd" if i % 2 else "even"
        one, smiling = f"person{i}_neutral.jpg", f"person{i}_smiling.jpg"
        rows += [(one, smiling, "1", group), (one, f"person{i + 1}_smiling.jpg", "0", group)]
    path = tmp_path / "pairs.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def fails(result, code: int, words: str) -> None:
    assert (result.returncode, result.stdout) == (code, "")
    assert words in " ".join(result.stderr.split()).replace("│ ", "")
    assert "Traceback" not in result.stderr


class TestTwoPictures:
    def test_same_and_different_are_exit_codes(self, faces):
        a, b = faces / "person1_neutral.jpg", faces / "person2_neutral.jpg"
        same = call("verify", a, a, "--threshold", "0.99", "--json")
        assert same.returncode == 0
        fields = json.loads(same.stdout)
        assert fields["similarity"] == pytest.approx(1, abs=1e-5)
        assert (fields["verdict"], fields["same"]) == ("same", True)
        different = call("verify", a, b, "--threshold", "0.9999")
        assert different.returncode == 1
        assert different.stdout.endswith("different\n")
        assert "not fit for decisions about people" in different.stderr

    def test_is_symmetric_and_the_same_as_in_a_list(self, faces, tmp_path):
        a, b = faces / "person1_neutral.jpg", faces / "person2_smiling.jpg"
        values = [
            json.loads(call("verify", *two, "--threshold", "0", "--json").stdout)["similarity"]
            for two in ((a, b), (b, a))
        ]
        listing = tmp_path / "one.csv"
        listing.write_text(f"{a},{b}\n")
        row = json.loads(call("verify", "--pairs", listing, "--json").stdout.splitlines()[0])
        assert values == pytest.approx([row["similarity"]] * 2, abs=1e-5)

    def test_could_not_compare(self, faces, black, tmp_path):
        a = faces / "person1_neutral.jpg"
        fails(call("verify", a, black, "--threshold", "0"), 3, f"{black}: no face found")
        fails(call("verify", tmp_path / "no.jpg", a, "--threshold", "0"), 3, "No such file")
        (tmp_path / "text.jpg").write_text("no picture")
        fails(call("verify", a, tmp_path / "text.jpg", "--threshold", "0"), 3, "text.jpg")
        fails(call("verify", a, a, "-c", tmp_path / "no.safetensors"), 3, "no checkpoint")
        failed = call("verify", a, black, "--threshold", "0", "--json")
        assert json.loads(failed.stdout)["verdict"] is None

    @pytest.mark.parametrize(
        ("error", "words"),
        [
            (MemoryError(), "facecycle: out of memory"),
            (KeyError("bug"), "facecycle: KeyError: 'bug'"),
            (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "can't allocate"),
            (BrokenPipeError(32, "Broken pipe"), ""),
        ],
    )
    @pytest.mark.parametrize("where", ["open_model", "_compare"])
    def test_only_a_verdict_has_the_codes_of_verdicts(
        self, faces, monkeypatch, error, words, where
    ):
        def fail(*_, **__):
            raise error

        monkeypatch.setattr(f"facecycle_cli.cli.verify.{where}", fail)
        a, b = faces / "person1_neutral.jpg", faces / "person2_neutral.jpg"
        done = call("verify", a, b, "--threshold", "0.9999")
        fails(done, 3, words)
        assert len(done.stderr.splitlines()) == bool(words)

    @pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
    @pytest.mark.parametrize("target", [">&-", ">&- 2>&-", ">/dev/full"])
    def test_a_verdict_that_nobody_can_read_is_none(self, faces, target):
        if "full" in target and not os.path.exists("/dev/full"):
            pytest.skip("needs /dev/full")
        a = shlex.quote(str(faces / "person1_neutral.jpg"))
        program = f"{shlex.quote(sys.executable)} -m facecycle_cli"
        command = f"{program} verify {a} {a} --threshold 0.5 {target}"
        done = run_process(["sh", "-c", command])
        assert done.returncode == 3
        assert b"Traceback" not in done.stderr

    def test_a_similarity_that_is_no_number(self, faces, monkeypatch):
        def nothing(model, crops):
            return np.full((len(crops), 4), np.nan, np.float32)

        monkeypatch.setattr(
            sys.modules["facecycle_cli.verify.verify"], "identity_embedding", nothing
        )
        a = faces / "person1_neutral.jpg"
        fails(call("verify", a, a, "--json"), 3, "not a finite number")

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ([], "two pictures to compare"),
            (["a.jpg"], "two pictures to compare"),
            (["-", "-", "--threshold", "0"], "standard input holds one picture"),
            (["a.jpg", "b.jpg", "--threshold", "0", "--far", "0.1"], "choose one"),
            (["a.jpg", "b.jpg", "--threshold", "2"], "--threshold"),
            (["a.jpg", "b.jpg", "--threshold", "many"], "--threshold"),
            (["a.jpg", "b.jpg", "--threshold", "nan"], "--threshold"),
            (["a.jpg", "b.jpg", "--far", "nan"], "--far"),
            (["a.jpg", "b.jpg", "--far", "-1"], "--far"),
            (["a.jpg", "b.jpg", "--pairs", "c.csv"], "not both"),
            (["a.jpg", "b.jpg", "--report", "out"], "go with --pairs"),
            (["a.jpg", "b.jpg", "--against", "neutralize"], "--against needs --pairs"),
            (["a.jpg", "b.jpg", "--calibrate", "out"], "--calibrate"),
            (["--pairs", "c.csv", "--calibrate", "out", "--threshold", "0"], "--calibrate"),
            (["a.jpg", "b.jpg", "--device", "abacus"], "abacus"),
        ],
    )
    def test_usage(self, arguments, words):
        fails(call("verify", *arguments), 2, words)


class TestPairs:
    def test_numbers_rows_and_groups(self, labeled, faces):
        done = call("verify", "--pairs", labeled, "--root", faces, "--json", "--baseline")
        assert done.returncode == 0
        *rows, summary = map(json.loads, done.stdout.splitlines())
        assert [row["status"] for row in rows] == ["done"] * 8
        assert (summary["same"], summary["different"], summary["pairs_compared"]) == (4, 4, 8)
        assert summary["different_pictures"] == 9
        assert {name: g["pairs"] for name, g in summary["groups"].items()} == {"even": 4, "odd": 4}
        assert set(summary["baselines"]) == {"raw", "lbp", "hog"}
        assert summary["checkpoint"]["sha256"] == read_info("small").sha256
        similar = [row["similarity"] for row in rows if row["same"]]
        others = [row["similarity"] for row in rows if not row["same"]]
        wins = np.mean([a > b for a in similar for b in others])
        assert summary["auc"] == pytest.approx(wins)

    def test_table_for_people_says_what_it_is_not_for(self, labeled, faces):
        done = call("verify", "--pairs", labeled, "--root", faces)
        lines = done.stdout.splitlines()
        assert all(len(line.split("\t")) == 4 for line in lines if not line.startswith("#"))
        assert "not fit for decisions about people" in lines[-1]

    def test_standard_input_and_equal_files_are_one_picture(self, faces, tmp_path):
        shutil.copy(faces / "person1_neutral.jpg", tmp_path / "copy.jpg")
        text = f"{faces}/person1_neutral.jpg\t{tmp_path}/copy.jpg\n"
        done = call("verify", "--pairs", "-", stdin=text.encode())
        assert done.returncode == 0
        assert float(done.stdout.split("\t")[2]) == pytest.approx(1, abs=1e-5)
        assert "1 pair of 1 different picture compared, 0 left out" in done.stderr

    def test_what_cannot_be_compared_is_counted(self, labeled, faces, black):
        with labeled.open("a") as file:
            file.write(f"person1_neutral.jpg,gone.jpg,1,\n{black},person2_neutral.jpg,0,\n")
        done = call("verify", "--pairs", labeled, "--root", faces, "--json")
        assert done.returncode == 1
        *rows, summary = map(json.loads, done.stdout.splitlines())
        assert [row["status"] for row in rows] == ["done"] * 8 + ["failed"] * 2
        assert (summary["pairs_skipped"], summary["files_missing"]) == (2, 1)
        assert summary["files_without_face"] == 1
        assert f"{black}: no face found" in done.stderr
        stopped = call("verify", "--pairs", labeled, "--root", faces, "--on-missing", "fail")
        fails(stopped, 1, "gone.jpg: No such file or directory")

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            (b"", "the list of pairs is empty"),
            (b"\x00\xff\xfe\x01", "a pair needs two pictures"),
            (b"path_a,path_b,same\na.jpg,b.jpg,maybe\n", "line 2: same is 'maybe'"),
            (
                b"10\t300\nA\t1\t2\n",
                "announces 6000 pairs (300 and 300 in each of 10 folds)",
            ),
        ],
    )
    def test_no_list_of_pairs(self, tmp_path, text, words):
        (tmp_path / "pairs.txt").write_bytes(text)
        fails(call("verify", "--pairs", tmp_path / "pairs.txt"), 1, words)

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
    def test_devices_and_pipes_are_no_pictures(self, faces, tmp_path):
        os.mkfifo(tmp_path / "pipe.jpg")
        listing = tmp_path / "pairs.csv"
        listing.write_text(f"{faces}/person1_neutral.jpg,pipe.jpg\n/dev/zero,pipe.jpg\n")
        done = call("verify", "--pairs", listing, "--json")
        assert done.returncode == 1
        assert [json.loads(line)["status"] for line in done.stdout.splitlines()] == ["failed"] * 2
        assert f"{tmp_path}/pipe.jpg: not a regular file" in done.stderr
        assert "/dev/zero: not a regular file" in done.stderr

    def test_features_that_are_no_numbers(self, faces, monkeypatch):
        def nothing(model, crops):
            return np.full((len(crops), 4), np.nan, np.float32)

        monkeypatch.setattr(
            sys.modules["facecycle_cli.verify.verify"], "identity_embedding", nothing
        )
        text = f"{faces}/person1_neutral.jpg,{faces}/person2_neutral.jpg\n"
        done = call("verify", "--pairs", "-", "--json", stdin=text.encode())
        assert done.returncode == 1
        row = json.loads(done.stdout)
        assert (row["similarity"], row["verdict"], row["status"]) == (None, None, "failed")
        assert row["reason"].endswith("its features are not finite numbers")

    def test_one_kind_of_pairs(self, tmp_path, faces):
        listing = tmp_path / "same.csv"
        listing.write_text("path_a,path_b,same\nperson1_neutral.jpg,person1_smiling.jpg,1\n")
        done = call("verify", "--pairs", listing, "--root", faces)
        assert done.returncode == 1
        assert "all pairs are of the same person" in done.stderr

    def test_far_that_the_pairs_cannot_show(self, labeled, faces):
        done = call("verify", "--pairs", labeled, "--root", faces, "--far", "0.01")
        assert done.returncode == 1
        assert "4 pairs of different persons cannot show a false-accept rate of 0.01" in done.stderr

    def test_report(self, labeled, faces, tmp_path):
        pytest.importorskip("matplotlib")
        folder = tmp_path / "report"
        assert call("verify", "--pairs", labeled, "--root", faces, "--report", folder).stderr
        written = files_below(folder)
        assert {"report.json", "index.html", "roc.png", "similarities.png"} <= written
        report = json.loads((folder / "report.json").read_text())
        assert {"checkpoint", "seed", "versions", "groups", "verification"} <= set(report)
        before = {name: (folder / name).read_bytes() for name in written}
        again = call("verify", "--pairs", labeled, "--root", faces, "--report", folder)
        assert "left as it is" in again.stderr
        assert {name: (folder / name).read_bytes() for name in files_below(folder)} == before


class TestCounts:
    """Counts agree with their nouns."""

    def test_of_one_pair_and_of_two(self, faces, tmp_path):
        one = "person1_neutral.jpg,person1_smiling.jpg,1\n"
        other = "person1_neutral.jpg,person2_smiling.jpg,0\n"
        listing = tmp_path / "pairs.csv"
        for text, same, pairs, pictures in (
            (one + other, "1 same and 1 different pair", "2 pairs", "3 different pictures"),
            (one + 2 * other, "1 same and 2 different pairs", "3 pairs", "3 different pictures"),
        ):
            listing.write_text(f"path_a,path_b,same\n{text}")
            done = call("verify", "--pairs", listing, "--root", faces)
            assert f"# {same}\n" in done.stdout
            assert f"{pairs} of {pictures} compared, 0 left out (0 pictures " in done.stderr

    def test_of_a_pair_that_is_left_out(self, faces):
        text = f"{faces}/person1_neutral.jpg,gone.jpg\n"
        done = call("verify", "--pairs", "-", stdin=text.encode())
        assert "0 pairs of 1 different picture compared, 1 left out" in done.stderr
        assert "(1 picture missing or unreadable, 0 without a face)" in done.stderr


class TestCalibration:
    def test_threshold_travels_with_the_checkpoint(self, labeled, faces, tmp_path):
        out = tmp_path / "new" / "calibrated.safetensors"
        pairs = ("verify", "--pairs", labeled, "--root", faces, "--calibrate", out)
        assert call(*pairs).returncode == 0
        before, after = read_info("small"), read_info(out)
        entry = after.metadata["verification"]
        assert entry["measured_on"] == "pairs.csv"
        assert (entry["pairs"], entry["weights_sha256"]) == (8, before.sha256)
        assert {**after.metadata, "verification": 0} == {**before.metadata, "verification": 0}
        old, new = load("small").state_dict(), load(out).state_dict()
        assert old.keys() == new.keys()
        assert all(new[k].equal(old[k]) for k in old)
        kinds = [Counter(t.dtype for t in load_file(path).values()) for path in (before.path, out)]
        assert kinds[0] == kinds[1]

        two = (faces / "person1_neutral.jpg", faces / "person1_neutral.jpg")
        done = call("verify", *two, "-c", out, "--json")
        assert done.returncode == 0
        fields = json.loads(done.stdout)
        assert (fields["threshold"], fields["far"]) == (entry["threshold"], entry["far"])
        assert "of the pairs of different people of pairs.csv" in done.stderr
        quarter = call("verify", *two, "-c", out, "--far", "0.3", "--json")
        assert json.loads(quarter.stdout)["threshold"] == entry["thresholds"]["0.3"]
        fails(call("verify", *two, "-c", out, "--far", "0.07"), 2, "there are:")

        content = out.read_bytes()
        assert "left as it is" in call(*pairs).stderr
        assert out.read_bytes() == content
        assert call(*pairs, "--overwrite", "--far", "0.25").returncode == 0
        assert read_info(out).metadata["verification"]["far"] <= 0.25

    def test_needs_labels(self, faces, tmp_path):
        listing = tmp_path / "pairs.csv"
        listing.write_text(f"{faces}/person1_neutral.jpg,{faces}/person2_neutral.jpg\n")
        out = tmp_path / "out.safetensors"
        fails(call("verify", "--pairs", listing, "--calibrate", out), 1, "needs labeled pairs")
        assert not out.exists()

    @pytest.mark.parametrize(
        "entry", [{"threshold": "high"}, [1], {"threshold": None}, {"threshold": 7}, "no"]
    )
    def test_damaged_entry(self, faces, tmp_path, entry):
        damaged = tmp_path / "damaged.safetensors"
        source = load().checkpoint
        with safe_open(source.path, "pt") as file:
            header = json.loads(file.metadata()["facecycle"])
        header["verification"] = entry
        state = load_file(source.path)
        save_file(state, damaged, metadata={"facecycle": json.dumps(header)})
        a = faces / "person1_neutral.jpg"
        message = "damaged checkpoint metadata: `verification` "
        fails(call("verify", a, a, "-c", damaged), 3, message)

    def test_checkpoint_without_threshold_says_what_to_do(self, faces, tmp_path):
        bare = tmp_path / "bare.safetensors"
        annotate(load().checkpoint, bare, {"verification": {}})
        a = faces / "person1_neutral.jpg"
        fails(call("verify", a, a, "-c", bare), 2, "--calibrate OUT")
