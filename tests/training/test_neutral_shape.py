"""Estimates of the neutral face, and what they are fitted to."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from facecycle_cli.errors import DataError
from facecycle_cli.faces.topology import MESH_468, MESH_468_MIRRORED
from facecycle_cli.training import posed_shape
from facecycle_cli.training.data.discover import find_crops
from facecycle_cli.training.data.frames import FrameStore
from facecycle_cli.training.neutral_fit import fit_neutral_shape, load_neutral_shape
from facecycle_cli.training.neutral_shape import NeutralShape
from facecycle_cli.training.posed_shape import PosedFaces, PosedShape
from tests.training.conftest import people

LEFT, RIGHT = MESH_468.mouth
UNUSED = [np.zeros(936), np.zeros((4, 936)), np.ones(4)]
"""Mean, basis and unit of a small file."""


def posed(face_landmarks, persons=12):
    """The first two pictures of a group of ``people`` are neutral."""
    return [PosedFaces(group[:2], group[2:]) for group in people(face_landmarks, persons)]


def width(shape):
    return np.linalg.norm(shape[LEFT, :2] - shape[RIGHT, :2])


@pytest.fixture(scope="module", autouse=True)
def _few_steps():
    """A tenth of the steps is enough for the one expression of these faces."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(posed_shape, "_STEPS", 200)
        yield


@pytest.fixture(scope="module")
def shape(face_landmarks):
    return PosedShape.fit(posed(face_landmarks), people(face_landmarks, 5), seed=0)


def test_posed_expressions_teach_the_neutral_face(shape, face_landmarks, tmp_path):
    neutral, smile = shape(face_landmarks[0]), shape(face_landmarks[1])
    gained = width(face_landmarks[1]) - width(face_landmarks[0])
    assert abs(width(smile) - width(neutral)) < 0.2 * gained
    assert abs(width(neutral) - width(face_landmarks[0])) < 0.2 * gained  # it stays what it is
    assert np.allclose(smile[list(MESH_468_MIRRORED)] * [-1, 1] + [1, 0], smile, atol=1e-9)
    shape.save(tmp_path / "shape.npz")
    again = load_neutral_shape(tmp_path / "shape.npz")
    assert np.allclose(again(face_landmarks[1]), smile, rtol=0, atol=1e-12)


def test_a_persons_own_shape_stays(shape, face_landmarks):
    wide = face_landmarks[1] * [1.08, 1, 1]
    found = []
    for face in (face_landmarks[1], wide):
        neutral = shape(face)
        found.append(np.ptp(neutral[:, 0]) / neutral[:, 1].std())
    assert found[1] / found[0] > 1.02


def test_few_people_are_not_enough(face_landmarks):
    with pytest.raises(DataError, match=r"needs 10 people with a neutral picture .* found 3"):
        PosedShape.fit(posed(face_landmarks, 3), [], seed=0)


def test_the_settings_name_posed_pictures(face_crops, tmp_path):
    """Without them the neutral shape of the same data is the linear one."""
    for person in range(10):
        for look, crop in zip(("neutral", "smiling"), face_crops, strict=True):
            moved = np.roll(crop, person % 3, axis=1)
            Image.fromarray(moved).save(tmp_path / f"{person:03d}_{look}.png")
    store = FrameStore(find_crops([tmp_path]), 80, keep=False)
    fitted = fit_neutral_shape(store, 0, posed=[str(tmp_path)])
    assert isinstance(fitted, PosedShape)
    with pytest.raises(DataError, match="needs 96 neutral faces"):
        fit_neutral_shape(store, 0)


def test_an_older_file_is_read(face_landmarks, tmp_path):
    linear = NeutralShape.fit(people(face_landmarks))
    linear.save(tmp_path / "shape.npz")
    found = load_neutral_shape(tmp_path / "shape.npz")
    assert np.array_equal(found(face_landmarks[1]), linear(face_landmarks[1]))


def layers(*shapes):
    names = ("mean", "basis", "unit", "weight0", "bias0", "weight1", "bias1", "weight2", "bias2")
    arrays = [*UNUSED, *(np.zeros(s) for s in shapes)]
    return dict(zip(names, arrays, strict=True))


@pytest.mark.parametrize(
    "changes",
    [
        {"weight1": np.zeros((3, 4))},
        {"bias2": np.zeros(5)},
        {"unit": np.zeros(4)},
        {"unit": np.ones(())},
        {"bias0": np.full(3, np.inf)},
        {"more": np.zeros(1)},
        {"weight0": np.array([["a"] * 4] * 3)},
    ],
)
def test_a_damaged_file_is_said_so(tmp_path, changes):
    sound = layers((3, 4), (3,), (3, 3), (3,), (4, 3), (4,))
    np.savez(tmp_path / "shape.npz", **sound)
    assert isinstance(load_neutral_shape(tmp_path / "shape.npz"), PosedShape)
    np.savez(tmp_path / "shape.npz", **{**sound, **changes})
    with pytest.raises(DataError, match=r"shape\.npz: damaged, remove it to measure it again"):
        load_neutral_shape(tmp_path / "shape.npz")
