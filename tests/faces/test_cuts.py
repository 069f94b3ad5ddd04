"""Cuts are found, and lively pictures are not taken for cuts."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from facecycle_cli.faces.cuts import CutDetector
from facecycle_cli.media import read_frames


def cuts(frames) -> list[int]:
    is_cut = CutDetector()
    return [i for i, frame in enumerate(frames) if is_cut(frame)]


@pytest.fixture(scope="module")
def clips(examples: Path) -> list[list[np.ndarray]]:
    """Somebody who talks, and somebody who turns her head, at 5 frames a second."""
    files = [examples / "talker.mpg", examples / "head_turn.gif"]
    return [[f.image for f in read_frames(p, fps=5, size=(320, 240), threads=1)] for p in files]


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    """(240, 320, 3): a blurred random picture, as rich in contrast as a photograph."""
    noise = np.random.default_rng(3).integers(0, 256, (12, 16, 3), np.uint8)
    return cv2.resize(noise, (320, 240), interpolation=cv2.INTER_CUBIC)


def test_a_talking_or_turning_head_is_no_cut(clips):
    assert [cuts(clip) for clip in clips] == [[], []]


def test_finds_the_cut_between_clips_and_nothing_else(clips):
    talker, turner = clips
    assert cuts([*talker, *turner, *talker]) == [len(talker), len(talker) + len(turner)]


def test_bars_of_a_wide_picture_do_not_hide_a_cut(clips):
    def barred(frame):
        return np.pad(frame, ((120, 120), (0, 0), (0, 0)))

    talker, turner = clips
    assert cuts([barred(talker[0]), barred(turner[0])]) == [1]


@pytest.mark.parametrize("size", [(320, 240), (640, 480), (97, 31)])
def test_resolution_does_not_matter(clips, size):
    talker, turner = clips
    frames = [cv2.resize(f, size, interpolation=cv2.INTER_AREA) for f in (*talker[:2], *turner[:2])]
    assert cuts(frames) == [2]


def test_a_shaken_head_in_front_of_a_still_wall_is_no_cut(scene):
    def with_head(x: int, color: tuple[int, int, int]) -> np.ndarray:
        return cv2.ellipse(scene.copy(), (x, 140), (60, 90), 0, 0, 360, color, -1)

    assert cuts([with_head(90, (230, 180, 150)), with_head(230, (90, 60, 40))]) == []


def test_a_slow_pan_is_no_cut(scene):
    wide = np.hstack([scene, scene[:, ::-1]])
    assert cuts([wide[:, x : x + 320] for x in range(0, 200, 12)]) == []


def test_a_little_flicker_is_no_cut_but_another_scene_is(scene):
    darker = (scene * 0.97).astype(np.uint8)
    other = np.ascontiguousarray(scene[::-1, ::-1, ::-1])
    assert cuts([scene, darker, scene, other]) == [3]
