"""What translate does to a photograph beyond the networks' flow: its mouth, and no folds."""

from __future__ import annotations

import itertools
from dataclasses import replace

import cv2
import numpy as np
import pytest

from facecycle_cli.faces import Alignment
from facecycle_cli.media import read_image
from facecycle_cli.portrait.features import Mouth
from facecycle_cli.translate.folds import stretch, unfolded
from facecycle_cli.translate.source import skull
from facecycle_cli.translate.stage import Stage, crop_stage, picture_stage


def drawn(stage: Stage, opening: float) -> np.ndarray:
    """The picture with nothing but its mouth moved."""
    height, width = stage.points.shape[:2]
    still = np.zeros((2, height, width), np.float32)
    return stage.draw(
        stage.prepare(
            still,
            np.zeros((3, height, width), np.float32),
            stage.points.transpose(2, 0, 1),
            opening,
        )
    )


@pytest.mark.parametrize("wanted", [0.1, 0.3, 0.5])
def test_a_closed_mouth_opens_as_wide_as_is_asked(backend, photograph, face, wanted):
    stage = picture_stage(photograph, Alignment.from_face(face, 64), cells=64, face=face)
    ((opened,),) = backend.detect([drawn(stage, wanted)])
    got = opened.mouth_opening - face.mouth_opening
    assert got == pytest.approx(wanted, abs=0.03 + 0.35 * wanted)


def test_the_wider_the_darker_and_only_below_the_nose(photograph, face):
    stage = picture_stage(photograph, Alignment.from_face(face, 64), cells=64, face=face)
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


def test_what_the_flow_has_opened_is_not_opened_again(photograph, face):
    """A displacement that takes the lower lip down by 6 pixels."""
    mouth = Mouth(face, np.eye(2, 3), photograph)
    height, width = photograph.shape[:2]
    displacement = np.zeros((height, width, 2), np.float32)
    cells = np.eye(2, 3)
    half = np.linalg.norm(face.landmarks[308, :2] - face.landmarks[78, :2]) / 2
    assert mouth.missing(0.5, displacement, cells) == pytest.approx(0.5, abs=1e-6)
    displacement[round(float(face.landmarks[14, 1])) :, :, 1] = -6
    assert mouth.missing(0.5, displacement, cells) == pytest.approx(0.5 - 6 / half, abs=0.03)
    assert mouth.missing(0.01, displacement, cells) == pytest.approx(0, abs=1e-9)
    assert mouth.missing(-0.2, displacement, cells) == pytest.approx(-0.2, abs=1e-6)


def test_without_a_face_the_mouth_stays(photograph, face):
    stage = picture_stage(photograph, Alignment.from_face(face, 64), cells=64)
    assert np.array_equal(drawn(stage, 0.4), photograph)


def test_a_mouth_at_the_border_of_its_picture(photograph, face):
    cut = photograph[: round(float(face.landmarks[14, 1])) + 3]
    stage = picture_stage(cut, Alignment.from_face(face, 64), cells=64, face=face)
    assert drawn(stage, 0.4).shape == cut.shape


# -- folds ----------------------------------------------------------------------------------------


def field(side: int = 48) -> np.ndarray:
    return np.zeros((side, side, 2), np.float32)


def test_stretch_of_known_fields():
    xs = np.arange(48, dtype=np.float32)
    assert np.allclose(stretch(field(), 1.0), 1)
    twice = field()
    twice[..., 0] = -0.5 * xs  # every pixel becomes two
    assert np.allclose(stretch(twice, 1.0), 0.5)
    mirrored = field()
    mirrored[..., 1] = -2 * xs[:, None]
    assert np.allclose(stretch(mirrored, 1.0), -1)
    turned = field()
    turned[..., 0], turned[..., 1] = -xs[:, None] - xs, xs - xs[:, None]  # by 90 degrees
    assert np.allclose(stretch(turned, 1.0), 1, atol=1e-5)
    assert np.allclose(stretch(twice * 3, 3.0), 0.5)  # the unit does not matter


def test_folds_go_and_the_rest_stays():
    torn = field()
    torn[20:28, 20:28, 0] = 6.0  # jumps by six cells
    assert stretch(torn, 1.0).min() < -0.5
    smooth = unfolded(torn, 1.0)
    assert stretch(smooth, 1.0).min() > 0.2
    assert smooth[23, 23, 0] > 0.5  # it still moves
    assert np.array_equal(smooth[:4], torn[:4])


def test_a_gentle_motion_is_left_alone():
    wave = field()
    wave[..., 0] = 2 * np.sin(np.arange(48) / 6)
    assert unfolded(wave, 1.0) is wave


def test_unfolding_is_steady():
    """A motion that grows in small steps moves in small steps, where folds begin, too."""
    bump = cv2.GaussianBlur(np.eye(48, dtype=np.float32)[24:25].T @ np.eye(48)[24:25], (0, 0), 3)
    bump = (bump / bump.max()).astype(np.float32)
    results = []
    for height in np.arange(0, 12, 0.25):
        pushed = field()
        pushed[..., 0] = height * bump
        results.append(unfolded(pushed, 1.0))
    steps = [np.abs(b - a).max() for a, b in itertools.pairwise(results)]
    assert max(steps) < 1.0


# -- the skull ------------------------------------------------------------------------------------


def test_an_open_mouth_does_not_move_the_skull(face):
    landmarks = face.landmarks.copy()
    mouth = [61, 291, 13, 14, 17, 152]
    landmarks[mouth, 1] += 30
    spoken = replace(face, landmarks=landmarks)
    assert np.array_equal(skull(spoken), skull(face))
    assert not np.array_equal(spoken.five_points, face.five_points)
