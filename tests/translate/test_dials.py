"""How much of a motion arrives, and which part of it."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from facecycle_cli.errors import SettingsError
from facecycle_cli.media import read_image
from facecycle_cli.translate.dials import MotionDials
from facecycle_cli.translate.performers import find_performers
from facecycle_cli.translate.placement import PlaneMotion
from facecycle_cli.translate.settings import TranslateSettings
from facecycle_cli.translate.video import Translation, translate_picture
from tests.clips import FACES

SIZE = 160


@pytest.fixture(scope="module")
def people():
    by_name = {face.stem: read_image(face) for face in FACES}
    return by_name["person2_smiling"], by_name["person4_neutral"]


@pytest.fixture(scope="module")
def performed(people, model, backend):
    """The smile on another face: the picture, and the face that is found in it."""

    @cache
    def perform(**settings):
        chosen = TranslateSettings(size=SIZE, **settings)
        picture = translate_picture(*people, model=model, backend=backend, settings=chosen)
        return picture, backend.detect([picture])[0][0]

    return perform


@pytest.fixture(scope="module")
def own(people, model, backend):
    """The target's crop, as it is."""
    return find_performers(people[1], model, backend, TranslateSettings(size=SIZE)).still


def off(picture: np.ndarray, other: np.ndarray, rows: slice) -> float:
    """Mean difference of the middle columns, in gray levels."""
    columns = slice(SIZE // 5, -SIZE // 5)
    return float(np.abs(picture[rows, columns].astype(int) - other[rows, columns]).mean())


@pytest.mark.parametrize("motion_from", ["landmarks", "networks"])
def test_without_strength_nothing_moves(performed, own, motion_from):
    picture, _ = performed(strength=0.0, motion_from=motion_from)
    assert np.array_equal(picture, own)


def test_a_smile_comes_by_degrees(performed):
    widths = [performed(strength=s)[1].mouth_width for s in (0.0, 0.5, 1.0, 1.5)]
    assert np.all(np.diff(widths) > 0.015), widths  # landmarks tremble by a third of that


def test_only_the_part_that_is_asked_for_moves(performed, own):
    eyes, mouth = slice(SIZE // 4, SIZE // 2), slice(SIZE * 5 // 8, SIZE * 7 // 8)
    everything, _ = performed()
    moved = {part: performed(only=part)[0] for part in ("expression", "mouth", "eyes", "pose")}
    assert off(moved["mouth"], own, eyes) < 0.5 < off(moved["eyes"], own, eyes)
    assert off(moved["eyes"], own, mouth) < 0.5
    assert off(moved["mouth"], own, mouth) > 5
    assert off(moved["expression"], own, mouth) > 5
    assert off(moved["pose"], everything, mouth) > 5
    smile = performed()[1].mouth_width
    assert performed(only="mouth")[1].mouth_width > 0.95 * smile
    assert performed(only="pose")[1].mouth_width < 0.9 * smile


def test_in_a_video_too(people, model, backend):
    source, target = people
    settings = TranslateSettings(size=96, strength=0.0)
    frames = [source, np.roll(source, 9, axis=1)]
    with Translation(frames, target, model=model, backend=backend, settings=settings) as made:
        pictures = list(made)
        assert all(np.array_equal(picture, made._target.still) for picture in pictures)
    assert len(pictures) == 2


def test_the_way_within_the_picture():
    whole = PlaneMotion(4j, 2 + 2j)
    half = MotionDials(0.5).plane(whole)
    assert half.turn == pytest.approx(np.sqrt(4j))
    assert half.shift == 1 + 1j
    assert MotionDials(only="mouth").plane(whole) == PlaneMotion(1, 0)
    assert MotionDials().plane(whole) is whole


def test_what_cannot_be_asked_for():
    with pytest.raises(SettingsError, match="strength must be from 0"):
        MotionDials(strength=1.6)
    with pytest.raises(SettingsError, match="no parts"):
        TranslateSettings(only="mouth", motion_from="networks")
