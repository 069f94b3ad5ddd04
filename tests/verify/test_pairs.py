"""Pairs: drawn from folders of people, sampled, and compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from facecycle_cli.errors import DataError, EvaluationError
from facecycle_cli.media import Provenance, write_image
from facecycle_cli.media.files import LeftOut
from facecycle_cli.portrait.crops import CropSettings
from facecycle_cli.verify.pairs import Pair, draw_pairs, match_pairs, sample_pairs


class TestDrawing:
    @pytest.fixture
    def people(self, tmp_path):
        for person in range(30):
            folder = tmp_path / f"{person:02d}"
            folder.mkdir()
            for k in range(1 + person % 4):
                (folder / f"{k}.jpg").touch()
        return tmp_path

    def test_pairs_are_what_they_say_and_occur_once(self, people):
        pairs = draw_pairs(people, 40, seed=0)
        assert len({(p.a, p.b) for p in pairs}) == len(pairs)
        assert all((Path(p.a).parent == Path(p.b).parent) == p.same for p in pairs)
        assert all(p.a != p.b for p in pairs)
        assert sum(bool(p.same) for p in pairs) * 2 == len(pairs)

    def test_no_person_is_in_two_folds(self, people):
        folds: dict[str, set[int | None]] = {}
        for pair in draw_pairs(people, 40, seed=0):
            for name in (pair.a, pair.b):
                folds.setdefault(Path(name).parent.name, set()).add(pair.fold)
        assert all(len(seen) == 1 for seen in folds.values())
        assert len(set().union(*folds.values())) == 10

    def test_seed(self, people):
        assert draw_pairs(people, 40, seed=1) == draw_pairs(people, 40, seed=1)
        assert draw_pairs(people, 40, seed=1) != draw_pairs(people, 40, seed=2)

    def test_results_of_facecycle_show_no_person(self, people, photo):
        expected = draw_pairs(people, 40, seed=0)
        for name in ("00/1_frontal.png", "03/1_neutral.jpg", "new/0.webp"):
            (people / name).parent.mkdir(exist_ok=True)
            write_image(photo, people / name, provenance=Provenance("frontalize"))
        left_out = LeftOut()
        assert draw_pairs(people, 40, seed=0, left_out=left_out) == expected
        assert left_out.results == 3

    def test_too_few(self, tmp_path):
        (tmp_path / "only").mkdir()
        with pytest.raises(DataError, match="at least two folders"):
            draw_pairs(tmp_path, 10, seed=0)
        for person in "ab":
            (tmp_path / person).mkdir()
            (tmp_path / person / "0.jpg").touch()
        with pytest.raises(DataError, match="no person has two pictures"):
            draw_pairs(tmp_path, 10, seed=0)

    def test_development_set(self, shared_data):
        pairs = draw_pairs(shared_data / "portraits", 2000, seed=0)
        people = {Path(p.a).parent.name for p in pairs if p.same}
        assert len(pairs) > 1000
        assert len(people) > 500


LISTED = [Pair(f"{i}", f"{i + 1}", same=i % 3 == 0) for i in range(30)]


class TestSampling:
    def test_half_of_them_are_different_and_the_order_stays(self):
        chosen = sample_pairs(LISTED, 12, seed=0)
        assert sum(bool(pair.same) for pair in chosen) == 6
        assert sorted(chosen, key=LISTED.index) == chosen
        assert chosen == sample_pairs(LISTED, 12, seed=0)
        assert chosen != sample_pairs(LISTED, 12, seed=1)

    def test_fewer_where_there_are_not_as_many_of_a_kind(self):
        assert len(sample_pairs(LISTED, 1000, seed=0)) == 20

    def test_one_kind(self):
        with pytest.raises(DataError, match="of same and of different"):
            sample_pairs([Pair("a", "b", same=True), Pair("a", "c")], 2, seed=0)


class TestMatching:
    @staticmethod
    def brightness(crops):
        return crops.mean(axis=(1, 2))

    def test_similarities_problems_and_counts(self, examples, backend, tmp_path):
        faces = examples / "faces"
        one, two = (str(faces / f"person{i}_neutral.jpg") for i in (1, 2))
        copy = tmp_path / "copy.jpg"
        copy.write_bytes(Path(one).read_bytes())
        gone, text = str(tmp_path / "gone.jpg"), tmp_path / "text.jpg"
        text.write_text("no picture")
        pairs = [
            Pair(one, two, same=False),
            Pair(one, str(copy), same=True),
            Pair(one, gone, same=True),
            Pair(str(text), two),
        ]
        matches = match_pairs(pairs, {"brightness": self.brightness}, CropSettings(64), backend)
        values = matches.similarities["brightness"]
        assert np.isfinite(values).tolist() == [True, True, False, False]
        assert values[1] == pytest.approx(1)
        assert matches.problem(pairs[2]) == f"{gone}: No such file or directory"
        assert matches.problem(pairs[0]) is None
        counts = matches.counts()
        assert (counts.pairs_listed, counts.pairs_compared, counts.pairs_skipped) == (4, 2, 2)
        assert (counts.files, counts.different_pictures) == (5, 3)
        assert (counts.files_missing, counts.files_without_face) == (2, 0)  # one is no picture
        labeled = matches.labeled("brightness")
        assert labeled.pairs == pairs[:2]
        assert labeled.same.tolist() == [False, True]

    def test_the_first_problem_ends_it_if_that_is_wanted(self, examples, backend, tmp_path):
        one = str(examples / "faces" / "person1_neutral.jpg")
        (tmp_path / "text.jpg").write_text("no picture")
        for bad, words in (("gone.jpg", "No such file"), ("text.jpg", "text.jpg: ")):
            with pytest.raises(EvaluationError, match=words):
                match_pairs(
                    [Pair(one, str(tmp_path / bad))], {"brightness": self.brightness},
                    CropSettings(64), backend, fail_on_missing=True,
                )  # fmt: skip
