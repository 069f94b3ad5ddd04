"""The eyes of the target look where those of the source look."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from facecycle_cli.faces.gaze import Gaze
from facecycle_cli.faces.iris import read_gaze
from facecycle_cli.media import read_image
from facecycle_cli.model import load
from facecycle_cli.translate.measurement import measure_still
from facecycle_cli.translate.motion import motion_of_still
from facecycle_cli.translate.settings import TranslateSettings
from facecycle_cli.translate.source import crop_still
from facecycle_cli.translate.target import Target


@pytest.fixture(scope="module")
def model():
    return load()


@pytest.fixture(scope="module")
def picture(examples) -> np.ndarray:
    image = read_image(examples / "faces" / "person1_neutral.jpg")
    return cv2.resize(image, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="module")
def face(backend, picture):
    return backend.detect([picture])[0][0]


@pytest.fixture(scope="module")
def seen(model, picture, face):
    return crop_still(picture, [face], "largest", model.config.image_size)


@pytest.mark.parametrize("mode", ["absolute", "relative"])
def test_a_glance_arrives_and_moves_nothing_but_the_eyes(model, picture, face, seen, mode):
    target = Target(picture, face, model, TranslateSettings(motion=mode, paste_back=True))
    still = motion_of_still(measure_still(model, seen))
    made = {}
    for glance in (-0.25, 0.0, 0.25):
        gaze = replace(still.look.gaze, place=still.look.gaze.place + np.array([glance, 0]))
        (drawing,) = target.prepare([replace(still, look=replace(still.look, gaze=gaze))])
        made[glance] = target.draw(drawing)
    np.testing.assert_array_equal(made[0.0], picture)
    places = [read_gaze(image, face).place[0] for image in made.values()]
    assert places[0] < places[1] - 0.08 < places[1] + 0.08 < places[2]
    changed = np.argwhere(np.abs(made[0.25].astype(int) - picture).max(-1) > 2)[:, ::-1]
    lids = [i for pair in (face.topology.left_lids, face.topology.right_lids) for lid in pair
            for i in lid]  # fmt: skip
    points = face.landmarks[lids, :2]
    assert (changed >= points.min(0) - 2).all()
    assert (changed <= points.max(0) + 2).all()


def test_lids_that_cover_the_irises_leave_the_eyes_alone(model, picture, face, seen):
    target = Target(picture, face, model, TranslateSettings(motion="absolute", paste_back=True))
    still = motion_of_still(measure_still(model, seen))
    lost = Gaze(still.look.gaze.place + 0.3, 0.0)
    (drawing,) = target.prepare([replace(still, look=replace(still.look, gaze=lost))])
    np.testing.assert_array_equal(target.draw(drawing), picture)


def test_half_of_the_doubt_takes_nothing_from_a_glance(model, picture, face, seen):
    target = Target(picture, face, model, TranslateSettings(motion="absolute", paste_back=True))
    still = motion_of_still(measure_still(model, seen))
    made = []
    for trust in (1.0, 0.7, 0.3, 0.0):
        gaze = Gaze(still.look.gaze.place + np.array([0.25, 0]), trust)
        (drawing,) = target.prepare([replace(still, look=replace(still.look, gaze=gaze))])
        made.append(target.draw(drawing).astype(int))
    np.testing.assert_array_equal(made[0], made[1])
    whole, part = (np.abs(each - picture).sum() for each in (made[0], made[2]))
    assert 0 < part < whole
    np.testing.assert_array_equal(made[3], picture)
