"""The similarity from photograph to crop: of one face by property, of a track without trembling."""

from __future__ import annotations

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from facecycle_cli.errors import FaceError
from facecycle_cli.faces import TEMPLATE, Alignment
from facecycle_cli.faces.alignment import mean_five_points, steady_alignments
from facecycle_cli.faces.tracking import FaceTracker
from facecycle_cli.media import read_frames

SIZE = 128
coordinates = st.floats(-2000, 2000)
sizes = st.integers(16, 512)
any_points = hnp.arrays(np.float64, (5, 2), elements=coordinates)
angles = st.floats(-math.pi, math.pi)
scales = st.floats(0.05, 20)


def similarity(scale, angle, shift):
    c, s = scale * math.cos(angle), scale * math.sin(angle)
    return np.array([[c, -s, shift[0]], [s, c, shift[1]]])


def spread(points):
    return np.linalg.norm(points - points.mean(0), axis=1).max()


@given(points=any_points, size=sizes, query=any_points)
def test_apply_and_back(points, size, query):
    assume(spread(points) > 1)
    alignment = Alignment.from_points(points, size)
    assume(abs(np.linalg.det(alignment.matrix[:, :2])) > 1e-9)  # else the fit shrank to a point
    there = alignment.apply(query)
    assert np.allclose(alignment.apply_inverse(there), query, atol=1e-4)
    assert np.allclose(query @ alignment.matrix[:, :2].T + alignment.matrix[:, 2], there, atol=1e-9)


@given(points=any_points, size=sizes)
def test_never_shears_or_mirrors(points, size):
    assume(spread(points) > 1)
    (a, b, _), (c, d, _) = Alignment.from_points(points, size).matrix
    assert math.isclose(a, d, abs_tol=1e-12)
    assert math.isclose(b, -c, abs_tol=1e-12)


@given(scale=scales, angle=angles, x=coordinates, y=coordinates, size=sizes)
def test_faces_of_the_template_shape_land_on_the_template(scale, angle, x, y, size):
    place = similarity(scale, angle, (x, y))
    points = 100 * TEMPLATE @ place[:, :2].T + place[:, 2]
    landed = Alignment.from_points(points, size).apply(points)
    assert np.allclose(landed, TEMPLATE * size - 0.5, atol=1e-5 * size)


@given(points=any_points, scale=scales, angle=angles, x=coordinates, y=coordinates)
def test_moving_the_photograph_does_not_move_the_crop(points, scale, angle, x, y):
    assume(spread(points) > 10)
    move = similarity(scale, angle, (x, y))
    moved = points @ move[:, :2].T + move[:, 2]
    a, b = Alignment.from_points(points, 128), Alignment.from_points(moved, 128)
    assert np.allclose(a.apply(points), b.apply(moved), atol=1e-4)


@given(points=any_points, size=sizes, other=sizes)
def test_scaled_is_the_same_part_of_the_photograph(points, size, other):
    assume(spread(points) > 1)
    scaled = Alignment.from_points(points, size).scaled(other)
    assert scaled.size == other
    assert np.allclose(scaled.matrix, Alignment.from_points(points, other).matrix, atol=1e-9)


def test_json_round_trip():
    alignment = Alignment.from_points(TEMPLATE * 77 + 3, 128)
    again = Alignment.from_json(json.loads(json.dumps(alignment.to_json())))
    assert again.size == 128
    assert np.array_equal(again.matrix, alignment.matrix)


@pytest.mark.parametrize("points", [np.full((5, 2), 7.0), np.full((5, 2), np.nan)])
def test_coinciding_points_are_an_error(points):
    with pytest.raises(FaceError, match="cannot be aligned"):
        Alignment.from_points(points, 64)


def test_crop_of_a_face(portraits, faces):
    """Eyes level and at their place, forehead and chin inside: on every portrait."""
    for image, face in zip(portraits, faces, strict=True):
        alignment = Alignment.from_face(face, 128)
        crop = alignment.crop(image)
        assert (crop.shape, crop.dtype) == ((128, 128, 3), np.uint8)
        assert crop.flags.c_contiguous
        eyes = alignment.apply(face.five_points)[:2]
        assert abs(eyes[1, 1] - eyes[0, 1]) < 0.03 * 128
        assert np.abs(eyes - (TEMPLATE[:2] * 128 - 0.5)).max() < 0.04 * 128
        oval = alignment.apply(face.oval)
        assert oval.min() > 0
        assert oval.max() < 128


@settings(max_examples=15)
@given(angle=st.floats(-math.pi, math.pi), scale=st.floats(0.4, 2))
def test_crop_follows_the_photograph(angle, scale):
    """A turned and scaled photograph gives the same crop, up to resampling."""

    def picture(x, y):
        return np.stack([np.sin(x / 25), np.sin(y / 25), np.cos((x - y) / 40)], -1) * 100 + 128

    y, x = np.mgrid[0:300, 0:300].astype(float)
    move = similarity(scale, angle, (0, 0))
    move[:, 2] = 150 - move[:, :2] @ (150, 150)
    back = np.linalg.inv(move[:, :2])
    points = TEMPLATE * 60 + 120
    source = (np.stack([x, y], -1) - move[:, 2]) @ back.T
    still = np.rint(picture(x, y)).astype(np.uint8)
    moved = np.rint(picture(source[..., 0], source[..., 1])).astype(np.uint8)
    a = Alignment.from_points(points, 48).crop(still)
    b = Alignment.from_points(points @ move[:, :2].T + move[:, 2], 48).crop(moved)
    assert np.abs(a.astype(int) - b).mean() < 2


