"""Heads in the plane of their pictures."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facecycle_cli.translate.placement import (
    UNMOVED,
    HeadPlacement,
    mean_placement,
    plane_motion,
)
from tests.translate.placed import alignment


@given(st.floats(-200, 200), st.floats(-200, 200), st.floats(10, 500), st.floats(-3, 3))
def test_a_head_placement_is_what_the_alignment_was_made_of(x, y, side, roll):
    found = HeadPlacement.of(alignment(x, y, side, roll))
    assert found.center == pytest.approx(complex(x, y), abs=1e-6)
    assert math.exp(found.log_side) == pytest.approx(side)
    assert found.roll == pytest.approx(roll)


def test_a_head_at_its_reference_is_unmoved():
    here = HeadPlacement.of(alignment(10, 20, 70, 0.3))
    assert plane_motion(here, here) == UNMOVED


def test_placement_moves_as_the_source_does():
    """A quarter of the crop to the right is half a unit; small motions are followed exactly."""
    reference = HeadPlacement.of(alignment(50, 40, 80))
    moved = plane_motion(HeadPlacement.of(alignment(54, 38, 84, 0.1)), reference)
    assert moved.shift == pytest.approx(complex(4, -2) / 40)
    assert abs(moved.turn) == pytest.approx(84 / 80)
    assert np.angle(moved.turn) == pytest.approx(0.1)


def test_relative_motion_is_along_the_face_and_absolute_motion_along_the_picture():
    reference = HeadPlacement.of(alignment(50, 40, 80, math.pi / 2))
    now = HeadPlacement.of(alignment(54, 40, 80, math.pi / 2))
    assert plane_motion(now, reference).shift == pytest.approx(-0.1j)
    assert plane_motion(now, reference).turn == pytest.approx(1)
    level = plane_motion(now, reference, level=0.0)
    assert level.shift == pytest.approx(0.1)
    assert np.angle(level.turn) > 0.5


def test_a_head_does_not_leave_the_picture():
    reference = HeadPlacement.of(alignment(50, 40, 80))
    far = plane_motion(HeadPlacement.of(alignment(500, 40, 300, 3.0)), reference)
    assert abs(far.shift) < 0.36
    assert abs(far.turn) < 1.4
    assert abs(np.angle(far.turn)) < math.radians(41)


@given(st.floats(-0.5, 0.5), st.floats(-20, 20), st.complex_numbers(max_magnitude=2))
def test_the_inverse(roll, shift, point):
    moved = plane_motion(
        HeadPlacement.of(alignment(50 + shift, 40, 90, roll)),
        HeadPlacement.of(alignment(50, 40, 80)),
    )
    a, b = moved.inverse()
    assert a * (moved.turn * point + moved.shift) + b == pytest.approx(point, abs=1e-9)


def test_a_mean_placement_knows_that_angles_are_round():
    mean = mean_placement(
        [HeadPlacement(0j, 1.0, math.pi - 0.1), HeadPlacement(2j, 3.0, -math.pi + 0.1)]
    )
    assert abs(mean.roll) == pytest.approx(math.pi)
    assert (mean.center, mean.log_side) == (1j, 2.0)
