"""Similarities: none fits better; warping is exact where nothing is lost, else averaged."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from facecycle_cli.faces import TEMPLATE
from facecycle_cli.faces.similarity import (
    apply_affine,
    fit_similarity,
    invert_affine,
    warp_antialiased,
)


def similarity(scale, angle=0.0, shift=(0.0, 0.0)):
    c, s = scale * math.cos(angle), scale * math.sin(angle)
    return np.array([[c, -s, shift[0]], [s, c, shift[1]]])


def waves(height, width, period, x0=0.0, y0=0.0, step=1.0, angle=0.0):
    """A smooth picture that can be evaluated anywhere: color waves of `period` pixels."""
    v, u = np.mgrid[0:height, 0:width] * step
    x = x0 + math.cos(angle) * u - math.sin(angle) * v
    y = y0 + math.sin(angle) * u + math.cos(angle) * v
    k = 2 * math.pi / period
    return np.stack([np.sin(k * x), np.sin(k * y), np.cos(k * (x + y) / 2)], -1) * 100 + 128


def test_identity_is_exact():
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    assert np.array_equal(warp_antialiased(image, similarity(1), (50, 40)), image)


def test_whole_pixel_shift_is_exact_and_repeats_the_border():
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    out = warp_antialiased(image, similarity(1, shift=(7, -5)), (50, 40))
    assert np.array_equal(out[:35, 7:], image[5:, :43])
    assert np.array_equal(out[:35, :7], np.repeat(image[5:, :1], 7, axis=1))
    assert np.array_equal(out[35:, 7:], np.repeat(image[-1:, :43], 5, axis=0))


@settings(max_examples=20)
@given(
    scale=st.floats(0.3, 3),
    angle=st.floats(-math.pi, math.pi),
    x0=st.floats(60, 100),
    y0=st.floats(60, 100),
)
def test_smooth_pictures_are_sampled_where_the_matrix_says(scale, angle, x0, y0):
    period = 40 / min(scale, 1.0)  # smooth for the picture and for the result
    side = max(200, math.ceil(260 / scale))
    picture = np.rint(waves(side, side, period)).astype(np.uint8)
    center = np.array([x0, y0]) * side / 200
    matrix = similarity(scale, -angle)
    matrix[:, 2] = 20 - matrix[:, :2] @ center
    out = warp_antialiased(picture, matrix, (41, 41))
    start = invert_affine(matrix)[:, 2]
    expected = waves(41, 41, period, *start, step=1 / scale, angle=angle)
    # Averaging over a pixel of the result flattens waves of this period by half a percent.
    assert np.abs(out - expected).mean() < 2.5


@pytest.mark.parametrize("angle", [0.0, 0.4])
def test_shrinking_averages_fine_texture(angle):
    texture = np.indices((600, 600)).sum(0) % 2 * 255
    image = np.repeat(texture[..., None], 3, axis=2).astype(np.uint8)
    matrix = similarity(0.11, angle)
    matrix[:, 2] = 20 - matrix[:, :2] @ (300, 300)
    out = warp_antialiased(image, matrix, (40, 40)).astype(float)
    assert abs(out.mean() - 127.5) < 2
    assert out.std() < 4


def test_shrinking_noise_keeps_its_mean_and_loses_its_variance():
    image = np.random.default_rng(1).integers(0, 256, (640, 640, 3), dtype=np.uint8)
    out = warp_antialiased(image, similarity(1 / 8), (80, 80)).astype(float)
    blocks = image.reshape(80, 8, 80, 8, 3).mean((1, 3))
    # Pixel centers of a plain scaling do not fall on the blocks: half a pixel of the result apart.
    assert abs(out.mean() - blocks.mean()) < 1
    assert out.std() < 1.3 * blocks.std()


def test_far_outside_the_picture_is_its_border():
    image = np.zeros((10, 10, 3), np.uint8)
    image[:, -1] = 200
    out = warp_antialiased(image, similarity(1, shift=(-500, 0)), (20, 10))
    assert (out == 200).all()


@given(
    scale=st.floats(0.01, 100),
    angle=st.floats(-7, 7),
    x=st.floats(-1000, 1000),
    y=st.floats(-1000, 1000),
)
def test_inverse(scale, angle, x, y):
    matrix = similarity(scale, angle, (x, y))
    square = np.vstack([matrix, [0, 0, 1]]) @ np.vstack([invert_affine(matrix), [0, 0, 1]])
    assert np.allclose(square, np.eye(3), atol=1e-6)


@given(
    points=hnp.arrays(np.float64, (5, 2), elements=st.floats(-2000, 2000)),
    turn=st.floats(-math.pi, math.pi),
    grow=st.floats(0.05, 20),
)
def test_no_similarity_fits_better(points, turn, grow):
    """Least squares: any other turn or scale about the same means is at most as good."""
    assume(np.linalg.norm(points - points.mean(0), axis=1).max() > 1)
    target = TEMPLATE * 100
    best = fit_similarity(points, target)
    change = similarity(grow, turn)[:, :2]
    linear = change @ best[:, :2]
    other = np.column_stack([linear, target.mean(0) - linear @ points.mean(0)])

    def error(matrix):
        return ((apply_affine(matrix, points) - target) ** 2).sum()

    assert error(best) <= error(other) * (1 + 1e-9) + 1e-9
