"""The face that is followed through a video."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from facecycle_cli.faces import Face
from facecycle_cli.faces.following import FaceFollower


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
