"""The landmarks of all crops of a run: measured, kept and read again."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from facecycle_cli.errors import DataError
from facecycle_cli.training.data.discover import find_crops
from facecycle_cli.training.data.frames import FrameStore
from facecycle_cli.training.landmarks import LandmarkTable


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
