"""What translate does to a flow: folds go; and what its landmarks are: the skull, not the mouth."""

from __future__ import annotations

import itertools
from dataclasses import replace

import cv2
import numpy as np

from facecycle_cli.faces.following import skull_points
from facecycle_cli.portrait.folds import stretch, unfolded


def field(side: int = 48) -> np.ndarray:
    return np.zeros((side, side, 2), np.float32)


def test_stretch_of_known_fields():
    xs = np.arange(48, dtype=np.float32)
    assert np.allclose(stretch(field(), 1.0), 1)
    twice = field()
    twice[..., 0] = -0.5 * xs  # every pixel becomes two
    assert np.allclose(stretch(twice, 1.0), 0.5)
    mirrored = field()
    mirrored[..., 1] = -2 * xs[:, None]
    assert np.allclose(stretch(mirrored, 1.0), -1)
    turned = field()
    turned[..., 0], turned[..., 1] = -xs[:, None] - xs, xs - xs[:, None]  # by 90 degrees
    assert np.allclose(stretch(turned, 1.0), 1, atol=1e-5)
    assert np.allclose(stretch(twice * 3, 3.0), 0.5)  # the unit does not matter


def test_folds_go_and_the_rest_stays():
    torn = field()
    torn[20:28, 20:28, 0] = 6.0  # jumps by six cells
    assert stretch(torn, 1.0).min() < -0.5
    smooth = unfolded(torn, 1.0)
    assert stretch(smooth, 1.0).min() > 0.2
    assert smooth[23, 23, 0] > 0.5  # it still moves
    assert np.array_equal(smooth[:4], torn[:4])


def test_a_gentle_motion_is_left_alone():
    wave = field()
    wave[..., 0] = 2 * np.sin(np.arange(48) / 6)
    assert unfolded(wave, 1.0) is wave


def test_unfolding_is_steady():
    """A motion that grows in small steps moves in small steps, where folds begin, too."""
    bump = cv2.GaussianBlur(np.eye(48, dtype=np.float32)[24:25].T @ np.eye(48)[24:25], (0, 0), 3)
    bump = (bump / bump.max()).astype(np.float32)
    results = []
    for height in np.arange(0, 12, 0.25):
        pushed = field()
        pushed[..., 0] = height * bump
        results.append(unfolded(pushed, 1.0))
    steps = [np.abs(b - a).max() for a, b in itertools.pairwise(results)]
    assert max(steps) < 1.0


# -- the skull ------------------------------------------------------------------------------------


def test_an_open_mouth_does_not_move_the_skull(face):
    landmarks = face.landmarks.copy()
    mouth = [61, 291, 13, 14, 17, 152]
    landmarks[mouth, 1] += 30
    spoken = replace(face, landmarks=landmarks)
    assert np.array_equal(skull_points(spoken), skull_points(face))
    assert not np.array_equal(spoken.five_points, face.five_points)
