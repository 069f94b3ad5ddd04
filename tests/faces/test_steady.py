"""Crops of a track stand still, without lagging behind and without drifting off."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facecycle_cli.errors import FaceError
from facecycle_cli.faces import TEMPLATE, Alignment
from facecycle_cli.faces.alignment import mean_five_points, steady_alignments
from facecycle_cli.faces.tracking import FaceTracker
from facecycle_cli.media import read_frames

SIZE = 128


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
