"""Searching a folder for a face: the order, the cache, and what it is worth in probabilities."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3

import numpy as np
import pytest
from PIL import Image

from facecycle_cli.errors import OutputError, ThresholdError
from facecycle_cli.model import load
from facecycle_cli.verify.logistic import Logistic, fit_logistic, logistic_of_rates
from facecycle_cli.verify.search import FaceSearch, open_cache
from facecycle_cli.verify.threshold import stored_logistic
from facecycle_cli.verify.vector_cache import FileState, VectorCache
from tests.cli.call import call


@pytest.fixture
def gallery(examples, tmp_path):
    """Two people, one picture each and one of both; a black picture, and a damaged one."""
    folder = tmp_path / "gallery"
    folder.mkdir()
    for name in ("person1_neutral", "person2_neutral"):
        picture = Image.open(examples / "faces" / f"{name}.jpg")
        picture.resize((200, 200 * picture.height // picture.width)).save(folder / f"{name}.png")
    both = np.hstack([np.asarray(Image.open(f)) for f in sorted(folder.iterdir())])
    Image.fromarray(both).save(folder / "both.png")
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(folder / "black.png")
    (folder / "damaged.jpg").write_bytes(b"\xff\xd8\xff")
    return folder


def test_ranks_remembers_and_says_what_is_wrong(gallery, examples, tmp_path):
    query = examples / "faces" / "person1_smiling.jpg"
    arguments = ("verify", query, "--in", gallery, "--cache", tmp_path / "c.sqlite", "--json")
    done = call(*arguments, "--top", "3")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1  # for the damaged picture
    assert f"{gallery / 'damaged.jpg'}: " in done.stderr
    assert "not fit for decisions about people" in done.stderr
    assert "4 faces in 4 pictures (0 known from before, 1 without a face)" in done.stderr
    assert [row["rank"] for row in rows] == [1, 2, 3]
    assert {os.path.basename(row["file"]) for row in rows[:2]} == {
        "both.png",
        "person1_neutral.png",
    }
    assert [row["cosine"] for row in rows] == sorted((r["cosine"] for r in rows), reverse=True)
    assert 1 > rows[1]["probability"] > rows[2]["probability"] > 0

    (gallery / "damaged.jpg").unlink()
    shutil.copy(gallery / "black.png", gallery / "person2_neutral.png")  # changed since
    again = call(*arguments)
    assert again.returncode == 0
    assert "3 faces in 4 pictures (3 known from before, 2 without a face)" in again.stderr
    assert [json.loads(line) for line in again.stdout.splitlines()][:2] == rows[:2]


def test_a_query_without_a_face(gallery, tmp_path):
    done = call("verify", gallery / "black.png", "--in", gallery, "--cache", tmp_path / "c.sqlite")
    assert (done.returncode, done.stdout) == (3, "")
    assert "black.png: no face found" in done.stderr


@pytest.mark.parametrize(
    "options", [["--in", "x", "b.jpg"], ["--top", "3"], ["--in", "x", "--far", "0.1"]]
)
def test_wrong_usage(options):
    assert call("verify", "a.jpg", *options).returncode == 2


def test_crops_are_searched_as_they_are(gallery, model, backend):
    with open_cache(None, model, backend, aligned=True) as cache:
        search = FaceSearch(model, backend, cache, aligned=True)
        query = search.vector(str(gallery / "person2_neutral.png"))
        found = search.search(query, [str(gallery)], top=1)
    assert found.matches[0].file.endswith("person2_neutral.png")
    assert found.matches[0].cosine == pytest.approx(1, abs=1e-5)
    assert found.pictures == 4  # the black one, too: nothing is searched for a face


class TestCache:
    def test_is_of_weights_and_of_the_files_state(self, tmp_path):
        vectors = np.eye(3, 4, dtype=np.float32)
        state = FileState("/a", 10, 5)
        with VectorCache(tmp_path / "sub" / "c", "weights", 4) as cache:
            cache.put(state, vectors)
        with VectorCache(tmp_path / "sub" / "c", "weights", 4) as cache:
            assert np.array_equal(cache.get(state), vectors)
            assert cache.get(FileState("/a", 10, 6)) is None
            assert cache.get(FileState("/a", 11, 5)) is None
        with VectorCache(tmp_path / "sub" / "c", "others", 4) as cache:
            assert cache.get(state) is None
        with VectorCache(tmp_path / "sub" / "c", "weights", 5) as cache:
            assert cache.get(state) is None
        if os.name == "posix":
            assert (tmp_path / "sub" / "c").stat().st_mode & 0o077 == 0

    def test_other_files_are_refused(self, tmp_path):
        (tmp_path / "text").write_text("no database, but long enough to be taken for one " * 9)
        other = sqlite3.connect(tmp_path / "other")
        other.execute("CREATE TABLE t (x)")
        other.close()
        for name in ("text", "other", "."):
            with pytest.raises(OutputError):
                VectorCache(tmp_path / name, "weights", 4)


class TestProbability:
    @pytest.fixture
    def pairs(self):
        rng = np.random.default_rng(0)
        same = np.arange(6000) % 3 == 0
        return np.where(same, 0.5, 0.1) + 0.12 * rng.standard_normal(6000), same

    def test_a_fit_is_that_of_the_distributions(self, pairs):
        curve = fit_logistic(*pairs)  # of two normal distributions: gap / variance
        assert curve.slope == pytest.approx(0.4 / 0.12**2, rel=0.1)
        assert curve(0.3) == pytest.approx(0.5, abs=0.05)  # however many pairs are the same

    def test_separated_pairs_have_a_finite_slope(self):
        curve = fit_logistic(np.array([0.1, 0.2, 0.8, 0.9]), np.array([False, False, True, True]))
        assert 0 < curve.slope <= 1000
        assert curve(0.15) < 0.5 < curve(0.85)

    def test_rates_imply_the_same_curve(self, pairs):
        scores, same = pairs
        far = {rate: float(np.quantile(scores[~same], 1 - rate)) for rate in (0.5, 0.1, 0.01)}
        curve = logistic_of_rates(far, 0.45, float((scores[same] >= 0.45).mean()))
        assert curve.slope == pytest.approx(fit_logistic(*pairs).slope, rel=0.15)
        assert curve(0.3) == pytest.approx(0.5, abs=0.1)

    def test_stored_numbers_come_before_the_table(self, model):
        own = load()
        implied = stored_logistic(own)
        assert implied is not None
        assert implied.slope > 0
        entry = own.checkpoint.metadata["verification"]
        entry["logistic"] = {"slope": 2, "intercept": -1}
        assert stored_logistic(own) == Logistic(2, -1)
        for damaged in ([1], {"slope": "x", "intercept": 0}, {"slope": float("inf")}):
            entry["logistic"] = damaged
            with pytest.raises(ThresholdError, match="damaged"):
                stored_logistic(own)
        own.checkpoint.metadata["verification"] = {"threshold": 0.3}
        assert stored_logistic(own) is None
