"""Lips that close and part: skin up to a clean line, and nothing of the mouth between them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from facecycle_cli.portrait.edges import closed_curve, open_curves
from facecycle_cli.portrait.slits import MOUTH, Opening, Slit

UPPER, LOWER, TEETH = (190, 60, 60), (150, 90, 150), (250, 250, 250)
AROUND = np.array([[100.0, 20.0], [100.0, 140.0], [20, 80], [180, 80], [60, 30], [140, 30]])


def ellipse(radii, center=(100.0, 80.0), count=11):
    """The upper and the lower edge of a mouth, two of (count, 2)."""
    angle = np.linspace(-np.pi, 0, count)
    across = center[0] + radii[0] * np.cos(angle)
    down = radii[1] * np.sin(angle)
    return [np.column_stack([across, center[1] + sign * down]) for sign in (1, -1)]


def mouth(radii) -> tuple[Slit, np.ndarray]:
    own = np.concatenate([*ellipse(radii), AROUND])
    return Slit(own, range(11), range(11, 22), range(22, 28), MOUTH), own


def opened(slit: Slit, own: np.ndarray, radii, noise: float = 0.0) -> Opening:
    wanted = own.copy()
    wanted[:22] = np.concatenate(ellipse(radii))
    wanted[1:4, 1] += noise * np.array([1, -1, 1])
    opening = slit.prepare(wanted, np.zeros_like, (0, 0, 200, 160))
    assert opening is not None
    return opening


def drawn(slit: Slit, opening: Opening, picture: np.ndarray) -> np.ndarray:
    """(160, 200, 3): the picture with the mouth in it."""
    x0, y0, x1, y1 = opening.box
    ys, xs = np.mgrid[y0:y1, x0:x1].astype(np.float32)
    layers = slit.draw(opening, xs, ys, picture)
    frame = picture.astype(np.float32)
    box = frame[y0:y1, x0:x1]
    box[:] = cv2.remap(frame, xs, ys, cv2.INTER_LINEAR)
    for part, share, color in layers:
        box[part] += share[..., None] * (color - box[part])
    return frame


@pytest.fixture
def laughing() -> np.ndarray:
    """Lips of two colors around teeth, which reach a little beyond the landmarks."""
    y, x = np.mgrid[:160, :200]
    picture = np.where((y < 80)[..., None], UPPER, LOWER)
    picture[np.hypot((x - 100) / 53, (y - 80) / 33) < 1] = TEETH
    return picture.astype(np.uint8)


def test_a_laughing_mouth_closes_with_a_clean_line(laughing):
    slit, own = mouth((50, 30))
    shut = drawn(slit, opened(slit, own, (45, 0.0)), laughing)
    across = shut[:, 65:136]
    assert across[..., 1].max() < 120, "no tooth is seen"
    for rows, color in ((slice(60, 79), UPPER), (slice(82, 100), LOWER)):
        np.testing.assert_allclose(across[rows], np.broadcast_to(color, across[rows].shape), atol=1)


def test_an_own_motion_gives_the_mouth_back(laughing):
    slit, own = mouth((50, 30))
    frame = drawn(slit, opened(slit, own, (50, 30)), laughing)
    np.testing.assert_allclose(frame, laughing, atol=1)


def test_a_mouth_does_not_jump_where_it_begins_to_open(laughing):
    slit, own = mouth((50, 30))
    frames = [drawn(slit, opened(slit, own, (45, radius)), laughing) for radius in (0, 0.1)]
    assert np.abs(frames[1] - frames[0]).max() < 8


def test_a_round_mouth_has_round_corners():
    """Whose landmarks are few."""
    upper, lower = (points / 30 for points in ellipse((30, 36), center=(0, 0), count=7))
    round_, pointed = (curve(upper, lower).upper for curve in (closed_curve, open_curves))
    near = np.linspace(-0.99, -0.9, 10)
    real = -1.2 * np.sqrt(1 - near**2)
    errors = [np.abs(np.interp(near, *edge) - real).mean() for edge in (round_, pointed)]
    assert errors[0] < 0.5 * errors[1]


def test_edges_that_turn_back_stay_functions():
    upper, lower = ellipse((1, 1), center=(0, 0))
    upper[1, 0] = lower[1, 0] = -1.05
    edges = closed_curve(upper, lower)
    for u, v in (edges.upper, edges.lower):
        assert (np.diff(u) >= 0).all()
        assert np.abs(u).max() <= 1
        assert np.isfinite(v).all()


def test_landmarks_that_are_pushed_together_make_no_waves():
    slit, own = mouth((50, 1))
    waves = []
    for half in (50, 16):
        calm, noisy = (opened(slit, own, (half, 12), noise).shifts for noise in (0.0, 1.0))
        waves.append(np.abs(noisy - calm)[..., :2].max())
    assert waves[0] > 0.5
    assert waves[1] < 0.75 * waves[0]
