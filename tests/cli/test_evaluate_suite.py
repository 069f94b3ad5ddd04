"""evaluate suite and evaluate groups: whole commands on the example faces."""

from __future__ import annotations

import json
import shutil

import pytest

from facecycle_cli.model import read_info
from tests.cli.call import call, files_below

pytest.importorskip("sklearn")
pytest.importorskip("skimage")


@pytest.fixture
def groups(tmp_path, examples):
    """data/groups: a folder for each of two groups."""
    for group, person in (("one", 1), ("two", 2)):
        folder = tmp_path / "data" / "groups" / group
        folder.mkdir(parents=True)
        shutil.copy(examples / "faces" / f"person{person}_neutral.jpg", folder)
    return tmp_path / "data" / "groups"


class TestSuite:
    def test_what_fails_and_what_is_measured(self, groups, tmp_path, examples):
        data, folder = groups.parent, tmp_path / "report"
        (data / "london").mkdir()
        for name in ("person1_neutral.jpg", "person1_smiling.jpg"):
            shutil.copy(examples / "faces" / name, data / "london")
        (data / "fer2013.npz").write_bytes(b"PK no")
        done = call("evaluate", "suite", data, "--quick", "--report", folder)
        assert done.returncode == 1
        assert "london: neutral" in done.stdout
        assert "smile removed" in done.stdout
        assert "groups: groups" in done.stdout
        errors = done.stderr.splitlines()
        assert sum("fer2013.npz: not a readable .npz" in line for line in errors) == 1
        assert any("left out: rafdb, affectnet, aflw2000" in line for line in errors)
        assert any("1 data set of 3 could not be measured" in line for line in errors)
        assert files_below(folder) == {"report.json", "index.html"}
        report = json.loads((folder / "report.json").read_text())
        assert set(report["sets"]) == {"london", "groups"}
        assert set(report["failed"]) == {"fer2013"}
        assert report["counts"] == {"measured": 2, "failed": 1}
        assert report["checkpoint"]["sha256"] == read_info("small").sha256
        assert report["sets"]["groups"]["numbers"]["groups"]["one"]["found"] == 1
        london = report["sets"]["london"]
        shares = {row["method"]: row["values"].get("share") for row in london["rows"]}
        assert shares["smile removed"] == london["numbers"]["results"]["ours"]["smile_removed"]
        assert not any(row["published"] for row in london["rows"])

    @pytest.mark.full
    def test_every_evaluation(self, groups, tmp_path, examples):
        data = groups.parent
        for person in range(1, 7):
            for label in ("neutral", "smiling"):
                split = "test" if person > 4 else "train"
                for folder in (f"people/{person}", f"fer2013/{split}/{label}", "faces", "turned"):
                    (data / folder).mkdir(parents=True, exist_ok=True)
                    name = f"person{person}_{label}.jpg"
                    shutil.copy(examples / "faces" / name, data / folder)
        (data / "posed").mkdir()
        for label in ("neutral", "smiling"):
            shutil.copy(examples / "faces" / f"person1_{label}.jpg", data / "posed")
        (data / "clips").mkdir()
        shutil.copy(examples / "talker.mpg", data / "clips")
        (data / "poses").mkdir()
        lines = [
            json.dumps({"path": f"{i}.jpg", "yaw": i, "pitch": 0, "roll": 0, "source": str(i)})
            for i in range(1, 7)
        ]
        for i in range(1, 7):
            shutil.copy(examples / "faces" / f"person{i}_neutral.jpg", data / "poses" / f"{i}.jpg")
        (data / "poses" / "index.jsonl").write_text("\n".join(lines))
        done = call("evaluate", "suite", data, "--quick", "--json")
        assert done.returncode == 0, done.stderr
        *sets, summary = map(json.loads, done.stdout.splitlines())
        assert summary["counts"] == {"measured": 7, "failed": 0}
        assert [each["task"] for each in sets] == [
            "expression", "pose", "verification", "reconstruction", "neutral", "translate", "groups"
        ]  # fmt: skip
        for each in sets:
            ours = [row for row in each["rows"] if not row["published"]]
            assert all(any(v is not None for v in row["values"].values()) for row in ours[:3])

    def test_objects(self, groups):
        done = call("evaluate", "suite", groups.parent, "--json", "-q")
        assert (done.returncode, done.stderr) == (0, "")
        rows, summary = map(json.loads, done.stdout.splitlines())
        assert (rows["status"], rows["task"]) == ("done", "groups")
        assert summary["summary"] is True
        assert summary["counts"] == {"measured": 1, "failed": 0}

    def test_no_data_set(self, tmp_path):
        done = call("evaluate", "suite", tmp_path)
        assert (done.returncode, done.stdout) == (1, "")
        assert "no data set here" in done.stderr
        assert len(done.stderr.splitlines()) == 1
        done = call("evaluate", "suite", tmp_path / "gone")
        assert "No such file or directory" in done.stderr


class TestGroups:
    def test_a_table_and_its_report(self, groups, tmp_path):
        table, folder = tmp_path / "table.csv", tmp_path / "report"
        table.write_text(
            f"path,group\n{groups}/one/person1_neutral.jpg,one\n{groups}/gone.jpg,one\n"
        )
        done = call("evaluate", "groups", table, "--report", folder)
        assert done.returncode == 1
        assert "gone.jpg: No such file or directory" in done.stderr
        assert [line.split()[:3] for line in done.stdout.splitlines()[-2:]] == [
            ["one", "1", "100.0"],
            ["(all)", "1", "100.0"],
        ]
        report = json.loads((folder / "report.json").read_text())
        assert report["counts"] == {"pictures": 1, "skipped": 1}
        assert set(report["results"]["small"]["groups"]) == {"one", "(all)"}

    def test_no_groups(self, tmp_path, examples):
        shutil.copy(examples / "faces" / "person1_neutral.jpg", tmp_path)
        done = call("evaluate", "groups", tmp_path)
        assert (done.returncode, done.stdout) == (1, "")
        assert "no picture says its group" in done.stderr
