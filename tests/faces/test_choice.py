"""Which face of several is taken, and how they are numbered."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from facecycle_cli.errors import NoFaceError, SettingsError
from facecycle_cli.faces.choice import accepts_faces, check_face_choice, choose_faces, reference_of
from facecycle_cli.faces.numbered import numbered_faces


@pytest.fixture
def three(face):
    """The largest in the middle, the second to the right, the smallest to the left."""
    shifts = (0, 300, -300)
    return [replace(face, landmarks=face.landmarks + np.float32((dx, 0, 0))) for dx in shifts]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("largest", [0]),
        ("all", [0, 1, 2]),
        ("left", [2]),
        ("right", [1]),
        ("1", [0]),
        ("3", [2]),
        (2, [1]),
        (lambda image, faces: faces[len(image)], [1]),
    ],
)
def test_which_face(three, choice, expected):
    image = np.zeros((1, 1, 3), np.uint8)
    assert choose_faces(image, three, choice) == [three[n] for n in expected]


def test_a_face_that_is_not_there(three):
    image = np.zeros((1, 1, 3), np.uint8)
    with pytest.raises(NoFaceError, match="no face 4; it shows 3"):
        choose_faces(image, three, "4")
    for choice in ("all", "largest", "left", "1"):
        with pytest.raises(NoFaceError):
            choose_faces(image, [], choice)


@pytest.mark.parametrize(
    "choice", ["largest", "all", "left", "right", "1", "12", 3, "like:a b.jpg"]
)
def test_choices(choice):
    assert check_face_choice(choice) == choice


@pytest.mark.parametrize("choice", ["", "0", "-1", "middle", "1.5", "01", 0, True, "like:", "LEFT"])
def test_wrong_choices(choice):
    with pytest.raises(SettingsError, match="none of largest, all"):
        check_face_choice(choice)


def test_all_is_no_choice_of_one_face():
    with pytest.raises(SettingsError, match="none of largest, left"):
        check_face_choice("all", single=True)


def test_the_name_of_the_reference():
    assert reference_of("like:a:b.jpg") == "a:b.jpg"
    assert reference_of("left") is None


def test_the_older_name_of_the_argument():
    @accepts_faces
    def chosen(*, face="largest"):
        return face

    assert (chosen(), chosen(face="left"), chosen(faces="all")) == ("largest", "left", "all")
    with pytest.raises(TypeError, match="one argument"):
        chosen(face="left", faces="all")


def test_numbers_stay_in_the_picture(face, photograph):
    """Also for a box that begins beyond the border."""
    beyond = replace(face, box=face.box - 1.5 * face.box[2])
    marked = numbered_faces(photograph, [face, beyond])
    changed = (marked != photograph).any(axis=2)
    x0, y0 = (int(v) for v in face.box[:2])
    assert changed[y0, x0 + 20 : int(face.box[2])].all()
    assert changed[:12, :12].any()  # the second number
    assert not changed[y0 + 20 : int(face.box[3]) - 20, x0 + 20 : int(face.box[2]) - 20].any()
