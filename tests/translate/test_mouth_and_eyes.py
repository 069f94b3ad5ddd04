"""Mouth and eyes of a target on its stage: they move as asked, and nothing else does."""

from __future__ import annotations

import numpy as np
import pytest

from facecycle_cli.faces import Alignment
from facecycle_cli.faces.attention_mesh import look_closely
from facecycle_cli.media import read_image
from facecycle_cli.portrait.features import eyes_of
from facecycle_cli.translate.lids import eyelid_closure
from facecycle_cli.translate.stage import Fields, Stage, crop_stage, picture_stage


@pytest.fixture(scope="module")
def stage(photograph, face) -> Stage:
    return picture_stage(photograph, Alignment.from_face(face, 64), cells=64, face=face)


def drawn(stage: Stage, opening: float = 0.0, closed: float = 0.0) -> np.ndarray:
    """The picture with nothing but its mouth and its eyelids moved."""
    height, width = stage.points.shape[:2]
    still = Fields(
        np.zeros((2, height, width), np.float32),
        np.zeros((3, height, width), np.float32),
        stage.points.transpose(2, 0, 1),
    )
    return stage.draw(stage.prepare(still, opening=opening, eyes_closed=closed))


@pytest.mark.parametrize("wanted", [0.1, 0.3, 0.5])
def test_a_closed_mouth_opens_as_wide_as_is_asked(backend, face, stage, wanted):
    ((opened,),) = backend.detect([drawn(stage, wanted)])
    got = opened.mouth_opening - face.mouth_opening
    assert got == pytest.approx(wanted, abs=0.03 + 0.35 * wanted)


def test_the_wider_the_darker_and_only_below_the_nose(photograph, face, stage):
    frames = [drawn(stage, opening).astype(int) for opening in (0.0, 0.1, 0.2, 0.4)]
    assert np.array_equal(frames[0], photograph)
    nose = round(float(face.landmarks[2, 1]))
    box = np.s_[nose : round(float(face.landmarks[152, 1])), :]
    dark = [(frame[box].sum(-1) < 150).sum() for frame in frames]
    assert dark == sorted(dark)
    assert dark[-1] > dark[0] + 200
    eyes = round(float(face.five_points[:2, 1].max())) + 5
    assert all(np.array_equal(frame[:eyes], photograph[:eyes]) for frame in frames)


def test_the_chin_goes_down_with_the_jaw(backend, photograph, face):
    stage = crop_stage(photograph, Alignment.from_face(face, 64), 256, cells=64, face=face)
    faces = [backend.detect([drawn(stage, opening)])[0][0] for opening in (0.0, 0.3)]
    down = [f.landmarks[152, 1] - f.landmarks[168, 1] for f in faces]
    assert down[1] > down[0] + 4


def test_a_smile_closes(backend, examples):
    smiling = read_image(examples / "faces" / "person4_smiling.jpg")
    smiler = backend.detect([smiling])[0][0]
    stage = picture_stage(smiling, Alignment.from_face(smiler, 64), cells=64, face=smiler)
    assert smiler.mouth_opening > 0.05
    ((closed,),) = backend.detect([drawn(stage, -1.0)])
    assert closed.mouth_opening < 0.6 * smiler.mouth_opening


def test_without_a_face_the_mouth_and_the_eyes_stay(photograph, face):
    stage = picture_stage(photograph, Alignment.from_face(face, 64), cells=64)
    assert np.array_equal(drawn(stage, 0.4, 1.0), photograph)


def test_a_mouth_at_the_border_of_its_picture(photograph, face):
    cut = photograph[: round(float(face.landmarks[14, 1])) + 3]
    stage = picture_stage(cut, Alignment.from_face(face, 64), cells=64, face=face)
    assert drawn(stage, 0.4).shape == cut.shape


def test_lids_come_down_as_far_as_is_asked(backend, stage):
    openings = []
    for closed in (0.0, 0.5, 1.0):
        picture = drawn(stage, closed=closed)
        ((found,),) = backend.detect([picture])
        openings.append(look_closely(picture, found).face.eye_opening)
    assert openings[0] > openings[1] > openings[2]
    assert eyelid_closure(openings[2], openings[0], 0.0) > 0.5, "it counts as a blink again"


def test_nothing_but_the_eyes_changes(photograph, face, stage):
    assert np.array_equal(drawn(stage), photograph)
    shut = drawn(stage, closed=1.0)
    changed = (shut != photograph).any(-1)
    allowed = np.zeros_like(changed)
    for x0, y0, x1, y1 in (eye.reach() for eye in eyes_of(face, np.eye(2, 3))):
        allowed[int(y0) - 2 : int(y1) + 3, int(x0) - 2 : int(x1) + 3] = True
    assert changed.sum() > 200
    assert not (changed & ~allowed).any()
