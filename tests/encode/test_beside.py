"""Landmarks that preprocess wrote beside its crops: encode reads them in the place of the mesh."""

from __future__ import annotations

import numpy as np
import pytest

from facecycle_cli.encode.inputs import EncodeSettings, open_sources, walk_inputs
from facecycle_cli.encode.records import Measurer
from facecycle_cli.faces.crop_landmarks import LandmarkReader
from facecycle_cli.media import read_image
from facecycle_cli.media.files import LeftOut
from facecycle_cli.preprocess import PreprocessSettings, preprocess
from tests.clips import FACES


@pytest.fixture(params=["folder", "webdataset"])
def crops(request, tmp_path):
    settings = PreprocessSettings(format=request.param)
    preprocess([str(FACES[1])], tmp_path / "crops", settings, workers=1)
    return tmp_path / "crops"


def measures_of(folder, model, backend, *, landmarks):
    settings = EncodeSettings(aligned=True)
    items = walk_inputs([str(folder)], settings, LeftOut())
    measurer = Measurer(model, landmarks=landmarks)
    (source,) = open_sources(items, settings, backend, measurer, workers=1)
    assert source.problem is None
    (record,) = source.faces
    return record.measures


def test_openings_are_known_without_the_mesh(crops, model, backend, monkeypatch):
    face = backend.detect([read_image(FACES[1])])[0][0]
    monkeypatch.setattr(LandmarkReader, "__call__", None)
    found = measures_of(crops, model, backend, landmarks=False)
    assert found["mouth_opening"] == pytest.approx(face.mouth_opening, abs=0.03)
    assert found["eye_opening_left"] == pytest.approx(face.eye_openings[0], abs=0.03)
    assert "landmarks" not in found
    points = measures_of(crops, model, backend, landmarks=True)["landmarks"]
    off = np.linalg.norm(points[:, :2] - face.landmarks[:, :2], axis=1)
    assert off.mean() < 0.02 * np.ptp(face.landmarks[:, 0])


def test_without_that_file_they_are_not(crops, model, backend):
    for path in crops.rglob("*.landmarks.npy"):
        path.write_bytes(b"something else")
    found = measures_of(crops, model, backend, landmarks=False)
    assert ("mouth_opening" in found) == bool(list(crops.glob("*.tar")))