def test_a_widened_crop_shows_the_same_in_its_middle():
    noise = np.random.default_rng(3).integers(0, 256, (200, 220, 3), np.uint8)
    image = cv2.GaussianBlur(noise, (0, 0), 4)
    alignment = Alignment(np.array([[0.6, 0.1, -20], [-0.1, 0.6, -15]]), 64)
    wide = alignment.widened(16)
    assert wide.size == 96
    middle = wide.crop(image)[16:80, 16:80].astype(int)
    assert np.abs(middle - alignment.crop(image)).mean() < 2


# -- tracks ----------------------------------------------------------------------------------------


def placed(points: np.ndarray, alignments: list[Alignment]) -> np.ndarray:
    """(N, 5, 2): where the points are in the crops."""
    return np.stack([a.apply(five) for a, five in zip(alignments, points, strict=True)])


def framewise(points: np.ndarray) -> list[Alignment]:
    return [Alignment.from_points(five, SIZE) for five in points]


def eye_spread(in_crops: np.ndarray) -> float:
    """Standard deviation of the eyes' centers over time, in pixels of the crop."""
    return float(np.sqrt((in_crops[:, :2].std(0) ** 2).sum(-1).mean()))


def moved(turn: float, scale: float, shift: tuple[float, float]) -> np.ndarray:
    """(5, 2): an upright face, turned (radians), scaled and shifted."""
    c, s = np.cos(turn), np.sin(turn)
    return scale * TEMPLATE @ np.array([[c, s], [-s, c]]) + shift


@pytest.fixture(scope="module", params=["talker.mpg", "head_turn.gif"])
def points(request, examples: Path, backend) -> np.ndarray:
    """(N, 5, 2) of a real clip at 5 frames a second."""
    frames = read_frames(examples / request.param, fps=5, threads=1)
    tracked = FaceTracker(backend).track(frame.image for frame in frames)
    found = [face.five_points for _, frame in tracked for face in frame.faces.values()]
    assert len(found) >= 10
    return np.stack(found).astype(np.float64)


def test_halves_the_movement_of_the_eyes(points):
    steady = placed(points, steady_alignments(points, np.arange(len(points)), SIZE))
    assert eye_spread(steady) <= 0.5 * eye_spread(placed(points, framewise(points)))


def test_the_mean_crop_is_that_of_framewise_alignment(points):
    steady = placed(points, steady_alignments(points, np.arange(len(points)), SIZE))
    plain = placed(points, framewise(points))
    assert np.abs(steady.mean(0) - plain.mean(0)).max() < 0.02 * SIZE


def test_parts_that_share_a_target_fit_together(points):
    parts, numbers = np.array_split(points, 3), np.array_split(np.arange(len(points)), 3)
    target = mean_five_points(points, SIZE)
    steady = np.concatenate(
        [
            placed(part, steady_alignments(part, frames, SIZE, target=target))
            for part, frames in zip(parts, numbers, strict=True)
        ]
    )
    assert np.allclose(steady[:, :2].mean(1), target[:2].mean(0), atol=1e-6)
    assert eye_spread(steady) <= 0.5 * eye_spread(placed(points, framewise(points)))


@given(
    st.lists(
        st.tuples(st.floats(-1, 1), st.tuples(st.floats(-500, 500), st.floats(-500, 500))),
        min_size=1,
        max_size=12,
    ),
    st.floats(20, 400),
    st.floats(-0.05, 0.05),
)
def test_follows_a_rigid_face_at_once_wherever_it_goes(places, scale, approach):
    track = np.stack(
        [moved(turn, scale * np.exp(approach * i), shift) for i, (turn, shift) in enumerate(places)]
    )
    in_crops = placed(track, steady_alignments(track, np.arange(len(track)), SIZE))
    assert np.abs(in_crops - (TEMPLATE * SIZE - 0.5)).max() < 1e-6 * SIZE


def test_smooths_a_trembling_scale():
    rng = np.random.default_rng(0)
    noisy = np.stack([moved(0, 100 * np.exp(0.02 * rng.normal()), (50, 50)) for _ in range(40)])

    def scales(smoothing: float) -> np.ndarray:
        alignments = steady_alignments(noisy, np.arange(40), SIZE, smoothing=smoothing)
        return np.array([np.hypot(*a.matrix[:, 0]) for a in alignments])

    assert scales(4.0).std() < 0.5 * scales(0.0).std()


def test_an_isolated_frame_beyond_a_gap_is_left_as_it_is():
    track = np.stack([moved(0, scale, (0, 0)) for scale in (100, 100, 100, 200)])
    alignments = steady_alignments(track, np.array([0, 1, 2, 1000]), SIZE)
    assert np.allclose(placed(track, alignments)[3], TEMPLATE * SIZE - 0.5)


def test_points_that_coincide_are_an_error():
    track = np.stack([moved(0, 100, (0, 0)), np.ones((5, 2))])
    with pytest.raises(FaceError):
        steady_alignments(track, np.arange(2), SIZE)
