"""The stage: pixels move as displacements say, around the head and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from facecycle_cli.translate.stage import Drawing, Fields, crop_stage, picture_stage
from tests.translate.placed import alignment


def still(stage) -> Drawing:
    height, width = stage.points.shape[:2]
    return Drawing(
        np.zeros((height, width, 2), np.float32), np.zeros((height, width, 3), np.float32)
    )


@pytest.mark.parametrize("size", [64, 96, 200])
def test_nothing_moves_nothing_changes(picture, size):
    head = alignment(70, 60, 64)
    stage = crop_stage(picture, head, size, cells=64)
    crop = head.scaled(size).crop(picture)
    assert np.array_equal(stage.draw(still(stage)), stage.still)
    assert np.abs(stage.still.astype(int) - crop).max() <= 2
    whole = picture_stage(picture, head, cells=64)
    assert np.array_equal(whole.draw(still(whole)), picture)
    assert whole.size == (140, 120)


def test_grid_points_lie_where_the_alignment_says(picture):
    head = alignment(70, 60, 64, roll=0.2)
    stage = picture_stage(picture, head, cells=64)
    corner = (stage.points + 1) / 2 * 63  # grid units to pixels of the crop
    pixels = head.apply_inverse(corner)
    steps = np.diff(pixels, axis=1)
    assert np.allclose(steps[..., 0], steps[0, 0, 0], atol=1e-3)
    assert np.allclose(steps[..., 1], 0, atol=1e-3)


@pytest.mark.parametrize("whole", [False, True])
def test_a_displacement_moves_pixels(picture, whole):
    """Every pixel takes its color from 3 pixels to the right in the networks' crop."""
    head = alignment(70, 60, 64)
    stage = (
        picture_stage(picture, head, cells=64) if whole else crop_stage(picture, head, 64, cells=64)
    )
    height, width = stage.points.shape[:2]
    displacement = np.zeros((2, height, width), np.float32)
    displacement[0] = 3 * 2 / 63
    inside = stage.points.transpose(2, 0, 1)
    drawing = stage.prepare(Fields(displacement, np.zeros((3, height, width), np.float32), inside))
    frame = stage.draw(drawing).astype(int)
    x, y = (70, 60) if whole else (32, 32)
    expected = stage.still[y - 9 : y + 9, x - 6 : x + 12].astype(int)
    assert np.abs(frame[y - 9 : y + 9, x - 9 : x + 9] - expected).max() <= 2


def test_the_motion_ends_around_the_head(picture):
    stage = picture_stage(picture, alignment(70, 60, 30), cells=64)
    height, width = stage.points.shape[:2]
    everywhere = np.full((2, height, width), 0.3, np.float32)
    color = np.full((3, height, width), 90, np.float32)
    frame = stage.draw(stage.prepare(Fields(everywhere, color, stage.points.transpose(2, 0, 1))))
    changed = (frame != picture).any(axis=2)
    assert changed[60, 70]
    rows, columns = changed.nonzero()
    assert not set(rows) - set(range(30, 95))
    assert not set(columns) - set(range(40, 100))


def test_a_face_at_the_border_of_its_picture(picture):
    for x, y in ((0, 0), (139, 119), (-30, 60)):
        stage = picture_stage(picture, alignment(x, y, 60), cells=64)
        assert np.array_equal(stage.draw(still(stage)), picture)
