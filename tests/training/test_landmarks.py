"""The landmarks of all crops of a run: measured, kept and read again."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from facecycle_cli.errors import DataError
from facecycle_cli.faces.crop_landmarks import (
    LANDMARKS_SUFFIX,
    MAX_LANDMARKS_BYTES,
    LandmarkReader,
    encode_landmarks,
)
from facecycle_cli.preprocess import PreprocessSettings, preprocess
from facecycle_cli.training.data.discover import find_crops
from facecycle_cli.training.data.frames import FrameStore
from facecycle_cli.training.landmarks import LandmarkTable, StoredLandmarks
from tests.clips import FACES


def test_measured_for_each_crop_by_its_number(tmp_path, face_crops, face_landmarks):
    folder = tmp_path / "crops"
    folder.mkdir()
    Image.fromarray(face_crops[1]).save(folder / "0.png")
    (folder / "1.png").write_bytes(b"broken")
    Image.new("RGB", (80, 80), (90, 90, 90)).save(folder / "2.png")
    Image.fromarray(face_crops[0]).save(folder / "3.png")
    store = FrameStore(find_crops([folder]), 80, keep=False)
    table = LandmarkTable.measure(store, 2)
    table.save(tmp_path / "landmarks.npz")
    for known in (table, LandmarkTable.load(tmp_path / "landmarks.npz", 4)):
        assert np.array_equal(known.of_crop(0), face_landmarks[1])
        assert known.of_crop(1) is None
        assert known.of_crop(2) is None
        assert np.array_equal(known.of_crop(3), face_landmarks[0])
    assert set(store.broken) == {1}


@pytest.mark.parametrize("format_", ["folder", "webdataset"])
def test_those_beside_the_crops_are_read_and_not_measured(tmp_path, format_, monkeypatch):
    for number, face in enumerate(FACES[:2]):
        (tmp_path / "in" / f"{number}").mkdir(parents=True)
        with Image.open(face) as photo:
            photo.resize((300, 300 * photo.height // photo.width)).save(
                tmp_path / "in" / f"{number}" / "a.jpg"
            )
    settings = PreprocessSettings(format=format_)
    preprocess([str(tmp_path / "in")], tmp_path / "out", settings, workers=1)
    store = FrameStore(find_crops([tmp_path / "out"]), 160, keep=False)
    measured = [LandmarkReader()(store.frame(crop)) for crop in range(2)]
    monkeypatch.setattr(LandmarkReader, "__call__", None)
    table = LandmarkTable.measure(store, 1)
    for crop in range(2):
        off = np.linalg.norm(table.of_crop(crop)[:, :2] - measured[crop][:, :2], axis=1)
        assert off.mean() < 0.012  # of the crop's side: those of this crop, not of the other one


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY garbage",
        encode_landmarks(np.zeros((467, 3))),
        encode_landmarks(np.full((468, 3), np.nan)),
        encode_landmarks(np.zeros((468, 3))) + b"x" * MAX_LANDMARKS_BYTES,
    ],
    ids=["empty", "garbage", "other", "nan", "long"],
)
def test_what_is_no_file_of_landmarks_is_measured(tmp_path, content, face_crops, face_landmarks):
    Image.fromarray(face_crops[0]).save(tmp_path / "0.png")
    (tmp_path / f"0{LANDMARKS_SUFFIX}").write_bytes(content)
    store = FrameStore(find_crops([tmp_path]), 80, keep=False)
    assert np.array_equal(StoredLandmarks(store).of_crop(0), face_landmarks[0])
    (tmp_path / f"0{LANDMARKS_SUFFIX}").write_bytes(encode_landmarks(np.ones((468, 3))))
    assert np.array_equal(StoredLandmarks(store).of_crop(0), np.ones((468, 3)))


def test_without_any_face(tmp_path):
    Image.new("RGB", (80, 80)).save(tmp_path / "0.png")
    table = LandmarkTable.measure(FrameStore(find_crops([tmp_path]), 80, keep=False), 1)
    table.save(tmp_path / "landmarks.npz")
    assert LandmarkTable.load(tmp_path / "landmarks.npz", 1).of_crop(0) is None


def stored(**changes):
    arrays = {
        "rows": np.array([0, -1, 1], np.int64),
        "landmarks": np.zeros((2, 468, 3), np.float32),
    }
    return {name: array for name, array in {**arrays, **changes}.items() if array is not None}


@pytest.mark.parametrize(
    "changes",
    [
        {"rows": None},
        {"rows": np.array([0, 1])},
        {"rows": np.array([0, 1, 2])},
        {"rows": np.array([1, -1, 0])},
        {"rows": np.array([0, -2, 1])},
        {"rows": np.array([0.0, -1.0, 1.0])},
        {"landmarks": np.zeros((2, 467, 3), np.float32)},
        {"landmarks": np.zeros((2, 468, 3))},
        {"landmarks": np.zeros((), np.float32)},
        {"landmarks": np.full((2, 468, 3), np.nan, np.float32)},
        {"landmarks": np.zeros((200, 468, 3), np.float32)},
        {"landmarks": np.array([{}] * 2)},
    ],
)
def test_a_damaged_file_is_said_so(tmp_path, changes):
    path = tmp_path / "landmarks.npz"
    np.savez_compressed(path, **stored())
    LandmarkTable.load(path, 3)
    np.savez_compressed(path, **stored(**changes))
    with pytest.raises(DataError, match=r"landmarks\.npz: damaged, remove it to measure it again"):
        LandmarkTable.load(path, 3)


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04" + b"\0" * 60])
def test_what_is_no_table(tmp_path, content):
    (tmp_path / "landmarks.npz").write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        LandmarkTable.load(tmp_path / "landmarks.npz", 3)
