"""Lips and lids are found where they are seen."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from facecycle_cli.faces.attention_mesh import look_closely
from facecycle_cli.faces.topology import IBUG_68, MESH_468, MESH_468_MIRRORED
from facecycle_cli.media import read_image

_LIPS = [*MESH_468.upper_lip, *MESH_468.lower_lip]
_LIDS = [*np.ravel(MESH_468.left_lids), *np.ravel(MESH_468.right_lids)]


@pytest.fixture(scope="module")
def picture(examples) -> np.ndarray:
    return read_image(examples / "faces" / "person1_neutral.jpg")


@pytest.fixture(scope="module")
def found(picture, backend):
    return backend.detect([picture])[0][0]


def _points(image, face, numbers):
    return look_closely(image, face).face.landmarks[numbers, :2].astype(np.float64)


def test_closed_lips_meet_on_the_dark_line_between_them(picture, found):
    """The brightness along a line across the lips is lowest where their edges are put."""
    close = look_closely(picture, found).face
    assert close.mouth_opening < 0.02
    gray = cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (0, 0), 2)
    unit = found.landmarks[291, 0] - found.landmarks[61, 0]
    gaps = []
    for pair in zip(MESH_468.upper_lip[3:8], MESH_468.lower_lip[3:8], strict=True):
        x, y = close.landmarks[list(pair), :2].mean(0)
        around = round(0.08 * unit)
        column = gray[round(y) - around : round(y) + around + 1, round(x)]
        gaps.append(abs(int(column.argmin()) - around) / unit)
    assert np.median(gaps) < 0.02


def test_a_mirrored_picture_has_mirrored_points(picture, found):
    mirrored = np.ascontiguousarray(picture[:, ::-1])
    landmarks = found.landmarks[list(MESH_468_MIRRORED)].copy()
    landmarks[:, 0] = picture.shape[1] - 1 - landmarks[:, 0]
    there = _points(mirrored, replace(found, landmarks=landmarks), slice(None))
    here = _points(picture, found, list(MESH_468_MIRRORED))
    here[:, 0] = picture.shape[1] - 1 - here[:, 0]
    unit = np.linalg.norm(found.landmarks[263] - found.landmarks[33])
    assert np.abs(here - there)[_LIPS + _LIDS].mean() < 0.01 * unit


def test_a_tilted_picture_has_tilted_points(picture, found):
    height, width = picture.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 25, 1)
    tilted = cv2.warpAffine(picture, turn, (width, height))
    landmarks = found.landmarks.copy()
    landmarks[:, :2] = landmarks[:, :2] @ turn[:, :2].T + turn[:, 2]
    there = _points(tilted, replace(found, landmarks=landmarks), _LIPS + _LIDS)
    here = _points(picture, found, _LIPS + _LIDS) @ turn[:, :2].T + turn[:, 2]
    unit = np.linalg.norm(found.landmarks[263] - found.landmarks[33])
    assert np.abs(here - there).mean() < 0.005 * unit


def test_what_it_does_not_look_at_stays(picture, found):
    close = look_closely(picture, found).face
    moved = np.flatnonzero((close.landmarks != found.landmarks).any(1))
    assert not set(moved) & {*MESH_468.oval, MESH_468.nose_tip}
    np.testing.assert_array_equal(close.landmarks[:, 2], found.landmarks[:, 2])
    other = replace(found, landmarks=found.landmarks[:68], topology=IBUG_68)
    assert look_closely(picture, other) == (other, None)
