"""Groups of people: where their names come from, and what is measured of each."""

from __future__ import annotations

import shutil
import tarfile

import numpy as np
import pytest
from PIL import Image

from facecycle_cli.errors import DataError
from facecycle_cli.evaluation.group_data import age_group, draw_groups, find_groups
from facecycle_cli.evaluation.groups import ALL, GroupFace, GroupSummary, evaluate_groups
from facecycle_cli.faces import load_backend
from facecycle_cli.model import load

pytest.importorskip("skimage")


@pytest.fixture
def ages(tmp_path):
    """Pictures of three ages, and one without."""
    folder = tmp_path / "ages"
    folder.mkdir()
    for name in ("00001A02", "00002A09", "00003A37", "notes"):
        Image.new("RGB", (8, 8)).save(folder / f"{name}.png")
    return folder


@pytest.mark.parametrize(
    ("age", "group"),
    [(0, "00-09"), (9, "00-09"), (10, "10-19"), (39, "20-39"), (59, "40-59"), (60, "60+"),
     (101, "60+")],
)  # fmt: skip
def test_age_groups(age, group):
    assert age_group(age) == group


class TestFind:
    def test_ages_in_names(self, ages):
        found = find_groups(ages)
        assert [p.group for p in found.pictures] == ["00-09", "00-09", "20-39"]
        assert (found.ungrouped, found.problems) == (1, [])

    def test_a_shard_holds_the_same(self, ages, tmp_path):
        with tarfile.open(tmp_path / "ages.tar", "w") as tar:
            tar.add(ages, "all")
        found = find_groups(tmp_path / "ages.tar").pictures
        assert [p.group for p in found] == ["00-09", "00-09", "20-39", "all"]
        assert found[0].read().shape == (8, 8, 3)

    def test_folders_and_tables(self, ages, tmp_path):
        (ages / "b").mkdir()
        (ages / "notes.png").rename(ages / "b" / "notes.png")
        assert {p.group for p in find_groups(ages).pictures} == {"00-09", "20-39", "b"}
        table = tmp_path / "table.csv"
        table.write_text("path,group\nages/00001A02.png,x\nages/00002A09.png,\nages/gone.png,y\n")
        found = find_groups(table)
        assert [p.group for p in found.pictures] == ["x", "y"]
        assert [name for name, _ in found.problems] == ["table.csv, line 3"]

    @pytest.mark.parametrize(
        ("name", "content", "words"),
        [
            ("a.txt", b"text", "neither a folder"),
            ("a.csv", b"path,label\n", "the columns path and group"),
            ("a.csv", b"path,group\nx.png,\n", r"no picture says its group.*line 2: no group"),
            ("a.tar", b"no tar", "not a tar file"),
        ],
    )
    def test_bad_data(self, tmp_path, name, content, words):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=words):
            find_groups(tmp_path / name)

    def test_draw(self, ages):
        pictures = find_groups(ages).pictures
        assert draw_groups(pictures, None, 0) == pictures
        drawn = [draw_groups(pictures, 1, seed) for seed in range(6)]
        assert {tuple(p.group for p in each) for each in drawn} == {("00-09", "20-39")}
        assert drawn[0] == draw_groups(pictures, 1, 0)
        assert len({each[0].name for each in drawn}) == 2


def test_a_summary():
    faces = [GroupFace(-20, 2, 0.1, 0.9), GroupFace(10, -4, 0.3, 0.7), GroupFace(5, None, 0.2, 0.8)]
    summary = GroupSummary.of(4, faces)
    assert (summary.pictures, summary.found, summary.lost) == (4, 0.75, 1)
    assert (summary.yaw_before, summary.yaw_after) == (15, 3)  # of the faces found in both
    assert summary.cycle_l1 == pytest.approx(0.2)
    assert summary.standard_errors["yaw_after"] == pytest.approx(1.0)
    assert GroupSummary.of(2, []).yaw_after is None


def test_evaluate(examples, tmp_path):
    for group, person in (("a", 1), ("b", 2)):
        (tmp_path / group).mkdir()
        shutil.copy(examples / "faces" / f"person{person}_neutral.jpg", tmp_path / group)
    Image.fromarray(np.full((80, 80, 3), 90, np.uint8)).save(tmp_path / "b" / "blank.png")
    (tmp_path / "b" / "damaged.png").write_bytes(b"no picture")
    model, backend = load(), load_backend("mesh", threads=1)
    result = evaluate_groups(find_groups(tmp_path).pictures, model, backend)
    a, b, total = (result.summaries[name] for name in ("a", "b", ALL))
    assert (a.pictures, a.found, b.pictures, b.found) == (1, 1, 2, 0.5)
    assert total.pictures == 3
    assert total.cycle_ssim == pytest.approx((a.cycle_ssim + b.cycle_ssim) / 2)
    assert 0.9 < total.cycle_ssim < 1
    assert total.yaw_after < 5
    assert [name.endswith("damaged.png") for name, _ in result.problems] == [True]
    blank = [p for p in find_groups(tmp_path).pictures if p.name.endswith("blank.png")]
    with pytest.raises(DataError, match="no face was found in any"):
        evaluate_groups(blank, model, backend)
