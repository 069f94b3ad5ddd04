"""Heads in their place, targets that perform, and the stage they do it on."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from facecycle_cli.model import FaceCycle, preset
from facecycle_cli.translate.placement import STILL, HeadPlace, mean_place, place
from facecycle_cli.translate.stage import Drawing, crop_stage, picture_stage
from facecycle_cli.translate.target import Target

from .placed import alignment

# -- placement -------------------------------------------------------------------------------------


@given(st.floats(-200, 200), st.floats(-200, 200), st.floats(10, 500), st.floats(-3, 3))
def test_head_place_is_what_the_alignment_was_made_of(x, y, side, roll):
    found = HeadPlace.of(alignment(x, y, side, roll))
    assert found.center == pytest.approx(complex(x, y), abs=1e-6)
    assert math.exp(found.size) == pytest.approx(side)
    assert found.roll == pytest.approx(roll)


def test_a_head_at_its_reference_stands_still():
    here = HeadPlace.of(alignment(10, 20, 70, 0.3))
    assert place(here, here) == STILL


def test_placement_moves_as_the_source_does():
    """A quarter of the crop to the right is half a unit; small motions are followed exactly."""
    reference = HeadPlace.of(alignment(50, 40, 80))
    moved = place(HeadPlace.of(alignment(54, 38, 84, 0.1)), reference)
    assert moved.shift == pytest.approx(complex(4, -2) / 40)
    assert abs(moved.turn) == pytest.approx(84 / 80)
    assert np.angle(moved.turn) == pytest.approx(0.1)


def test_relative_motion_is_along_the_face_and_absolute_motion_along_the_picture():
    reference = HeadPlace.of(alignment(50, 40, 80, math.pi / 2))
    now = HeadPlace.of(alignment(54, 40, 80, math.pi / 2))
    assert place(now, reference).shift == pytest.approx(-0.1j)
    assert place(now, reference).turn == pytest.approx(1)
    level = place(now, reference, level=0.0)
    assert level.shift == pytest.approx(0.1)
    assert np.angle(level.turn) > 0.5


def test_a_head_does_not_leave_the_picture():
    reference = HeadPlace.of(alignment(50, 40, 80))
    far = place(HeadPlace.of(alignment(500, 40, 300, 3.0)), reference)
    assert abs(far.shift) < 0.36
    assert abs(far.turn) < 1.4
    assert abs(np.angle(far.turn)) < math.radians(41)


@given(st.floats(-0.5, 0.5), st.floats(-20, 20), st.complex_numbers(max_magnitude=2))
def test_undo_is_the_inverse(roll, shift, point):
    moved = place(
        HeadPlace.of(alignment(50 + shift, 40, 90, roll)), HeadPlace.of(alignment(50, 40, 80))
    )
    a, b = moved.undo()
    assert a * (moved.turn * point + moved.shift) + b == pytest.approx(point, abs=1e-9)


def test_mean_place_knows_that_angles_are_round():
    mean = mean_place([HeadPlace(0j, 1.0, math.pi - 0.1), HeadPlace(2j, 3.0, -math.pi + 0.1)])
    assert abs(mean.roll) == pytest.approx(math.pi)
    assert (mean.center, mean.size) == (1j, 2.0)


# -- target and stage ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def networks() -> FaceCycle:
    """Random ones whose flows are not small."""
    torch.manual_seed(1)
    model = FaceCycle(preset("small")).eval().requires_grad_(False)
    model.flow_decoder.to_flow.weight.mul_(20)
    return model


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """(120, 140, 3): smooth, so that resampling loses nothing, and different everywhere."""
    y, x = np.mgrid[0:120, 0:140]
    waves = [np.sin(x / 9 + c) + np.cos(y / 7 - c) for c in range(3)]
    return (128 + 50 * np.stack(waves, axis=-1)).astype(np.uint8)


@pytest.fixture(scope="module")
def target(networks, picture) -> Target:
    return Target(networks, networks.to_input(alignment(70, 60, 64).crop(picture)))


def grid(side=24) -> torch.Tensor:
    line = torch.linspace(-1.2, 1.2, side)
    return torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1)


def test_the_own_motion_at_rest_changes_nothing(target):
    fields = target.perform(target.backflow, [STILL], grid(), at_rest=True)
    inner = fields.inside.abs().amax(dim=1, keepdim=True) <= 1
    assert fields.displacement.abs().max() < 1e-5
    assert (fields.change * inner).abs().max() < 1e-3


def test_without_rest_it_is_the_cycle(target):
    fields = target.perform(target.backflow, [STILL], grid(), at_rest=False)
    assert fields.displacement.abs().max() > 1e-2


def test_a_batch_performs_as_single_frames_do(target):
    torch.manual_seed(2)
    backflows = 0.1 * torch.randn(3, 2, 16, 16)
    places = [
        place(HeadPlace.of(alignment(50 + k, 40)), HeadPlace.of(alignment())) for k in range(3)
    ]
    together = target.perform(backflows, places, grid(), at_rest=True)
    for k in range(3):
        alone = target.perform(backflows[k : k + 1], places[k : k + 1], grid(), at_rest=True)
        for a, b in zip(together, alone, strict=True):
            assert torch.allclose(a[k], b[0], atol=1e-4)


def test_a_placement_alone_is_a_similarity(target):
    moved = place(HeadPlace.of(alignment(54, 38, 84, 0.1)), HeadPlace.of(alignment()))
    fields = target.perform(target.backflow, [moved], grid(), at_rest=True)
    a, b = moved.undo()
    points = torch.complex(*grid().double().unbind(-1))
    expected = a * points + b
    got = torch.complex(fields.inside[0, 0].double(), fields.inside[0, 1].double())
    assert torch.allclose(got, expected, atol=1e-5)
    displaced = torch.complex(*fields.displacement[0].double()) + points
    assert torch.allclose(displaced, expected, atol=1e-4)


def still(stage) -> Drawing:
    height, width = stage.points.shape[:2]
    return Drawing(
        np.zeros((height, width, 2), np.float32), np.zeros((height, width, 3), np.float32)
    )


@pytest.mark.parametrize("size", [64, 96, 200])
def test_nothing_moves_nothing_changes(picture, size):
    place_ = alignment(70, 60, 64)
    stage = crop_stage(picture, place_, size, cells=64)
    crop = place_.scaled(size).crop(picture)
    assert np.array_equal(stage.draw(still(stage)), stage.still)
    assert np.abs(stage.still.astype(int) - crop).max() <= 2
    whole = picture_stage(picture, place_, cells=64)
    assert np.array_equal(whole.draw(still(whole)), picture)
    assert whole.size == (140, 120)


def test_grid_points_lie_where_the_alignment_says(picture):
    place_ = alignment(70, 60, 64, roll=0.2)
    stage = picture_stage(picture, place_, cells=64)
    corner = (stage.points + 1) / 2 * 63  # grid units to pixels of the crop
    pixels = place_.apply_inverse(corner)
    steps = np.diff(pixels, axis=1)
    assert np.allclose(steps[..., 0], steps[0, 0, 0], atol=1e-3)
    assert np.allclose(steps[..., 1], 0, atol=1e-3)


@pytest.mark.parametrize("whole", [False, True])
def test_a_displacement_moves_pixels(picture, whole):
    """Every pixel takes its color from 3 pixels to the right in the networks' crop."""
    place_ = alignment(70, 60, 64)
    stage = (
        picture_stage(picture, place_, cells=64)
        if whole
        else crop_stage(picture, place_, 64, cells=64)
    )
    height, width = stage.points.shape[:2]
    displacement = np.zeros((2, height, width), np.float32)
    displacement[0] = 3 * 2 / 63
    inside = stage.points.transpose(2, 0, 1)
    drawing = stage.prepare(displacement, np.zeros((3, height, width), np.float32), inside)
    frame = stage.draw(drawing).astype(int)
    x, y = (70, 60) if whole else (32, 32)
    expected = stage.still[y - 9 : y + 9, x - 6 : x + 12].astype(int)
    assert np.abs(frame[y - 9 : y + 9, x - 9 : x + 9] - expected).max() <= 2


def test_the_motion_ends_around_the_head(picture):
    stage = picture_stage(picture, alignment(70, 60, 30), cells=64)
    height, width = stage.points.shape[:2]
    everywhere = np.full((2, height, width), 0.3, np.float32)
    color = np.full((3, height, width), 90, np.float32)
    frame = stage.draw(stage.prepare(everywhere, color, stage.points.transpose(2, 0, 1)))
    changed = (frame != picture).any(axis=2)
    assert changed[60, 70]
    rows, columns = changed.nonzero()
    assert not set(rows) - set(range(30, 95))
    assert not set(columns) - set(range(40, 100))


def test_a_face_at_the_border_of_its_picture(picture):
    for x, y in ((0, 0), (139, 119), (-30, 60)):
        stage = picture_stage(picture, alignment(x, y, 60), cells=64)
        assert np.array_equal(stage.draw(still(stage)), picture)
