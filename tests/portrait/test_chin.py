"""The chin stays below the lips of a wide open mouth."""

from __future__ import annotations

import numpy as np
import pytest

from facecycle_cli.faces.topology import IBUG_68, MESH_468
from facecycle_cli.portrait.chin import chin_below_lips

BELOW_LIP, CHEEK, LIP = 18, 50, MESH_468.outer_lips[1]


def face(gap: float) -> np.ndarray:
    """Landmarks of a tilted face with eyes 100 apart, and ``gap`` below the lower lip."""
    points = np.zeros((468, 2))
    points[list(MESH_468.left_eye)], points[list(MESH_468.right_eye)] = (-50, 0), (50, 0)
    points[MESH_468.lower[0]] = 0, 60
    points[LIP] = 0, 120
    points[BELOW_LIP] = 0, 120 + gap
    points[MESH_468.chin] = 0, 160
    points[CHEEK] = 90, 120
    return points @ np.array([[0.8, 0.6], [-0.6, 0.8]])


@pytest.mark.parametrize(("gap", "left"), [(-12, 3), (0, 3), (3, 3.5), (8, 8)])
def test_the_lower_lip_does_not_lie_on_the_chin(gap, left):
    before = face(gap)
    after = chin_below_lips(before, MESH_468)
    moved = (after - before) @ np.array([[0.8, -0.6], [0.6, 0.8]])
    for point in (BELOW_LIP, MESH_468.chin):
        assert moved[point] == pytest.approx((0, left - gap), abs=1e-6)
    assert not moved[[LIP, CHEEK, *MESH_468.left_eye]].any()


def test_other_landmarks_have_no_such_chin():
    points = face(-12)[:68]
    assert chin_below_lips(points, IBUG_68) is points
