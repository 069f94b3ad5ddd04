"""The columns of faces: that they are those of the networks and of the landmarks."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

import facecycle_cli as fc
from facecycle_cli.encode.columns import KEYS
from facecycle_cli.encode.records import Measurer
from facecycle_cli.errors import SettingsError
from facecycle_cli.faces import Alignment
from facecycle_cli.portrait.portraits import find_faces


@pytest.fixture(scope="module")
def table(smiling, photograph):
    """Of a picture of two people, one without a face, and one of one person."""
    other = cv2.resize(photograph, smiling.shape[1::-1])
    pictures = [np.hstack([smiling, other]), np.zeros((64, 64, 3), np.uint8), smiling]
    return pictures, fc.encode(pictures, faces="all", landmarks=True)


def test_rows_are_faces_of_pictures(table):
    _, rows = table
    assert rows["source"].tolist() == [0, 0, 2]
    assert rows["face"].tolist() == [1, 2, 1]
    assert rows["frame"].tolist() == [0, 0, 0]
    assert np.isnan(rows["time"]).all()
    assert {len(column) for column in rows.values()} == {3}
    assert all(np.isfinite(rows[name]).all() for name in rows if name != "time")


def test_codes_and_measures_are_those_of_the_face(table, model, backend):
    pictures, rows = table
    (face,) = find_faces(pictures[2], backend)
    with torch.inference_mode():
        crop = Alignment.from_face(face, model.config.image_size).crop(pictures[2])
        codes = model.encode(model.to_input(crop))
    assert rows["identity_code"][2] == pytest.approx(codes.identity_code[0].numpy(), abs=1e-4)
    assert rows["expression_code"][2] == pytest.approx(codes.expression_code[0].numpy(), abs=1e-4)
    assert rows["yaw"][2] == pytest.approx(face.pose.yaw, abs=1e-3)
    assert rows["five_points"][2] == pytest.approx(face.five_points, abs=1e-3)
    assert rows["landmarks"][2] == pytest.approx(face.landmarks, abs=1e-3)
    left, right = rows["eye_opening_left"][2], rows["eye_opening_right"][2]
    assert (left + right) / 2 == pytest.approx(face.eye_opening, abs=1e-5)


def test_vectors_compare_as_verify_does(smiling, photograph):
    rows = fc.encode([smiling, photograph], only=["verification_vector"])
    assert list(rows) == [*KEYS, "verification_vector"]
    a, b = rows["verification_vector"]
    assert a @ a == pytest.approx(1, abs=1e-5)
    assert a @ b == pytest.approx(fc.verify(smiling, photograph).similarity, abs=0.03)


def test_crops_are_described_as_their_photograph(table, backend):
    pictures, rows = table
    (face,) = find_faces(pictures[2], backend)
    alignment = Alignment.from_face(face, 144)
    crop = alignment.crop(pictures[2])
    plain = fc.encode(crop, aligned=True)
    assert np.isnan(plain["yaw"]).all()
    assert np.isnan(plain["five_points"]).all()
    found = fc.encode([crop], aligned=True, landmarks=True)
    assert found["yaw"][0] == pytest.approx(rows["yaw"][2], abs=3)
    assert found["eye_opening_left"][0] == pytest.approx(rows["eye_opening_left"][2], abs=0.03)
    assert found["five_points"][0] == pytest.approx(alignment.apply(face.five_points), abs=2.5)
    for name in ("identity_code", "verification_vector"):
        one, other = found[name][0], rows[name][2]
        assert one @ other > 0.98 * np.linalg.norm(one) * np.linalg.norm(other), name


def test_an_index_says_what_a_crop_does_not(model):
    crop = np.full((128, 128, 3), 90, np.uint8)
    entry = {"frame": 7, "time": 1.4, "yaw": -3, "score": 0.5, "points": [[1, 2]] * 5}
    record = Measurer(model, landmarks=False).aligned(crop, entry)
    assert (record.frame, record.time, record.face) == (7, 1.4, 1)
    assert record.measures["yaw"] == -3
    assert record.measures["detector_score"] == 0.5
    assert record.measures["five_points"].shape == (5, 2)
    assert record.measures["sharpness"] == 0
    for damaged in ({"yaw": "x"}, {"points": [[1, 2]]}, {"points": "x"}, {"time": float("nan")}):
        with pytest.raises(ValueError, match="must be"):
            Measurer(model, landmarks=False).aligned(crop, entry | damaged)


def test_columns_by_name(smiling):
    with pytest.raises(SettingsError, match="'smile'; there are: identity_code, "):
        fc.encode(smiling, only=["yaw", "smile"])
    with pytest.raises(SettingsError, match="needs --landmarks"):
        fc.encode(smiling, only=["landmarks"])
    empty = fc.encode([], landmarks=True)
    assert empty["landmarks"].shape == (0, 468, 3)
    assert empty["verification_vector"].shape == (0, 256)
