"""Irises are found where they are, by both networks, and say where a face looks."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from facecycle_cli.faces.attention_mesh import look_closely
from facecycle_cli.faces.gaze import UNKNOWN_GAZE, Gaze, eye_corners, seen_gaze, usual_gaze
from facecycle_cli.faces.iris import read_gaze
from facecycle_cli.faces.topology import MESH_468_MIRRORED
from facecycle_cli.media import read_image


@pytest.fixture(scope="module")
def pictures(examples) -> list[np.ndarray]:
    image = read_image(examples / "faces" / "person1_neutral.jpg")
    return [image, np.ascontiguousarray(image[:, ::-1]), cv2.resize(image, None, fx=0.05, fy=0.05)]


@pytest.fixture(scope="module")
def faces(pictures, backend):
    return [found[0] for found in backend.detect(pictures, min_face=8)]


@pytest.fixture(params=["attention mesh", "iris network"])
def gaze_in(request):
    def gaze(image, face):
        if request.param == "iris network":
            return read_gaze(image, face)
        return look_closely(image, face).gaze

    return gaze


def test_irises_are_dark_discs_between_the_corners(pictures, faces):
    image = cv2.cvtColor(pictures[0], cv2.COLOR_RGB2GRAY)
    irises = look_closely(pictures[0], faces[0]).irises
    for corners, iris in zip(eye_corners(faces[0]), irises, strict=True):
        (x, y), rim = iris[0], iris[1:]
        radii = np.linalg.norm(rim - iris[0], axis=1)
        assert np.ptp(radii) < 0.2 * radii.mean()
        radius = round(radii.mean() / 2)
        inside = image[round(y) : round(y) + radius, round(x) - radius : round(x) + radius]
        beside = [image[round(y), round(x + s * 1.4 * radii.mean())] for s in (-1, 1)]
        assert inside.mean() < 0.7 * np.mean(beside)
        assert corners[0, 0] < x < corners[1, 0]


def test_a_mirrored_face_looks_to_the_other_side(pictures, faces, gaze_in):
    landmarks = faces[0].landmarks[list(MESH_468_MIRRORED)].copy()
    landmarks[:, 0] = pictures[0].shape[1] - 1 - landmarks[:, 0]
    gaze = gaze_in(pictures[0], faces[0])
    mirrored = gaze_in(pictures[1], replace(faces[0], landmarks=landmarks))
    assert gaze.trust == mirrored.trust == 1
    np.testing.assert_allclose(mirrored.place, gaze.place * [-1, 1], atol=0.03)


def test_eyes_of_a_few_pixels_are_not_trusted(pictures, faces, gaze_in):
    assert gaze_in(pictures[2], faces[2]).trust == 0


def test_an_iris_that_is_elsewhere_is_a_glance(faces):
    corners = eye_corners(faces[0])
    middles, across = corners.mean(1), (corners[:, 1] - corners[:, 0]) / 2
    aside = seen_gaze(faces[0], middles + 0.3 * across)
    np.testing.assert_allclose(aside.place, [0.3, 0], atol=1e-9)
    assert aside.trust == 1
    assert seen_gaze(faces[0], middles + np.array([[0.5], [-0.5]]) * across).trust == 0


def test_a_glance_is_not_the_usual_gaze():
    rest, glance = Gaze(np.array([0.1, 0.0]), 1.0), Gaze(np.array([0.5, 0.2]), 1.0)
    lost = Gaze(np.array([9.0, 9.0]), 0.0)
    np.testing.assert_array_equal(usual_gaze([rest, glance, rest, lost, lost]).place, rest.place)
    assert usual_gaze([lost]) is UNKNOWN_GAZE
