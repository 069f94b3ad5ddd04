"""Blinks: measured in the source, performed by the target's eyelids."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from facecycle_cli.faces import Alignment, Face
from facecycle_cli.faces.topology import IBUG_68, MESH_468, MESH_468_MIRRORED
from facecycle_cli.portrait.features import eyelid_closure, eyes_of
from facecycle_cli.translate.stage import Stage, picture_stage


@pytest.fixture(scope="module")
def stage(photograph, face) -> Stage:
    return picture_stage(photograph, Alignment.from_face(face, 64), cells=64, face=face)


def drawn(stage: Stage, closed: float) -> np.ndarray:
    """The picture with nothing but its eyelids moved."""
    height, width = stage.points.shape[:2]
    still = np.zeros((2, height, width), np.float32)
    change = np.zeros((3, height, width), np.float32)
    return stage.draw(stage.prepare(still, change, stage.points.transpose(2, 0, 1), closed=closed))


def test_lids_come_down_as_far_as_is_asked(backend, photograph, face, stage):
    openings = []
    for closed in (0.0, 0.5, 1.0):
        ((found,),) = backend.detect([drawn(stage, closed)])
        openings.append(found.eye_opening)
    assert openings[0] == pytest.approx(face.eye_opening, abs=0.01)
    assert openings[0] > openings[1] > openings[2]
    assert eyelid_closure(openings[2], openings[0], 0.0) > 0.5, "it counts as a blink again"


def test_nothing_but_the_eyes_changes(photograph, face, stage):
    assert np.array_equal(drawn(stage, 0.0), photograph)
    changed = (drawn(stage, 1.0) != photograph).any(-1)
    allowed = np.zeros_like(changed)
    for x0, y0, x1, y1 in (eye.reach() for eye in eyes_of(face, np.eye(2, 3))):
        allowed[int(y0) - 2 : int(y1) + 3, int(x0) - 2 : int(x1) + 3] = True
    assert changed.sum() > 200
    assert not (changed & ~allowed).any()
    pupil = face.landmarks[[159, 145], :2].mean(0).round().astype(int)
    before, after = (im[pupil[1], pupil[0]].astype(int) for im in (photograph, drawn(stage, 1.0)))
    assert after.sum() > before.sum() + 60, "skin where the pupil was"


@pytest.mark.parametrize(
    ("opening", "usual", "yaw", "expected"),
    [
        (0.30, 0.30, 0, 0.0),
        (0.35, 0.30, 0, 0.0),
        (0.28, 0.30, 0, 0.0),  # landmarks tremble
        (0.19, 0.30, 0, 1.0),
        (0.00, 0.30, 0, 1.0),
        (0.19, 0.30, 35, 0.0),  # a turned head
        (0.08, 0.08, 0, 1.0),  # eyes that were shut from the beginning
    ],
)
def test_what_counts_as_closed(opening, usual, yaw, expected):
    assert eyelid_closure(opening, usual, yaw) == pytest.approx(expected)
    assert eyelid_closure(opening, usual, -yaw) == eyelid_closure(opening, usual, yaw)


def test_half_a_blink_is_in_between():
    assert 0.3 < eyelid_closure(0.24, 0.30, 5.0) < 0.7


def test_eye_opening_does_not_depend_on_size_or_turn_in_the_picture(face):
    angle = 0.4
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    moved = (3.0 * face.landmarks @ turn.T + 10).astype(np.float32)
    assert replace(face, landmarks=moved).eye_opening == pytest.approx(face.eye_opening, rel=1e-4)
    assert 0.15 < face.eye_opening < 0.3


def test_lids_of_the_68_points_are_read_the_same_way():
    points = np.zeros((68, 3), np.float32)
    for first in (36, 42):
        points[first : first + 6, :2] = [[0, 0], [1, -0.5], [2, -0.5], [3, 0], [2, 0.5], [1, 0.5]]
    face = Face(np.zeros(4, np.float32), 1.0, points, 1.0, IBUG_68)
    assert face.eye_opening == pytest.approx(1 / 3)


def test_the_lids_of_the_mesh_mirror_each_other():
    for left, right in zip(MESH_468.left_lids, MESH_468.right_lids, strict=True):
        assert [MESH_468_MIRRORED[point] for point in left] == list(right[::-1])
