"""Labeled expressions: tables as people have them, and rows that list nothing."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest

from facecycle_cli.errors import DataError
from facecycle_cli.evaluation.expression_data import load_expressions
from facecycle_cli.evaluation.left_out import crop_listed, with_problems
from facecycle_cli.media import Provenance, write_image
from facecycle_cli.portrait.crops import CropSettings, FailedCrop, Picture

PIXELS = "0 64 128 255"


def table(path, text: str, encoding: str = "utf-8"):
    path.write_bytes(text.encode(encoding))
    return load_expressions(path)


class TestFer:
    ROWS = (f"3,{PIXELS},Training", f"6.0,{PIXELS},PrivateTest", f"3.0,{PIXELS},")

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    @pytest.mark.parametrize("line", ["\n", "\r\n", "\r"])
    @pytest.mark.parametrize("header", ["emotion,pixels,Usage", " Emotion , PIXELS,USAGE"])
    def test_forms(self, tmp_path, encoding, line, header):
        data = table(tmp_path / "fer.csv", line.join((header, *self.ROWS)), encoding)
        assert data.labels == ["happy", "neutral", "happy"]
        assert data.splits == ["train", "test", "train"]
        assert [p.source.tolist() for p in data.open()] == [[[0, 64], [128, 255]]] * 3
        assert data.problems == []

    def test_other_columns_and_orders(self, tmp_path):
        text = f"id;Usage;pixels;emotion\n1;Training;{PIXELS};3\n2;PublicTest;{PIXELS};4\n"
        data = table(tmp_path / "fer.csv", text)
        assert (data.labels, data.splits) == (["happy", "sad"], ["train", "test"])

    @pytest.mark.parametrize(
        ("row", "words"),
        [
            ("3", "1 cell for 3 columns, and the one of pixels is missing"),
            (f"3,{PIXELS}", "2 cells for 3 columns, and the one of usage is missing"),
            (f",{PIXELS},Training", "no emotion"),
            ("3,,Training", "no pixels"),
            (f"3,{PIXELS},Sometimes", "'Sometimes' is no split"),
            (f'"3,{PIXELS},Training', "its cells cannot be told apart"),
            (f"3\0,{PIXELS},Training", "it holds a zero byte"),
            (f"\u00b2,{PIXELS},Training", "emotion is '\u00b2', neither a name nor the number"),
            (f"-1,{PIXELS},Training", "emotion is '-1', neither"),
            (f"nan,{PIXELS},Training", "emotion is 'nan', neither"),
            (f"{'9' * 4300},{PIXELS},Training", "emotion is '999"),
        ],
    )
    def test_a_row_that_lists_nothing_is_left_out(self, tmp_path, row, words):
        lines = ["emotion,pixels,Usage", self.ROWS[0], "", row, *self.ROWS[1:]]
        data = table(tmp_path / "fer.csv", "\n".join(lines))
        assert data.labels == ["happy", "neutral", "happy"]
        assert [picture.name for picture in data.open()] == [
            f"fer.csv, line {n}" for n in (2, 5, 6)
        ]
        ((name, error),) = data.problems
        assert name == "fer.csv, line 4"
        assert words in str(error)

    @pytest.mark.parametrize("pixels", ["1 2 3", "1 2 x 4", "1 2 3 256", "-1 2 3 4", "1.5 2 3 4"])
    def test_pixels_that_are_no_picture(self, tmp_path, pixels):
        lines = ["emotion,pixels,Usage", self.ROWS[0], f"3,{pixels},Training", self.ROWS[1]]
        data = table(tmp_path / "fer.csv", "\n".join(lines))
        good, bad, _ = data.open()
        assert isinstance(good, Picture)
        assert (bad.name, isinstance(bad, FailedCrop)) == ("fer.csv, line 3", True)
        assert "not a square picture" in str(bad.problem)

    def test_a_line_without_end(self, tmp_path, monkeypatch):
        monkeypatch.setattr("facecycle_cli.evaluation.csv_rows._LONGEST_LINE", 200)
        lines = ["emotion,pixels,Usage", self.ROWS[0], "3," + "1 " * 900, *self.ROWS[1:]]
        data = table(tmp_path / "fer.csv", "\n".join(lines))
        assert len(data) == 3
        ((name, error),) = data.problems
        assert (name, str(error)) == ("fer.csv, line 3", "longer than 200 characters")

    def test_nothing_is_left(self, tmp_path):
        text = "emotion,pixels,Usage\n3,,Training\n4,,Training\n"
        with pytest.raises(
            DataError,
            match=r"no labeled pictures \(left out: fer.csv, line 2: no pixels, and 1 more",
        ):
            table(tmp_path / "fer.csv", text)


class TestPaths:
    def test_rows_of_paths(self, tmp_path):
        text = 'path,label,split\n"a, b.jpg",x,train\nc d.jpg,y,test\n,x,train\ne.jpg,,train\n'
        data = table(tmp_path / "table.csv", text + "f,g.jpg,x,train\nh.jpg,3.5,\n")
        assert [p.name for p in data.open()] == [
            str(tmp_path / name) for name in ("a, b.jpg", "c d.jpg", "h.jpg")
        ]
        assert data.labels == ["x", "y", "3.5"]
        assert [(name[-1], str(error)) for name, error in data.problems] == [
            ("4", "no path"),
            ("5", "no label"),
            ("6", "4 cells for 3 columns"),
        ]

    def test_names_that_are_no_text(self, tmp_path):
        (tmp_path / "t.csv").write_bytes(b"path,label\n\xff.jpg,x\na.jpg,y\n")
        first, _ = load_expressions(tmp_path / "t.csv").open()
        assert first.name == str(tmp_path / "\udcff.jpg")

    def test_a_line_of_raf_db(self, tmp_path):
        (tmp_path / "EmoLabel").mkdir()
        listing = tmp_path / "EmoLabel" / "list_patition_label.txt"
        listing.write_text("train_1.jpg 4\ntrain_2.jpg ²\ntrain_3.jpg 9\ntest_1.jpg 7\n")
        data = load_expressions(tmp_path)
        assert data.labels == ["happy", "neutral"]
        assert [name for name, _ in data.problems] == [
            f"list_patition_label.txt, line {n}" for n in (2, 3)
        ]


class TestNpz:
    def test_labels_in_a_column_and_as_floats(self, tmp_path):
        images = np.zeros((2, 4, 4), np.uint8)
        labels = np.array([[3.0], [6.0]])
        path = tmp_path / "a.npz"
        np.savez(path, train_images=images, train_labels=labels, other=np.array(["x"], object))
        assert load_expressions(path).labels == ["happy", "neutral"]

    @pytest.mark.parametrize(
        ("arrays", "words"),
        [
            ({"train_images": np.zeros((2, 4, 4), np.uint8)}, "no train_labels of its length"),
            ({"train_images": np.uint8(1), "train_labels": [1]}, "no train_labels of its length"),
            (
                {"train_images": np.zeros((1, 4, 4, 2), np.uint8), "train_labels": [1]},
                "must be uint8",
            ),
            (
                {"train_images": np.array([[None]], object), "train_labels": [1]},
                "not a readable .npz",
            ),
        ],
    )
    def test_what_is_no_set(self, tmp_path, arrays, words):
        np.savez(tmp_path / "a.npz", **arrays)
        with pytest.raises(DataError, match=words):
            load_expressions(tmp_path / "a.npz")

    def test_damaged(self, tmp_path):
        np.savez_compressed(tmp_path / "a.npz", train_images=np.zeros((9, 9, 9), np.uint8))
        data = bytearray((tmp_path / "a.npz").read_bytes())
        data[60:70] = bytes(10)
        (tmp_path / "a.npz").write_bytes(data)
        with pytest.raises(DataError, match=r"not a readable \.npz"):
            load_expressions(tmp_path / "a.npz")

    def test_larger_than_the_memory(self, tmp_path, monkeypatch):
        import psutil

        with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("train_images.npy", bytes(1 << 20))
        memory = psutil.virtual_memory()._replace(available=1 << 19)
        monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
        with pytest.raises(DataError, match="unpacks to 1,048,576 bytes"):
            load_expressions(tmp_path / "a.npz")


def test_gaps_keep_their_places(backend):
    def failed(name):
        return FailedCrop(name, DataError("no pixels"))

    gray = np.full((8, 8), 99, np.uint8)
    pictures = [Picture(str(i), gray) for i in range(70)]
    listed = [failed("x"), *pictures[:3], failed("y"), failed("z"), *pictures[3:], failed("end")]
    results = list(crop_listed(listed, CropSettings(8, aligned=True), backend))
    assert [result.name for result in results] == [entry.name for entry in listed]
    for result, entry in zip(results, listed, strict=True):
        assert isinstance(result, FailedCrop) == isinstance(entry, FailedCrop)
    assert list(crop_listed([], CropSettings(8), backend)) == []


def test_what_was_left_out_is_named():
    error = DataError("nothing")
    assert with_problems(error, []) is error
    assert str(with_problems(error, [("a", DataError("b"))])) == "nothing (left out: a: b)"


def test_results_of_facecycle_are_no_labeled_pictures(tmp_path):
    gray = np.full((8, 8, 3), 128, np.uint8)
    for name in ("joy", "anger"):
        for number in range(6):
            write_image(gray, tmp_path / name / f"{number}.png", provenance=None)
        made = Provenance("neutralize")
        write_image(gray, tmp_path / name / "0_neutral.png", provenance=made)
    data = load_expressions(tmp_path)
    assert len(data) == 12
    assert data.notes == ["2 pictures left out: results of facecycle"]
