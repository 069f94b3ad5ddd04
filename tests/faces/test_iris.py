"""Irises are found where they are."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from facecycle_cli.faces.iris import (
    UNKNOWN_GAZE,
    Gaze,
    cut_eyes,
    find_irises,
    gaze_of,
    usual_gaze,
)
from facecycle_cli.media import read_image


@pytest.fixture(scope="module")
def pictures(examples) -> list[np.ndarray]:
    image = read_image(examples / "faces" / "person1_neutral.jpg")
    return [image, np.ascontiguousarray(image[:, ::-1]), cv2.resize(image, None, fx=0.05, fy=0.05)]


@pytest.fixture(scope="module")
def eyes(pictures, backend):
    return [
        cut_eyes(image, found[0])
        for image, found in zip(pictures, backend.detect(pictures, min_face=8), strict=True)
    ]


def test_irises_are_dark_discs_between_the_corners(pictures, eyes):
    image = cv2.cvtColor(pictures[0], cv2.COLOR_RGB2GRAY)
    for iris in find_irises(eyes[:1])[0]:
        (x, y), rim = iris.points[0], iris.points[1:]
        radii = np.linalg.norm(rim - iris.points[0], axis=1)
        assert np.ptp(radii) < 0.2 * radii.mean()
        radius = round(radii.mean() / 2)
        inside = image[round(y) : round(y) + radius, round(x) - radius : round(x) + radius]
        beside = [image[round(y), round(x + s * 1.4 * radii.mean())] for s in (-1, 1)]
        assert inside.mean() < 0.7 * np.mean(beside)
        assert iris.corners[0, 0] < x < iris.corners[1, 0]


def test_a_mirrored_face_looks_to_the_other_side(eyes):
    gaze, mirrored = (
        gaze_of(e, irises) for e, irises in zip(eyes[:2], find_irises(eyes[:2]), strict=True)
    )
    assert gaze.trust == mirrored.trust == 1
    np.testing.assert_allclose(mirrored.place, gaze.place * [-1, 1], atol=0.03)


def test_eyes_of_a_few_pixels_are_not_trusted(eyes):
    assert gaze_of(eyes[2], find_irises(eyes[2:])[0]).trust == 0


def test_a_glance_is_not_the_usual_gaze():
    rest, glance = Gaze(np.array([0.1, 0.0]), 1.0), Gaze(np.array([0.5, 0.2]), 1.0)
    lost = Gaze(np.array([9.0, 9.0]), 0.0)
    np.testing.assert_array_equal(usual_gaze([rest, glance, rest, lost, lost]).place, rest.place)
    assert usual_gaze([lost]) is UNKNOWN_GAZE
