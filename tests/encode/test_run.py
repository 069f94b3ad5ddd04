"""Rows to files: the same in every format, after any interruption, and nothing of what failed."""

from __future__ import annotations

import csv
import json
import os

import numpy as np
import pytest

from facecycle_cli.encode import formats
from facecycle_cli.encode.columns import Column
from facecycle_cli.encode.encode import Encoder
from facecycle_cli.encode.formats import FORMATS, write_table
from facecycle_cli.encode.inputs import FaceSource
from facecycle_cli.encode.partial import PartialTable
from facecycle_cli.encode.records import FaceRecord
from facecycle_cli.encode.run import Recorder
from facecycle_cli.errors import CommandError, OutputError, SettingsError

COLUMNS = (
    Column("frame", dtype="<i8"),
    Column("time", dtype="<f8"),
    Column("yaw"),
    Column("five_points", (2, 2), ("ax", "ay", "bx", "by")),
)
SETTINGS = {"fps": None}
EMPTY = np.zeros((1, 1, 3), np.uint8)


def record(number):
    measures = {} if number % 3 == 2 else {"yaw": number / 3, "five_points": [[number, 1], [2, 3]]}
    return FaceRecord(number, number / 25, 1, EMPTY, EMPTY, measures)


def source(name, *numbers):
    return FaceSource(name, [record(n) for n in numbers])


def video(name, *numbers, error=None):
    def play():
        yield [record(n) for n in numbers]
        if error is not None:
            raise error

    return FaceSource(name, video=play)


@pytest.fixture
def encoder(model):
    return Encoder(model, COLUMNS)


def fill(folder, encoder, sources, settings=SETTINGS):
    """Rows of those sources that are not done, as a call makes them; returns the table's names."""
    with PartialTable(folder, COLUMNS, settings) as table:
        recorder = Recorder(encoder, table, "t.npz")
        for one in sources:
            if not table.take_done(one.name):
                recorder.add(one)
        recorder.flush()
        return list(table.names())


INPUTS = [("a.jpg", 0), ("b\udce4,\n.jpg", 1, 2), ("none.jpg",), ("v.mp4", 3, 4, 5, 6)]


def inputs():
    return [video(*i) if i[0].endswith("mp4") else source(*i) for i in INPUTS]


class TestFormats:
    @pytest.fixture
    def written(self, tmp_path, encoder, monkeypatch):
        monkeypatch.setattr(formats, "_BLOCK", 3)
        fill(tmp_path / "p", encoder, inputs())
        paths = {suffix: tmp_path / f"t{suffix}" for suffix in FORMATS}
        with PartialTable(tmp_path / "p", COLUMNS, SETTINGS) as table:
            for suffix, path in paths.items():
                if suffix == ".parquet":
                    pytest.importorskip("pyarrow", reason="needs the extra parquet")
                write_table(table, path, suffix)
            table.complete()
        assert not (tmp_path / "p").exists()
        return paths

    def test_all_hold_the_same_rows(self, written):
        names = [name for name, *numbers in INPUTS for _ in numbers]
        with np.load(written[".npz"]) as arrays:
            assert arrays["source"].tolist() == names
            assert arrays["frame"].tolist() == [*range(7)]
            assert arrays["five_points"].shape == (7, 2, 2)
            points, yaw = arrays["five_points"], arrays["yaw"]
        assert np.isnan(yaw).tolist() == [n % 3 == 2 for n in range(7)]

        lines = written[".jsonl"].read_text("ascii").splitlines()
        rows = [json.loads(line) for line in lines]
        assert [row["source"] for row in rows] == names
        assert rows[2]["yaw"] is rows[2]["five_points"] is None
        assert rows[3]["five_points"] == points[3].tolist()
        assert rows[1]["yaw"] == pytest.approx(yaw[1], rel=1e-6)
        assert rows[1]["time"] == 0.04

        with open(written[".csv"], newline="", encoding="utf-8", errors="surrogateescape") as file:
            table = list(csv.DictReader(file))
        assert list(table[0]) == ["source", "frame", "time", "yaw", "ax", "ay", "bx", "by"]
        assert [row["source"] for row in table] == names
        assert (table[2]["yaw"], table[2]["ax"], table[3]["ax"]) == ("", "", "3")

    def test_parquet_has_lists_and_nulls(self, written):
        rows = pytest.importorskip("pyarrow.parquet").read_table(written[".parquet"]).to_pylist()
        assert [row["frame"] for row in rows] == [*range(7)]
        assert rows[2]["yaw"] is rows[2]["five_points"] is None
        assert rows[4]["five_points"] == [4, 1, 2, 3]
        assert rows[0]["source"] == "a.jpg"


