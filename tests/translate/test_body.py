"""Shoulders that rise and sink with a head."""

from __future__ import annotations

import numpy as np
import pytest

from facecycle_cli.translate.body import Body
from facecycle_cli.translate.placement import PlaneMotion

UNIT = 50.0
"""Pixels of a grid unit."""

HEIGHT = 301
NO_LAG = np.zeros((2, 3))


@pytest.fixture(scope="module")
def body():
    """Of a picture with the middle of a head at (100, 100)."""
    pixels = np.stack(np.meshgrid(np.arange(0.0, 201, 10), np.arange(0.0, HEIGHT, 10)), axis=-1)
    to_crop = np.array([[1 / UNIT, 0, -2], [0, 1 / UNIT, -2]])
    return Body(pixels, to_crop, ((0.0, 0.0), (0.68, 0.85)), HEIGHT - 1)


def test_a_nod_leaves_the_shoulders_where_they_are(body):
    assert not body.rise(PlaneMotion(1, 0.3 + 0.05j), NO_LAG).any()


@pytest.mark.parametrize("down", [-0.4, 0.4])
def test_shoulders_go_most_of_a_long_way(body, down):
    taken_from = body.rise(PlaneMotion(1, 1j * down), NO_LAG)
    assert not taken_from[:13].any(), "at the height of the face"
    assert 0.6 * UNIT * 0.4 < -taken_from[17, 10] * np.sign(down) < UNIT * 0.4


def test_no_color_comes_from_below_the_picture(body):
    taken_from = body.rise(PlaneMotion(1, -0.8j), NO_LAG)
    places = np.arange(0, HEIGHT, 10)[:, None] + taken_from
    assert places.max() <= HEIGHT - 1
    assert (np.diff(places, axis=0) > 0).all(), "nothing is seen twice"


def test_they_go_with_the_slow_head(body):
    trembling = PlaneMotion(1, -0.4j)
    lag = np.array([[0, 0, 0.0], [0, 0, -0.3]])
    assert body.rise(trembling, lag).max() < 0.1 * body.rise(trembling, NO_LAG).max()
