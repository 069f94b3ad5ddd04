"""The suite: which data sets a folder holds, one that fails, and what is printed beside ours."""

from __future__ import annotations

import numpy as np
import pytest

from facecycle_cli.errors import DataError, MissingExtraError
from facecycle_cli.evaluation import suite
from facecycle_cli.evaluation.expression_data import load_expressions
from facecycle_cli.evaluation.pose_data import Poses
from facecycle_cli.evaluation.published import PUBLISHED
from facecycle_cli.evaluation.suite import SETS, FoundSet, find_sets, run_suite
from facecycle_cli.evaluation.suite_samples import chosen, some_expressions, some_poses
from facecycle_cli.evaluation.suite_tasks import Row, TaskResult
from facecycle_cli.portrait.crops import Picture


class TestFind:
    def test_names(self, tmp_path):
        for name in ("LFW", "300w_lp", "clips", "notes", ".git"):
            (tmp_path / name).mkdir()
        for name in ("fer2013.npz", "lfw.md", "ages.tar"):
            (tmp_path / name).touch()
        sets, absent, unknown = find_sets(tmp_path)
        assert [each.name for each in sets] == ["fer2013", "lfw", "clips", "ages"]
        assert sets[1].path.name == "LFW"
        assert set(absent) == set(SETS) - {"fer2013", "lfw", "clips", "ages"}
        assert unknown == ["lfw.md", "notes"]

    def test_nothing_and_twice(self, tmp_path):
        with pytest.raises(DataError, match="no data set here: their names are fer2013, rafdb"):
            find_sets(tmp_path)
        (tmp_path / "ages.tar").touch()
        (tmp_path / "ages").mkdir()
        with pytest.raises(DataError, match=r"ages and ages.tar have the same name"):
            find_sets(tmp_path)


class TestRun:
    @pytest.mark.parametrize(
        "error", [DataError("bad"), OSError(5, "bad"), MemoryError(), MissingExtraError("bad")]
    )
    def test_a_set_that_fails_costs_only_itself(self, tmp_path, monkeypatch, error):
        def fail(path, tools):
            raise error

        def measure(path, tools):
            return TaskResult([Row("ours", {"accuracy": 0.5}, "so")], {"n": 1}, [])

        monkeypatch.setattr(suite, "SETS", {"lfw": ("x", fail), "fer2013": ("y", measure)})
        sets = [FoundSet(name, tmp_path / name) for name in ("lfw", "fer2013")]
        bad, good = run_suite(sets, None)
        assert (bad.error, bad.failed, bad.rows) == (error, True, [])
        assert (good.failed, good.numbers) == (False, {"n": 1})
        assert [row.published for row in good.rows] == [False, True, True, True]

    def test_what_is_no_fault_of_the_data_ends_the_run(self, tmp_path, monkeypatch):
        monkeypatch.setattr(suite, "SETS", {"lfw": ("x", lambda path, tools: 1 / 0)})
        with pytest.raises(ZeroDivisionError):
            list(run_suite([FoundSet("lfw", tmp_path)], None))


class TestPublished:
    def test_all_belong_to_a_set(self):
        assert set(PUBLISHED) <= set(SETS)
        for rows in PUBLISHED.values():
            names = [row.method for row in rows]
            assert len(names) == len(set(names))
            assert all(row.protocol for row in rows)

    def test_shares_and_angles(self):
        for name, rows in PUBLISHED.items():
            for row in rows:
                angles = SETS[name][0] == "pose"
                assert set(row.values) == ({"yaw", "pitch", "roll"} if angles else {"accuracy"})
                assert all((1 < v < 90) if angles else (0.4 < v < 1) for v in row.values.values())


class TestSamples:
    def test_positions(self):
        assert chosen(3, None, 0) == chosen(3, 3, 0) == [0, 1, 2]
        some = chosen(1000, 10, 0)
        assert len(set(some)) == 10
        assert some == sorted(some) == chosen(1000, 10, 0) != chosen(1000, 10, 1)

    def test_labels_stay_with_their_pictures(self, tmp_path):
        images = np.arange(40, dtype=np.uint8).repeat(4).reshape(40, 2, 2)
        np.savez(tmp_path / "fer2013.npz", train_images=images, train_labels=np.arange(40) % 7)
        data = load_expressions(tmp_path / "fer2013.npz")
        less = some_expressions(data, 9, 0)
        values = [picture.source[0, 0] for picture in less.open()]
        assert len(less) == len(values) == 9
        assert less.labels == [data.labels[v] for v in values]
        assert less.splits == [data.splits[v] for v in values]

    def test_angles_stay_with_their_pictures(self):
        angles = np.arange(60.0).reshape(20, 3)
        names = [str(i) for i in range(20)]
        data = Poses("x", angles, names, names, 0, True, lambda: (Picture(n, n) for n in names))
        less = some_poses(data, 5, 0)
        assert [picture.name for picture in less.open()] == less.sources == less.groups
        assert less.angles[:, 0].tolist() == [3.0 * int(name) for name in less.sources]
