"""The face of a picture that looks most like a given one."""

from __future__ import annotations

import numpy as np
import pytest

import facecycle_cli as fc
from facecycle_cli.errors import NoFaceError, SettingsError
from facecycle_cli.faces.following import FaceFollower
from facecycle_cli.portrait.likeness import MostAlike, open_choice
from facecycle_cli.portrait.portraits import find_faces


@pytest.mark.parametrize(
    ("name", "side"), [("person1_neutral", "left"), ("person2_smiling", "right")]
)
def test_another_photograph_of_one_of_two_people(couple, examples, model, backend, name, side):
    chooser = open_choice(f"like:{examples / 'faces' / name}.jpg", model, backend)
    (expected,) = find_faces(couple, backend, side)
    (chosen,) = find_faces(couple, backend, chooser)
    assert np.array_equal(chosen.box, expected.box)
    assert open_choice(chooser, model, backend) is chooser
    seen = list(FaceFollower(backend, chooser).follow([couple] * 3))
    moved = [np.abs(each.face.five_points - expected.five_points).max() for each in seen]
    assert max(moved) < 10  # pixels; the other face is hundreds away


def test_references_that_cannot_be_used(tmp_path, couple, model, backend):
    lawn = np.full((90, 90, 3), 127, np.uint8)
    with pytest.raises(NoFaceError):
        MostAlike(lawn, model, backend)
    with pytest.raises(OSError, match="No such file"):
        open_choice(f"like:{tmp_path / 'missing.jpg'}", model, backend)
    with pytest.raises(SettingsError, match="none of largest"):
        open_choice("first", model, backend)
    with pytest.raises(SettingsError, match="has to be looked at first"):
        find_faces(couple, backend, "like:x.jpg")


def test_functions_take_the_same_choices(couple, smiling, model, backend):
    """The right face alone is the second of all; a number counts from the largest."""
    networks = {"model": model, "backend": backend}
    made = fc.portraits(couple, fc.NEUTRAL, face="all", size=64, **networks)
    right = max(made, key=lambda portrait: portrait.face.box[0])
    rank = next(n for n, portrait in enumerate(made, 1) if portrait is right)
    for choice in ("right", rank, lambda _, faces: faces[rank - 1]):
        crop = fc.neutralize(couple, face=choice, size=64, **networks).astype(int)
        assert np.abs(crop - right.result).max() <= 1
    with pytest.raises(NoFaceError, match="no face 3; it shows 2"):
        fc.frontalize(couple, face=3, **networks)
    first, second = fc.frontalize_many([smiling, couple], face=2, size=64, **networks)
    assert (first, second.shape) == (None, (64, 64, 3))
    rows = fc.encode([smiling, couple], face=2, only=["yaw"], **networks)
    assert (rows["source"].tolist(), rows["face"].tolist()) == ([1], [2])
    same = fc.verify(couple, smiling, face="left", **networks)
    assert same.similarity > 0.99
