"""An iris moves between the lids as it is."""

from __future__ import annotations

import numpy as np
import pytest

from facecycle_cli.portrait.gaze import Look

EDGE = np.linspace(-1, 1, 9)
UPPER, LOWER = (EDGE, -0.4 * (1 - EDGE**2)), (EDGE, 0.3 * (1 - EDGE**2))
CENTER = np.array([0.05, -0.05])


def look(*shift: float) -> Look:
    return Look(CENTER, 0.35, np.array(shift))


def grid() -> tuple[np.ndarray, np.ndarray]:
    u, v = np.meshgrid(np.linspace(-1.2, 1.2, 97), np.linspace(-0.5, 0.5, 41))
    return u, v


def test_an_eye_that_looks_nowhere_else_is_the_photograph():
    u, v = grid()
    assert look(0.0, 0.0).source(u, v, UPPER, LOWER) == (u, v)


@pytest.mark.parametrize("shift", [(0.25, 0.0), (-0.3, 0.1), (0.1, -0.15)])
def test_the_iris_arrives_and_keeps_its_width(shift):
    offsets = np.array([[-0.2, 0.0, 0.2]])
    u, v = offsets + CENTER[0] + shift[0], np.zeros((1, 3)) + CENTER[1] + shift[1]
    found_u, found_v = look(*shift).source(u, v, UPPER, LOWER)
    np.testing.assert_allclose(found_u, offsets + CENTER[0], atol=1e-6)
    np.testing.assert_allclose(found_v, CENTER[1], atol=1e-6)


@pytest.mark.parametrize("shift", [(0.6, 0.0), (-0.7, 0.2), (0.4, -0.2)])
def test_nothing_folds_and_no_lid_is_shown_as_an_eyeball(shift):
    u, v = grid()
    found_u, found_v = look(*shift).source(u, v, UPPER, LOWER)
    assert (np.diff(found_u, axis=1) >= 0).all()
    assert (np.diff(found_v, axis=0) >= -1e-9).all()
    np.testing.assert_array_equal(found_u[np.abs(u) > 1], u[np.abs(u) > 1])
    within = (v > np.interp(u, *UPPER)) & (v < np.interp(u, *LOWER)) & (np.abs(u) < 0.8)
    assert (found_v > np.interp(found_u, *UPPER))[within].all()
    assert (found_v < np.interp(found_u, *LOWER))[within].all()
