"""Mouth and eyes at the landmarks: what is asked for happens, and nothing else changes."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from facecycle_cli.faces import Face
from facecycle_cli.faces.topology import IBUG_68, MESH_468, MESH_468_MIRRORED
from facecycle_cli.media import read_image
from facecycle_cli.portrait.features import Mouth, eyes_of, smoothstep


def pixel_grid(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    ys, xs = np.mgrid[: picture.shape[0], : picture.shape[1]].astype(np.float32)
    return xs, ys


def within(picture: np.ndarray, reach: tuple[float, float, float, float]) -> tuple[slice, slice]:
    """Rows and columns of a box, as far as it lies in the picture."""
    (x0, y0, x1, y1), (height, width) = reach, picture.shape[:2]
    return slice(max(0, int(y0)), min(height, int(y1) + 2)), slice(
        max(0, int(x0)), min(width, int(x1) + 2)
    )


def opened(picture: np.ndarray, face: Face, opening: float) -> np.ndarray:
    """The picture with its mouth opened by so many distances between the eyes."""
    mouth = Mouth(face, np.eye(2, 3), picture)
    part = within(picture, mouth.reach())
    xs, ys = pixel_grid(picture)
    wanted = opening * mouth.unit
    xs[part], ys[part], dark = mouth.open(xs[part], ys[part], wanted, wanted)
    result = cv2.remap(picture, xs, ys, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    lit = result[part].astype(np.float32)
    result[part] = lit + dark[..., None] * (mouth.inside - lit)
    return result


def blinking(picture: np.ndarray, face: Face, closed: float) -> np.ndarray:
    """The picture with its eyelids down, 0..1."""
    xs, ys = pixel_grid(picture)
    for eye in eyes_of(face, np.eye(2, 3)):
        part = within(picture, eye.reach())
        xs[part], ys[part] = eye.close(xs[part], ys[part], closed)
    return cv2.remap(picture, xs, ys, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


# -- mouth -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("wanted", [0.1, 0.3, 0.5])
def test_a_closed_mouth_opens_as_wide_as_is_asked(backend, photograph, face, wanted):
    ((found,),) = backend.detect([opened(photograph, face, wanted)])
    got = found.mouth_opening - face.mouth_opening
    assert got == pytest.approx(wanted, abs=0.03 + 0.35 * wanted)


def test_the_wider_the_darker_and_only_below_the_nose(photograph, face):
    frames = [opened(photograph, face, opening).astype(int) for opening in (0.0, 0.1, 0.2, 0.4)]
    assert np.array_equal(frames[0], photograph)
    nose = round(float(face.landmarks[2, 1]))
    box = np.s_[nose : round(float(face.landmarks[152, 1])), :]
    dark = [(frame[box].sum(-1) < 150).sum() for frame in frames]
    assert dark == sorted(dark)
    assert dark[-1] > dark[0] + 200
    eyes = round(float(face.five_points[:2, 1].max())) + 5
    assert all(np.array_equal(frame[:eyes], photograph[:eyes]) for frame in frames)


def test_the_chin_goes_down_with_the_jaw(backend, photograph, face):
    faces = [backend.detect([opened(photograph, face, opening)])[0][0] for opening in (0.0, 0.3)]
    down = [f.landmarks[152, 1] - f.landmarks[168, 1] for f in faces]
    eyes = np.linalg.norm(face.five_points[1] - face.five_points[0])
    assert down[1] > down[0] + 4 * eyes / 70  # 70: between the eyes in a crop of 256 pixels


def test_a_smile_closes(backend, examples):
    smiling = read_image(examples / "faces" / "person4_smiling.jpg")
    smiler = backend.detect([smiling])[0][0]
    assert smiler.mouth_opening > 0.05
    ((closed,),) = backend.detect([opened(smiling, smiler, -1.0)])
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


def test_a_mouth_at_the_border_of_its_picture(photograph, face):
    cut = photograph[: round(float(face.landmarks[14, 1])) + 3]
    assert opened(cut, face, 0.4).shape == cut.shape


# -- eyes ------------------------------------------------------------------------------------------


def test_lids_come_down_as_far_as_is_asked(backend, photograph, face):
    openings = []
    for closed in (0.0, 0.5, 1.0):
        ((found,),) = backend.detect([blinking(photograph, face, closed)])
        openings.append(found.eye_opening)
    assert openings[0] == pytest.approx(face.eye_opening, abs=0.01)
    assert openings[0] > openings[1] > openings[2]
    assert openings[2] < 0.8 * openings[0], "translate would take it for a blink"


def test_nothing_but_the_eyes_changes(photograph, face):
    assert np.array_equal(blinking(photograph, face, 0.0), photograph)
    changed = (blinking(photograph, face, 1.0) != photograph).any(-1)
    allowed = np.zeros_like(changed)
    for x0, y0, x1, y1 in (eye.reach() for eye in eyes_of(face, np.eye(2, 3))):
        allowed[int(y0) - 2 : int(y1) + 3, int(x0) - 2 : int(x1) + 3] = True
    assert changed.sum() > 200
    assert not (changed & ~allowed).any()
    pupil = face.landmarks[[159, 145], :2].mean(0).round().astype(int)
    shut = blinking(photograph, face, 1.0)
    before, after = (im[pupil[1], pupil[0]].astype(int) for im in (photograph, shut))
    assert after.sum() > before.sum() + 60, "skin where the pupil was"


def test_eye_opening_does_not_depend_on_size_or_turn_in_the_picture(face):
    angle = 0.4
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    moved = (3.0 * face.landmarks @ turn.T + 10).astype(np.float32)
    assert replace(face, landmarks=moved).eye_opening == pytest.approx(face.eye_opening, rel=1e-4)
    assert 0.15 < face.eye_opening < 0.3


def test_lids_of_the_68_points_are_read_the_same_way():
    points = np.zeros((68, 3), np.float32)
    for first in (36, 42):
        points[first : first + 6, :2] = [[0, 0], [1, -0.5], [2, -0.5], [3, 0], [2, 0.5], [1, 0.5]]
    face = Face(np.zeros(4, np.float32), 1.0, points, 1.0, IBUG_68)
    assert face.eye_opening == pytest.approx(1 / 3)


def test_the_lids_of_the_mesh_mirror_each_other():
    for left, right in zip(MESH_468.left_lids, MESH_468.right_lids, strict=True):
        assert [MESH_468_MIRRORED[point] for point in left] == list(right[::-1])


# -- smoothstep ------------------------------------------------------------------------------------


def test_smoothstep_of_arrays_and_tensors():
    values = np.array([-1.0, 0.0, 0.5, 1.0, 2.0])
    assert smoothstep(values, 0, 1).tolist() == [0, 0, 0.5, 1, 1]
    assert smoothstep(torch.from_numpy(values), 0, 1).tolist() == [0, 0, 0.5, 1, 1]