class TestInterruptions:
    @pytest.fixture
    def whole(self, tmp_path, encoder):
        fill(tmp_path / "whole", encoder, inputs())
        return contents(tmp_path / "whole")

    @pytest.mark.parametrize("after", range(len(INPUTS)))
    def test_goes_on_after_a_kill(self, tmp_path, encoder, whole, after):
        fill(tmp_path / "p", encoder, inputs()[:after])
        for path in (tmp_path / "p").iterdir():  # what was being written
            if path.name != "settings.json":
                with open(path, "ab") as file:
                    file.write(b'{"source": "v')
        names = fill(tmp_path / "p", encoder, inputs())
        assert names == [(name, len(numbers)) for name, *numbers in INPUTS if numbers]
        assert contents(tmp_path / "p") == whole

    def test_the_same_file_twice_has_its_rows_twice(self, tmp_path, encoder):
        twice = [source("a.jpg", 0), source("a.jpg", 0)]
        fill(tmp_path / "p", encoder, twice[:1])
        assert fill(tmp_path / "p", encoder, twice) == [("a.jpg", 1)] * 2

    def test_a_video_that_breaks_off_leaves_no_row(self, tmp_path, encoder):
        with PartialTable(tmp_path / "p", COLUMNS, SETTINGS) as table:
            recorder = Recorder(encoder, table, "t.npz")
            recorder.add(source("a.jpg", 0))
            with pytest.raises(ValueError, match="damaged"):
                recorder.add(video("v.mp4", 1, 2, error=ValueError("damaged")))
            recorder.add(source("b.jpg", 3))
            recorder.flush()
            assert list(table.names()) == [("a.jpg", 1), ("b.jpg", 1)]
            assert [b.tolist() for b in table.blocks(COLUMNS[0], 9)] == [[0, 3]]

    def test_other_settings_and_other_processes_are_refused(self, tmp_path, encoder):
        fill(tmp_path / "p", encoder, inputs())
        with pytest.raises(SettingsError, match="with other inputs, options or weights"):
            fill(tmp_path / "p", encoder, inputs(), {"fps": 5})
        with (
            PartialTable(tmp_path / "p", COLUMNS, SETTINGS),
            pytest.raises(OutputError, match="another run"),
        ):
            fill(tmp_path / "p", encoder, inputs())

    def test_a_column_that_is_too_short_is_not_filled_up(self, tmp_path, encoder):
        fill(tmp_path / "p", encoder, inputs())
        os.truncate(tmp_path / "p" / "yaw.bin", 5)
        with pytest.raises(OutputError, match="damaged"):
            fill(tmp_path / "p", encoder, inputs())

    def test_rows_of_a_table_that_is_complete_are_not_used_again(self, tmp_path, encoder):
        fill(tmp_path / "p", encoder, inputs())
        (tmp_path / "p" / "complete").touch()  # killed before the folder was removed
        assert fill(tmp_path / "p", encoder, [source("new.jpg", 0)]) == [("new.jpg", 1)]

    @pytest.mark.parametrize(
        "error", [OSError(28, "No space left on device"), OutputError("t.npz: No space left")]
    )
    def test_a_full_disk_ends_the_command(self, encoder, error):
        class Full:
            def append(self, rows, counts):
                raise error

        recorder = Recorder(encoder, Full(), "t.npz")
        recorder.add(source("a.jpg", 0))
        with pytest.raises(CommandError, match=r"t\.npz: No space left"):
            recorder.flush()


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}
