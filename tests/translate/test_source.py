"""The source's face: which one, and where it is cut out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from facecycle_cli.errors import NoFaceError, SettingsError
from facecycle_cli.faces import Face
from facecycle_cli.translate.settings import check_face_choice
from facecycle_cli.translate.source import (
    FaceFollower,
    Sighting,
    crop_sightings,
    crop_still,
    skull_points,
)


class Script:
    """A backend that finds what is written down for each frame: places (x, y, size) of faces."""

    name = "script"

    def __init__(self, frames: Sequence[Sequence[tuple[float, float, float]]]) -> None:
        points = np.random.default_rng(0).uniform(-1, 1, (468, 3)).astype(np.float32)
        self._shape = points * (0.5, 0.5, 0)
        self.frames = frames

    def prepare(self):
        pass

    def follow(self, images, previous):
        """Nothing is found again near by: every frame is searched."""
        return [None] * len(images)

    def detect(self, images, *, min_face=24, refine=True):
        return [[self._face(*spot) for spot in self.frames[int(im[0, 0, 0])]] for im in images]

    def _face(self, x: float, y: float, size: float) -> Face:
        half = size / 2
        box = np.array([x - half, y - half, x + half, y + half], np.float32)
        return Face(box, 0.9, (self._shape * size + (x, y, 0)).astype(np.float32), 1.0)


def followed(script, choice="largest", cuts=()):
    """x of the followed face in each frame, None where there is none."""
    images = []
    for index in range(len(script)):
        image = np.full((64, 64, 3), 60 if sum(index >= c for c in cuts) % 2 else 200, np.uint8)
        image[0, 0, 0] = index
        images.append(image)
    follower = FaceFollower(Script(script), choice)
    found = list(follower.follow(iter(images)))
    assert len(found) == len(script)
    assert all(f is None or f.image[0, 0, 0] == i for i, f in enumerate(found))
    centers = [None if f is None else round(float(f.face.box[[0, 2]].mean())) for f in found]
    return centers, found, follower.most_besides


LEFT, RIGHT = (100.0, 100.0, 60.0), (300.0, 100.0, 80.0)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [("largest", 300), ("left", 100), ("right", 300), ("1", 300), ("2", 100)],
)
def test_which_face_is_followed(choice, expected):
    centers, _, besides = followed([[RIGHT, LEFT]] * 5, choice)
    assert centers == [expected] * 5
    assert besides == 1


def test_the_third_of_two_faces_is_none():
    centers, _, besides = followed([[RIGHT, LEFT]] * 4, "3")
    assert centers == [None] * 4
    assert besides == 2


def test_the_followed_face_stays_the_same_when_another_grows():
    huge = (300.0, 100.0, 84.0)
    script = [[(100.0, 100.0, 82.0), (300.0, 100.0, 80.0)]] + [[(100.0, 100.0, 82.0), huge]] * 5
    assert followed(script)[0] == [100] * 6


def test_an_occluded_face_is_waited_for_and_then_replaced():
    script = [[RIGHT, LEFT]] * 3 + [[LEFT]] * 3 + [[RIGHT, LEFT]] * 2
    assert followed(script)[0] == [300] * 3 + [None] * 3 + [300] * 2
    centers, found, _ = followed([[RIGHT, LEFT]] * 3 + [[LEFT]] * 12)
    assert centers[3] is None
    assert centers[-1] == 100
    assert found[0].track != found[-1].track


def test_a_cut_chooses_anew():
    script = [[RIGHT, LEFT]] * 4 + [[(90.0, 80.0, 90.0), (320.0, 100.0, 50.0)]] * 4
    centers, found, _ = followed(script, cuts=(4,))
    assert centers == [300] * 4 + [90] * 4
    assert found[3].track != found[4].track


@pytest.mark.parametrize("choice", ["largest", "left", "right", "1", "12"])
def test_choices(choice):
    assert check_face_choice(choice) == choice


@pytest.mark.parametrize("choice", ["", "0", "-1", "middle", "1.5", "01"])
def test_wrong_choices(choice):
    with pytest.raises(SettingsError, match="none of largest"):
        check_face_choice(choice)


def test_a_still_head_has_a_still_crop(face, photograph):
    """Landmarks that tremble by half a pixel do not move the crops of a track."""
    rng = np.random.default_rng(0)
    sightings = []
    for _ in range(12):
        noise = rng.normal(0, 0.5, face.landmarks.shape).astype(np.float32)
        trembling = replace(face, landmarks=face.landmarks + noise)
        sightings.append(Sighting(photograph, trembling, 0, skull_points(trembling)))
    rough, smooth = (
        [seen.alignment.matrix for seen in crop_sightings(sightings, 64, width=width)]
        for width in (0.0, 3.0)
    )
    assert np.std(smooth, axis=0)[:, 2].max() < 0.7 * np.std(rough, axis=0)[:, 2].max()


def test_frames_without_a_face_have_no_crop(face, photograph):
    seen = Sighting(photograph, face, 3, skull_points(face))
    none, cropped, last = crop_sightings([None, seen, None], 64, width=1.0)
    assert none is None
    assert last is None
    assert (cropped.face, cropped.track, cropped.crop.shape) == (face, 3, (64, 64, 3))


def test_the_chosen_face_of_a_picture(face, photograph):
    shifted = replace(face, landmarks=face.landmarks + np.float32((200, 0, 0)))
    assert crop_still(photograph, [face, shifted], "right", 64).face is shifted
    assert crop_still(photograph, [face, shifted], "left", 64).face is face
    with pytest.raises(NoFaceError, match="no face"):
        crop_still(photograph, [face], "2", 64)
    with pytest.raises(SettingsError, match="none of largest"):
        crop_still(photograph, [face], "first", 64)
